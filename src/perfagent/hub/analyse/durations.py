"""What the buckets of the roll-ups tell: percentiles, shares beyond a limit, and the bounds of a heat map.

Bucket i holds durations from 2^(i/8) to 2^((i+1)/8) ns, 9 % wide, so a percentile is at most 9 % off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MS = 1e6  # ns
PER_OCTAVE = 8


def bucket_of(nanoseconds: float) -> int:
    """The bucket that holds a duration; what lasts less than 1 ns counts as 1."""
    return floor(PER_OCTAVE * log2(nanoseconds)) if nanoseconds > 1 else 0


def upper_bound(bucket: int) -> float:
    """The longest duration of a bucket, in ns."""
    return float(2 ** ((bucket + 1) / PER_OCTAVE))


@dataclass(slots=True)
class Durations:
    """Calls by duration: weighted counts in buckets.

    Args:
        calls: how many, weighted.
        errors: how many of them failed.
        total: sum of the durations, ns.
        longest: the longest, ns.
        rows: rows that they returned, of those that tell.
        counts: calls by bucket.
    """

    calls: float = 0.0
    errors: float = 0.0
    total: float = 0.0
    longest: int = 0
    rows: float = 0.0
    counts: dict[int, float] = field(default_factory=dict)

    def add(self, other: Durations) -> None:
        """Takes the calls of `other` in."""
        self.calls += other.calls
        self.errors += other.errors
        self.total += other.total
        self.longest = max(self.longest, other.longest)
        self.rows += other.rows
        counts = self.counts
        for bucket, calls in other.counts.items():
            counts[bucket] = counts.get(bucket, 0.0) + calls

    def quantiles(self, *shares: float) -> list[float | None]:
        """The durations in ms below which each share (0..1, rising) of the calls lies; None without calls."""
        found: list[float | None] = []
        whole = sum(self.counts.values())
        if whole <= 0:
            return [None] * len(shares)
        buckets = iter(sorted(self.counts.items()))
        bucket, calls = next(buckets)
        below = 0.0
        for share in shares:
            rank = share * whole
            while below + calls < rank * (1 - 1e-12):
                below += calls
                try:
                    bucket, calls = next(buckets)
                except StopIteration:
                    break
            within = min(max((rank - below) / calls, 0.0), 1.0) if calls else 1.0
            nanoseconds = 2 ** ((bucket + within) / PER_OCTAVE)
            found.append((min(nanoseconds, self.longest) if self.longest else nanoseconds) / MS)
        return found

    def quantile(self, share: float) -> float | None:
        """One of `quantiles`."""
        return self.quantiles(share)[0]

    def share_above(self, milliseconds: float) -> float:
        """The share of the calls (0..1) in the buckets above the one that holds `milliseconds`."""
        whole = sum(self.counts.values())
        limit = bucket_of(milliseconds * MS)
        return sum(calls for bucket, calls in self.counts.items() if bucket > limit) / whole if whole else 0.0

    @property
    def mean_ms(self) -> float | None:
        """Their mean duration; None without calls."""
        return self.total / self.calls / MS if self.calls else None

    @property
    def error_ratio(self) -> float | None:
        """The share of the calls that failed; None without calls."""
        return self.errors / self.calls if self.calls else None


def merged(parts: Iterable[Durations]) -> Durations:
    """All calls of `parts` together."""
    whole = Durations()
    for part in parts:
        whole.add(part)
    return whole


HEAT_ROWS = 40


def heat_map(columns: Sequence[dict[int, float]]) -> tuple[list[float], list[list[float]]]:
    """Upper bounds in ms and, for each column of counts by bucket, the calls below each bound and above the one before.

    At most 40 bounds: buckets are put together in twos, fours … where a map has more, which is finer than a screen
    tells apart anyway.
    """
    used = [bucket for counts in columns for bucket in counts]
    if not used:
        return [], [[] for _ in columns]
    first, last = min(used), max(used)
    width = 1
    while (last // width) - (first // width) + 1 > HEAT_ROWS:
        width *= 2
    low = first // width
    rows = last // width - low + 1
    bounds = [round(upper_bound((low + row + 1) * width - 1) / MS, 6) for row in range(rows)]
    cells = []
    for counts in columns:
        column = [0.0] * rows
        for bucket, calls in counts.items():
            column[bucket // width - low] += calls
        cells.append(column)
    return bounds, cells


def explicit_quantile(
    bounds: Sequence[float], counts: Sequence[float], share: float, largest: float | None = None
) -> float | None:
    """A quantile of a histogram with explicit bounds, in their unit; linear within a bucket, None without values.

    The last bucket has no upper bound: there `largest` stands, or the last bound where that is unknown.
    """
    whole = sum(counts)
    if whole <= 0:
        return None
    rank, below = share * whole, 0.0
    for position, calls in enumerate(counts):
        if calls and below + calls >= rank:
            low = bounds[position - 1] if position else 0.0
            high = bounds[position] if position < len(bounds) else (largest or bounds[-1])
            if largest is not None:
                high = min(high, largest)
            return low + (high - low) * (rank - below) / calls if high > low else high
        below += calls
    return largest
