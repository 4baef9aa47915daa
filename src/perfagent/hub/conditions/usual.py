"""Limits that follow what is usual: a quantile of the past at that hour of the day, between bounds.

The past is the week before the hour in question, so that no minute is judged by itself. The bounds see to it that an
incident does not teach: however bad the past was, the limit is never farther from the one that is set than they allow.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.analyse.thresholds import Threshold

HOUR, DAY = 3600, 86_400
PAST = 7 * DAY
LEAST = 60
"""Minutes with a value before which nothing is usual: an hour. Of one hour of the day as many, else all hours count."""
LOWEST, HIGHEST = 0.5, 2.0
"""What the limit is at least and at most, as a multiple of the warning limit that is set."""


def bounds(threshold: Threshold) -> tuple[float, float] | None:
    """The least and the largest warning limit that the past may bring about; None where there is no limit to follow."""
    warning, critical = threshold.warning, threshold.critical
    if warning is None or threshold.comparison == "equal":
        return None
    low, high = warning * LOWEST, warning * HIGHEST
    if threshold.unit == "%":
        high = max(min(high, 100.0), warning)
    if critical is not None:
        if threshold.comparison == "greater":
            high = min(high, critical)
        else:
            low = max(low, critical)
    return low, high


class Usual:
    """What is usual, hour by hour.

    Args:
        threshold: whose `quantile`, `factor` and bounds count.
    """

    def __init__(self, threshold: Threshold) -> None:
        self._threshold = threshold
        self._bounds = bounds(threshold)
        self._all: list[float] = []
        self._hours: list[list[float]] = [[] for _ in range(24)]

    def add(self, time: int, value: float) -> None:
        """Takes the value of a minute in."""
        insort(self._all, value)
        insort(self._hours[time % DAY // HOUR], value)

    def drop(self, time: int, value: float) -> None:
        """Forgets the value of a minute."""
        for known in (self._all, self._hours[time % DAY // HOUR]):
            del known[bisect_left(known, value)]

    def limit(self, hour: int) -> float | None:
        """The warning limit in the hour that begins then: the one that is set until there is an hour of past.

        Args:
            hour: seconds since the epoch.
        """
        one = self._threshold
        known = self._hours[hour % DAY // HOUR]
        known = known if len(known) >= LEAST else self._all
        if self._bounds is None or len(known) < LEAST:
            return one.warning
        less = one.comparison == "less"
        usual = quantile(known, 1 - one.quantile if less else one.quantile)
        low, high = self._bounds
        return min(max(usual / one.factor if less else usual * one.factor, low), high)


def quantile(known: Sequence[float], share: float) -> float:
    """A quantile of sorted values, linear between two of them."""
    place = share * (len(known) - 1)
    below = int(place)
    above = min(below + 1, len(known) - 1)
    return known[below] + (known[above] - known[below]) * (place - below)


def by_hour(
    threshold: Threshold, times: Sequence[int], values: Sequence[float | None], first: int, last: int
) -> dict[int, float | None]:
    """The warning limit of each hour, from what was before it.

    Args:
        threshold: that is dynamic.
        times, values: of the minutes from a week before `first` on, in order.
        first, last: the starts of the first and the last hour, seconds since the epoch.
    """
    usual, found = Usual(threshold), {}
    minutes = [(time, value) for time, value in zip(times, values, strict=True) if value is not None]
    entering = leaving = 0
    for hour in range(first, last + 1, HOUR):
        while entering < len(minutes) and minutes[entering][0] < hour:
            usual.add(*minutes[entering])
            entering += 1
        while leaving < entering and minutes[leaving][0] < hour - PAST:
            usual.drop(*minutes[leaving])
            leaving += 1
        found[hour] = usual.limit(hour)
    return found
