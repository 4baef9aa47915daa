"""Spans, metric points and log records, decoded from OTLP messages into small objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status as StatusMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar as ExemplarMessage
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

KINDS = {number: name.removeprefix("SPAN_KIND_") for name, number in SpanMessage.SpanKind.items()}
STATUSES = {number: name.removeprefix("STATUS_CODE_") for name, number in StatusMessage.StatusCode.items()}
TEMPORALITIES = {
    number: name.removeprefix("AGGREGATION_TEMPORALITY_") for name, number in AggregationTemporality.items()
}

Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """The library that made a signal."""

    name: str
    version: str
    attributes: Attributes
    schema_url: str


@dataclass(frozen=True, slots=True)
class Status:
    """How a span ended: `code` is UNSET, OK or ERROR."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span, at `time` in nanoseconds of the Unix epoch."""

    name: str
    time: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Link:
    """A reference from a span to another one, ids in hexadecimal."""

    trace_id: str
    span_id: str
    trace_state: str
    flags: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """One span: ids in hexadecimal (`parent_id` is empty for a root), times in nanoseconds of the Unix epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start: int
    end: int
    attributes: Attributes
    events: tuple[Event, ...]
    links: tuple[Link, ...]
    status: Status
    trace_state: str
    flags: int
    resource: Attributes
    scope: Scope
    dropped_attributes: int
    dropped_events: int
    dropped_links: int

    @property
    def seconds(self) -> float:
        """How long the span took."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One measurement kept as an example, with the span it was made in."""

    value: float
    time: int
    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Point:
    """One data point of a metric; fields that its type does not have keep their defaults.

    `type` is sum, gauge, histogram, exponential_histogram or summary; `temporality` is CUMULATIVE, DELTA or empty.
    """

    name: str
    unit: str
    description: str
    type: str
    attributes: Attributes
    resource: Attributes
    scope: Scope
    start: int
    time: int
    flags: int = 0
    temporality: str = ""
    monotonic: bool = False
    value: float | None = None
    sum: float | None = None
    count: int = 0
    min: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    scale: int = 0
    zero_count: int = 0
    zero_threshold: float = 0.0
    positive: tuple[int, tuple[int, ...]] = (0, ())
    negative: tuple[int, tuple[int, ...]] = (0, ())
    quantiles: dict[float, float] = field(default_factory=dict)
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record; ids are empty where it was written outside a span."""

    time: int
    observed_time: int
    severity: int
    severity_text: str
    body: Any
    attributes: Attributes
    trace_id: str
    span_id: str
    flags: int
    event_name: str
    resource: Attributes
    scope: Scope


def spans(message: ExportTraceServiceRequest) -> list[Span]:
    """The spans of an export request, in its order."""
    found = []
    for group in message.resource_spans:
        resource = attributes_of(group.resource.attributes)
        for scoped in group.scope_spans:
            scope = _scope(scoped.scope, scoped.schema_url)
            found += [_span(span, resource, scope) for span in scoped.spans]
    return found


def points(message: ExportMetricsServiceRequest) -> list[Point]:
    """The data points of an export request, in its order."""
    found: list[Point] = []
    for group in message.resource_metrics:
        resource = attributes_of(group.resource.attributes)
        for scoped in group.scope_metrics:
            scope = _scope(scoped.scope, scoped.schema_url)
            for metric in scoped.metrics:
                found += _points(metric, resource, scope)
    return found


def records(message: ExportLogsServiceRequest) -> list[LogRecord]:
    """The log records of an export request, in its order."""
    return [
        LogRecord(
            time=record.time_unix_nano,
            observed_time=record.observed_time_unix_nano,
            severity=record.severity_number,
            severity_text=record.severity_text,
            body=value_of(record.body),
            attributes=attributes_of(record.attributes),
            trace_id=record.trace_id.hex(),
            span_id=record.span_id.hex(),
            flags=record.flags,
            event_name=record.event_name,
            resource=attributes_of(group.resource.attributes),
            scope=_scope(scoped.scope, scoped.schema_url),
        )
        for group in message.resource_logs
        for scoped in group.scope_logs
        for record in scoped.log_records
    ]


def attributes_of(pairs: Iterable[KeyValue]) -> Attributes:
    """Key-value pairs as a dict of plain Python values."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(message: AnyValue) -> Any:
    """An OTLP value as str, bool, int, float, bytes, list, dict or None."""
    which = message.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [value_of(item) for item in message.array_value.values]
    if which == "kvlist_value":
        return attributes_of(message.kvlist_value.values)
    return getattr(message, which)


def _scope(message: InstrumentationScope, schema_url: str) -> Scope:
    return Scope(message.name, message.version, attributes_of(message.attributes), schema_url)


def _span(message: SpanMessage, resource: Attributes, scope: Scope) -> Span:
    return Span(
        trace_id=message.trace_id.hex(),
        span_id=message.span_id.hex(),
        parent_id=message.parent_span_id.hex(),
        name=message.name,
        kind=KINDS[message.kind],
        start=message.start_time_unix_nano,
        end=message.end_time_unix_nano,
        attributes=attributes_of(message.attributes),
        events=tuple(Event(e.name, e.time_unix_nano, attributes_of(e.attributes)) for e in message.events),
        links=tuple(
            Link(link.trace_id.hex(), link.span_id.hex(), link.trace_state, link.flags, attributes_of(link.attributes))
            for link in message.links
        ),
        status=Status(STATUSES[message.status.code], message.status.message),
        trace_state=message.trace_state,
        flags=message.flags,
        resource=resource,
        scope=scope,
        dropped_attributes=message.dropped_attributes_count,
        dropped_events=message.dropped_events_count,
        dropped_links=message.dropped_links_count,
    )


def _points(metric: Metric, resource: Attributes, scope: Scope) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    shared: Attributes = {}
    if kind not in ("gauge", "summary"):
        shared["temporality"] = TEMPORALITIES[data.aggregation_temporality]
    if kind == "sum":
        shared["monotonic"] = data.is_monotonic
    for point in data.data_points:
        yield Point(
            name=metric.name,
            unit=metric.unit,
            description=metric.description,
            type=kind,
            attributes=attributes_of(point.attributes),
            resource=resource,
            scope=scope,
            start=point.start_time_unix_nano,
            time=point.time_unix_nano,
            flags=point.flags,
            exemplars=_exemplars(point.exemplars) if kind != "summary" else (),
            **shared,
            **_FIELDS[kind](point),
        )


def _number(message: Any) -> Any:
    which = message.WhichOneof("value")
    return getattr(message, which) if which else None


def _exemplars(messages: Iterable[ExemplarMessage]) -> tuple[Exemplar, ...]:
    return tuple(
        Exemplar(_number(e), e.time_unix_nano, e.trace_id.hex(), e.span_id.hex(), attributes_of(e.filtered_attributes))
        for e in messages
    )


def _optional(message: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _number_fields(point: Any) -> dict[str, Any]:
    return {"value": _number(point)}


def _histogram_fields(point: Any) -> dict[str, Any]:
    return {
        "count": point.count,
        "bounds": tuple(point.explicit_bounds),
        "buckets": tuple(point.bucket_counts),
        **_optional(point, "sum", "min", "max"),
    }


def _exponential_fields(point: Any) -> dict[str, Any]:
    return {
        "count": point.count,
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
        "positive": (point.positive.offset, tuple(point.positive.bucket_counts)),
        "negative": (point.negative.offset, tuple(point.negative.bucket_counts)),
        **_optional(point, "sum", "min", "max"),
    }


def _summary_fields(point: Any) -> dict[str, Any]:
    quantiles = {item.quantile: item.value for item in point.quantile_values}
    return {"count": point.count, "sum": point.sum, "quantiles": quantiles}


_FIELDS = {
    "sum": _number_fields,
    "gauge": _number_fields,
    "histogram": _histogram_fields,
    "exponential_histogram": _exponential_fields,
    "summary": _summary_fields,
}
