"""Metrics as OTLP: opentelemetry/proto/metrics/v1/metrics.proto."""

from __future__ import annotations

from struct import Struct

from perfagent.runtime import clock, guard, metric, outbox
from perfagent.runtime.clock import now
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.metric import Instrument, Series
    from perfagent.runtime.span import Scope

DELTA, CUMULATIVE = 1, 2


def encode(resource: bytes, preference: str) -> tuple[bytes, int]:
    """An ExportMetricsServiceRequest of every metric, and the number of data points in it.

    Args:
        resource: the encoded Resource.
        preference: `cumulative`, `delta` or `lowmemory`; what is sent as a difference starts again from zero.
    """
    by_scope: dict[Scope, list[bytes]] = {}
    points = 0
    for instrument in list(metric.registry.instruments.values()):
        try:
            content, count = _metric(instrument, _temporality(instrument, preference))
        except Exception:  # one that cannot be told must not silence the others
            outbox.drop("metric", "encode_error", 1)
            guard.failed(f"metric {instrument.name}")
            continue
        if count:
            by_scope.setdefault(instrument.scope, []).append(wire.message(2, content))
            points += count
    scopes = [
        wire.message(2, wire.message(1, scope.encoded) + b"".join(parts) + _schema(scope))
        for scope, parts in by_scope.items()
    ]
    return wire.message(1, wire.message(1, resource) + b"".join(scopes)), points


def _schema(scope: Scope) -> bytes:
    return wire.text(3, scope.schema_url) if scope.schema_url else b""


def _temporality(instrument: Instrument, preference: str) -> int:
    """OpenTelemetry SDK specification, "Metrics Exporter, OTLP": up-down counters are never differences."""
    if preference == "cumulative" or instrument.kind == metric.UP_DOWN_COUNTER:
        return CUMULATIVE
    return CUMULATIVE if instrument.callback is not None and preference == "lowmemory" else DELTA


def _metric(instrument: Instrument, temporality: int) -> tuple[bytes, int]:
    found = instrument.collect()
    time = now() + clock.offset  # after the callbacks, whose observations may have started series
    point = _point
    if temporality == DELTA and instrument.kind != metric.GAUGE:
        point = _difference if instrument.callback is None else _observed_difference
    points = [wire.message(1, encoded) for series in found if (encoded := point(series, time))]
    head = wire.text(1, instrument.name)
    if instrument.description:
        head += wire.text(2, instrument.description)
    if instrument.unit:
        head += wire.text(3, instrument.unit)
    body = b"".join(points)
    if instrument.kind == metric.GAUGE:
        return head + wire.message(5, body), len(points)
    body += wire.integer(2, temporality)
    if instrument.kind == metric.HISTOGRAM:
        return head + wire.message(10 if metric.registry.exponential else 9, body), len(points)
    if instrument.kind == metric.COUNTER:
        body += b"\x18\x01"
    return head + wire.message(7, body), len(points)


def _difference(series: Series, time: int) -> bytes:
    """One data point of what came since the last one, or nothing where nothing came."""
    with series.folding:  # a recorder that folds meanwhile leaves its values for the next time
        encoded = _point(series, time) if series.touched else b""
        series.reset(time)
    return encoded


def _observed_difference(series: Series, time: int) -> bytes:
    """As `_difference` for a total that somebody else counts."""
    total = series.value
    series.value -= series.previous
    encoded = _point(series, time)
    series.value = series.previous = total
    series.started = time
    return encoded


def _point(series: Series, time: int) -> bytes:
    """One data point, or nothing where there is nothing to tell."""
    if isinstance(series, metric.HistogramSeries):
        return _histogram(series, time) if series.count else b""
    if isinstance(series, metric.GaugeSeries):
        return _number(series, time) if series.touched else b""
    if hasattr(series, "encode_point"):
        encoded: bytes = series.encode_point(time)
        return encoded
    return wire.fixed64(2, series.started) + _number(series, time)


def _number(series: Series, time: int) -> bytes:
    if not series.cache:
        series.cache = wire.attributes(7, series.attributes)
    return series.cache + wire.fixed64(3, time) + number(4, 6, series.value) + exemplars(5, series)


def number(double: int, integer: int, value: float) -> bytes:
    """A value as field `integer` where it is a whole number of 64 bits, else as field `double`."""
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return wire.fixed64(integer, value)
    return wire.double(double, value)


def _histogram(series: metric.HistogramSeries, time: int) -> bytes:
    if not series.cache:
        bounds = series.bounds
        series.cache = wire.attributes(9, series.attributes) + wire.message(7, Struct(f"<{len(bounds)}d").pack(*bounds))
    return b"".join(
        (
            series.cache,
            wire.fixed64(2, series.started),
            wire.fixed64(3, time),
            wire.fixed64(4, series.count),
            wire.double(5, series.value),
            wire.message(6, Struct(f"<{len(series.counts)}Q").pack(*series.counts)),
            exemplars(8, series),
            wire.double(11, series.smallest),
            wire.double(12, series.largest),
        )
    )


def exemplars(field: int, series: Series) -> bytes:
    """The exemplars since the last export, as repeated field number `field`."""
    found = series.exemplars
    if not found:
        return b""
    series.exemplars = {}
    parts = []
    for value, time, trace_id, span_id in list(found.values()):
        content = wire.fixed64(2, time + clock.offset) + number(3, 6, value)
        if span_id:
            content += wire.message(4, span_id) + wire.message(5, trace_id)
        parts.append(wire.message(field, content))
    return b"".join(parts)
