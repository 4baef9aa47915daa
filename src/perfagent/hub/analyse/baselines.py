"""What is normal for a service: its figures by the hour of the day, and everything that it calls.

A baseline keeps the series that it was made of, and a side (`side`) of everything that was called, so what is compared
with it is compared as two releases are: with an error for each figure, and corrected for the number of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import median, stdev
from time import gmtime
from typing import TYPE_CHECKING, Any, Literal

from perfagent.hub.analyse.estimates import Estimate, gap, long_run, mean
from perfagent.hub.analyse.student import discoveries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REGRESSION = 0.15
ALPHA = 0.02  # false discovery rate over the figures of a comparison
DAY = 86_400
WEEKLY = 14 * DAY
"""From which on the days of the week are told apart."""
LEAST_OF_AN_HOUR = 3  # values of one hour of the day, below which the whole day stands for it

Better = Literal["lower", "higher", "neither"]

LEAST_ERROR = 0.02  # of a mean of some days


@dataclass(frozen=True, slots=True)
class Normal:
    """What a figure is normally.

    Args:
        n: values that this is made of.
        median: the middle one.
        low, high: nine of ten lie between these.
        spread: 1.4826 times the median distance from the median: the standard deviation of what is normal.
    """

    n: int
    median: float
    low: float
    high: float
    spread: float


@dataclass(slots=True)
class Regression:
    """A figure against its baseline.

    Args:
        baseline: the median of what it normally is, at these hours of the day where the baseline knows them.
        now: the median lately.
        change: as a share of the baseline; None from 0.
        p: the chance of so large a difference without a cause; None for too few values.
        certainty: 1 less the false discovery rate over all figures.
        verdict: worse or better by a certain and large difference; "unclear" where it is large and not certain.
    """

    metric: str
    baseline: float | None
    now: float | None
    change: float | None
    verdict: Literal["better", "worse", "same", "unclear", "unknown"]
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    n: int = 0
    p: float | None = None
    certainty: float | None = None
    seasonal: bool = False


def normal(values: Sequence[float | None]) -> Normal | None:
    """What values normally are; None of none."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    middle = median(known)
    spread = 1.4826 * median(abs(value - middle) for value in known)
    return Normal(len(known), middle, _at(known, 0.05), _at(known, 0.95), spread)


def _at(known: Sequence[float], share: float) -> float:
    place = share * (len(known) - 1)
    below = int(place)
    above = min(below + 1, len(known) - 1)
    return known[below] + (known[above] - known[below]) * (place - below)


def of_season(times: Sequence[float], values: Sequence[float | None], moments: Sequence[float]) -> list[float | None]:
    """The values from the same hours of the day as `moments`; of the same days of the week from two weeks on.

    Args:
        times: of the values, seconds since the epoch.
        moments: what is to be compared with them.

    Returns:
        Those values; all of them where the baseline is shorter than a day or has too few of these hours.
    """
    whole = list(values)
    if not moments or len(times) < 2 or times[-1] - times[0] < DAY * 0.9:
        return whole
    for wanted in ((_weekday_hour,) if times[-1] - times[0] >= WEEKLY * 0.9 else ()) + (_hour,):
        keys = {wanted(moment) for moment in moments}
        chosen = [value for time, value in zip(times, values, strict=True) if wanted(time) in keys]
        if sum(value is not None for value in chosen) >= LEAST_OF_AN_HOUR:
            return chosen
    return whole


def _hour(moment: float) -> tuple[int, ...]:
    return (gmtime(moment).tm_hour,)


def _weekday_hour(moment: float) -> tuple[int, ...]:
    then = gmtime(moment)
    return (then.tm_wday, then.tm_hour)


def by_hour(times: Sequence[float], values: Sequence[float | None]) -> list[dict[str, Any]]:
    """What is normal in each hour of the day (UTC) that the baseline has values of."""
    hours: dict[int, list[float | None]] = {}
    for time, value in zip(times, values, strict=True):
        hours.setdefault(gmtime(time).tm_hour, []).append(value)
    found = []
    for hour, part in sorted(hours.items()):
        one = normal(part)
        if one is not None:
            found.append({"hour": hour, "n": one.n, "median": one.median, "low": one.low, "high": one.high})
    return found


def regressions(
    times: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    now_times: Sequence[float],
    now: Mapping[str, Sequence[float | None]],
    better: Mapping[str, Better],
    most: float = REGRESSION,
) -> list[Regression]:
    """Figures against their baseline.

    Args:
        times, series: the baseline's values by figure.
        now_times, now: those lately.
        better: for each figure which direction is an improvement.
        most: the share by which a figure must differ to be worse or better, such as 0.15.
    """
    found = []
    for metric, direction in better.items():
        everything = series.get(metric, [])
        same_hours = of_season(times, everything, now_times) if everything else []
        found.append(_against(metric, same_hours, now.get(metric, []), len(same_hours) < len(everything)))
        if direction == "neither":
            found[-1].p = None
    tested = [one for one in found if one.p is not None]
    for one, rate in zip(tested, discoveries([one.p or 0.0 for one in tested]), strict=True):
        one.certainty = 1 - rate
    for one in found:
        one.verdict = _verdict(one, better[one.metric], most)
    return found


def _against(metric: str, before: Sequence[float | None], after: Sequence[float | None], seasonal: bool) -> Regression:
    was, is_now = normal(before), normal(after)
    if was is None or is_now is None:
        found = Regression(metric, was.median if was else None, is_now.median if is_now else None, None, "unknown")
        found.n = was.n if was else 0
        return found
    change = (is_now.median - was.median) / abs(was.median) if was.median else None
    found = Regression(
        metric, was.median, is_now.median, change, "same", was.low, was.high, was.spread, was.n, seasonal=seasonal
    )  # fmt: skip
    one, two = (_of_days if seasonal else _estimate)(before), _estimate(after)
    if one is not None and two is not None:
        if one.value > 0 and two.value > 0 and one.relative and two.relative:
            found.p = gap(one, two).p
        else:
            found.p = gap(_plain(before), _plain(after)).p
    return found


def _estimate(values: Sequence[float | None]) -> Estimate | None:
    found = mean(values)
    if found is None and sum(value is not None for value in values) >= 8:
        return _plain(values)
    return found


def _of_days(values: Sequence[float | None]) -> Estimate | None:
    """The mean of an hour over several days, which know little of each other."""
    known = [value for value in values if value is not None]
    middle = sum(known) / len(known) if known else 0.0
    if len(known) < LEAST_OF_AN_HOUR or middle <= 0:
        return None
    return Estimate(middle, max(stdev(known) / middle / sqrt(len(known)), LEAST_ERROR), len(known) - 1)


def _plain(values: Sequence[float | None]) -> Estimate:
    """The mean with an absolute error: for what may be 0, such as a share of failures."""
    known = [value for value in values if value is not None]
    middle = sum(known) / len(known)
    variance, freedom = long_run([value - middle for value in known])
    return Estimate(middle, variance**0.5 / len(known), freedom, relative=False)


def _verdict(one: Regression, better: Better, most: float) -> Literal["better", "worse", "same", "unclear", "unknown"]:
    if one.baseline is None or one.now is None:
        return "unknown"
    apart = one.now - one.baseline
    large = abs(apart) > most * abs(one.baseline) if one.baseline else apart != 0
    if not large or better == "neither":
        return "same"
    if one.certainty is None or one.certainty < 1 - ALPHA:
        return "unclear"
    return "better" if (apart < 0) == (better == "lower") else "worse"
