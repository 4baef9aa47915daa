"""Figures with their errors, from observations in blocks of time whose neighbours resemble each other.

A thousand requests of one minute are no thousand independent ones: they share the load, the cache and the neighbours of
that minute. So errors come from how much blocks of time differ, and from how long such a difference lasts: the variance
of a sum over the blocks is estimated by its projections on the slowest cosines (equal-weighted cosine estimator;
Lazarus, Lewis, Stock and Watson, Journal of Business & Economic Statistics 36, 2018), which leaves a t distribution
with about as many degrees of freedom as there are cosines. The longer neighbours resemble each other, the fewer serve;
what the faster ones miss is added as for an AR(1) process (Andrews and Monahan, Econometrica 60, 1992).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import cos, exp, floor, log, pi, sqrt
from operator import add, mul
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse.durations import MS, PER_OCTAVE
from perfagent.hub.analyse.student import reach, two_sided

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST_BLOCKS = 8
FEWEST = 4  # cosines
COSINES = 0.35  # of the blocks, for what hardly lasts; measured to keep the share of false differences as it is told
BETWEEN_RUNS = 0.01
"""Standard deviation, as a share, by which two runs of the same program differ for no reason that shows within a run:
the layout of memory, the order of imports, the neighbours on the machine."""
SURE = 0.75
"""Degrees of freedom a cosine: how long differences last is an estimate, too."""

FEW_LEVELS = 3
FEW_ERROR = 0.02  # of what was read only a few times, at least


class Estimate(NamedTuple):
    """A figure, its standard error and the error's degrees of freedom.

    Args:
        value: the figure.
        error: of the figure, or of its logarithm where `relative`.
        freedom: degrees of freedom.
        relative: whether `error` is a share of the figure.
    """

    value: float
    error: float
    freedom: float
    relative: bool = True


def long_run(residuals: Sequence[float]) -> tuple[float, float]:
    """The variance of the sum of correlated values about 0, and its degrees of freedom."""
    count = len(residuals)
    whole = sum(one * one for one in residuals)
    if count < 2 or whole <= 0:
        return 0.0, FEWEST
    alike = sum(a * b for a, b in pairwise(residuals)) / whole
    # Estimated from few blocks, it comes out too low; half a standard error more is on the safe side.
    alike = min(max(alike + (1 + 3 * max(alike, 0.0)) / count + 0.5 / sqrt(count), 0.02), 0.97)
    cosines = int(min(max(COSINES * count * (1 - alike) / sqrt(alike), FEWEST), count - 1))
    total = missed = 0.0
    for wave in _cosines(count)[:cosines]:
        projection = sum(map(mul, residuals, wave))
        total += projection * projection
    # Faster cosines show less of what lasts: as much less as an AR(1) process has at their frequency.
    for turn in range(1, cosines + 1):
        missed += (1 - alike) ** 2 / (1 + alike * alike - 2 * alike * cos(pi * turn / count))
    # By luck, slow cosines may miss most of the variance; it is never far below that of independent blocks.
    return max(2 * total / missed, 0.5 * whole), SURE * cosines


@lru_cache(maxsize=32)
def _cosines(count: int) -> list[list[float]]:
    return [[cos(pi * turn * (place + 0.5) / count) for place in range(count)] for turn in range(1, count)]


def ratio(parts: Sequence[float], wholes: Sequence[float], *, relative: bool) -> Estimate | None:
    """The ratio of two sums over blocks of time, such as CPU seconds a request; None of too few blocks.

    Args:
        relative: whether the error is a share of the figure.
    """
    whole = sum(wholes)
    if whole <= 0 or sum(one > 0 for one in wholes) < LEAST_BLOCKS:
        return None
    value = sum(parts) / whole
    variance, freedom = long_run([part - value * one for part, one in zip(parts, wholes, strict=True)])
    error = sqrt(variance) / whole
    if not relative:
        return Estimate(value, error, freedom, relative=False)
    if value <= 0:
        return None
    return Estimate(value, sqrt((error / value) ** 2 + BETWEEN_RUNS**2), freedom)


def mean(values: Sequence[float | None]) -> Estimate | None:
    """The mean level over blocks of time; None of too few."""
    known = [value for value in values if value is not None]
    if FEW_LEVELS <= len(known) < LEAST_BLOCKS and min(known) > 0:  # a short run tells its memory a few times
        middle = fmean(known)
        return Estimate(middle, max(2 * stdev(known) / middle, FEW_ERROR), FEW_LEVELS)
    return ratio(known, [1.0] * len(known), relative=True)


def percentiles(blocks: Sequence[Mapping[int, float]], shares: Sequence[float]) -> list[Estimate | None]:
    """Percentiles of durations in ms, from counts by bucket in blocks of time; None of too few.

    Their errors are those of the share of calls below them, carried over to durations (Woodruff, Journal of the
    American Statistical Association 47, 1952).

    Args:
        shares: such as 0.95.
    """
    calls = [sum(counts.values()) for counts in blocks]
    rows: dict[int, list[float]] = {}  # by bucket, for adding up lists is ten times as fast as going through blocks
    for place, counts in enumerate(blocks):
        for bucket, number in counts.items():
            row = rows.get(bucket)
            if row is None:
                row = rows[bucket] = [0.0] * len(blocks)
            row[place] = number
    curve = _Curve({bucket: sum(row) for bucket, row in rows.items()})
    if curve.whole <= 0:
        return [None] * len(shares)
    return [_percentile(rows, calls, curve, share) for share in shares]


def _percentile(
    rows: Mapping[int, Sequence[float]], calls: Sequence[float], curve: _Curve, share: float
) -> Estimate | None:
    place = curve.at(share)
    within = floor(place)
    part = within + 1 - place
    above = [one * part for one in rows[within]] if within in rows else [0.0] * len(calls)
    for bucket, row in rows.items():
        if bucket > within:
            above = list(map(add, above, row))
    found = ratio(above, calls, relative=False)
    if found is None:
        return None
    # What never happens may still be as likely as once in so many calls.
    error = max(found.error, sqrt(share * (1 - share) / curve.whole) / 2)
    edge = 0.5 / curve.whole
    low, high = max(share - error, edge), min(share + error, 1 - edge)
    # From a share to a duration: the slope of the curve around it.
    wide = (curve.at(high) - curve.at(low)) / (high - low) * error * log(2) / PER_OCTAVE if high > low else 1.0
    return Estimate(2 ** (place / PER_OCTAVE) / MS, sqrt(wide**2 + BETWEEN_RUNS**2), found.freedom)


class _Curve:
    """Where each share of the calls lies, in buckets and parts of them."""

    def __init__(self, counts: Mapping[int, float]) -> None:
        self._counts = sorted(counts.items())
        self.whole = sum(counts.values())

    def at(self, share: float) -> float:
        rank, below = share * self.whole, 0.0
        for bucket, calls in self._counts:
            if calls > 0 and below + calls >= rank:
                return bucket + (rank - below) / calls
            below += calls
        return self._counts[-1][0] + 1.0


class Gap(NamedTuple):
    """How far two figures are apart.

    Args:
        change: of the second from the first: a share of it, or a difference where errors are no shares.
        low, high: 19 of 20 times the true change lies between these.
        p: the chance of so large a change without a cause.
    """

    change: float
    low: float
    high: float
    p: float


def gap(before: Estimate, after: Estimate) -> Gap:
    """How far two independent estimates are apart, by Welch's t test; of logarithms where errors are shares."""
    variance = before.error**2 + after.error**2
    apart = log(after.value / before.value) if before.relative else after.value - before.value
    if variance <= 0:
        same = apart == 0
        change = exp(apart) - 1 if before.relative else apart
        return Gap(change, change, change, 1.0 if same else 0.0)
    freedom = variance**2 / (before.error**4 / before.freedom + after.error**4 / after.freedom)
    error = sqrt(variance)
    far = reach(freedom) * error
    p = two_sided(apart / error, freedom)
    if before.relative:
        return Gap(exp(apart) - 1, exp(apart - far) - 1, exp(min(apart + far, 50.0)) - 1, p)
    return Gap(apart, apart - far, apart + far, p)
