"""A function whose results are kept."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from perfagent.cache import accepted
from perfagent.cache.arguments import Arguments
from perfagent.cache.key import PLAIN, Key, encoded, name_of, tag_id
from perfagent.cache.plan import Plan
from perfagent.cache.steps import run, run_async
from perfagent.cache.upkeep import upkeep

if TYPE_CHECKING:
    from perfagent.cache.cache import Cache
    from perfagent.cache.report import SpaceReport, Warmed
    from perfagent.cache.space import Space

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result", covariant=True)


class CachedFunction(Protocol[Parameters, Result]):
    """What the decorators return: the function, and what can be done with its values."""

    __name__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """The kept result, or a new one."""

    def __get__(self, instance: Any, owner: Any) -> Callable[..., Result]:
        """As a method."""

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Forgets the result for some arguments; says whether there was one."""

    async def ainvalidate(self, *args: Any, **kwargs: Any) -> bool:
        """`invalidate` for a task."""

    def clear(self) -> int:
        """Forgets all its results; says how many entries that were."""

    async def aclear(self) -> int:
        """`clear` for a task."""

    def warm(self, calls: Iterable[Any], workers: int = 4) -> Warmed:
        """Computes what is not there, for a tuple of arguments each, or one argument; in `workers` threads."""

    async def awarm(self, calls: Iterable[Any], workers: int = 4) -> Warmed:
        """`warm` for a task."""

    def report(self) -> SpaceReport:
        """What this process has done with it so far."""


MISSING = object()
_binding = threading.RLock()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the decorator was told, checked; as for `cached`, times in seconds, None for what the cache says."""

    ttl: float | None
    key: Callable[..., object] | None
    tags: tuple[str, ...] | Callable[..., Iterable[str]]
    namespace: str | None
    version: str
    negative: float | None
    errors: tuple[type[Exception], ...]
    stale: float
    jitter: float | None
    lock: bool
    lease: float
    cache: Cache | None


class Kept:
    """A function with its cache, from its first call on.

    Args:
        function: the function.
        wishes: what the decorator was told.
    """

    def __init__(self, function: Callable[..., Any], wishes: Wishes) -> None:
        self.function, self.wishes = function, wishes
        self.asynchronous = inspect.iscoroutinefunction(function)
        self.arguments = Arguments(function)
        self._found: tuple[Cache, Space] | None = None
        self.ids = () if callable(wishes.tags) else tuple(map(tag_id, wishes.tags))

    @property
    def cache(self) -> Cache:
        """Where its values are kept: the settings are read with the first call, not with the import."""
        return self._bound()[0]

    @property
    def space(self) -> Space:
        """Its part of the cache."""
        return self._bound()[1]

    def _bound(self) -> tuple[Cache, Space]:
        if self._found is None:
            with _binding:
                if self._found is None:
                    self._found = self._bind()
        return self._found

    def _bind(self) -> tuple[Cache, Space]:
        from perfagent.cache.default import get_cache

        wishes, function = self.wishes, self.function
        cache = wishes.cache if wishes.cache is not None else get_cache()
        identity = wishes.namespace or name_of(function)
        if not wishes.namespace and "<" in function.__qualname__ and cache._core.tiers.stores:
            raise ValueError(
                f"{identity} is not accepted in a cache that others see, for two functions may be called that: give "
                f"namespace=, such as cached(namespace={function.__name__.strip('<>')!r})"
            )
        shown = wishes.namespace or f"{function.__module__}.{function.__qualname__}"
        token = (wishes.namespace, wishes.version) if wishes.namespace else object()
        return cache, cache._space(shown, f"call/{identity}", wishes.version, token, wishes.errors)

    @functools.cached_property
    def plan(self) -> Plan:
        """How its values are kept."""
        wishes, cache = self.wishes, self.cache
        return Plan(
            ttl=cache.ttl if wishes.ttl is None else wishes.ttl,
            stale=wishes.stale,
            negative=wishes.negative,
            errors=wishes.errors,
            jitter=cache.jitter if wishes.jitter is None else wishes.jitter,
            single=wishes.lock,
            across=wishes.lock,
            lease=wishes.lease,
            asynchronous=self.asynchronous,
        )

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        """The key of a call."""
        try:
            return self.space.key(*self.values(args, kwargs))
        except TypeError as error:
            raise TypeError(f"{self.function.__qualname__}: {error}") from None

    def values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """What the key of a call is made of."""
        if self.wishes.key is not None:
            return (self.wishes.key(*args, **kwargs),)
        return self.arguments.values(args, kwargs)

    def tags(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, ...]:
        """The tags of a call."""
        if not callable(self.wishes.tags):
            return self.ids
        return tuple(map(tag_id, accepted.tags(self.wishes.tags(*args, **kwargs))))

    def obtain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The steps to the result of a call."""
        upkeep.watch(self.cache)
        compute = functools.partial(self.function, *args, **kwargs)
        tags = self.tags(args, kwargs)
        return self.cache._core.obtain(self.space, self.key(args, kwargs), compute, self.plan, tags)

    def items(self, calls: Iterable[Any]) -> list[Any]:
        """Calls as the warmer takes them."""
        found = []
        for call in calls:
            args = call if isinstance(call, tuple) else (call,)
            compute = functools.partial(self.function, *args)
            found.append((self.key(args, {}), compute, self.tags(args, {})))
        return found


def keeping(function: Callable[..., Any], wishes: Wishes) -> Any:
    """The function that keeps the results of `function`."""
    kept = Kept(function, wishes)
    look = _looking(kept)
    wrapper: Any
    if kept.asynchronous:

        @functools.wraps(function)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            found = look(args, kwargs)
            if found is not MISSING:
                return found
            return (await run_async(kept.obtain(args, kwargs))).result()

        wrapper = waiting
    else:

        @functools.wraps(function)
        def calling(*args: Any, **kwargs: Any) -> Any:
            found = look(args, kwargs)
            if found is not MISSING:
                return found
            return run(kept.obtain(args, kwargs)).result()

        wrapper = calling
    _equip(wrapper, kept)
    return wrapper


def _looking(kept: Kept) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """A look into the memory alone, 1.6 us with the call around it; MISSING where the long way is to be taken."""
    count = kept.arguments.count if kept.wishes.key is None else -1
    memory: Any = None
    values: Any = {}
    token: object = None
    add: Any = None
    record: Any = None

    def look(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal memory, values, token, add, record
        if memory is None:
            tier = kept.cache._core.tiers.memory
            if tier is None:
                return MISSING
            figures = kept.space.figures
            add, record = figures.hits["memory"].add, figures.hit_series.record  # as figures.hit, 100 ns faster
            token, values, memory = kept.space.token, kept.cache._core.values(kept.space), tier
        try:
            if kwargs or len(args) != count:
                args = kept.values(args, kwargs)
            types = tuple(map(type, args))
            local = (token, args, types) if PLAIN.issuperset(types) else (token, encoded(args))
        except TypeError:  # the long way says what is wrong
            return MISSING
        try:
            with memory.lock:
                entry = values[local]
        except KeyError:
            return MISSING
        if entry.fresh <= monotonic() or entry.failed:
            return MISSING
        add()
        record(1)
        return entry.value

    return look


def _equip(wrapper: Any, kept: Kept) -> None:
    def invalidate(*args: Any, **kwargs: Any) -> bool:
        return run(kept.cache._core.invalidate(kept.key(args, kwargs))) > 0

    async def ainvalidate(*args: Any, **kwargs: Any) -> bool:
        return await run_async(kept.cache._core.invalidate(kept.key(args, kwargs))) > 0

    def clear() -> int:
        return run(kept.cache._core.clear(None, kept.space.shared))

    async def aclear() -> int:
        return await run_async(kept.cache._core.clear(None, kept.space.shared))

    def warm(calls: Iterable[Any], workers: int = 4) -> Warmed:
        from perfagent.cache.warmer import warm as warming

        if kept.asynchronous:
            raise TypeError(f"{kept.function.__qualname__} is a coroutine function: await its awarm()")
        return warming(kept.cache._core, kept.space, kept.items(calls), kept.plan, workers)

    async def awarm(calls: Iterable[Any], workers: int = 4) -> Warmed:
        from perfagent.cache.warmer import warm_async

        return await warm_async(kept.cache._core, kept.space, kept.items(calls), kept.plan, workers)

    def report() -> SpaceReport:
        from perfagent.cache.cache import of_space

        return of_space(kept.space)

    for one in (invalidate, ainvalidate, clear, aclear, warm, awarm, report):
        setattr(wrapper, one.__name__, one)
