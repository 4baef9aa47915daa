"""A cache of one or more tiers, for threads and for tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet, finalize

from perfagent import settings as options
from perfagent.cache import accepted, clearing, measures
from perfagent.cache.building import Wanted, tiers
from perfagent.cache.core import Core
from perfagent.cache.key import tag_id
from perfagent.cache.measures import Figures
from perfagent.cache.plan import Plan
from perfagent.cache.report import Report, SpaceReport, TierReport, Warmed
from perfagent.cache.serializer import Serializer, chosen
from perfagent.cache.space import Space
from perfagent.cache.steps import run, run_async
from perfagent.cache.upkeep import upkeep
from perfagent.runtime import outbox
from perfagent.settings.cache import CacheSettings

if TYPE_CHECKING:
    from perfagent.cache.cascade import Cascade
    from perfagent.cache.key import Key
    from perfagent.cache.steps import Steps

Value = TypeVar("Value")
Seconds = float | timedelta
LEVELS = {"l1": "memory", "l2": "redis", "l3": "disk", "memory": "memory", "redis": "redis", "disk": "disk", "all": ""}
TYPES = {"memory": ("memory",), "redis": ("redis",), "disk": ("disk",), "intelligent": ("memory", "redis", "disk")}


class Cache:
    """Keeps values by key, in memory, in Redis, on disk, or in all three. Whatever is left out, the settings tell.

    Keys are None, bool, int, float, str, bytes, dates, decimals, UUIDs, and tuples, lists, sets and dicts of them; 1,
    1.0, True and "1" are four keys. A value in memory is the very object that was kept: whoever changes it changes it
    for all.

    Args:
        name: what the metrics call it, and part of its keys.
        type: memory, redis, disk or intelligent.
        size: most values in memory.
        ttl: for how many seconds a value is good, where `set` does not say; `math.inf` for ever.
        prefix: first part of its keys where others see them; one an application.
        version: part of its keys; another one sees none of the values.
        url: address of Redis.
        path: folder of the tier on disk.
        serializer: "safe", "pickle" or an object with `name`, `dumps` and `loads`, for Redis and the disk.
        jitter: share of its time by which a value may end early, at random.

    Raises:
        ValueError: an argument is out of its bounds.
        ImportError: what a tier needs is not installed.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        type: str | None = None,  # noqa: A002
        size: int | None = None,
        ttl: Seconds | None = None,
        prefix: str | None = None,
        version: str | None = None,
        url: str | None = None,
        path: str | Path | None = None,
        serializer: str | Serializer | None = None,
        jitter: float | None = None,
    ) -> None:
        settings = CacheSettings.current()
        self.name = accepted.word("name", name, "prices")
        self.system = settings.type if type is None else type
        if self.system not in TYPES:
            raise ValueError(f"type={type!r} is not accepted: one of {', '.join(TYPES)}, such as type='memory'")
        self.ttl = settings.default_ttl if ttl is None else accepted.ttl("ttl", ttl)
        self.jitter = settings.jitter if jitter is None else accepted.share("jitter", jitter)
        self.cleanup_interval = settings.cleanup_interval
        wanted = Wanted(
            tiers=TYPES[self.system],
            size=settings.l1_size if size is None else accepted.whole("size", size, 1, 1000),
            prefix=settings.prefix if prefix is None else accepted.word("prefix", prefix, "shop"),
            version=settings.version if version is None else accepted.word("version", version, "2"),
            url=url,
            path=None if path is None else Path(path),
            serializer=chosen(settings.serializer if serializer is None else serializer),
        )
        self._evicting: dict[str, Callable[[], None]] = {}
        self._core = self._made(tiers(wanted, settings, self._failed, self._evicted))
        self._names = wanted.names()
        self._spaces: WeakSet[Space] = WeakSet()
        self._own = self._space(self.name, f"set/{self.name}", "", None)
        measures.caches.add(self)
        measures.declare()
        clearing.connect()
        upkeep.watch(self)

    def get(self, key: object, default: Any = None) -> Any:
        """The value of a key, or `default`.

        Args:
            key: as the class says.
            default: what to return where there is no value.

        Raises:
            TypeError: the key is of a type that cannot be one.
        """
        entry = run(self._core.find(self._own, self._own.key(key)))
        return default if entry is None or entry.failed else entry.value

    async def aget(self, key: object, default: Any = None) -> Any:
        """`get` for a task."""
        entry = await run_async(self._core.find(self._own, self._own.key(key)))
        return default if entry is None or entry.failed else entry.value

    def set(self, key: object, value: object, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> None:
        """Keeps a value.

        Args:
            key: as the class says.
            value: anything in memory; in Redis and on disk, what the serializer keeps.
            ttl: for how many seconds it is good; `math.inf` for ever.
            tags: what `invalidate_tags` finds it by.

        Raises:
            TypeError: the serializer does not keep the type of the value, or the key is of a type that cannot be one.
            ValueError: the ttl or a tag is not accepted, or the value is too large.
        """
        run(self._setting(key, value, ttl, tags))

    async def aset(self, key: object, value: object, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> None:
        """`set` for a task."""
        await run_async(self._setting(key, value, ttl, tags))

    def get_or_compute(
        self, key: object, compute: Callable[[], Value], ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> Value:
        """The value of a key; where there is none, what `compute` returns, which is kept.

        One computation at a time runs for a key in this process; who comes meanwhile gets its value, or its exception.

        Args:
            key: as the class says.
            compute: takes nothing.
            ttl: for how many seconds a value is good.
            tags: what `invalidate_tags` finds it by.

        Raises:
            TypeError: the key is of a type that cannot be one.
            ValueError: the ttl or a tag is not accepted.
        """
        return run(self._obtaining(key, compute, ttl, tags, False)).result()  # type: ignore[no-any-return]

    async def aget_or_compute(
        self,
        key: object,
        compute: Callable[[], Awaitable[Value] | Value],
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
    ) -> Value:
        """`get_or_compute` for a task; what `compute` returns is awaited, where it can be."""
        outcome = await run_async(self._obtaining(key, compute, ttl, tags, True))
        return outcome.result()  # type: ignore[no-any-return]

    def invalidate(self, key: object) -> bool:
        """Forgets a key in every tier; what is being computed for it at this moment is not kept either.

        Returns:
            Whether any tier had it.
        """
        return run(self._core.invalidate(self._own.key(key))) > 0

    async def ainvalidate(self, key: object) -> bool:
        """`invalidate` for a task."""
        return await run_async(self._core.invalidate(self._own.key(key))) > 0

    delete = invalidate
    adelete = ainvalidate

    def invalidate_tags(self, *tags: str) -> int:
        """Forgets every value with one of some tags, of this cache and of those with its prefix in other processes.

        Returns:
            How many values this process had of them in memory; Redis and the disk do not count them.

        Raises:
            ValueError: a tag is no text, or there is none.
        """
        return run(self._core.invalidate_tags(_tag_ids(tags)))

    async def ainvalidate_tags(self, *tags: str) -> int:
        """`invalidate_tags` for a task."""
        return await run_async(self._core.invalidate_tags(_tag_ids(tags)))

    def clear(self, level: str | None = None) -> int:
        """Forgets everything.

        Args:
            level: only of this tier: memory (l1), redis (l2) or disk (l3).

        Returns:
            How many entries that were.

        Raises:
            ValueError: there is no such tier.
        """
        return run(self._core.clear(_level(level), None))

    async def aclear(self, level: str | None = None) -> int:
        """`clear` for a task."""
        return await run_async(self._core.clear(_level(level), None))

    def warm(
        self,
        items: Mapping[Any, Any],
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
        workers: int = 4,
    ) -> Warmed:
        """Fills in what is not there yet.

        Args:
            items: values by key; a function is called, and what it returns is the value.
            ttl: for how many seconds they are good.
            tags: what `invalidate_tags` finds them by.
            workers: threads that compute at a time.

        Returns:
            How many were loaded, were there, and failed; a function that raises is counted and told of once.

        Raises:
            ValueError: an argument is not accepted.
        """
        from perfagent.cache.warmer import warm

        plan, ids = self._plan(ttl), _tag_ids(tags, some=False)
        keyed = self._keyed(items)
        return warm(self._core, self._own, [(key, compute, ids) for key, compute in keyed], plan, workers)

    async def awarm(
        self, items: Mapping[Any, Any], ttl: Seconds | None = None, tags: Iterable[str] = (), workers: int = 4
    ) -> Warmed:
        """`warm` for a task; coroutine functions are awaited, `workers` of them at a time."""
        from perfagent.cache.warmer import warm_async

        plan, ids = self._plan(ttl), _tag_ids(tags, some=False)
        keyed = self._keyed(items)
        return await warm_async(self._core, self._own, [(key, compute, ids) for key, compute in keyed], plan, workers)

    def _keyed(self, items: Mapping[Any, Any]) -> list[tuple[Key, Callable[[], Any]]]:
        if not hasattr(items, "items"):
            raise ValueError(
                f"items={items!r:.100} is not accepted: values, or functions that compute them, by their keys, "
                "such as {'limit': 5}"
            )
        return [(self._own.key(key), value if callable(value) else _constant(value)) for key, value in items.items()]

    def report(self) -> Report:
        """What this process has done with it so far, and how full its tiers are."""
        spaces = tuple(of_space(space) for space in sorted(self._spaces, key=lambda space: space.name))
        sizes = {tier: (sum(by_name.values()), most) for tier, by_name, most in self.sizes()}
        found = []
        for tier in TYPES[self.system]:
            store = next((store for store in self._core.tiers.stores if store.name == tier), None)
            hits = sum(space.figures.hits[tier].value for space in self._spaces)
            size, most = sizes.get(tier, (None, None))
            found.append(TierReport(tier, hits, size, most, store is None or not store.outage.down))
        hits, misses = sum(one.hits for one in spaces), sum(one.misses for one in spaces)
        evictions = sum(one.evictions for one in spaces)
        return Report(self.name, self.system, hits, misses, evictions, tuple(found), spaces)

    def clean(self) -> int:
        """Removes what has expired now, in place of waiting for CACHE_CLEANUP_INTERVAL; says how many that were."""
        removed = 0 if self._core.tiers.memory is None else self._core.tiers.memory.clean()
        for store in self._core.tiers.stores:
            removed += run(store.clean())
        return removed

    def close(self) -> None:
        """Closes connections and files; the next use opens them again."""
        for store in self._core.tiers.stores:
            store.close()

    def sizes(self) -> list[tuple[str, dict[str, int], int]]:
        """Of each tier that counts: its name, how many values it has by the space's name, and how many it may have."""
        found = []
        names = {space.shared: space.name for space in list(self._spaces)}
        memory = self._core.tiers.memory
        if memory is not None:
            found.append(("memory", _by_name(dict(memory.sizes), names), memory.most))
        for store in self._core.tiers.stores:
            counted = store.sizes()
            if counted is not None:
                roots = {self._names.space(shared): name for shared, name in names.items()}
                known = {root: size for root, size in counted.items() if root in roots}
                found.append((store.name, _by_name(known, roots), store.most))
        return found

    def _space(
        self, name: str, identity: str, version: str, token: object, errors: tuple[type[Exception], ...] = ()
    ) -> Space:
        figures = Figures(name, self.system, TYPES[self.system])
        space = Space(name, identity, version, token, figures, errors)
        self._spaces.add(space)
        self._evicting[space.shared] = figures.evict
        finalize(space, self._evicting.pop, space.shared, None).atexit = False
        return space

    def _plan(self, ttl: Seconds | None, asynchronous: bool = False) -> Plan:
        seconds = self.ttl if ttl is None else accepted.ttl("ttl", ttl)
        return Plan(seconds, jitter=self.jitter, asynchronous=asynchronous)

    def _setting(self, key: object, value: object, ttl: Seconds | None, tags: Iterable[str]) -> Steps[None]:
        plan = self._plan(ttl)
        upkeep.watch(self)
        seconds = (plan.time_of(value, None) or plan.ttl) * self._own.stretch
        return self._core.put(self._own, self._own.key(key), value, seconds, 0.0, _tag_ids(tags, some=False))

    def _obtaining(
        self, key: object, compute: Callable[[], Any], ttl: Seconds | None, tags: Iterable[str], asynchronous: bool
    ) -> Steps[Any]:
        if not callable(compute):
            raise TypeError(f"compute={compute!r} is not accepted: a function that takes nothing, such as lambda: 1")
        plan, ids = self._plan(ttl, asynchronous), _tag_ids(tags, some=False)
        upkeep.watch(self)
        return self._core.obtain(self._own, self._own.key(key), compute, plan, ids)

    def _made(self, cascade: Cascade) -> Core:
        if not options.current().cache_economics or outbox.wake is outbox._nobody:  # no agent that would tell it
            return Core(cascade)
        from perfagent.cache import worth

        return worth.core(cascade, self.system, self.name)

    def _failed(self, tier: str) -> None:
        self._own.figures.fail("unavailable", tier)

    def _evicted(self, shared: str, count: int) -> None:
        evict = self._evicting.get(shared, self._own.figures.evict)
        for _ in range(count):
            evict()

    def _in_child(self) -> None:
        self._core.reset()
        for space in list(self._spaces):
            space.figures.reset()


def of_space(space: Space) -> SpaceReport:
    """What this process has done with a part of a cache."""
    figures = space.figures
    return SpaceReport(
        space.name,
        sum(tally.value for tally in figures.hits.values()),
        figures.misses.value,
        figures.hits["flight"].value,
        figures.stale.value,
        figures.evictions.value,
        {what: tally.value for what, tally in figures.failures.items()},
    )


def _by_name(sizes: dict[str, int], names: dict[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for shared, size in sizes.items():
        if shared in names:
            found[names[shared]] = found.get(names[shared], 0) + size
    return found


def _tag_ids(tags: Iterable[str], some: bool = True) -> tuple[bytes, ...]:
    known = accepted.tags(tags)
    if some and not known:
        raise ValueError("invalidate_tags() is not accepted: name at least one tag, such as invalidate_tags('prices')")
    return tuple(map(tag_id, known))


def _level(level: str | None) -> str | None:
    if level is None:
        return None
    if level not in LEVELS:
        raise ValueError(f"level={level!r} is not accepted: one of {', '.join(LEVELS)}, such as clear('memory')")
    return LEVELS[level] or None


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value
