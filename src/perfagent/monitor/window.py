"""What one metric was: a ring of one-minute cells, and the last single values.

To record is one append of a tuple; who finds 250 of them waiting, or asks for a figure, works them into the cells.
"""

from __future__ import annotations

from array import array
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from threading import Lock
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINUTE = 60_000_000_000  # ns
WIDTH = 6  # a cell: minute, count, sum, smallest, largest, last
RAW = 120  # single values of a metric: 112 bytes each, while a cell takes 48
PATIENCE = 0.5  # s that a reader waits for a thread that folds, which takes 0.1 ms; a destructor must not wait for ever


@dataclass(frozen=True, slots=True)
class Point:
    """One minute of a metric, or several of them taken together.

    Args:
        time: start of the (first) minute, in seconds since the epoch.
        count: values in it.
        average, minimum, maximum, last: of these values.
    """

    time: float
    count: int
    average: float
    minimum: float
    maximum: float
    last: float


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What the values of some minutes come to."""

    count: int
    total: float
    minimum: float
    maximum: float

    @property
    def average(self) -> float:
        """Their mean."""
        return self.total / self.count


class Track:
    """One metric in this process.

    Args:
        name: as the program gave it.
        unit: what its values count, such as "ms"; "" for nothing.
        category: what it belongs to.
        emit: hands a value to the runtime's registry.
        minutes: most cells that are kept.
        batch: how many values may wait.
        raw: whether single values are kept.
    """

    __slots__ = (
        "batch", "category", "cells", "emit", "failures", "folding", "last", "minutes", "muted", "name", "pending",
        "raw", "recent_count", "recent_total", "unit",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        unit: str,
        category: str,
        emit: Callable[[float], object],
        minutes: int = 1440,
        batch: int = 250,
        raw: bool = True,
    ) -> None:
        self.name, self.unit, self.category, self.emit = name, unit, category, emit
        self.minutes, self.batch = minutes, batch
        self.muted = False  # whether it stands for metrics that are not kept
        self.raw: deque[tuple[int, float]] = deque(maxlen=RAW if raw else 0)  # monotonic ns, value
        self.reset()

    def reset(self) -> None:
        """Empties it; a forked child begins with nothing of its parent's."""
        self.pending: list[tuple[int, float]] = []
        self.folding = Lock()
        self.cells = array("d")
        self.raw.clear()
        self.last: tuple[float, float] | None = None  # seconds since the epoch, value
        self.failures = 0
        self.recent_count = 0  # since `take`
        self.recent_total = 0.0

    def record(self, value: float) -> None:
        """Adds one value, which is a finite number: 0.25 us, of which the registry has 0.06."""
        pending = self.pending
        pending.append((perf_counter_ns(), value))
        self.emit(value)
        if len(pending) >= self.batch:
            self.fold()

    def keep(self, value: float) -> None:
        """As `record`, for what the registry has from elsewhere."""
        pending = self.pending
        pending.append((perf_counter_ns(), value))
        if len(pending) >= self.batch:
            self.fold()

    def fold(self) -> None:
        """Works the waiting values in, unless another thread is at it: a recorder never waits."""
        if self.folding.acquire(blocking=False):
            try:
                self._work_in()
            finally:
                self.folding.release()

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """A stretch in which every value is worked in and nobody works in more."""
        held = self.folding.acquire(timeout=PATIENCE)
        try:
            if held:
                self._work_in()
            yield
        finally:
            if held:
                self.folding.release()

    def _work_in(self) -> None:
        count = len(self.pending)
        if count:
            batch = self.pending[:count]  # others may append meanwhile: what is new stays
            del self.pending[:count]
            self._add(batch)

    def _add(self, batch: list[tuple[int, float]]) -> None:
        offset = time_ns() - perf_counter_ns()  # anew: the clock may have been set, or the machine slept
        first, last = (batch[0][0] + offset) // MINUTE, (batch[-1][0] + offset) // MINUTE
        if first == last:
            self._count(first, [value for _, value in batch])
        else:
            for minute, values in groupby(batch, lambda one: (one[0] + offset) // MINUTE):
                self._count(minute, [value for _, value in values])
        self.raw.extend(batch)
        self.last = ((batch[-1][0] + offset) / 1e9, batch[-1][1])

    def _count(self, minute: int, values: list[float]) -> None:
        cells, total = self.cells, float(sum(values))
        self.recent_count += len(values)
        self.recent_total += total
        newest = int(cells[-WIDTH]) if cells else -1
        if newest - minute > 2:  # the clock was set back: what is in the future would never end
            del cells[:]
        if cells and newest >= minute:  # also what another thread appended some us late
            cells[-5] += len(values)
            cells[-4] += total
            cells[-3] = min(cells[-3], *values)
            cells[-2] = max(cells[-2], *values)
            cells[-1] = values[-1]
            return
        cells.extend((minute, len(values), total, min(values), max(values), values[-1]))
        oldest = minute - self.minutes
        if cells[0] <= oldest:
            del cells[: self._since(oldest + 1)]

    def _since(self, minute: float) -> int:
        """Where the cells from that minute on begin."""
        low, high = 0, len(self.cells) // WIDTH
        while low < high:
            middle = (low + high) // 2
            if self.cells[middle * WIDTH] < minute:
                low = middle + 1
            else:
                high = middle
        return low * WIDTH

    def read(self, minutes: float) -> array[float]:
        """The cells of the last minutes, the current one included, as one row of numbers."""
        with self._settled():
            return self.cells[self._since(time_ns() // MINUTE - minutes + 1) :]

    def aggregate(self, minutes: float) -> Aggregate | None:
        """What the last minutes come to; None where nothing was recorded in them."""
        cells = self.read(minutes)
        if not cells:
            return None
        return Aggregate(int(sum(cells[1::WIDTH])), sum(cells[2::WIDTH]), min(cells[3::WIDTH]), max(cells[4::WIDTH]))

    def points(self, minutes: float, step: int = 1) -> list[Point]:
        """The last minutes that have values, oldest first, `step` of them taken together."""
        cells, found = self.read(minutes), []
        rows = (cells[start : start + WIDTH] for start in range(0, len(cells), WIDTH))
        for group, together in groupby(rows, lambda row: row[0] // step):
            several = list(together)
            count = int(sum(row[1] for row in several))
            found.append(
                Point(
                    group * step * 60,
                    count,
                    sum(row[2] for row in several) / count,
                    min(row[3] for row in several),
                    max(row[4] for row in several),
                    several[-1][5],
                )
            )
        return found

    def values(self) -> list[tuple[float, float]]:
        """The last single values, oldest first, each with its time in seconds since the epoch."""
        with self._settled():
            raw = list(self.raw)
        offset = time_ns() - perf_counter_ns()
        return [((time + offset) / 1e9, value) for time, value in raw]

    def take(self) -> float | None:
        """The mean of what was recorded since this was last asked; None for nothing. For one caller alone."""
        with self._settled():
            count, total = self.recent_count, self.recent_total
            self.recent_count, self.recent_total = 0, 0.0
        return total / count if count else None

    def began(self) -> float | None:
        """When the oldest minute that is kept began, in seconds since the epoch."""
        with self._settled():
            return self.cells[0] * 60 if self.cells else None
