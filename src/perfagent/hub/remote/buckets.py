"""Explicit buckets of Prometheus' histograms as the hub's own: at scale 3, 9 % wide, of nanoseconds.

A count lies somewhere between the bounds of its bucket, and nobody knows where. It is spread evenly on the logarithmic
axis, as durations are, in whole numbers that add up to it. So a percentile comes out within the bucket that holds it:
with bounds of 1, 2, 5, 10 … it is off by less than 2.5 times at worst, and by a few per cent where many values fill the
bucket evenly. What lies beyond the last bound is put where the sum of all values says that it is on average.
"""

from __future__ import annotations

from itertools import pairwise
from math import floor, log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECOND = 1e9
AROUND = 2.0
"""The first bucket begins at 0 and is logarithmically endless: its values are taken to lie within this factor of their
mean, as far as the sum of all values tells it."""
UNKNOWN = 0.35
"""Of the first bound, where it does not tell."""


def single(counts: Mapping[float, float], bounds: Sequence[float]) -> list[float]:
    """Counts of each bucket from counts of all up to a bound.

    Args:
        counts: by bound, as `le` has them; a bound that is not told has what the one before has.
        bounds: all, ascending, without infinity.

    Returns:
        One more than the bounds.
    """
    found, below = [], 0.0
    for bound in (*bounds, float("inf")):
        upto = max(counts.get(bound, below), below)
        found.append(upto - below)
        below = upto
    return found


def spread(counts: Sequence[float], bounds: Sequence[float], total: float) -> tuple[dict[int, float], float]:
    """Counts at scale 3 of nanoseconds, and the longest duration that there may have been, ns.

    Args:
        counts: of each bucket, one more than the bounds.
        bounds: seconds, ascending.
        total: sum of all durations, seconds; 0 where unknown.
    """
    if not bounds:
        bounds, counts = (1e-9,), (0.0, *counts)
    found: dict[int, float] = {}
    longest = 0.0
    edges = list(pairwise(bounds))
    between = sum(count * (low * high) ** 0.5 for count, (low, high) in zip(counts[1:], edges, strict=False))
    rest = max(total - between, 0.0)  # of the first bucket, and of what is beyond the last bound
    first, beyond = counts[0], counts[-1]
    if first > 0:
        mean = min(max(rest - beyond * bounds[-1], 0.0) / first, bounds[0])
        if mean <= 0.0 or (between and mean >= bounds[0]):
            mean = UNKNOWN * bounds[0]
        longest = min(mean * AROUND, bounds[0]) * SECOND
        _spread(found, first, mean / AROUND * SECOND, longest)
    for count, (low, high) in zip(counts[1:], edges, strict=False):
        if count > 0:
            longest = high * SECOND
            _spread(found, count, low * SECOND, longest)
    if beyond > 0:
        longest = max((rest - first * bounds[0] * UNKNOWN) / beyond, bounds[-1]) * SECOND
        place = floor(8 * log2(max(longest, 1.0)))
        found[place] = found.get(place, 0.0) + beyond
    return found, longest


def _spread(found: dict[int, float], count: float, low: float, high: float) -> None:
    """Adds a count to the buckets from `low` to `high`, in whole numbers."""
    first, last = floor(8 * log2(low)) if low > 1 else 0, max(floor(8 * log2(high) - 1e-9), 0)
    first = min(first, last)
    width = last - first + 1
    done = 0.0
    for place in range(width):
        upto = count if place == width - 1 else float(round(count * (place + 1) / width))
        if upto > done:
            found[first + place] = found.get(first + place, 0.0) + upto - done
            done = upto
