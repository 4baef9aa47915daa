"""The tests that keep noise out of what is said: differences, trends and correlations that chance does not explain.

Standard library alone: a SciPy would be 100 MB for five formulas.
"""

from __future__ import annotations

from itertools import pairwise
from math import erfc, exp, lgamma, log, sqrt
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def two_sided(z: float) -> float:
    """The chance of a standard normal value at least as far from 0 as `z`."""
    return erfc(abs(z) / sqrt(2))


def rank_sum(before: Mapping[int, float], after: Mapping[int, float], scale: float = 1.0) -> float:
    """The chance (p) that two histograms over the same ordered buckets differ as much as they do without a cause.

    Mann-Whitney's U test with the correction for ties: it compares the whole distributions by rank, and so needs no
    assumption about their shape, and buckets lose it nothing that matters.

    Args:
        scale: observations for one unit of count, below 1 where sampling made one span stand for several.
    """
    first, second = sum(before.values()) * scale, sum(after.values()) * scale
    whole = first + second
    if first < 1 or second < 1:
        return 1.0
    below = ranks = ties = 0.0
    for bucket in sorted(before.keys() | after.keys()):
        mine, theirs = before.get(bucket, 0.0) * scale, after.get(bucket, 0.0) * scale
        together = mine + theirs
        ranks += theirs * (below + (together + 1) / 2)
        ties += together**3 - together
        below += together
    u = ranks - second * (second + 1) / 2
    variance = first * second / 12 * (whole + 1 - ties / (whole * (whole - 1))) if whole > 1 else 0.0
    return two_sided((u - first * second / 2) / sqrt(variance)) if variance > 0 else 1.0


def proportions(hits: float, calls: float, other_hits: float, other_calls: float) -> float:
    """The chance (p) that two shares differ as much as they do without a cause.

    Fisher's exact test below 5 expected hits a cell, where the normal approximation fails; else the z test of pooled
    proportions with Yates' correction.
    """
    whole = calls + other_calls
    if calls < 1 or other_calls < 1 or not 0 < hits + other_hits < whole:
        return 1.0
    pooled = (hits + other_hits) / whole
    if min(calls, other_calls) * min(pooled, 1 - pooled) < 5:
        return _fisher(round(hits), round(calls), round(other_hits), round(other_calls))
    error = sqrt(pooled * (1 - pooled) * (1 / calls + 1 / other_calls))
    gap = abs(hits / calls - other_hits / other_calls) - (1 / calls + 1 / other_calls) / 2
    return two_sided(max(gap, 0.0) / error)


def _fisher(hits: int, calls: int, other_hits: int, other_calls: int) -> float:
    drawn = hits + other_hits
    low, high = max(0, drawn - other_calls), min(drawn, calls)
    if high - low > 2000:  # cannot be with fewer than 5 expected hits; guards the sum below all the same
        return 1.0
    ways = _choose(calls + other_calls, drawn)

    def chance(count: int) -> float:
        return exp(_choose(calls, count) + _choose(other_calls, drawn - count) - ways)

    seen = chance(hits) * (1 + 1e-9)
    return min(sum(one for one in map(chance, range(low, high + 1)) if one <= seen), 1.0)


def _choose(whole: int, part: int) -> float:
    return lgamma(whole + 1) - lgamma(part + 1) - lgamma(whole - part + 1)


def at_least(hits: float, calls: float, z: float = 1.96) -> float:
    """The share that is true with 97.5 % certainty at least: the lower end of Wilson's interval."""
    if calls <= 0:
        return 0.0
    share = min(hits / calls, 1.0)
    middle = share + z * z / (2 * calls)
    spread = z * sqrt(share * (1 - share) / calls + z * z / (4 * calls * calls))
    return max((middle - spread) / (1 + z * z / calls), 0.0)


class Trend(NamedTuple):
    """A line through a series that a few outliers do not turn.

    Args:
        slope: change per unit of time (Theil-Sen: the median of the slopes between all pairs).
        intercept: where the line starts, at the first moment.
        p: the chance that a series without a trend rises or falls so steadily (Mann-Kendall).
    """

    slope: float
    intercept: float
    p: float


MOST_POINTS = 200  # 20,000 pairs, 6 ms


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """The trend of a series of at least 3 points; longer ones than 200 points are thinned.

    Neighbours in a series of measurements resemble each other, which makes chance look like a trend: the variance is
    enlarged by the correlation of neighbours about the line (Yue and Wang, Water Resources Management 18, 2004).
    """
    stride = -(-len(values) // MOST_POINTS)
    times, values = times[::stride], values[::stride]
    count = len(values)
    if count < 3:
        return Trend(0.0, values[0] if values else 0.0, 1.0)
    slopes, score = [], 0
    for later in range(1, count):
        value, moment = values[later], times[later]
        for earlier in range(later):
            rise = value - values[earlier]
            score += (rise > 0) - (rise < 0)
            slopes.append(rise / (moment - times[earlier]))
    slope = median(slopes)
    intercept = median(value - slope * (moment - times[0]) for moment, value in zip(times, values, strict=True))
    ties: dict[float, int] = {}
    for value in values:
        ties[value] = ties.get(value, 0) + 1
    spread = count * (count - 1) * (2 * count + 5)
    spread -= sum(same * (same - 1) * (2 * same + 5) for same in ties.values())
    rest = [value - intercept - slope * (moment - times[0]) for moment, value in zip(times, values, strict=True)]
    alike = min(max(_neighbours(rest), 0.0), 0.9)
    variance = spread / 18 * (1 + alike) / (1 - alike)
    p = two_sided((abs(score) - 1) / sqrt(variance)) if variance > 0 and score else 1.0
    return Trend(slope, intercept, p)


def _neighbours(values: Sequence[float]) -> float:
    middle = fmean(values)
    spread = sum((value - middle) ** 2 for value in values)
    if spread <= 0:
        return 0.0
    return sum((a - middle) * (b - middle) for a, b in pairwise(values)) / spread


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Spearman's coefficient (-1..1) of two series of the same length, and the chance (p) of one so far from 0."""
    count = len(first)
    if count < 4:
        return 0.0, 1.0
    a, b = ranks(first), ranks(second)
    middle = (count + 1) / 2
    above = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    spread = sqrt(sum((x - middle) ** 2 for x in a) * sum((y - middle) ** 2 for y in b))
    if spread <= 0:
        return 0.0, 1.0
    coefficient = max(min(above / spread, 1.0), -1.0)
    if abs(coefficient) >= 1:
        return coefficient, 0.0
    fisher = 0.5 * log((1 + coefficient) / (1 - coefficient)) * sqrt((count - 3) / 1.06)
    return coefficient, two_sided(fisher)


def ranks(values: Sequence[float]) -> list[float]:
    """The place of each value among all, from 1 on; equal ones share the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    position = 0
    while position < len(order):
        end = position
        while end + 1 < len(order) and values[order[end + 1]] == values[order[position]]:
            end += 1
        for place in order[position : end + 1]:
            ranks[place] = (position + end) / 2 + 1
        position = end + 1
    return ranks
