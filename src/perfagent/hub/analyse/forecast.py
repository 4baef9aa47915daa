"""When a figure will reach a limit, if it goes on as it does: the middle of many futures that its past allows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf, sqrt
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Any

from perfagent.hub.analyse.posterior import believe
from perfagent.hub.analyse.season import seasonal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.hub.analyse.posterior import Belief, Explanation

LEAST_POINTS = 10
FUTURES = 200
MOMENTS = 120  # of a future that are looked at
AHEAD = 10.0  # times as long as the past: further out, nobody knows whether it goes on
MOST_DAYS = 90.0
SETTLED = 5  # points whose mean must have reached the limit: a single peak does not count
SEED = 20_011  # the same series gets the same answer
DAY, HOUR = 86_400.0, 3600.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a limit is reached.

    Args:
        limit: the limit.
        reached: "already", "expected", or "not" where less than half of the futures reach it within `within_hours`.
        chance: the share of the futures that do.
        hours: from the last point on, the middle of the futures; None where less than half of them get there.
        earliest_hours, latest_hours: four of five futures lie between them; None for later than `within_hours`.
        within_hours: how far ahead it was looked.
    """

    limit: float
    reached: str
    chance: float
    hours: float | None
    earliest_hours: float | None
    latest_hours: float | None
    within_hours: float

    def answer(self) -> dict[str, Any]:
        """As the interface gives it."""
        return asdict(self)


def forecast(
    times: Sequence[float],
    values: Sequence[float | None],
    limit: float,
    *,
    falling: bool = False,
    within_days: float | None = None,
    belief: Belief | None = None,
) -> Forecast | None:
    """When a series reaches a limit; None below 10 points.

    Each future is one of the explanations of the past, drawn as often as it is likely (`posterior`), with its line
    drawn on, its noise going on from the last value, and the daily and weekly course repeating.

    Args:
        times: seconds since the epoch, rising.
        values: at these; None where it was not measured.
        limit: what must not be reached.
        falling: whether it is reached from above, as the rest of a budget reaches 0.
        within_days: how far ahead to look; ten times as long as the past when left out, 90 days at most.
        belief: what the series says of its move, where that is known already.
    """
    points = [(time, value) for time, value in zip(times, values, strict=True) if value is not None]
    if len(points) < LEAST_POINTS:
        return None
    sign = -1.0 if falling else 1.0
    known = [time for time, _ in points]
    long = known[-1] - known[0]
    ahead = min(AHEAD * long, MOST_DAYS * DAY) if within_days is None else within_days * DAY
    within_hours = ahead / HOUR
    lately = [value for _, value in points[-SETTLED:]]
    if sign * (sum(lately) / len(lately) - limit) >= 0:
        return Forecast(limit, "already", 1.0, 0.0, 0.0, 0.0, within_hours)
    course = seasonal(known, [value for _, value in points])
    belief = belief or believe(known, [value for _, value in points], 0.1)
    reached = sorted(_futures(belief, known[-1], long, ahead, sign, limit, course))
    chance = sum(one < inf for one in reached) / len(reached)

    def at(share: float) -> float | None:
        found = reached[min(int(share * len(reached)), len(reached) - 1)]
        return None if found == inf else found / HOUR

    middle = at(0.5)
    word = "not" if middle is None else "expected"
    return Forecast(limit, word, chance, middle, at(0.1), at(0.9), within_hours)


def _futures(
    belief: Belief, last: float, long: float, ahead: float, sign: float, limit: float, course: Callable[[float], float]
) -> list[float]:
    """Seconds from the last point until each future reaches the limit; inf for not within `ahead` seconds."""
    random = Random(SEED)  # noqa: S311 - no secret
    offsets = _moments(ahead, long)
    around = [(place - SETTLED // 2) * belief.step for place in range(SETTLED)]
    waves = [fmean(course(last + offset + shift) for shift in around) for offset in offsets]
    weights = [one.weight for one in belief.explanations]
    drawn = random.choices(belief.explanations, weights, k=FUTURES)
    return [_reaching(one, belief, random, offsets, waves, long, sign, limit) for one in drawn]


def _moments(ahead: float, long: float) -> list[float]:
    """Where futures are looked at: every hundredth of the past at first, so that soon is told well, then less often."""
    growth, step = 1.03, min(long / 100, ahead / MOMENTS)
    found = [step]
    while found[-1] < ahead:
        found.append(found[-1] + step)
        if len(found) >= MOMENTS / 2:
            step *= growth
    return found


def _reaching(
    one: Explanation,
    belief: Belief,
    random: Random,
    offsets: Sequence[float],
    waves: Sequence[float],
    long: float,
    sign: float,
    limit: float,
) -> float:
    freedom = belief.freedom
    # One draw of the noise's size serves all three, as it does in their joint distribution.
    inflated = 1 / sqrt(max(random.gammavariate(freedom / 2, 2 / freedom), 1e-9))
    move = one.move + random.gauss(0.0, 1.0) * one.error * inflated
    level = one.level + random.gauss(0.0, 1.0) * one.level_error * inflated
    noise = one.noise * inflated
    end = level + move * (1 - one.centre)
    slope = move / long if one.place is None else 0.0
    away = belief.latest - end
    calm = _calm(one.rho)
    far = max(5 * noise, abs(away))  # what lies further below the limit cannot reach it by noise
    known = before = 0.0
    for offset, wave in zip(offsets, waves, strict=True):
        short = sign * (limit - end - slope * offset - wave)
        if short < far:
            kept = one.rho ** ((offset - known) / belief.step)
            away = away * kept + random.gauss(0.0, 1.0) * noise * sqrt(1 - kept * kept)
            known = offset
            if sign * away * calm >= short:
                # The mean of the last points is there when its middle is.
                return before + (offset - before) * random.random() + (SETTLED - 1) / 2 * belief.step
        before = offset
    return inf


def _calm(rho: float) -> float:
    """The standard deviation of the mean of SETTLED neighbours, as a share of that of one."""
    count = SETTLED
    whole = count + 2 * sum((count - apart) * rho**apart for apart in range(1, count))
    return sqrt(whole) / count
