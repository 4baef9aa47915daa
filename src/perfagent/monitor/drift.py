"""Whether what a model sees now is distributed as what it learned from: the two-sample Kolmogorov-Smirnov test.

W. H. Press et al., Numerical Recipes, 14.3.3; J. L. Hodges, The significance probability of the Smirnov two-sample
test, 1958; Y. Benjamini and Y. Hochberg, Controlling the false discovery rate, 1995; N. Cliff, Dominance statistics,
1993.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

EXACT = 40_000  # the product of the sizes up to which all paths are counted, which takes 15 ms there


@dataclass(frozen=True, slots=True)
class Drift:
    """What comparing two samples came to.

    Args:
        statistic: the largest distance of their distribution functions, from 0 to 1.
        p_value: how likely so large a distance is where both are of one distribution. Of several features, corrected
            for their number.
        drifted: whether that is below the threshold.
        effect_size: Cliff's delta, from -1 to 1: how much more often a live value is larger than one of the baseline
            than smaller. A drift of the spread alone has one near 0.
        live_count, baseline_count: sizes of the samples.
        threshold: the p-value below which it counts as drift.
    """

    statistic: float
    p_value: float
    drifted: bool
    effect_size: float
    live_count: int
    baseline_count: int
    threshold: float


@dataclass(frozen=True, slots=True)
class Drifts:
    """What comparing several features came to.

    Args:
        features: the result of each; its p-value is adjusted (Benjamini and Hochberg), so that of the features that
            are called drifted, the expected share of wrong ones is at most the threshold.
        threshold: that share.
    """

    features: dict[str, Drift]
    threshold: float

    @property
    def drifted(self) -> bool:
        """Whether any feature did."""
        return any(one.drifted for one in self.features.values())

    @property
    def drifted_features(self) -> tuple[str, ...]:
        """Those that did, the most certain first."""
        found = [(one.p_value, name) for name, one in self.features.items() if one.drifted]
        return tuple(name for _, name in sorted(found))


Sample = Iterable[float]


def compare(live: Sample, baseline: Sample, threshold: float = 0.05) -> Drift:
    """Compares two samples of numbers; arguments and errors as for `PerformanceMonitor.detect_model_drift`."""
    _accept(threshold)
    one, other = _sorted(live, "live"), _sorted(baseline, "baseline")
    statistic, steps = _distance(one, other)
    p_value = probability(steps, len(one), len(other))
    return Drift(
        statistic, p_value, p_value < threshold, _dominance(one, other), len(one), len(other), float(threshold)
    )


def compare_features(live: Mapping[str, Sample], baseline: Mapping[str, Sample], threshold: float = 0.05) -> Drifts:
    """Compares the samples of several features; arguments and errors as for `PerformanceMonitor.detect_model_drift`."""
    _accept(threshold)
    missing, unknown = sorted(set(baseline) - set(live)), sorted(set(live) - set(baseline))
    if missing or unknown or not live:
        raise ValueError(
            f"live has {sorted(live)} and baseline has {sorted(baseline)}: give both the same features, at least one, "
            "such as {'age': [31, 45], 'income': [1200, 3100]}"
        )
    found = {}
    for name in baseline:
        try:
            found[name] = compare(live[name], baseline[name], threshold)
        except (TypeError, ValueError) as error:
            raise type(error)(f"feature {name!r}: {error}") from None
    adjusted = _adjusted({name: one.p_value for name, one in found.items()})
    return Drifts(
        {
            name: Drift(
                one.statistic, adjusted[name], adjusted[name] < threshold, one.effect_size, one.live_count,
                one.baseline_count, one.threshold,
            )
            for name, one in found.items()
        },
        float(threshold),
    )  # fmt: skip


def _accept(threshold: float) -> None:
    if isinstance(threshold, (int, float)) and 0 < threshold < 1:
        return
    raise ValueError(f"threshold={threshold!r} is not accepted: give a p-value between 0 and 1, such as 0.05")


def _sorted(sample: Sample, argument: str) -> list[float]:
    found: Any = sample.tolist() if hasattr(sample, "tolist") else sample  # numpy and pandas, without importing them
    if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
        raise TypeError(f"{argument}={sample!r} is not accepted: give numbers, such as [0.2, 0.5, 0.9]")
    try:
        values = [float(value) for value in found]
    except (TypeError, ValueError):
        raise TypeError(f"{argument} has something that is no number; give numbers, such as [0.2, 0.5, 0.9]") from None
    if not values:
        raise ValueError(f"{argument} is empty; give at least one number, and some dozens to tell anything")
    wrong = sum(not math.isfinite(value) for value in values)
    if wrong:
        raise ValueError(
            f"{argument} has {wrong} of {len(values)} values that are NaN or infinite; leave them out, and watch their "
            "share as a feature of its own"
        )
    values.sort()
    return values


def _distance(one: Sequence[float], other: Sequence[float]) -> tuple[float, int]:
    """The statistic, and as a whole number: times the least common multiple of the sizes."""
    first = second = largest = 0
    n, m = len(one), len(other)
    while first < n and second < m:
        value = min(one[first], other[second])
        first, second = bisect_right(one, value, first), bisect_right(other, value, second)
        largest = max(largest, abs(first * m - second * n))
    return largest / (n * m), largest // math.gcd(n, m)


def probability(steps: int, n: int, m: int) -> float:
    """How likely the distance is to be at least so large where both samples are of one continuous distribution.

    Counts all orders of the samples where there are few, and takes the limit with M. A. Stephens' correction where
    there are many. With equal values among them it is too large rather than too small.

    Args:
        steps: the distance, times the least common multiple of the sizes.
        n, m: the sizes.
    """
    if steps == 0:
        return 1.0
    if n * m <= EXACT:
        return _exact(steps, n, m)
    effective = math.sqrt(n * m / (n + m))
    scaled = (effective + 0.12 + 0.11 / effective) * steps / math.lcm(n, m)
    if scaled < 0.3:  # there the series converges slowly, and the sum is 1 to nine digits
        return 1.0
    total = sum((1 if k % 2 else -1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))
    return min(max(2 * total, 0.0), 1.0)


def _exact(steps: int, n: int, m: int) -> float:
    """One less the share of the paths from (0, 0) to (n, m) that stay nearer to the diagonal than the distance."""
    common = math.gcd(n, m)
    rise, run = m // common, n // common  # of a step in either sample, in units of the distance
    row = [1 if column * run < steps else 0 for column in range(m + 1)]
    for column in range(1, m + 1):
        row[column] = row[column] and row[column - 1]
    for line in range(1, n + 1):
        at = line * rise
        row[0] = row[0] if at < steps else 0
        for column in range(1, m + 1):
            row[column] = row[column] + row[column - 1] if abs(at - column * run) < steps else 0
    every = math.comb(n + m, n)
    return (every - row[m]) / every


def _dominance(one: Sequence[float], other: Sequence[float]) -> float:
    """Cliff's delta of two sorted samples."""
    balance = sum(bisect_left(other, value) + bisect_right(other, value) for value in one)
    return balance / (len(one) * len(other)) - 1


def _adjusted(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values by Benjamini and Hochberg."""
    count, least, found = len(p_values), 1.0, {}
    for rank, (p_value, name) in enumerate(sorted(((p, name) for name, p in p_values.items()), reverse=True)):
        least = min(least, p_value * count / (count - rank))
        found[name] = least
    return found
