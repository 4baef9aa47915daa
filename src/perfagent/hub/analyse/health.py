"""How healthy a program is: 100 less what each vital sign takes away, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.chance import at_least

if TYPE_CHECKING:
    from perfagent.hub.analyse.durations import Durations
    from perfagent.hub.analyse.thresholds import Thresholds

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
    """

    requests: Durations
    cpu: float | None = None
    memory: float | None = None
    lag_p99_ms: float | None = None
    dropped: float = 0.0


def judge(signs: Signs, thresholds: Thresholds) -> Health:
    """The health of a program; the thresholds say where each sign costs 20 and where it costs 45 points."""
    calls = signs.requests.calls
    if not calls and signs.cpu is None:
        return Health(None, "idle", ["no requests and no vital signs in this range"])
    lost: list[tuple[float, str]] = []

    def take(name: str, value: float | None, text: str, floor: float = 0.0) -> None:
        threshold = thresholds.get(name)
        if value is not None and threshold is not None and threshold.enabled:
            points = _points(value, floor, threshold.warning, threshold.critical)
            if points > 0:
                lost.append((points, text))

    errors = signs.requests.errors
    ratio = at_least(errors, calls) * 100  # one failure of three calls is no 33 %
    take("error_rate_percent", ratio, f"{words.percent(signs.requests.error_ratio)} of the requests failed")
    p95 = signs.requests.quantile(0.95)
    if p95 is not None and calls >= 5:
        warning = thresholds["response_time_p95_ms"].warning or 0.0
        take("response_time_p95_ms", p95, f"the 95th percentile of requests is {words.milliseconds(p95)}", warning / 4)
    if signs.cpu is not None:
        take("cpu_usage_percent", signs.cpu * 100, f"a process keeps {words.percent(signs.cpu)} of a core busy", 50.0)
    if signs.memory is not None:
        take(
            "memory_usage_percent",
            signs.memory * 100,
            f"{words.percent(signs.memory)} of the memory limit is used",
            60.0,
        )
    lag = signs.lag_p99_ms
    take("event_loop_lag_p99_ms", lag, f"the event loop is up to {words.milliseconds(lag)} late (p99)", 20.0)
    if signs.dropped:
        lost.append((SAID, f"{words.count(signs.dropped)} items of telemetry were dropped: figures may be too low"))
    lost.sort(reverse=True)
    score = max(0, round(100 - sum(points for points, _ in lost)))
    state = "healthy" if score >= HEALTHY else "degraded" if score >= DEGRADED else "unhealthy"
    return Health(score, state, [text for points, text in lost if points >= SAID])


def _points(value: float, floor: float, warning: float | None, critical: float | None) -> float:
    """From 0 at `floor` by way of 20 at the warning and 45 at the critical limit to 60."""
    steps = [(floor, 0.0)]
    if warning is not None:
        steps.append((warning, AT_WARNING))
    if critical is not None:
        steps.append((critical, AT_CRITICAL))
    if value <= floor or len(steps) == 1:
        return 0.0
    for (low, before), (high, after) in pairwise(steps):
        if value <= high:
            return before + (after - before) * (value - low) / max(high - low, 1e-9)
    last, points = steps[-1]
    return min(points * value / last if last else points, AT_MOST)
