"""What a series has been like: sliding means, the spread of a week, and the same time on earlier days and weeks."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections import deque
from math import fsum, nan
from statistics import median

HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0
CELL = 300.0  # seconds; what is told apart within a day
_EXACT = 1000  # readings after which a running sum is taken anew, before rounding shows


class Mean:
    """The mean of the last `window` seconds.

    Args:
        window: seconds; at least the last reading is in it.
    """

    __slots__ = ("_count", "_readings", "_sum", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._readings: deque[tuple[float, float]] = deque()
        self._sum = 0.0
        self._count = 0

    def add(self, time: float, value: float) -> float:
        """Takes a reading in, and returns the mean with it."""
        readings = self._readings
        readings.append((time, value))
        self._sum += value
        edge = time - self._window
        while readings[0][0] <= edge and len(readings) > 1:
            self._sum -= readings.popleft()[1]
        self._count += 1
        if self._count % _EXACT == 0:
            self._sum = fsum(value for _, value in readings)
        return self._sum / len(readings)


class Spread:
    """Median and spread of the last week, of one reading in five minutes: at most 2,016 are kept, in order."""

    __slots__ = ("_last", "_ordered", "_readings")

    def __init__(self) -> None:
        self._readings: deque[tuple[float, float]] = deque()
        self._ordered: list[float] = []
        self._last = float("-inf")

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, time: float, value: float) -> None:
        """Takes a reading in, unless the last one kept is less than five minutes old."""
        if time - self._last < CELL * 0.99:
            return
        self._last = time
        readings, ordered = self._readings, self._ordered
        readings.append((time, value))
        insort(ordered, value)
        while readings[0][0] < time - WEEK:
            del ordered[bisect_left(ordered, readings.popleft()[1])]

    @property
    def median(self) -> float:
        """The middle one."""
        return self._ordered[len(self._ordered) // 2]

    @property
    def width(self) -> float:
        """From the 5th to the 95th hundredth."""
        ordered = self._ordered
        return ordered[int(len(ordered) * 0.95)] - ordered[int(len(ordered) * 0.05)]


class Season:
    """The hourly mean at the same time of the last seven days, and of the last four same weekdays."""

    __slots__ = ("_last", "_means")

    def __init__(self) -> None:
        self._means = array("d", [nan]) * _CELLS  # 67 kB, where a dict took 1 MB
        self._last: int | None = None

    def add(self, time: float, mean: float) -> None:
        """Remembers the hourly mean of now; what is older than four weeks goes."""
        cell = int(time // CELL)
        if self._last is not None:
            for skipped in range(max(self._last + 1, cell - _CELLS + 1), cell):
                self._means[skipped % _CELLS] = nan
        self._means[cell % _CELLS] = mean
        self._last = cell

    def departure(self, time: float, mean: float) -> float | None:
        """How far `mean` lies above (below: negative) what this time of day and of the week lead to expect.

        Between the two it is 0. None where fewer than three earlier days are known.
        """
        cell = int(time // CELL)
        days = self._known(cell, 7, 1)
        if len(days) < 3:
            return None
        low = high = median(days)
        weeks = self._known(cell, 4, 7)
        if len(weeks) >= 2:
            other = median(weeks)
            low, high = min(low, other), max(high, other)
        return mean - high if mean > high else mean - low if mean < low else 0.0

    def _known(self, cell: int, times: int, days: int) -> list[float]:
        """The means so many days before a cell, so many times; those after the last one are of a month ago."""
        last = -1 if self._last is None else self._last
        found = (
            self._means[before % _CELLS]
            for before in range(cell - times * days * _CELLS_A_DAY, cell, days * _CELLS_A_DAY)
            if last - _CELLS < before <= last
        )
        return [mean for mean in found if mean == mean]


_CELLS_A_DAY = int(DAY / CELL)
_CELLS = 29 * _CELLS_A_DAY
