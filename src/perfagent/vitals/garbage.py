"""The garbage collector: what it did, by generation, and for how long it stopped the program each time."""

from __future__ import annotations

import gc
import os

from perfagent.runtime import pauses
from perfagent.runtime.clock import monotonic, now
from perfagent.runtime.metric import COUNTER, HISTOGRAM, Instrument, registry
from perfagent.vitals import scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Observation = tuple[float, dict[str, object]]

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Bucket bounds of pauses in seconds: a young collection takes 20 us, a full one up to seconds."""
GENERATIONS: tuple[dict[str, object], ...] = tuple({"cpython.gc.generation": number} for number in range(3))
KEPT = 16_384  # pauses of a generation that wait for the SDK; 0.5 MB, and 1,000 collections a second between exports


LONG = 50_000_000  # ns; a pause of which `longest_since` knows
_long: list[tuple[int, int]] = []  # end and length of the last long pauses, ns


def longest_since(moment: float) -> float:
    """Seconds of the longest collection of those that ended after a moment of the monotonic clock and were long."""
    since = now() - round((monotonic() - moment) * 1e9)
    return max((length for end, length in list(_long) if end >= since), default=0) / 1e9


def install(namespace: str) -> None:
    """Registers `cpython.gc.*` (OpenTelemetry semantic conventions, "CPython runtime metrics") and `<ns>.gc.pause`."""
    statistics = Statistics()
    os.register_at_fork(after_in_child=statistics.reset)
    histogram = registry.make(
        scope,
        HISTOGRAM,
        f"{namespace}.gc.pause",
        "s",
        "How long the garbage collector stopped the program.",
        BOUNDS,
        keys=tuple(GENERATIONS[0]),
    )
    recorders: list[Callable[[float], None]] = []
    for attributes in GENERATIONS:
        series = histogram.of(attributes)
        record = series.record
        if not isinstance(histogram, Instrument):
            # A histogram of the SDK takes a lock; a collection may interrupt the very thread that holds it.
            record = Waiting(statistics, series.record).record
        recorders.append(record)
    pauses.listen(_listener(recorders))
    statistics.before.append(pauses.keep)
    for name, unit, key, description in (
        ("collections", "{collection}", "collections", "The number of times a generation was collected"),
        (
            "collected_objects",
            "{object}",
            "collected",
            "The total number of objects collected inside a generation",
        ),
        (
            "uncollectable_objects",
            "{object}",
            "uncollectable",
            "The total number of objects which were found to be uncollectable inside a generation",
        ),
    ):
        registry.make(
            scope,
            COUNTER,
            f"cpython.gc.{name}",
            unit,
            f"{description} since interpreter start.",
            callback=statistics.reader(key),
            keys=tuple(GENERATIONS[0]),
        )


def _listener(recorders: list[Callable[[float], None]]) -> Callable[[int, int, int, int], None]:
    def paused(generation: int, ended: int, pause: int, cpu: int) -> None:
        recorders[generation](pause / 1e9)
        if pause > LONG:
            _long.append((ended, pause))
            del _long[:-8]

    return paused


class Statistics:
    """The collector's own figures, less what a forked child has from its parent."""

    def __init__(self) -> None:
        self.before: list[Callable[[], None]] = []
        self._inherited: list[dict[str, Any]] = [{}, {}, {}]

    def reset(self) -> None:
        """In a forked child."""
        self._inherited = [dict(figures) for figures in gc.get_stats()]

    def reader(self, key: str) -> Callable[[], Iterator[Observation]]:
        """A callback that observes one figure of each generation."""

        def observe() -> Iterator[Observation]:
            for prepare in self.before:
                prepare()
            for attributes, figures, inherited in zip(GENERATIONS, gc.get_stats(), self._inherited, strict=False):
                yield figures[key] - inherited.get(key, 0), attributes

        return observe


class Waiting:
    """Pauses of one generation that are handed on when metrics are collected.

    Args:
        statistics: whose collection it is.
        record: takes them then.
    """

    def __init__(self, statistics: Statistics, record: Callable[[float], None]) -> None:
        self._waiting: list[float] = []
        self._record = record
        statistics.before.append(self._hand_on)

    def record(self, seconds: float) -> None:
        """Keeps one pause, unless too many wait: `cpython.gc.collections` still counts it."""
        if len(self._waiting) < KEPT:
            self._waiting.append(seconds)

    def _hand_on(self) -> None:
        waiting = self._waiting
        for _ in range(len(waiting)):
            self._record(waiting.pop())
