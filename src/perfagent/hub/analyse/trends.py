"""Where a figure is going: better, worse or nowhere, and when it will reach a limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from perfagent.hub.analyse.chance import trend

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_POINTS = 10
ALPHA = 0.01
FELT = 0.10  # of the level at the begin; less is stable, however certain

Direction = Literal["improving", "degrading", "stable", "unknown"]


@dataclass(slots=True)
class Trend:
    """The trend of one figure.

    Args:
        direction: "unknown" below 10 points.
        confidence: 1 - p of the Mann-Kendall test; None without one.
        change: of the trend line from its begin to its end, as a share of its begin; None from 0.
        slope_per_hour: in the figure's unit.
        first, last: the trend line's begin and end.
        reaches_limit_in_hours: where a limit was given, and the line is on its way to it.
    """

    direction: Direction
    points: int
    confidence: float | None = None
    change: float | None = None
    slope_per_hour: float | None = None
    first: float | None = None
    last: float | None = None
    reaches_limit_in_hours: float | None = None

    def answer(self) -> dict[str, Any]:
        """As the interface gives it."""
        return asdict(self)


def judge(
    times: Sequence[float],
    values: Sequence[float | None],
    better: Literal["lower", "higher", "neither"],
    limit: float | None = None,
) -> Trend:
    """The trend of a figure over time.

    Args:
        times: seconds since the epoch.
        better: which direction is an improvement; with "neither" every change is stable.
        limit: a value above that will violate something.
    """
    points = [(time, value) for time, value in zip(times, values, strict=True) if value is not None]
    if len(points) < LEAST_POINTS:
        return Trend("unknown", len(points))
    line = trend([time for time, _ in points], [value for _, value in points])
    first = line.intercept
    last = first + line.slope * (points[-1][0] - points[0][0])
    level = max(abs(first), abs(last))
    direction: Direction = "stable"
    moves = line.p < ALPHA and level > 0 and abs(last - first) >= FELT * level
    if moves and better != "neither":
        direction = "improving" if (last < first) == (better == "lower") else "degrading"
    ahead = None
    if moves and limit is not None and line.slope > 0 and last < limit:
        ahead = (limit - last) / line.slope / 3600
    change = (last - first) / abs(first) if first else None
    return Trend(direction, len(points), 1 - line.p, change, line.slope * 3600, first, last, ahead)


@dataclass(slots=True)
class Regression:
    """A figure against its baseline."""

    metric: str
    baseline: float | None
    now: float | None
    change: float | None  # as a share of the baseline
    verdict: Literal["better", "worse", "same", "unknown"]


def against(
    metric: str, baseline: float | None, now: float | None, better: Literal["lower", "higher", "neither"], most: float
) -> Regression:
    """A figure against its baseline: worse or better where it differs by more than `most`, a share such as 0.15."""
    if baseline is None or now is None:
        return Regression(metric, baseline, now, None, "unknown")
    if not baseline:
        worse = better != "neither" and now != 0
        good = (now < 0) == (better == "lower")
        return Regression(metric, baseline, now, None, "same" if not worse else "better" if good else "worse")
    change = (now - baseline) / abs(baseline)
    if abs(change) <= most or better == "neither":
        return Regression(metric, baseline, now, change, "same")
    return Regression(metric, baseline, now, change, "better" if (change < 0) == (better == "lower") else "worse")
