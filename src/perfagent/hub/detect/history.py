"""What a series has been like: sliding means, the spread of a week, and the same time on earlier days and weeks."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import fsum
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

    __slots__ = ("_means",)

    def __init__(self) -> None:
        self._means: dict[int, float] = {}

    def add(self, time: float, mean: float) -> None:
        """Remembers the hourly mean of now; what is older than four weeks goes."""
        cell = int(time // CELL)
        self._means[cell] = mean
        self._means.pop(cell - _CELLS_A_DAY * 29, None)

    def departure(self, time: float, mean: float) -> float | None:
        """How far `mean` lies above (below: negative) what this time of day and of the week lead to expect.

        Between the two it is 0. None where fewer than three earlier days are known.
        """
        cell, means = int(time // CELL), self._means
        days = [means[at] for at in range(cell - 7 * _CELLS_A_DAY, cell, _CELLS_A_DAY) if at in means]
        if len(days) < 3:
            return None
        low = high = median(days)
        weeks = [means[at] for at in range(cell - 28 * _CELLS_A_DAY, cell, 7 * _CELLS_A_DAY) if at in means]
        if len(weeks) >= 2:
            other = median(weeks)
            low, high = min(low, other), max(high, other)
        return mean - high if mean > high else mean - low if mean < low else 0.0


_CELLS_A_DAY = int(DAY / CELL)
