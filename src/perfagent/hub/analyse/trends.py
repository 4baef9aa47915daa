"""Where a figure is going: better, worse or nowhere, how sure that is, and when it will reach a limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from perfagent.hub.analyse.forecast import Forecast, forecast
from perfagent.hub.analyse.posterior import believe

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_POINTS = 10
FELT = 0.10  # of the larger of the levels at both ends; less is stable, however certain

Better = Literal["lower", "higher", "neither"]
Direction = Literal["improving", "degrading", "rising", "falling", "stable", "unknown"]


@dataclass(slots=True)
class Trend:
    """The trend of one figure.

    Args:
        direction: "unknown" below 10 points; "rising" and "falling" are of figures that have no better side.
        confidence: the chance that the direction is right; None without one.
        change: from begin to end, as a share of the begin; None from 0.
        change_low, change_high: nine of ten times the change lies between these.
        slope_per_hour: in the figure's unit.
        first, last: the level at begin and end.
        reaches_limit_in_hours: where a limit was given, and it is expected to be reached.
        forecast: of that limit, with its interval.
    """

    direction: Direction
    points: int
    confidence: float | None = None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    slope_per_hour: float | None = None
    first: float | None = None
    last: float | None = None
    reaches_limit_in_hours: float | None = None
    forecast: Forecast | None = None

    def answer(self) -> dict[str, Any]:
        """As the interface gives it."""
        return asdict(self)


def judge(
    times: Sequence[float],
    values: Sequence[float | None],
    better: Better,
    limit: float | None = None,
    *,
    reached_from_above: bool = False,
) -> Trend:
    """The trend of a figure over time.

    Args:
        times: seconds since the epoch.
        better: which direction is an improvement.
        limit: a value that must not be reached.
        reached_from_above: whether it is a lower limit.
    """
    points = [(time, value) for time, value in zip(times, values, strict=True) if value is not None]
    if len(points) < LEAST_POINTS:
        return Trend("unknown", len(points))
    known, figures = [time for time, _ in points], [value for _, value in points]
    long = known[-1] - known[0]
    if max(figures) == min(figures):
        ahead = None if limit is None else forecast(known, figures, limit, falling=reached_from_above)
        return Trend("stable", len(points), 1.0, 0.0, 0.0, 0.0, 0.0, figures[0], figures[0], None, ahead)
    belief = believe(known, figures, FELT)
    chances = {"falls": belief.falls, "stays": belief.stays, "rises": belief.rises}
    said = max(chances, key=lambda word: chances[word])
    first, last = belief.begin, belief.begin + belief.move
    low, high = belief.interval()
    ahead = None if limit is None else forecast(known, figures, limit, falling=reached_from_above, belief=belief)
    change, lowest, highest = (move / abs(first) if first else None for move in (belief.move, low, high))
    return Trend(
        _word(said, better),
        len(points),
        min(chances[said], 1.0),
        change,
        lowest,
        highest,
        belief.move / long * 3600,
        first,
        last,
        ahead.hours if ahead is not None else None,
        ahead,
    )


def _word(said: str, better: Better) -> Direction:
    if said == "stays":
        return "stable"
    if better == "neither":
        return "rising" if said == "rises" else "falling"
    return "improving" if (said == "falls") == (better == "lower") else "degrading"
