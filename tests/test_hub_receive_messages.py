"""Any message that the SDK's encoder can make is read without loss, and no bytes at all make the hub fail."""

from __future__ import annotations

import base64
import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from examples.telemetry import signals
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from perfagent.hub.receive import json as in_json
from perfagent.hub.receive import logs, metrics, traces
from perfagent.hub.receive.known import Known
from perfagent.hub.receive.limits import Malformed
from tests.receiving import Receiving, attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ours to check are the values and not the machine's speed on the day.
EXAMPLES = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
READERS = {"traces": traces, "metrics": metrics, "logs": logs}
REQUESTS = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
whole = st.integers(-(2**63), 2**63 - 1)
values = st.one_of(
    texts, st.booleans(), whole, st.floats(), st.lists(texts, max_size=3), st.lists(st.floats(), max_size=3),
    st.lists(whole, max_size=3), st.lists(st.booleans(), max_size=3),
)  # fmt: skip
several = st.dictionaries(names, values, max_size=5)
ids = st.builds(
    lambda trace, span, state: SpanContext(trace, span, True, TraceFlags(1), TraceState(state)),
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.lists(
        st.tuples(st.sampled_from(["ot", "a"]), st.sampled_from(["th:8", "b"])), max_size=2, unique_by=lambda p: p[0]
    ),
)
moments = st.integers(0, 10**9).map(lambda ago: time.time_ns() - ago)
spans = st.builds(
    ReadableSpan,
    name=texts,
    context=ids,
    parent=st.none() | ids,
    resource=st.builds(Resource, st.dictionaries(st.sampled_from(["service.name", "host.name", "x"]), names)),
    attributes=several,
    events=st.lists(st.builds(Event, name=texts, attributes=several, timestamp=moments), max_size=2),
    links=st.lists(st.builds(Link, context=ids, attributes=several), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from(StatusCode).flatmap(
        lambda code: st.builds(Status, st.just(code), texts if code is StatusCode.ERROR else st.none())
    ),
    start_time=moments,
    end_time=st.integers(0, 10**9).map(lambda ahead: time.time_ns() + ahead),
    instrumentation_scope=st.builds(InstrumentationScope, name=texts, version=st.none() | names),
)


def shown(value: Any) -> Any:
    """A value as protobuf's JSON has it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@settings(EXAMPLES, max_examples=60)
@given(st.lists(spans, min_size=1, max_size=3))
def test_every_span_that_the_sdk_encodes_is_read_without_loss(made: list[ReadableSpan]) -> None:
    message = encode_spans(made)
    batch = traces.decode(message.SerializeToString())
    assert (batch.rejected, batch.reason, len(batch.spans)) == (0, "", len(made))
    for span, row in zip(signals.spans(message), batch.spans, strict=True):
        assert (row.trace_id.hex(), row.span_id.hex()) == (span.trace_id, span.span_id)
        assert (row.parent_id.hex() if row.parent_id else "") == span.parent_id
        assert (row.name, row.started, row.started + row.duration) == (span.name, span.start, max(span.start, span.end))
        assert ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"][row.kind] == span.kind
        assert (["UNSET", "OK", "ERROR"][row.status], row.status_message or "") == (
            span.status.code,
            span.status.message,
        )
        expected = shown(span.attributes)
        if span.trace_state:
            expected["w3c.tracestate"] = span.trace_state
        if span.scope.name:
            expected["otel.scope.name"] = span.scope.name
        if span.scope.version:
            expected["otel.scope.version"] = span.scope.version
        assert attributes(row) == expected
        events = [{"time": e.time, "name": e.name, "attributes": shown(e.attributes)} for e in span.events]
        assert json.loads(row.events or "[]") == events
        links = [
            {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": shown(link.attributes)}
            for link in span.links
        ]
        assert json.loads(row.links or "[]") == links
        assert json.loads(batch.resources[row.resource].attributes) == shown(span.resource)
        assert batch.operations[row.operation].service == batch.resources[row.resource].service


@settings(EXAMPLES, max_examples=30)
@given(st.lists(spans, min_size=1, max_size=3))
def test_a_decoder_that_remembers_reads_the_same_as_a_new_one(made: list[ReadableSpan]) -> None:
    body, known = encode_spans(made).SerializeToString(), Known()
    first = traces.decode(body, known=known)
    assert traces.decode(body, known=known) == first == traces.decode(body)


finite = st.floats(allow_nan=False, allow_infinity=False)
sixteen = st.binary(min_size=16, max_size=16)
counts = st.lists(st.integers(0, 10**6), min_size=1, max_size=12)


@st.composite
def metric_messages(draw: st.DrawFn) -> ExportMetricsServiceRequest:
    """Metrics of every kind that the SDKs make; exponential ones at the store's scale or finer."""
    message = ExportMetricsServiceRequest()
    part = message.resource_metrics.add()
    part.resource.attributes.add(key="service.name").value.string_value = draw(names)
    scope = part.scope_metrics.add()
    scope.scope.name = draw(texts)
    kinds = draw(st.lists(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram"]), max_size=4))
    for number, kind in enumerate(kinds):  # one description a name: the first of two would serve for both
        metric = scope.metrics.add(name=f"{draw(names)}{number}", unit=draw(texts), description=draw(texts))
        data = getattr(metric, kind)
        if kind != "gauge":
            data.aggregation_temporality = draw(st.sampled_from([1, 2]))
        if kind == "sum":
            data.is_monotonic = draw(st.booleans())
        point = data.data_points.add(time_unix_nano=draw(moments), start_time_unix_nano=draw(st.integers(0, 2**62)))
        for key, value in draw(st.dictionaries(names, texts, max_size=3)).items():
            point.attributes.add(key=key).value.string_value = value
        if kind in ("gauge", "sum"):
            setattr(point, *draw(st.tuples(st.just("as_int"), whole) | st.tuples(st.just("as_double"), finite)))
        else:
            found = draw(counts)
            point.count, point.sum = sum(found), draw(finite)
            if draw(st.booleans()):
                point.min, point.max = draw(finite), draw(finite)
            if kind == "histogram":
                point.bucket_counts.extend(found)
                bounds = draw(st.lists(finite, min_size=len(found) - 1, max_size=len(found) - 1, unique=True))
                point.explicit_bounds.extend(sorted(bounds))
            else:
                point.scale, point.positive.offset = draw(st.integers(3, 20)), draw(st.integers(-500, 500))
                point.zero_count = draw(st.integers(0, 10**6))
                point.positive.bucket_counts.extend(found)
        if draw(st.booleans()):
            point.exemplars.add(
                time_unix_nano=draw(moments), as_double=draw(finite), trace_id=draw(st.binary(min_size=16, max_size=16))
            )
    return message


@settings(EXAMPLES, max_examples=80)
@given(metric_messages())
def test_every_point_is_read_without_loss(message: ExportMetricsServiceRequest) -> None:
    batch = metrics.decode(message.SerializeToString())
    assert (batch.rejected, batch.reason) == (0, "")
    for point, row in zip(signals.points(message), batch.points, strict=True):
        series = batch.series[row.series]
        kind = {"exponential_histogram": "exponential"}.get(point.type, point.type)
        assert series[3:8] == (point.scope.name, point.name, kind, point.unit, point.description)
        assert json.loads(series.attributes) == point.attributes
        assert json.loads(batch.resources[series.resource].attributes) == point.resource
        assert series.cumulative == (point.temporality == "CUMULATIVE")
        assert (row.time, row.start) == (point.time, point.start)
        assert [(e["time"], e["value"], e["trace_id"]) for e in json.loads(row.exemplars or "[]")] == [
            (e.time, e.value, e.trace_id) for e in point.exemplars
        ]
        if kind in ("gauge", "sum"):
            assert (row.value, series.monotonic) == (float(point.value or 0), point.monotonic)
            continue
        assert (row.count, row.total, row.smallest, row.largest) == (point.count, point.sum, point.min, point.max)
        if kind == "histogram":
            assert (series.bounds, row.buckets) == (list(point.bounds), list(point.buckets))
            continue
        assert (sum(row.buckets or ()), row.zeros) == (sum(point.positive[1]), point.zero_count)
        for index, count in enumerate(row.buckets or (), row.first_bucket or 0):
            shift = point.scale - 3
            within = [n for place, n in enumerate(point.positive[1], point.positive[0]) if place >> shift == index]
            assert count == sum(within)


@settings(EXAMPLES, max_examples=80)
@given(st.lists(st.tuples(moments, st.integers(0, 24), texts, texts, sixteen), max_size=4))
def test_every_log_record_is_read_without_loss(made: list[tuple[int, int, str, str, bytes]]) -> None:
    message = ExportLogsServiceRequest()
    scope = message.resource_logs.add().scope_logs.add()
    for moment, severity, text, event, trace_id in made:
        record = scope.log_records.add(time_unix_nano=moment, severity_number=severity, severity_text=text)  # type: ignore[arg-type]
        record.body.string_value, record.event_name, record.trace_id = text, event, trace_id
        record.attributes.add(key=text).value.string_value = event
    for record, row in zip(signals.records(message), logs.decode(message.SerializeToString()).logs, strict=True):
        assert (row.time, row.severity, row.severity_text) == (record.time, record.severity, record.severity_text)
        assert (row.body, row.event or "", attributes(row)) == (record.body, record.event_name, record.attributes)
        assert (row.trace_id.hex() if row.trace_id else "0" * 32) == record.trace_id


def any_values() -> st.SearchStrategy[dict[str, Any]]:
    simple = st.one_of(
        st.builds(lambda v: {"stringValue": v}, texts),
        st.builds(lambda v: {"boolValue": v}, st.booleans()),
        st.builds(lambda v: {"intValue": str(v)}, whole),
        st.builds(lambda v: {"doubleValue": v}, st.floats(allow_nan=False, allow_infinity=False)),
        st.builds(lambda v: {"bytesValue": base64.b64encode(v).decode()}, st.binary(max_size=8)),
        st.just({}),
    )
    return st.recursive(
        simple,
        lambda inner: st.one_of(
            st.builds(lambda v: {"arrayValue": {"values": v}}, st.lists(inner, max_size=3)),
            st.builds(
                lambda v: {"kvlistValue": {"values": [{"key": k, "value": i} for k, i in v.items()]}},
                st.dictionaries(texts, inner, max_size=3),
            ),
        ),
        max_leaves=8,
    )


@EXAMPLES
@given(any_values(), texts, st.integers(0, 24))
def test_json_and_protobuf_of_one_message_make_the_same_rows(value: dict[str, Any], text: str, severity: int) -> None:
    now = time.time_ns()
    record = {
        "timeUnixNano": str(now), "body": value, "severityNumber": severity, "eventName": text,
        "attributes": [{"key": "k", "value": value}],
    }  # fmt: skip
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    known = Known()
    receipt = known.receipt("log records", 0)
    list(logs.steps(in_json.parts("logs", body), known, receipt))
    message = ExportLogsServiceRequest()
    made = (
        message.resource_logs.add()
        .scope_logs.add()
        .log_records.add(
            time_unix_nano=now,
            body=_value(value),
            severity_number=severity,
            event_name=text,  # type: ignore[arg-type]
        )
    )
    made.attributes.add(key="k", value=_value(value))
    assert receipt.close().logs == logs.decode(message.SerializeToString()).logs


def _value(told: dict[str, Any]) -> AnyValue:
    made = AnyValue()
    for kind, content in told.items():
        if kind == "arrayValue":
            made.array_value.SetInParent()
            made.array_value.values.extend(_value(item) for item in content["values"])
        elif kind == "kvlistValue":
            made.kvlist_value.SetInParent()
            for item in content["values"]:
                made.kvlist_value.values.add(key=item["key"], value=_value(item["value"]))
        elif kind == "bytesValue":
            made.bytes_value = base64.b64decode(content)
        elif kind == "intValue":
            made.int_value = int(content)
        else:
            setattr(made, {"stringValue": "string_value", "boolValue": "bool_value"}.get(kind, "double_value"), content)
    return made


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with Receiving(tmp_path_factory.mktemp("hub")) as receiving:
        yield receiving


@pytest.mark.parametrize("signal", READERS)
@EXAMPLES
@given(data=st.data())
def test_a_damaged_message_is_read_or_refused_and_never_a_failure(signal: str, data: st.DataObject) -> None:
    body = bytearray(_example(signal))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(1, len(body))) :]
    try:
        batch = READERS[signal].decode(bytes(body))  # type: ignore[attr-defined]
    except DecodeError:
        return
    assert batch.rejected >= 0


@pytest.mark.parametrize("signal", READERS)
@EXAMPLES
@given(body=st.binary(max_size=64))
def test_bytes_of_any_kind_are_read_or_refused(signal: str, body: bytes) -> None:
    try:
        READERS[signal].decode(body)  # type: ignore[attr-defined]
    except DecodeError:
        pass


KEYS = st.sampled_from(
    ["resourceSpans", "resourceLogs", "resourceMetrics", "scopeSpans", "scopeLogs", "scopeMetrics", "spans",
     "logRecords", "metrics", "resource", "scope", "attributes", "key", "value", "stringValue", "arrayValue",
     "kvlistValue", "values",
     "traceId", "spanId", "startTimeUnixNano", "timeUnixNano", "kind", "status", "code", "gauge", "sum", "histogram",
     "exponentialHistogram", "summary", "dataPoints", "asInt", "asDouble", "bucketCounts", "explicitBounds", "scale",
     "positive", "offset", "aggregationTemporality", "body", "severityNumber", "events", "links", "quantileValues"]
)  # fmt: skip
hostile = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts, st.sampled_from(["1", "0a"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def wrapped(signal: str, items: Any) -> dict[str, Any]:
    """Items where the protocol has them, or no depth would be reached."""
    by_resource, by_scope, by_item, _kind = in_json.ITEMS[signal]
    return {by_resource[0]: [{by_scope[0]: [{by_item[0]: items}]}]}


@pytest.mark.parametrize("signal", READERS)
@EXAMPLES
@given(document=hostile, deep=st.booleans())
def test_json_of_any_shape_is_read_or_refused(signal: str, document: Any, deep: bool) -> None:
    body = json.dumps(wrapped(signal, document if isinstance(document, list) else [document]) if deep else document)
    known = Known()
    receipt = known.receipt("items", 0)
    try:
        list(READERS[signal].steps(in_json.parts(signal, body.encode()), known, receipt))  # type: ignore[attr-defined]
    except (Malformed, DecodeError):
        pass


@pytest.mark.parametrize("signal", READERS)
def test_a_message_cut_at_any_byte_is_never_a_500(hub: Receiving, signal: str) -> None:
    body = _example(signal)
    answers = {hub.post(f"/v1/{signal}", body[:end]).status_code for end in range(len(body) + 1)}
    assert answers == {200, 400}  # what ends between two fields is a whole message


def _example(signal: str) -> bytes:
    """A message with one item of each kind that the signal has."""
    now, message = time.time_ns(), REQUESTS[signal]()
    part = getattr(message, f"resource_{'spans' if signal == 'traces' else signal}").add()
    part.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = getattr(part, f"scope_{'spans' if signal == 'traces' else signal}").add()
    scope.scope.name = "s"
    if signal == "traces":
        span = scope.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="n", kind=3, start_time_unix_nano=now)
        span.end_time_unix_nano, span.trace_state, span.status.message = now + 5, "ot=th:8", "m"
        span.attributes.add(key="db.system.name").value.string_value = "redis"
        span.events.add(time_unix_nano=now, name="e").attributes.add(
            key="k"
        ).value.array_value.values.add().int_value = 1
        span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    elif signal == "logs":
        scope.log_records.add(time_unix_nano=now, severity_number=9, trace_id=b"t" * 16).body.string_value = "b"
    else:
        exemplar = {"time_unix_nano": now, "as_int": 3, "trace_id": b"t" * 16}
        scope.metrics.add(name="g").gauge.data_points.add(time_unix_nano=now, as_int=3, exemplars=[exemplar])
        for kind in ("histogram", "exponential_histogram"):
            getattr(scope.metrics.add(name=kind), kind).aggregation_temporality = 2
        h, e = scope.metrics[1].histogram, scope.metrics[2].exponential_histogram
        h.data_points.add(time_unix_nano=now, count=3, sum=1, bucket_counts=[1, 2], explicit_bounds=[1.5])
        e.data_points.add(time_unix_nano=now, count=3, scale=5, positive={"offset": -3, "bucket_counts": [1, 2]})
        scope.metrics.add(name="s").summary.data_points.add(
            time_unix_nano=now, count=1, quantile_values=[{"quantile": 1}]
        )
    return bytes(message.SerializeToString())
