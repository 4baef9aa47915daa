"""Whether an action helped: the figure before and after it, and the chance that the difference has no cause."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse.chance import proportions, rank_sum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.optimise.journal import Effect, Taken
    from perfagent.hub.store.store import Store

ALPHA = 0.05
HELPED, HARMED = 0.05, 0.10
"""By what share the figure must have become better, or worse, to say so."""
LEAST, LEAST_LOOKUPS = 5, 50
"""Readings, and look-ups of caches, on both sides, below which nothing is said."""
DURATIONS, LOOKUPS, POINTS = "durations", "lookups", "points:"
"""Figures: requests of the service, look-ups of its caches, and readings of a metric, whose name follows."""
OF_THRESHOLDS = {
    "memory_usage_percent": f"{POINTS}process.memory.usage",
    "cpu_usage_percent": f"{POINTS}process.cpu.utilization",
    "response_time_p95_ms": DURATIONS,
    "cache_hit_rate_percent": LOOKUPS,
}
"""What thresholds are about, as it is read for this: as it came, and not by the minute."""
SETTLING = 0.1
"""The share of the time after an action that is left out: what is under way is neither before nor after."""


class Measured(NamedTuple):
    """What came of an action.

    Args:
        effect: in a word.
        before, after: the figure; None where it could not be read.
        p: the chance of such a difference without a cause.
        basis: how that was told, or why it could not be.
    """

    effect: Effect
    before: float | None
    after: float | None
    p: float | None
    basis: str


def due(taken: Taken) -> float | None:
    """When the effect can be measured, seconds since the epoch; None while that is not known, or never."""
    if not taken.figure or taken.effect or taken.answered is None:
        return None
    return taken.answered + taken.measure_seconds * (1 + SETTLING)


def measure(store: Store, taken: Taken) -> Measured:
    """Compares as long before an action with as long after it."""
    assert taken.answered is not None
    long = taken.measure_seconds
    begin = taken.answered + long * SETTLING
    sides = ((taken.time - long, taken.time), (begin, begin + long))
    if taken.figure == LOOKUPS:
        return _of_lookups(store, taken, sides)
    before, after = (_values(store, taken, *side) for side in sides)
    return judge(before, after, taken.better)


def judge(before: Sequence[float], after: Sequence[float], better: str) -> Measured:
    """Compares readings: their medians, and by the rank-sum test whether all of them differ."""
    if min(len(before), len(after)) < LEAST:
        return _unknown(f"{len(before)} readings before and {len(after)} after; it takes {LEAST} on both sides")
    first, second = median(before), median(after)
    places = {value: place for place, value in enumerate(sorted({*before, *after}))}
    p = rank_sum(_counted(before, places), _counted(after, places))
    gain = (first - second) / abs(first) if first else 0.0
    told = f"medians of {len(before)} and {len(after)} readings, Mann-Whitney p = {p:.2g}"
    return Measured(_word(gain if better == "lower" else -gain, p), first, second, p, told)


def _of_lookups(store: Store, taken: Taken, sides: Sequence[tuple[float, float]]) -> Measured:
    found = []
    for begin, end in sides:
        (row,) = store.rows("optimise/lookups", service=taken.service, **_bounds(begin, end))
        found.append((row["hits"], row["lookups"]))
    (hits, lookups), (later_hits, later_lookups) = found
    if min(lookups, later_lookups) < LEAST_LOOKUPS:
        both = f"{lookups:.0f} look-ups before and {later_lookups:.0f} after"
        return _unknown(f"{both}; it takes {LEAST_LOOKUPS} on both sides")
    p = proportions(hits, lookups, later_hits, later_lookups)
    first, second = hits / lookups, later_hits / later_lookups
    gain = (second - first) / max(first, 0.01)
    told = f"shares of {lookups:.0f} and {later_lookups:.0f} look-ups, two proportions p = {p:.2g}"
    return Measured(_word(gain, p), first * 100, second * 100, p, told)


def _values(store: Store, taken: Taken, begin: float, end: float) -> list[float]:
    if taken.figure == DURATIONS:
        rows = store.rows("optimise/durations", service=taken.service, **_bounds(begin, end))
    else:
        name = taken.figure.removeprefix(POINTS)
        rows = store.rows("optimise/points", service=taken.service, name=name, **_bounds(begin, end))
    return [row["value"] for row in rows if row["value"] is not None]


def _bounds(begin: float, end: float) -> dict[str, int]:
    return {"begin_ns": round(begin * 1e9), "end_ns": round(end * 1e9)}


def _counted(values: Sequence[float], places: dict[float, int]) -> dict[int, float]:
    counts: dict[int, float] = {}
    for value in values:
        counts[places[value]] = counts.get(places[value], 0.0) + 1
    return counts


def _word(gain: float, p: float) -> Effect:
    if p >= ALPHA:
        return "no_effect"
    return "helped" if gain >= HELPED else "harmed" if gain <= -HARMED else "no_effect"


def _unknown(why: str) -> Measured:
    return Measured("unknown", None, None, None, why)
