"""Anomalies while values arrive: a departure is told of when it beats every one that the series has shown.

In a series that goes on as it was, the n-th value is the largest so far with a probability of 1/n, whatever its
distribution (Rényi 1962, "Théorie des éléments saillants"): rules by records need no threshold in the series' units, no
labels and no assumption, and they get quieter as a series gets older. Two departures are watched: of the means of the
last 15 minutes, hour and six hours from the week's median, and of the hour's mean from the same time on earlier days.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

from perfagent.hub.detect.history import DAY, HOUR, Mean, Season, Spread
from perfagent.hub.detect.records import Record

WARM = HOUR  # seconds before which nothing is told
FEWEST = 30  # readings before which nothing is told
KNOWN = 10  # readings of the week from which a median is taken
MARGIN = 1.15  # how far a record must be beaten, once the series is old
EARLY = 0.5  # added to it in the first hour; falls with the square root of the age
MEMORY = 30 * DAY  # seconds in which a record falls to 37 %
QUIET = DAY  # seconds of silence after an alert
LEVEL_FLOOR = 1.2  # widths of the week (5th to 95th hundredth) that a departure from its median must exceed
SEASON_FLOOR = 2.0  # widths of the week of departures from earlier days
SEASON_SHARE = 0.2  # and of the week itself
SEASON_FROM = (
    8 * DAY
)  # age from which days are compared, so that a week-end has been seen; three are known from the third


@dataclass(frozen=True, slots=True)
class Alert:
    """One anomaly.

    Attributes:
        time: seconds since the epoch, of the reading that told.
        value: that reading.
        kind: `level`, beyond everything of the last week; `season`, not what this time of the day or week is like.
        mean: of the last 15 minutes, hour or six hours.
        expected: what it was compared with.
        ratio: the departure by the largest one before.
    """

    time: float
    value: float
    kind: str
    mean: float
    expected: float
    ratio: float


class Detector:
    """Watches one series; feed it by `add`, in the order of time. It keeps at most 11,000 readings, of four weeks."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._last = self._refresh = 0.0
        self._count = 0
        self.recent = 0.0
        """The mean of the last 15 minutes."""
        self._silent_until = float("-inf")
        self._means = (Mean(HOUR / 4), Mean(HOUR), Mean(HOUR * 6))
        self._spread, self._departures = Spread(), Spread()
        self._season = Season()
        self._median = self._width = 0.0
        self._levels = [(sign, Record()) for _ in self._means for sign in (1.0, -1.0)]
        self._seasons = [(sign, Record()) for sign in (1.0, -1.0)]

    def add(self, time: float, value: float) -> Alert | None:
        """Takes a reading in; 15 us.

        Args:
            time: seconds since the epoch; one before the last counts as at the last.
            value: a finite number.

        Returns:
            What is to be told now, or None.
        """
        if self._began is None:
            self._began = self._last = time
        time = max(time, self._last)
        kept = exp((self._last - time) / MEMORY)
        self._last = time
        self._count += 1
        age = time - self._began
        self._bring_up_to_date(time, age)
        margin = MARGIN + EARLY / sqrt(max(age / HOUR, 1.0))
        means = [mean.add(time, value) for mean in self._means]
        self.recent = means[0]
        ready = age >= WARM and self._count > FEWEST
        found = None
        if len(self._spread) >= KNOWN:
            found = self._level(time, means, margin, kept, ready)
        found = self._seasonal(time, age, means[1], margin, kept) or found
        self._spread.add(time, value)
        if found is None or not ready or time < self._silent_until:
            return None
        self._silent_until = time + QUIET
        return Alert(time, value, *found)

    def _bring_up_to_date(self, time: float, age: float) -> None:
        """Median and width of the week: every hour, and more often while there is little of it."""
        if time >= self._refresh and len(self._spread) >= KNOWN:
            self._refresh = time + min(HOUR, age / 4)
            self._median = self._spread.median
            self._width = max(self._spread.width, 1e-9 * abs(self._median), 1e-300)

    def _level(
        self, time: float, means: list[float], margin: float, kept: float, ready: bool
    ) -> tuple[str, float, float, float] | None:
        found = None
        floor = LEVEL_FLOOR * self._width if ready else float("inf")
        for position, (sign, record) in enumerate(self._levels):
            mean = means[position // 2]
            departure, before = sign * (mean - self._median), record.largest
            if record.beaten(time, departure, margin, floor, kept):
                found = ("level", mean, self._median, _ratio(departure, before))
        return found

    def _seasonal(
        self, time: float, age: float, mean: float, margin: float, kept: float
    ) -> tuple[str, float, float, float] | None:
        departure = self._season.departure(time, mean)
        self._season.add(time, mean)
        if departure is None:
            return None
        ready = age >= SEASON_FROM and len(self._departures)
        floor = max(SEASON_FLOOR * self._departures.width, SEASON_SHARE * self._width) if ready else float("inf")
        self._departures.add(time, departure)
        found = None
        for sign, record in self._seasons:
            before = record.largest
            if record.beaten(time, sign * departure, margin, floor, kept):
                found = ("season", mean, mean - departure, _ratio(abs(departure), before))
        return found


def _ratio(departure: float, before: float | None) -> float:
    return departure / before if before else float("inf")
