"""How often and how long operations ran, from Prometheus' histograms to rows of `span_minutes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.remote import promql
from perfagent.hub.remote.buckets import SECOND, single, spread
from perfagent.hub.remote.counters import added, expression
from perfagent.hub.remote.dialects import REQUESTS, SPANS, Dialect
from perfagent.hub.remote.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.remote.dialects import Source
    from perfagent.hub.remote.prometheus import Line, Prometheus, Stretch
    from perfagent.hub.store.rows import Operation

MINUTE = 60


class Counted(NamedTuple):
    """What ran in a stretch.

    Args:
        rows: of `span_minutes`.
        operations: theirs, by identity.
        spans: for each operation, its service and a name that its spans bear.
        left_out: series that were not read, because there are too many.
    """

    rows: list[tuple[Any, ...]]
    operations: dict[int, Operation]
    spans: dict[int, tuple[str, str]]
    left_out: int


def discover(prometheus: Prometheus, moment: int) -> Dialect:
    """Which metrics tell of operations at this moment; raises RemoteError."""
    everything = [*SPANS, *REQUESTS]
    selector = promql.named((source.name for source in everything), "_count")
    there = {
        line.labels.get("__name__", "").removesuffix("_count")
        for line in prometheus.now(f"count by (__name__) (last_over_time({selector}[1h]))", moment).lines
    }
    for source in SPANS:
        if source.name in there:
            labels = prometheus.labels(f"{source.name}_count", moment - promql.BEFORE, moment)
            present = frozenset(name for name in source.dimensions if name.replace(".", "_") in labels)
            return Dialect((source,), present)
    return Dialect(tuple(source for source in REQUESTS if source.name in there))


def bounds(prometheus: Prometheus, dialect: Dialect, moment: int) -> dict[str, list[float]]:
    """The bounds of each source's histograms, ascending, without infinity; raises RemoteError."""
    if not dialect.sources:
        return {}
    selector = promql.named((source.name for source in dialect.sources), "_bucket")
    found: dict[str, set[float]] = {}
    for line in prometheus.now(f"count by (__name__, le) (last_over_time({selector}[1h]))", moment).lines:
        name = line.labels.get("__name__", "").removesuffix("_bucket")
        found.setdefault(name, set()).update(_bound(line))
    return {name: sorted(bound for bound in those if bound != float("inf")) for name, those in found.items()}


def read(
    prometheus: Prometheus, dialect: Dialect, known: dict[str, list[float]], stretch: Stretch, guarded: bool
) -> Counted:
    """What ran in a stretch.

    Args:
        known: the bounds of each source.
        guarded: as in `promql.increments`.

    Raises:
        RemoteError: it could not be read, or is too much at once.
    """
    counted = Counted([], {}, {}, 0)
    for source in dialect.sources:
        bounds = known.get(source.name, [])
        lines, left_out = _buckets(prometheus, source, bounds, stretch, guarded)
        totals = added(prometheus, [f"{source.name}_sum"], stretch, guarded, source.labels).lines if lines else []
        _add(counted, dialect, source, bounds, lines, totals, stretch.step)
        counted = counted._replace(left_out=counted.left_out + left_out)
    return counted


def _buckets(
    prometheus: Prometheus, source: Source, known: list[float], stretch: Stretch, guarded: bool
) -> tuple[list[Line], int]:
    """The increments of a source's buckets; of too many, those of the operations that are called most."""
    labels = [*source.labels, "le"]
    try:
        found = added(prometheus, [f"{source.name}_bucket"], stretch, guarded, labels)
        if not found.more:
            return found.lines, 0
    except RemoteError as error:
        if error.outcome != "too_large" or stretch.steps > 1:
            raise  # fewer steps at a time may do
    most = max(1, prometheus.most // (len(known) + 2))
    increments = expression([f"{source.name}_bucket"], stretch.step, guarded, labels)
    calls = expression([f"{source.name}_count"], stretch.step, guarded, source.labels)
    frequent = f"{increments} and on ({', '.join(source.labels)}) topk({most}, {calls})"
    kept = prometheus.range(frequent, stretch)
    every = prometheus.now(f"count({calls})", stretch.end).lines
    whole = int(every[0].values[0][1]) if every else most
    return kept.lines, max(whole - most, 1) * (len(known) + 1)


def _add(
    counted: Counted,
    dialect: Dialect,
    source: Source,
    known: list[float],
    lines: Iterable[Line],
    sums: Iterable[Line],
    step: int,
) -> None:
    """Adds the rows of one source."""
    counts: dict[tuple[int, int, int, bool], dict[float, float]] = {}
    totals: dict[tuple[int, int, int, bool], float] = {}
    for line in lines:
        for bound in _bound(line):
            key = _learn(counted, dialect, source, line)
            for moment, value in line.values:
                upto = counts.setdefault((moment, *key), {})
                upto[bound] = upto.get(bound, 0.0) + value
    for line in sums:
        key = _learn(counted, dialect, source, line)
        for moment, value in line.values:
            of_step = (moment, *key)
            totals[of_step] = totals.get(of_step, 0.0) + value * source.scale
    scaled = [bound * source.scale for bound in known]
    for (moment, operation, code, failed), upto in counts.items():
        every = {bound * source.scale: count for bound, count in upto.items()}
        total = totals.get((moment, operation, code, failed), 0.0)
        places, longest = spread(single(every, scaled), scaled, total)
        calls = sum(places.values())
        minute = (moment - step) // MINUTE * MINUTE
        for place, count in places.items():
            share = total * SECOND * count / calls
            counted.rows.append(
                (minute, operation, code, place, count, count if failed else 0.0, share, int(longest), 0.0)
            )


def _learn(counted: Counted, dialect: Dialect, source: Source, line: Line) -> tuple[int, int, bool]:
    """Operation, status code and failure of a series."""
    shape, failed = dialect.of_labels(source, line.labels)
    operation = shape.operation
    if operation.id not in counted.operations:
        counted.operations[operation.id] = operation
        name = line.labels.get("span_name") or operation.name
        counted.spans[operation.id] = (operation.service, name)
    return operation.id, shape.status_code, failed


def _bound(line: Line) -> list[float]:
    """The bound that a bucket's label tells; none where it is no number."""
    try:
        return [float(line.labels["le"])]
    except (KeyError, ValueError):
        return []
