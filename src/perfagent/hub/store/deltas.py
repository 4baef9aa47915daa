"""Cumulative points as differences from the point before, whatever became of the sender meanwhile.

Rules: OpenTelemetry metrics data model, "Sums: Delta-to-cumulative" and "Resets and gaps": a new start time, or a
monotonic value that fell, begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfagent.hub.store.rows import PointRow, Row, Series

MOST = 200_000  # series remembered; about 60 MB with histograms
FRESH = 120_000_000_000  # ns; a first point this soon after its start holds nothing from before the hub heard of it


class Difference(NamedTuple):
    """One row of the table `points`."""

    series: int
    time: int
    value: float | None
    delta: float | None
    count: int | None  # type: ignore[assignment]  # nobody counts in a row
    total: float | None
    smallest: float | None
    largest: float | None
    buckets: list[int] | None
    first_bucket: int | None
    zeros: int | None
    exemplars: str | None


class Running(NamedTuple):
    """The last cumulative point of a series as it was sent; one row of the table `running`."""

    series: int
    time: int
    start: int
    value: float | None
    count: int | None  # type: ignore[assignment]
    total: float | None
    buckets: list[int] | None
    first_bucket: int | None
    zeros: int | None


class Deltas:
    """What is remembered of each cumulative series.

    Args:
        known: rows of the table `running`, in the order of time.
    """

    def __init__(self, known: Iterable[Row] = ()) -> None:
        self._last: OrderedDict[int, Running] = OrderedDict()
        for row in known:
            self._remember(Running(**row))

    def apply(self, points: Iterable[PointRow], series: Mapping[int, Series]) -> tuple[list[Difference], list[Running]]:
        """The differences of one commit's points, and the running points to be kept with them.

        Nothing is remembered until `committed` is told, so that a commit that failed can be tried again.

        Args:
            points: in the order of arrival; those of a series that is not in `series` are left out.
            series: at least theirs.
        """
        found: list[Difference] = []
        running: dict[int, Running] = {}
        for point in points:
            one = series.get(point.series)
            if one is None:
                continue
            if not one.cumulative or one.kind == "gauge":
                delta = None if one.kind == "gauge" else point.value
                found.append(_difference(point, delta, point.count, point.total, point.buckets, point.zeros))
                continue
            before = running.get(point.series) or self._last.get(point.series)
            if before is not None and point.time <= before.time:
                continue  # sent twice, or overtaken: the later point has its counts already
            found.append(_since(before, point, one.monotonic))
            if before is None or before[2:5] != point[2:5]:  # start, value, count: most series of a program rest
                running[point.series] = Running(
                    point.series, point.time, point.start, point.value, point.count, point.total,
                    point.buckets, point.first_bucket, point.zeros,
                )  # fmt: skip
        return found, list(running.values())

    def committed(self, running: Sequence[Running]) -> None:
        """Remembers what `apply` told, once it is stored."""
        for row in running:
            self._remember(row)

    def _remember(self, row: Running) -> None:
        self._last[row.series] = row
        self._last.move_to_end(row.series)
        if len(self._last) > MOST:
            self._last.popitem(last=False)


def _since(before: Running | None, point: PointRow, monotonic: bool) -> Difference:
    if point.value is not None and point.count is not None:  # a level whose readings were put together
        delta = 0.0 if before is None else point.value - (before.value or 0.0)
        return _difference(point, delta, point.count, point.total, None, None)
    if before is None:
        if point.start and point.time - point.start <= FRESH:
            return _difference(point, point.value, point.count, point.total, point.buckets, point.zeros)
        return _unknown(point)
    if _restarted(before, point, monotonic):
        return _difference(point, point.value, point.count, point.total, point.buckets, point.zeros)
    return _difference(
        point,
        _less(point.value, before.value),
        _less(point.count, before.count),
        _less(point.total, before.total),
        _less_places(point, before),
        _less(point.zeros, before.zeros),
    )._replace(smallest=None, largest=None)  # those of a cumulative point are of its whole life


def _restarted(before: Running, point: PointRow, monotonic: bool) -> bool:
    if point.start and before.start and point.start > before.start:
        return True
    if point.count is not None:
        return before.count is None or point.count < before.count
    return monotonic and (point.value or 0.0) < (before.value or 0.0)


def _unknown(point: PointRow) -> Difference:
    """A point whose difference nobody knows: it counts nothing."""
    nothing = None if point.buckets is None else [0] * len(point.buckets)
    return _difference(
        point,
        None if point.value is None else 0.0,
        None if point.count is None else 0,
        None if point.total is None else 0.0,
        nothing,
        None if point.zeros is None else 0,
    )._replace(smallest=None, largest=None)


def _less(now: Any, before: Any) -> Any:
    return None if now is None else now - (before or 0)


def _less_places(point: PointRow, before: Running) -> list[int] | None:
    """The counts of the buckets less those of before, which may begin at another place."""
    if point.buckets is None:
        return None
    shift = (before.first_bucket or 0) - (point.first_bucket or 0)
    counts = list(point.buckets)
    for place, counted in enumerate(before.buckets or (), shift):
        if 0 <= place < len(counts):
            counts[place] = max(counts[place] - counted, 0)
    return counts


def _difference(
    point: PointRow,
    delta: float | None,
    count: int | None,
    total: float | None,
    buckets: list[int] | None,
    zeros: int | None,
) -> Difference:
    return Difference(
        point.series, point.time, point.value, delta, count, total, point.smallest, point.largest,
        buckets, point.first_bucket, zeros, point.exemplars,
    )  # fmt: skip
