"""What is felt: requests that take longer or fail more often than before, beyond what chance explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse import chance
from perfagent.hub.analyse.calls import REQUESTS, Calls

if TYPE_CHECKING:
    from perfagent.hub.analyse.causes.facts import Facts

ENOUGH = 8  # requests now, below which a percentile tells of chance
ENOUGH_BEFORE = 20
YOUNG = 120.0  # s before, below which what is slow may always have been
ALPHA = 0.001  # chance of one false symptom in a look at a whole program (Bonferroni)
SLOWER = 1.5  # times
SLOWER_MS = 5.0
SLOW_MS = 1000.0  # a 95th percentile that is bad whatever was before
FAILING = 0.02  # of the requests, more than before
LEAST_FAILED = 5


class Slow(NamedTuple):
    """An endpoint whose requests take longer."""

    endpoint: Calls
    before: Calls | None  # None where nothing was, or where it was as bad
    rate: float  # requests a second
    extra_ms: float  # of a request, on average
    chronic: bool = False  # whether it was as slow before, or nobody knows: it explains nothing that is new


class Failed(NamedTuple):
    """An endpoint whose requests fail more often."""

    endpoint: Calls
    ratio: float
    ratio_before: float
    extra: float  # failed requests a second, more than before


def slow(facts: Facts) -> list[Slow]:
    """The endpoints that are slower than before, and those that are slow anyway; the one that loses most first."""
    endpoints = [one for one in facts.now.values() if one.category in REQUESTS]
    alpha = ALPHA / max(len(endpoints), 1)
    found = []
    for one in endpoints:
        scale = 1 / max(facts.weights.get(one.operation, 1.0), 1.0)
        if one.durations.calls * scale < ENOUGH:
            continue
        old, rate = facts.before.get(one.operation), one.durations.calls / facts.seconds
        mean = one.durations.mean_ms or 0.0
        known = old is not None and old.durations.calls * scale >= ENOUGH_BEFORE
        if old is not None and known:
            extra = mean - (old.durations.mean_ms or 0.0)
            if extra > 0 and _is_slower(old, one, scale, alpha):
                found.append(Slow(one, old, rate, extra))
                continue
        if (one.durations.quantile(0.95) or 0.0) >= SLOW_MS:
            found.append(Slow(one, None, rate, mean, chronic=known or facts.seconds_before < YOUNG))
    return sorted(found, key=lambda each: (each.chronic, -each.rate * each.extra_ms))


def _is_slower(old: Calls, new: Calls, scale: float, alpha: float) -> bool:
    felt = False
    for was, now in zip(old.durations.quantiles(0.5, 0.95), new.durations.quantiles(0.5, 0.95), strict=True):
        assert was is not None and now is not None  # noqa: PT018
        felt = felt or (now >= SLOWER * was and now - was >= SLOWER_MS)
    if not felt:
        return False
    limit = old.durations.quantile(0.95) or 0.0
    first, second = old.durations, new.durations
    beyond = chance.proportions(
        first.share_above(limit) * first.calls * scale, first.calls * scale,
        second.share_above(limit) * second.calls * scale, second.calls * scale,
    )  # fmt: skip
    return min(beyond, chance.rank_sum(first.counts, second.counts, scale)) < alpha


def failing(facts: Facts) -> list[Failed]:
    """The endpoints that fail more often than before, the one with most failures first."""
    endpoints = [one for one in facts.now.values() if one.category in REQUESTS and one.durations.errors]
    alpha = ALPHA / max(len(endpoints), 1)
    found = []
    for one in endpoints:
        scale = 1 / max(facts.weights.get(one.operation, 1.0), 1.0)
        calls, errors = one.durations.calls * scale, one.durations.errors * scale
        if errors < LEAST_FAILED:
            continue
        old = facts.before.get(one.operation)
        ratio, was = errors / calls, (old.durations.error_ratio or 0.0) if old is not None else 0.0
        if old is not None and old.durations.calls * scale >= ENOUGH_BEFORE:
            p = chance.proportions(old.durations.errors * scale, old.durations.calls * scale, errors, calls)
        else:
            p = 0.0 if chance.at_least(errors, calls) >= FAILING else 1.0
        if p < alpha and ratio - was >= FAILING:
            found.append(Failed(one, ratio, was, (ratio - was) * one.durations.calls / facts.seconds))
    return sorted(found, key=lambda each: -each.extra)
