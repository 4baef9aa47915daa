"""How healthy a program is: 100 less what each vital sign takes away, with the reasons.

A sign takes nothing at its floor, 20 points at the warning limit, 45 at the critical one, and 60 at most, linearly in
between: worse is never better. docs/explanation/health.md has the formula and the floors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.chance import at_least

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfagent.hub.analyse.durations import Durations
    from perfagent.hub.analyse.thresholds import Threshold, Thresholds

AT_WARNING, AT_CRITICAL, AT_MOST = 20.0, 45.0, 60.0  # points that one sign takes away
HEALTHY, DEGRADED = 80, 50
SAID = 5.0  # points, below which a sign is no reason


@dataclass(slots=True)
class Health:
    """A score of 0 to 100 (None where nothing happened), its state and the reasons, the heaviest first."""

    score: int | None
    state: str
    reasons: list[str]

    def answer(self) -> dict[str, object]:
        """As the interface gives it."""
        return {"score": self.score, "state": self.state, "reasons": self.reasons}


@dataclass(slots=True)
class Signs:
    """What is judged; None for what is unknown.

    Args:
        requests: the requests of the range.
        cpu: the busiest process, 1 for one core.
        memory: the share of its limit that is used, 0..1.
        lag_p99_ms: how late the event loop ran callbacks.
        dropped: items of telemetry that were lost.
        figures: further ones by the name of their threshold, such as "database_pool_percent", lately.
    """

    requests: Durations
    cpu: float | None = None
    memory: float | None = None
    lag_p99_ms: float | None = None
    dropped: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


FLOORS: dict[str, tuple[float, str]] = {
    "database_time_average_ms": (100.0, "a statement takes {0:.0f} ms on average"),
    "cache_hit_rate_percent": (90.0, "{0:.0f} % of the look-ups in caches find something"),
    "database_pool_percent": (60.0, "{0:.0f} % of the connections of a pool are in use"),
    "gc_pause_percent": (1.0, "garbage collection takes {0:.1f} % of the time"),
    "error_budget_remaining_percent": (50.0, "{0:.0f} % of an error budget is left"),
    "open_breakers": (0.0, "{0:.0f} circuit breakers are open"),
    "disk_usage_percent": (70.0, "{0:.0f} % of a file system is used"),
    "replication_lag_ms": (1000.0, "a replica is {0:.0f} ms behind"),
    "restarts": (0.0, "{0:.0f} processes ended young"),
}
"""Of further figures: from where on they take points away, and the reason."""


def judge(signs: Signs, thresholds: Thresholds) -> Health:
    """The health of a program; the thresholds say where each sign costs 20 and where it costs 45 points."""
    calls = signs.requests.calls
    if not calls and signs.cpu is None:
        return Health(None, "idle", ["no requests and no vital signs in this range"])
    lost: list[tuple[float, str]] = []
    for name, value, text, floor in _measured(signs, thresholds):
        threshold = thresholds.get(name)
        if threshold is not None and threshold.enabled:
            points = _lost(value, floor, threshold)
            if points > 0:
                lost.append((points, text))
    if signs.dropped:
        lost.append((SAID, f"{words.count(signs.dropped)} items of telemetry were dropped: figures may be too low"))
    lost.sort(reverse=True)
    score = max(0, round(100 - sum(points for points, _ in lost)))
    state = "healthy" if score >= HEALTHY else "degraded" if score >= DEGRADED else "unhealthy"
    return Health(score, state, [text for points, text in lost if points >= SAID])


def _measured(signs: Signs, thresholds: Thresholds) -> Iterator[tuple[str, float, str, float]]:
    """Each sign that is known: its threshold, its value, the reason that it may be, and from where on it counts."""
    requests = signs.requests
    ratio = at_least(requests.errors, requests.calls) * 100  # one failure of three calls is no 33 %
    yield "error_rate_percent", ratio, f"{words.percent(requests.error_ratio)} of the requests failed", 0.0
    p95 = requests.quantile(0.95)
    if p95 is not None and requests.calls >= 5:
        text = f"the 95th percentile of requests is {words.milliseconds(p95)}"
        yield "response_time_p95_ms", p95, text, (thresholds["response_time_p95_ms"].warning or 0.0) / 4
    if signs.cpu is not None:
        text = f"a process keeps {words.percent(signs.cpu)} of a core busy"
        yield "cpu_usage_percent", signs.cpu * 100, text, 50.0
    if signs.memory is not None:
        text = f"{words.percent(signs.memory)} of the memory limit is used"
        yield "memory_usage_percent", signs.memory * 100, text, 60.0
    if signs.lag_p99_ms is not None:
        text = f"the event loop is up to {words.milliseconds(signs.lag_p99_ms)} late (p99)"
        yield "event_loop_lag_p99_ms", signs.lag_p99_ms, text, 20.0
    for name, (floor, text) in FLOORS.items():
        value = signs.figures.get(name)
        if value is not None:
            yield name, value, text.format(value), floor


def _lost(value: float, floor: float, threshold: Threshold) -> float:
    """The points that a sign takes away; where less is worse, everything is mirrored."""
    side = -1.0 if threshold.comparison == "less" else 1.0
    limits = [side * one for one in (threshold.warning, threshold.critical) if one is not None]
    return _points(side * value, side * floor, limits, threshold.warning is None)


def _points(value: float, floor: float, limits: Sequence[float], only_critical: bool) -> float:
    """From 0 at the floor by way of 20 at the warning and 45 at the critical limit to 60.

    A limit at or below the floor moves the floor to it, so that what is worse never takes fewer points.
    """
    if not limits:
        return 0.0
    floor = min(floor, limits[0])
    marks = [AT_CRITICAL] if only_critical else [AT_WARNING, AT_CRITICAL]
    steps = [(floor, 0.0), *zip(limits, marks, strict=False)]
    if value < floor or (value == floor and floor < limits[0]):
        return 0.0
    for (low, before), (high, after) in pairwise(steps):
        if value < high:
            return before + (after - before) * (value - low) / (high - low)
    last, points = steps[-1]
    beyond = (value - last) / abs(last) if last else float(value > last)
    return min(points * (1 + beyond), AT_MOST)
