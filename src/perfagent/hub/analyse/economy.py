"""What a cache, or the keys of one shape in it, was worth in a range, and what other sizes and times would bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse.finding import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""What agents multiply sizes and times to live by."""
NOW = FACTORS.index(1.0)
LEAST_ACTIVE = 1.0  # s


class WhatIf(NamedTuple):
    """A figure that a cache could be given, and what that would come to."""

    factor: float
    value: float  # seconds to live, or entries
    hit_ratio: float
    seconds_per_day: float | None  # saved more than now; None where nobody knows what a miss costs


@dataclass(slots=True)
class Economy:
    """Sums over a range and over the processes of a service; `shape` is "" for a whole cache.

    Args:
        first_seen, last_seen: seconds since the epoch.
        fills: misses that a set followed, after `fill_seconds` in all.
        duplicates: of these, the ones whose key somebody else had set meanwhile; they took `wasted_seconds`.
        peak: most that missed one key at a time.
        cold, expired, evicted, dropped: misses by their cause.
        ttls: sets with a time to live, of `ttl_seconds` in all.
        ttl_hits, size_hits: look-ups that would hit at each of FACTORS; empty where unknown.
        size: entries that `size_hits` are of factors of; `size_known` where the cache told it.
        saved_seconds: of a whole cache; by its agents' sums over shapes.
        priced_gets: look-ups of those whose misses' cost is known.
        place, set_place: where it is looked up and where set, "file:line function".
    """

    service: str
    system: str
    name: str
    address: str
    shape: str
    first_seen: float = 0.0
    last_seen: float = 0.0
    gets: float = 0.0
    hits: float = 0.0
    sets: float = 0.0
    lookup_seconds: float = 0.0
    set_seconds: float = 0.0
    bytes: float = 0.0
    set_bytes: float = 0.0
    fills: float = 0.0
    fill_seconds: float = 0.0
    duplicates: float = 0.0
    wasted_seconds: float = 0.0
    peak: float = 0.0
    unread: float = 0.0
    cold: float = 0.0
    expired: float = 0.0
    evicted: float = 0.0
    dropped: float = 0.0
    ttls: float = 0.0
    ttl_seconds: float = 0.0
    ttl_hits: Sequence[float] = ()
    size: float | None = None
    size_hits: Sequence[float] = ()
    size_known: bool = False
    saved_seconds: float | None = None
    priced_gets: float = 0.0
    watched: float | None = None
    hottest: Sequence[tuple[str, float, float | None]] = field(default_factory=list)
    place: str = ""
    set_place: str = ""

    @property
    def title(self) -> str:
        """What people call it."""
        return self.shape or self.name or self.system

    @property
    def active(self) -> float:
        """Seconds from the beginning of its first report to its last one."""
        return max(self.last_seen - self.first_seen, LEAST_ACTIVE)

    @property
    def hit_ratio(self) -> float | None:
        """Share of look-ups that found something."""
        return self.hits / self.gets if self.gets else None

    @property
    def cost(self) -> float | None:
        """Seconds that a miss takes, on average."""
        return self.fill_seconds / self.fills if self.fills else None

    @property
    def ttl(self) -> float | None:
        """Mean time to live that was set, s."""
        return self.ttl_seconds / self.ttls if self.ttls else None

    @property
    def saved(self) -> float | None:
        """Seconds saved in the range: hits at the price of a miss, without what look-ups and sets took."""
        if not self.shape:
            return self.saved_seconds if self.priced_gets else None
        return None if self.cost is None else self.hits * self.cost - self.lookup_seconds - self.set_seconds

    def per_day(self, seconds: float | None) -> float | None:
        """What goes on like that comes to in a day."""
        return None if seconds is None else seconds / self.active * DAY

    def longer(self) -> list[WhatIf]:
        """At FACTORS of the time to live."""
        return self._what_if(self.ttl_hits, self.ttl)

    def larger(self) -> list[WhatIf]:
        """At FACTORS of the size."""
        return self._what_if(self.size_hits, self.size)

    def _what_if(self, curve: Sequence[float], value: float | None) -> list[WhatIf]:
        if len(curve) != len(FACTORS) or not value or not self.gets:
            return []
        grown = list(curve)
        for position in range(NOW, 0, -1):  # a larger cache hits no less
            grown[position - 1] = min(grown[position - 1], grown[position])
        for position in range(NOW + 1, len(grown)):
            grown[position] = max(grown[position], grown[position - 1])
        found = []
        for factor, hits in zip(FACTORS, grown, strict=True):
            # The estimate is of the difference, added to what was measured: a key that is asked for very often and
            # happens to be watched, or not to be, hits at all sizes alike and makes no error.
            ratio = min(max((self.hits + hits - grown[NOW]) / self.gets, 0.0), 1.0)
            more = (ratio * self.gets - self.hits) * self.cost if self.cost is not None else None
            found.append(WhatIf(factor, value * factor, ratio, self.per_day(more)))
        return found
