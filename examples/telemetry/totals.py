"""Totals of counters and histograms over processes and restarts, whatever their temporality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .signals import Point

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Total:
    """What a series has added up to: `value` of a sum; `count` and `sum` of a histogram."""

    value: float = 0
    count: int = 0
    sum: float = 0


class Totals:
    """Adds up the points of sums and histograms.

    A delta point is added. A cumulative point replaces the one before it of the same process and start time, so that
    several workers, and a program that was started again, are added rather than mistaken for one another.
    """

    def __init__(self) -> None:
        self._streams: dict[tuple[str, Labels, Labels, int], Total] = {}

    def add(self, points: Iterable[Point]) -> None:
        """Takes the points of one export request; gauges and summaries have no total and are passed over."""
        for point in points:
            if point.type in ("gauge", "summary"):
                continue
            cumulative = point.temporality == "CUMULATIVE"
            key = (point.name, _labels(point.attributes), _labels(point.resource), point.start if cumulative else 0)
            new = Total(point.value or 0, point.count, point.sum or 0)
            self._streams[key] = new if cumulative else _plus(self._streams.get(key, Total()), new)

    def series(self, name: str) -> dict[Labels, Total]:
        """The total of each set of attributes of the metric."""
        found: dict[Labels, Total] = {}
        for (metric, labels, _, _), total in self._streams.items():
            if metric == name:
                found[labels] = _plus(found.get(labels, Total()), total)
        return found

    def total(self, name: str, **attributes: object) -> Total:
        """The total over every series that has these attributes (a dot in a name is written as two underscores)."""
        wanted = {(key.replace("__", "."), str(value)) for key, value in attributes.items()}
        found = Total()
        for labels, total in self.series(name).items():
            if wanted.issubset(labels):
                found = _plus(found, total)
        return found

    def names(self) -> set[str]:
        """The names of all metrics that have a total."""
        return {name for name, _, _, _ in self._streams}


def _labels(attributes: dict[str, Any]) -> Labels:
    return tuple(sorted((key, str(value)) for key, value in attributes.items()))


def _plus(one: Total, other: Total) -> Total:
    return Total(one.value + other.value, one.count + other.count, one.sum + other.sum)
