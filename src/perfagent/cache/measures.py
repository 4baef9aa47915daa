"""What caches tell of themselves: `<namespace>.cache.*`, a row of `cache.name` for each function and each cache."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from weakref import WeakSet

from perfagent import settings
from perfagent.runtime.cache import Lookups
from perfagent.runtime.metric import COUNTER, GAUGE, UP_DOWN_COUNTER, registry
from perfagent.runtime.span import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from perfagent.cache.cache import Cache
    from perfagent.runtime.metric import Instrument

_scope = Scope("perfagent.cache")
caches: WeakSet[Cache] = WeakSet()
"""Every cache of this process that is alive."""

KEYS = ("cache.name", "cache.system", "cache.tier")


class Tally:
    """A count that threads share without a lock: `add` is one step of the interpreter (30 ns)."""

    __slots__ = ("_before", "_counter", "add")

    def __init__(self) -> None:
        self._before = 0
        self._counter = itertools.count()
        self.add: Callable[[], int] = self._counter.__next__

    def reset(self) -> None:
        """Back to 0."""
        self._before += self.value

    @property
    def value(self) -> int:
        """How often `add` was called."""
        return int(repr(self._counter)[6:-1]) - self._before  # "count(5)"; reading it by __reduce__ is deprecated


class Figures:
    """Counts of one space: of a function's values, or of those that are set by hand.

    Args:
        name: `cache.name`.
        system: `cache.system`.
        tiers: the names of the tiers.
    """

    def __init__(self, name: str, system: str, tiers: tuple[str, ...]) -> None:
        lookups = Lookups(system, **{"cache.name": name})
        self.hit_series, self.miss_series = lookups.hits, lookups.misses
        self.hits = {tier: Tally() for tier in (*tiers, "flight")}
        self.misses, self.stale, self.evictions = Tally(), Tally(), Tally()
        self.failures: dict[str, Tally] = {}
        self._attributes = {"cache.name": name, "cache.system": system}
        self._evictions = evictions().of({**self._attributes, "cache.tier": tiers[0]})

    def hit(self, tier: str) -> None:
        """A look-up that a tier answered; "flight": that somebody else's computation did."""
        self.hits[tier].add()
        self.hit_series.record(1)

    def miss(self) -> None:
        """A look-up that found nothing."""
        self.misses.add()
        self.miss_series.record(1)

    def evict(self) -> None:
        """A value that had to go from the first tier."""
        self.evictions.add()
        self._evictions.record(1)

    def fail(self, what: str, tier: str) -> int:
        """Counts something that did not work, by its kind; returns how often that was."""
        failures().of({**self._attributes, "cache.tier": tier, "error.type": what}).record(1)
        tally = self.failures.setdefault(what, Tally())
        tally.add()
        return tally.value

    def reset(self) -> None:
        """In a forked child: what was counted before is its parent's."""
        for tally in (*self.hits.values(), self.misses, self.stale, self.evictions):
            tally.reset()
        self.failures.clear()


def evictions() -> Instrument:
    """Counts values that had to go for want of room."""
    description = "Values that went from a tier before their time, for want of room."
    return registry.make(_scope, COUNTER, _named("evictions"), "{entry}", description, keys=KEYS)


def failures() -> Instrument:
    """Counts what did not work and cost the program nothing but time."""
    description = (
        "What went on without the cache: a tier that was `unavailable`, an entry that was `poisoned`, a value that is "
        "`unsupported` or `too_large`, a `refresh` or `warming` whose function failed."
    )
    keys = (*KEYS, "error.type")
    return registry.make(_scope, COUNTER, _named("failures"), "{failure}", description, keys=keys)


def declare() -> None:
    """Makes every metric of caches."""
    Lookups("memory")
    evictions()
    failures()
    registry.make(_scope, UP_DOWN_COUNTER, _named("size"), "{entry}", "Values in a tier.", callback=_sizes, keys=KEYS)
    description = "Most values that a tier may hold, in all."
    registry.make(_scope, UP_DOWN_COUNTER, _named("max_size"), "{entry}", description, callback=_limits, keys=KEYS)
    description = "How full a tier is."
    registry.make(_scope, GAUGE, _named("utilization"), "1", description, callback=_shares, keys=KEYS)


def _named(name: str) -> str:
    return f"{settings.current().namespace}.cache.{name}"


def _rows() -> Iterator[tuple[dict[str, object], int, int]]:
    for cache in list(caches):
        for tier, by_name, most in cache.sizes():
            for name, size in by_name.items():
                yield {"cache.name": name, "cache.system": cache.system, "cache.tier": tier}, size, most


def _sizes() -> Iterator[tuple[float, Mapping[str, object]]]:
    for attributes, size, _ in _rows():
        yield size, attributes


def _limits() -> Iterator[tuple[float, Mapping[str, object]]]:
    for attributes, _, most in _rows():
        yield most, attributes


def _shares() -> Iterator[tuple[float, Mapping[str, object]]]:
    for cache in list(caches):
        for tier, by_name, most in cache.sizes():
            attributes = {"cache.name": cache.name, "cache.system": cache.system, "cache.tier": tier}
            yield sum(by_name.values()) / most, attributes
