"""Points put together over time while the machine is loaded: one row for several readings of a series.

A counter's last total says all that the totals before it said. Of gauges and levels there remain count, sum, smallest
and largest, which are exact, and a sketch of how they were distributed: counts in logarithmic buckets, as DDSketch has
them (Masson, Rim, Lee: DDSketch, 2019). A quantile of it is within ACCURACY of the exact one, whatever the distribution
is, and sketches of several series or times add up to the one of all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor, frexp, log2
from typing import TYPE_CHECKING

from perfagent.hub.sources import points as rows
from perfagent.hub.store.rows import Batch, PointRow, SketchRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.sources.source import Point
    from perfagent.hub.store.rows import Resource, Series

PER_OCTAVE = 32
"""Buckets to a doubling: each 2.2 % wide."""
GROWTH = 2 ** (1 / PER_OCTAVE)
ACCURACY = (GROWTH - 1) / (GROWTH + 1)
"""Relative error of a quantile at most: 1.1 %."""
ZERO = 40_000
"""What is added to a bucket's index, so that the sign of a place is that of its values; doubles need ±34,400."""
MOST = 20_000  # series under way; of more each reading is stored by itself, and counted


class Sketch:
    """How values are distributed: counts by place."""

    __slots__ = ("counts",)

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts: dict[int, int] = counts or {}

    def add(self, value: float, times: int = 1) -> None:
        """Takes a value in."""
        place = place_of(value)
        self.counts[place] = self.counts.get(place, 0) + times

    def merge(self, other: Sketch) -> None:
        """Takes in what another has."""
        for place, count in other.counts.items():
            self.counts[place] = self.counts.get(place, 0) + count

    def quantile(self, share: float) -> float | None:
        """The value that this share of the values does not exceed; None without values."""
        whole = sum(self.counts.values())
        wanted = max(ceil(share * whole), 1)
        upto = 0
        for place in sorted(self.counts):
            upto += self.counts[place]
            if upto >= wanted:
                return value_of(place)
        return None


def place_of(value: float) -> int:
    """The place of a value: positive, negative or 0 as it is."""
    if value == 0:
        return 0
    mantissa, exponent = frexp(abs(value))  # exact where a logarithm of the whole would round
    index = floor(PER_OCTAVE * log2(mantissa)) + PER_OCTAVE * exponent
    return index + ZERO if value > 0 else -(index + ZERO)


def value_of(place: int) -> float:
    """The value that differs least from all of a place, relatively."""
    if place == 0:
        return 0.0
    index = abs(place) - ZERO
    try:
        middle = 2 ** (index / PER_OCTAVE) * (2 * GROWTH / (GROWTH + 1))
    except OverflowError:
        middle = 1.7976931348623157e308
    return middle if place > 0 else -middle


@dataclass(slots=True)
class Waiting:
    """Readings of one series that become one row.

    Args:
        whose, series: what they are of.
        kind: of the points.
        until: when the row is due, seconds since the epoch.
        time: of the last reading.
        last: value of the last reading, and the start of a counter.
    """

    whose: Resource
    series: Series
    kind: str
    until: float
    time: float
    last: float
    start: float
    count: int = 0
    total: float = 0.0
    smallest: float = float("inf")
    largest: float = float("-inf")
    sketch: Sketch = field(default_factory=Sketch)

    def take(self, value: float, now: float) -> None:
        """Takes a reading in."""
        self.time, self.last = now, value
        self.count += 1
        self.total += value
        self.smallest, self.largest = min(self.smallest, value), max(self.largest, value)
        if self.kind != "counter":
            self.sketch.add(value)


class Compressor:
    """Points that wait to be put together, of all sources; used on the event loop alone."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}
        self.readings = 0
        """Taken in since the start."""
        self.stored = 0
        """Rows that they became."""

    def add(self, whose: Resource, points: Iterable[Point], now: float, window: float) -> None:
        """Takes the points of a collection in.

        Args:
            whose: their resource.
            points: theirs.
            now: when they were measured, seconds since the epoch.
            window: seconds that one row stands for.
        """
        for point in points:
            if point.value != point.value or abs(point.value) == float("inf"):
                continue
            series = rows.series(whose, point)
            one = self._waiting.get(series.id)
            if one is None:
                # A collection comes a little early or late; the row is due between two of them.
                until = now + window if len(self._waiting) < MOST else now
                one = Waiting(whose, series, point.kind, until, now, point.value, point.start)
                self._waiting[series.id] = one
            one.take(point.value, now)
            self.readings += 1

    def take(self, now: float, everything: bool = False) -> Batch:
        """The rows that are due.

        Args:
            now: seconds since the epoch.
            everything: also those that are not due.
        """
        batch = Batch(own=True)
        due = [key for key, one in self._waiting.items() if everything or now >= one.until]
        for key in due:
            one = self._waiting.pop(key)
            batch.resources[one.whose.id] = one.whose
            batch.series[key] = one.series
            moment, start = int(one.time * 1e9), int(one.start * 1e9)
            nothing = (None, None, None, None)
            if one.kind == "counter" or one.count == 1:
                batch.points.append(PointRow(key, moment, start, one.last, None, None, None, None, *nothing))
                continue
            mean = min(max(one.total / one.count, one.smallest), one.largest)
            figures = (mean, one.count, one.total, one.smallest, one.largest)
            batch.points.append(PointRow(key, moment, start, *figures, *nothing))
            if one.smallest < one.largest:  # else the row says it all
                places = sorted(one.sketch.counts)
                batch.sketches.append(SketchRow(key, moment, places, [one.sketch.counts[place] for place in places]))
        self.stored += len(batch.points) + len(batch.sketches)
        batch.bytes = 64 * len(batch.points)
        return batch
