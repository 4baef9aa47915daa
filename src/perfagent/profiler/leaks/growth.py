"""Tells steady growth from caches that fill, from sawteeth and from chance: readings of one figure over time."""

from __future__ import annotations

from collections import deque
from math import erfc, sqrt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NEEDED = 10  # readings: a cache that fills, or one that is emptied each few minutes, is found out by then
KEPT = 24
SURE = 0.01  # one-sided p of Mann and Kendall's test
FALL = 0.05  # of what was gained: a fall that is more is no leak's, it begins anew
LASTING = 0.3  # of the early pace that the late one must have: what fills up becomes slower, a leak does not


class Growth:
    """Readings of one figure."""

    __slots__ = ("points",)

    def __init__(self) -> None:
        self.points: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def add(self, time: float, value: float) -> None:
        """Takes a reading; where the figure fell, what was before counts no more."""
        points = self.points
        if points and value < points[-1][1] - FALL * max(points[-1][1] - points[0][1], 0.0):
            points.clear()
        points.append((time, value))

    @property
    def gained(self) -> float:
        """How much it grew since its first reading."""
        return self.points[-1][1] - self.points[0][1] if self.points else 0.0

    @property
    def seconds(self) -> float:
        """The time between its first and its last reading."""
        return self.points[-1][0] - self.points[0][0] if self.points else 0.0

    def pace(self) -> float | None:
        """By how much it grows a second; None where it does not grow steadily, or not any more."""
        points = list(self.points)
        if len(points) < NEEDED or self.gained <= 0 or mann_kendall([value for _, value in points]) > SURE:
            return None
        third = len(points) // 3
        early, late = slope(points[: third + 1]), slope(points[-third - 1 :])
        if late <= 0 or late < LASTING * early:
            return None
        return slope(points)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's slope: the median of those between any two readings."""
    found = sorted(
        (value - before) / (time - then)
        for position, (time, value) in enumerate(points)
        for then, before in points[:position]
        if time > then
    )
    return found[len(found) // 2] if found else 0.0


def mann_kendall(values: Sequence[float]) -> float:
    """How likely values rise so much by chance: the one-sided p of Mann and Kendall's test, ties counted as such."""
    count = len(values)
    rises = sum((later > one) - (later < one) for place, one in enumerate(values) for later in values[place + 1 :])
    groups = [values.count(value) for value in set(values)]
    variance = (count * (count - 1) * (2 * count + 5) - sum(size * (size - 1) * (2 * size + 5) for size in groups)) / 18
    if variance <= 0 or rises <= 0:
        return 1.0
    return erfc((rises - 1) / sqrt(variance) / sqrt(2)) / 2
