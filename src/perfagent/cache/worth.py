"""A cache whose look-ups and sets are told to its economics: what it saves, and what another size or time would bring.

Values that the memory answers by the short way pay 0.3 us for it, those whose key is watched 0.7 us.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from perfagent.cache.core import Core
from perfagent.runtime import economics, guard
from perfagent.runtime.clock import now
from perfagent.runtime.economics import MASK, ONE_IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.cache.cascade import Cascade
    from perfagent.cache.entry import Entry, Stamps
    from perfagent.cache.key import Key
    from perfagent.cache.memory import Ticket
    from perfagent.cache.plan import Plan
    from perfagent.cache.space import Space
    from perfagent.cache.steps import Outcome, Steps
    from perfagent.runtime.economics import Watched

SHORT_WAY = 1600  # ns that a look into the memory takes with the call around it, measured
MOST_DROPPED = 1000  # keys of one invalidation by tags


def core(tiers: Cascade, system: str, name: str) -> Core:
    """The core of a cache, watched where there are not too many of them.

    Args:
        tiers: where values are.
        system: `cache.system`.
        name: `cache.name`.
    """
    most = tiers.memory.most if tiers.memory is not None and not tiers.stores else 0
    watched = economics.watched(system, name, most=most)
    return Core(tiers) if watched is None else WatchedCore(tiers, watched)


class WatchedCore(Core):
    """Does what `Core` does, and tells."""

    def __init__(self, tiers: Cascade, watched: Watched) -> None:
        super().__init__(tiers)
        self.watched = watched
        self._names: dict[str, str] = {}
        self._keep = tiers.keep
        tiers.keep = self._kept  # type: ignore[method-assign]

    def values(self, space: Space) -> Any:
        """The memory's values as the short way of a function looks them up."""
        memory = self.tiers.memory
        return None if memory is None else Told(memory.values, self.watched, space.name)

    def find(self, space: Space, key: Key) -> Steps[Entry | None]:
        """As above it."""
        started = now()
        self._names[key.space] = space.name
        found = yield from super().find(space, key)
        self.watched.lookup(key.local, found is not None, started, now(), 0, space.name)
        return found

    def _hit(
        self, space: Space, key: Key, found: Any, compute: Callable[[], Any], plan: Plan, tags: tuple[bytes, ...]
    ) -> Outcome:
        ended = now()
        self._names[key.space] = space.name
        self.watched.lookup(key.local, True, ended - SHORT_WAY, ended, 0, space.name)
        return super()._hit(space, key, found, getattr(compute, "told_for", compute), plan, tags)

    def _lead(
        self, space: Space, key: Key, compute: Callable[[], Any], plan: Plan, tags: tuple[bytes, ...], flight: Any
    ) -> Steps[Outcome]:
        started = now()
        self._names[key.space] = space.name

        def computing() -> Any:
            self.watched.lookup(key.local, False, started, now(), 0, space.name)
            return compute()

        computing.told_for = compute  # type: ignore[attr-defined] # a refresh that a second look starts is no miss
        return (yield from super()._lead(space, key, computing, plan, tags, flight))

    def _kept(
        self, key: Key, ticket: Ticket | None, stamps: list[Stamps | None], entry: Entry, body: bytes | None
    ) -> Steps[bool]:
        started = now()
        kept = yield from self._keep(key, ticket, stamps, entry, body)
        if kept and not entry.failed:
            left = entry.expires - monotonic()
            ttl = None if left == float("inf") else max(left, 0.0)
            size = 0 if body is None else len(body)
            self.watched.store(key.local, started, now(), size, ttl, self._names.get(key.space, ""))
        return kept

    def put(
        self, space: Space, key: Key, value: object, ttl: float, stale: float, tags: tuple[bytes, ...]
    ) -> Steps[None]:
        """As above it."""
        self._names[key.space] = space.name
        return super().put(space, key, value, ttl, stale, tags)

    def invalidate(self, key: Key) -> Steps[int]:
        """As above it."""
        self.watched.drop(key.local)
        return super().invalidate(key)

    def invalidate_tags(self, tags: tuple[bytes, ...]) -> Steps[int]:
        """As above it."""
        memory = self.tiers.memory
        if memory is not None:
            with memory.lock:
                found = [local for tag in tags for local in list(memory._tagged.get(tag, ()))[:MOST_DROPPED]]
            for local in found:
                self.watched.drop(local)
        return super().invalidate_tags(tags)

    def clear(self, level: str | None, space: str | None) -> Steps[int]:
        """As above it."""
        memory = self.tiers.memory
        if memory is not None and level in (None, "memory"):
            with memory.lock:
                found = [local for local, of in memory._spaces.items() if space is None or of == space]
            for local in found:
                self.watched.drop(local)
        return super().clear(level, space)


class Told:
    """Values by key, each look that finds a fresh one told.

    Args:
        values: the memory's.
        watched: whom to tell.
        name: of the function whose values are looked up.
    """

    __slots__ = ("hits", "name", "values", "watched")

    def __init__(self, values: Any, watched: Watched, name: str) -> None:
        self.values = values
        self.watched = watched
        self.name = name
        self.hits = watched.hits

    def __getitem__(self, local: object) -> Any:
        """The entry of a key, or KeyError."""
        entry = self.values[local]
        if hash(local) & MASK < self.watched.threshold or not next(self.hits) % ONE_IN:
            try:
                if entry.fresh > monotonic() and not entry.failed:
                    self._tell(local)
            except Exception:
                guard.failed("cache keys")
        return entry

    def _tell(self, local: object) -> None:
        ended = now()
        self.watched.add(local, True, ended - SHORT_WAY, ended, self.name)
