"""Metric points, from OTLP's bytes to rows."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.receive import wire
from perfagent.hub.receive.attributes import dumps, number, text
from perfagent.hub.receive.exponential import SCALES, rescaled
from perfagent.hub.receive.known import Known
from perfagent.hub.receive.limits import LARGEST_POINT
from perfagent.hub.receive.series import series_of
from perfagent.hub.store.rows import PointRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.receive.known import Scope
    from perfagent.hub.receive.limits import Limits, Receipt
    from perfagent.hub.receive.wire import Part
    from perfagent.hub.store.rows import Batch, Resource, Series

CHUNK = 100
"""Points that are read at once, 0.3 to 1 ms."""
NO_VALUE = 1
"""The flag of a point that says that its series has ended, or that there is nothing to tell."""
SERIES = 5_000
"""Series of one metric of one process; points of more are refused."""
EXEMPLARS = 32
CUMULATIVE = 2
LARGEST = (1 << 63) - 1
TIMES = 1 << 63


class Metric(NamedTuple):
    """What the points of one metric have in common."""

    resource: Resource
    scope: str
    name: str
    kind: str
    unit: str
    description: str
    cumulative: bool
    monotonic: bool


def decode(body: bytes, size: int = 0, limits: Limits | None = None, known: Known | None = None) -> Batch:
    """The batch of an `ExportMetricsServiceRequest`; arguments and errors as in `traces.decode`."""
    known = known or Known(limits)
    receipt = known.receipt("points", size or len(body))
    for _ in steps(wire.parts(body), known, receipt):
        pass
    return receipt.close()


def steps(parts: Iterable[Part], known: Known, receipt: Receipt) -> Iterator[None]:
    """Fills the receipt's batch and pauses after every metric and every 100 points; raises DecodeError."""
    for resource, scope, items in known.parts(parts, receipt):
        for raw in items:
            message = wire.Metric.FromString(raw)
            kind = message.WhichOneof("value")
            if kind is None:
                continue  # a metric without points
            data = getattr(message, kind)
            points = data.points
            allowed = receipt.allow(resource.instance, len(points))
            metric = _metric(message, kind, data, resource, scope, receipt)
            if reason := _unusable(metric, getattr(data, "temporality", CUMULATIVE)):
                receipt.refuse(reason, allowed)
                continue
            read = _READERS[kind]
            for start in range(0, allowed, CHUNK):
                for point in points[start : min(start + CHUNK, allowed)]:
                    if len(point) > LARGEST_POINT:
                        receipt.refuse(f"larger than {LARGEST_POINT} bytes")
                        continue
                    read(point, metric, known, receipt)
                receipt.cut += known.attributes.cut()
                yield


def _metric(message: Any, kind: str, data: Any, resource: Resource, scope: Scope, receipt: Receipt) -> Metric:
    name, cut = text(message.name, receipt.limits.key)
    receipt.cut += cut
    return Metric(
        resource,
        scope.name,
        name,
        kind,
        text(message.unit, 64)[0],
        text(message.description, 1024)[0],
        kind == "summary" or (kind != "gauge" and data.temporality == CUMULATIVE),
        kind not in ("gauge", "sum") or (kind == "sum" and data.monotonic),
    )


def _unusable(metric: Metric, temporality: int) -> str:
    if not metric.name:
        return "of a metric without a name"
    if temporality not in (1, 2):
        return "of a metric without a temporality (1, delta, or 2, cumulative)"
    return ""


def _number(raw: bytes, metric: Metric, known: Known, receipt: Receipt) -> None:
    point = wire.NumberPoint.FromString(raw)
    if _skipped(point, receipt):
        return
    kind = point.WhichOneof("value")
    value = float(getattr(point, kind)) if kind else math.nan
    if not math.isfinite(value):
        receipt.refuse("without a finite value")
        return
    if series := _series(metric, point.attributes, known, receipt):
        shown = _exemplars(point.exemplars, known, receipt)
        _append(receipt, series, point, PointRow(series.id, point.time, 0, value, *_NOTHING, shown))


_NOTHING = (None,) * 7


def _histogram(raw: bytes, metric: Metric, known: Known, receipt: Receipt) -> None:
    point = wire.HistogramPoint.FromString(raw)
    if _skipped(point, receipt):
        return
    bounds, counts = tuple(point.explicit_bounds), list(point.bucket_counts)
    if not counts and not bounds:
        counts = [point.count]  # only count and sum are told: one bucket of all
    if len(counts) != len(bounds) + 1 or not _ascending(bounds):
        receipt.refuse("whose buckets do not fit their bounds (one count more than bounds, which must ascend)")
        return
    if max(counts) > LARGEST or point.count > LARGEST:
        receipt.refuse("with a count beyond 63 bits")
        return
    if series := _series(metric, point.attributes, known, receipt, bounds):
        shown = _exemplars(point.exemplars, known, receipt)
        row = PointRow(series.id, point.time, 0, None, point.count, *_sums(point), counts, None, None, shown)
        _append(receipt, series, point, row)


def _exponential(raw: bytes, metric: Metric, known: Known, receipt: Receipt) -> None:
    point = wire.ExponentialPoint.FromString(raw)
    if _skipped(point, receipt):
        return
    if not SCALES[0] <= point.scale <= SCALES[1]:
        receipt.refuse(f"of an exponential histogram whose scale is beyond {SCALES[0]} to {SCALES[1]}")
        return
    positive, counts = point.positive, list(point.positive.bucket_counts)
    below = sum(point.negative.bucket_counts)  # there is one row of buckets: what is not above zero counts as zero
    if max(counts, default=0) > LARGEST or point.zero_count + below > LARGEST or point.count > LARGEST:
        receipt.refuse("with a count beyond 63 bits")
        return
    first, buckets = rescaled(point.scale, positive.offset, counts, receipt.buckets)
    if buckets is None:
        receipt.refuse("of exponential histograms that span too many buckets for one request")
        return
    receipt.buckets -= len(buckets)
    if series := _series(metric, point.attributes, known, receipt):
        shown = _exemplars(point.exemplars, known, receipt)
        zeros = point.zero_count + below
        row = PointRow(series.id, point.time, 0, None, point.count, *_sums(point), buckets, first, zeros, shown)
        _append(receipt, series, point, row)


def _summary(raw: bytes, metric: Metric, known: Known, receipt: Receipt) -> None:
    """Count and sum as a series of their own, and each quantile as a gauge with an attribute `quantile`."""
    point = wire.SummaryPoint.FromString(raw)
    if _skipped(point, receipt):
        return
    if point.count > LARGEST:
        receipt.refuse("with a count beyond 63 bits")
        return
    if series := _series(metric, point.attributes, known, receipt):
        total = point.sum if math.isfinite(point.sum) else None
        row = PointRow(series.id, point.time, 0, None, point.count, total, *_NOTHING[2:], None)
        _append(receipt, series, point, row)
    gauge = metric._replace(kind="gauge", cumulative=False, monotonic=False)
    for quantile in point.quantiles[:100]:
        if not (math.isfinite(quantile.value) and math.isfinite(quantile.quantile)):
            continue
        extra = wire.KeyValue(key=b"quantile", value=wire.AnyValue(string_value=f"{quantile.quantile:g}".encode()))
        attributes = [*point.attributes, extra.SerializeToString()]
        if series := _series(gauge, attributes, known, receipt):
            row = PointRow(series.id, point.time, 0, quantile.value, *_NOTHING, None)
            _append(receipt, series, point, row)


_READERS = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential": _exponential,
    "summary": _summary,
}


def _skipped(point: Any, receipt: Receipt) -> bool:
    return bool(point.flags & NO_VALUE) or receipt.misses(point.time)


def _append(receipt: Receipt, series: Series, point: Any, row: PointRow) -> None:
    receipt.batch.series[series.id] = series
    start = point.start
    receipt.batch.points.append(row._replace(start=start) if 0 < start < TIMES else row)


def _sums(point: Any) -> tuple[float | None, float | None, float | None]:
    """Sum, smallest and largest, where they are told."""
    told = (getattr(point, name) if point.HasField(name) else math.nan for name in ("sum", "min", "max"))
    total, smallest, largest = (value if math.isfinite(value) else None for value in told)
    return total, smallest, largest


def _ascending(bounds: tuple[float, ...]) -> bool:
    return all(low < high for low, high in pairwise(bounds)) and not any(map(math.isnan, bounds))


def _series(
    metric: Metric, raws: Sequence[bytes], known: Known, receipt: Receipt, bounds: tuple[float, ...] | None = None
) -> Series | None:
    """The series of these attributes; None where the metric has too many, and the point is refused."""
    key = (metric.resource.id, metric.scope, *metric[2:], bounds, *raws)
    found = known.series.get(key)
    if found is None:
        found = series_of(*metric, known.attributes.dict(raws, receipt), bounds)
        if not known.admits((metric.resource.id, metric.scope, metric.name), found.id, SERIES):
            receipt.refuse(f"of further series: one metric of one process has at most {SERIES} sets of attributes")
            return None
        known.series.learn(key, found, sum(map(len, raws)) + 8 * len(bounds or ()))
    return found


def _exemplars(raws: Sequence[bytes], known: Known, receipt: Receipt) -> str | None:
    if not raws:
        return None
    parts = []
    for raw in raws[:EXEMPLARS]:
        exemplar = wire.Exemplar.FromString(raw)
        kind = exemplar.WhichOneof("value")
        told: dict[str, Any] = {"time": exemplar.time, "value": number(getattr(exemplar, kind)) if kind else None}
        if exemplar.trace_id:
            told["trace_id"] = exemplar.trace_id.hex()
        if exemplar.span_id:
            told["span_id"] = exemplar.span_id.hex()
        if exemplar.attributes:
            told["attributes"] = known.attributes.dict(exemplar.attributes, receipt)
        parts.append(told)
    return dumps(parts)
