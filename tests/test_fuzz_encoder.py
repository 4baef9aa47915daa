"""The OTLP encoder: whatever is put in is decoded by OpenTelemetry's own messages to what it was."""

from __future__ import annotations

import enum
import math
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from perfagent.runtime import clock, log, metric, outbox, scrub
from perfagent.runtime.attributes import Limits
from perfagent.runtime.context import RemoteContext
from perfagent.runtime.otlp import logs, metrics, traces, wire
from perfagent.runtime.span import INTERNAL, Scope, Span
from tests.fuzz import deep, quick

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.slow


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Named(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another text"


class Bad:
    def __str__(self) -> str:
        raise RuntimeError("no text")


texts = st.text(max_size=12) | st.text(st.characters(categories=("Cs", "Co", "Cc", "So")), max_size=6)
huge = st.booleans().map(lambda below: -(10**5000) if below else 10**5000)  # its repr raises
numbers = st.integers() | st.integers(-(1 << 80), 1 << 80) | st.sampled_from([1 << 63, -(1 << 63)]) | huge
floats = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324])
scalars = st.one_of(texts, st.booleans(), numbers, floats, st.binary(max_size=12), st.none(), st.just(Level.HIGH))
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts.filter(bool), inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=12,
)
attributes = st.dictionaries(texts.filter(bool), values, max_size=5)
moments = st.integers(0, (1 << 63) - 1)
ids = st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)


def utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def same(got: AnyValue, put: Any, depth: int = 0) -> bool:
    """Whether a decoded value is what was put in."""
    kind = got.WhichOneof("value")
    if isinstance(put, str):
        return kind == "string_value" and got.string_value == utf8(str.__str__(put)[: wire.LONGEST])
    if isinstance(put, bool):
        return kind == "bool_value" and got.bool_value is put
    if isinstance(put, int):
        if -(1 << 63) <= put < 1 << 63:
            return kind == "int_value" and got.int_value == put
        return kind == "string_value" and int(got.string_value, 16 if "0x" in got.string_value else 10) == put
    if isinstance(put, float):
        return kind == "double_value" and struct.pack("<d", got.double_value) == struct.pack("<d", put)
    if isinstance(put, bytes):
        return kind == "bytes_value" and got.bytes_value == put
    if put is None:
        return kind is None
    if depth >= wire.DEEPEST:
        return kind == "string_value"
    if isinstance(put, (list, tuple)):
        found = got.array_value.values
        return len(found) == len(put) and all(same(one, two, depth + 1) for one, two in zip(found, put, strict=True))
    return same_pairs(got.kvlist_value.values, put, depth + 1)


def same_pairs(got: Any, put: dict[str, Any], depth: int = 0) -> bool:
    pairs = list(put.items())
    return len(got) == len(pairs) and all(
        one.key == utf8(key) and same(one.value, value, depth) for one, (key, value) in zip(got, pairs, strict=True)
    )


def any_value(put: Any) -> None:
    got = AnyValue.FromString(wire.any_value(put))
    assert same(got, put), (got, put)


def deeply_nested(put: Any, depth: int, as_map: bool) -> None:
    for _ in range(depth):
        put = {"inner": put} if as_map else [put]
    any_value(put)


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    outbox.drops.clear()
    monkeypatch.setattr(scrub, "enabled", False)  # what it replaces is its own tests' matter
    yield
    outbox.drops.clear()
    outbox.pending.clear()
    outbox.logs.clear()


@st.composite
def span_contents(draw: Any) -> dict[str, Any]:
    return {
        "name": draw(texts),
        "kind": draw(st.integers(1, 5)),
        "parent": draw(st.none() | st.tuples(*ids)),
        "state": draw(st.sampled_from(["", "a=1", "a=1,b=2"])),
        "attributes": draw(attributes),
        "events": draw(st.lists(st.tuples(texts, attributes, moments), max_size=3)),
        "links": draw(st.lists(st.tuples(*ids, attributes), max_size=3)),
        "started": draw(moments),
        "ended": draw(moments),
        "message": draw(texts),
    }  # fmt: skip


def a_span(put: dict[str, Any]) -> None:
    parent = None if put["parent"] is None else RemoteContext(*put["parent"], 1, put["state"])
    span = Span(Scope("fuzz", "1"), put["name"], put["kind"], parent)
    span.started = put["started"] - clock.offset
    span.set_attributes(put["attributes"])
    for name, given_attributes, moment in put["events"]:
        span.add_event(name, given_attributes, moment)
    for trace_id, span_id, given_attributes in put["links"]:
        span.link(RemoteContext(trace_id, span_id, 1), given_attributes)
    span.fail(ValueError(put["message"]))
    span.end(put["ended"])
    encoded = span.deliver(True)
    assert encoded is not None
    (of_resource,) = ExportTraceServiceRequest.FromString(traces.encode(b"", {span.scope: [encoded]})).resource_spans
    (got,) = of_resource.scope_spans[0].spans
    assert (got.name, got.kind) == (utf8(put["name"]), put["kind"])
    assert got.start_time_unix_nano == put["started"]
    assert got.end_time_unix_nano == (put["ended"] if put["ended"] != clock.offset else put["ended"] + 1)
    if put["parent"] is not None:
        assert (got.trace_id, got.parent_span_id, got.trace_state) == (*put["parent"], put["state"])
    expected = {**put["attributes"]}
    expected.pop("error.type", None)
    assert same_pairs(got.attributes, {**expected, "error.type": "ValueError"})
    assert len(got.events) == len(put["events"]) + 1
    for event, (name, given_attributes, moment) in zip(got.events, put["events"], strict=False):
        assert (event.name, event.time_unix_nano) == (utf8(name), moment)
        assert same_pairs(event.attributes, given_attributes)
    for link, (trace_id, span_id, given_attributes) in zip(got.links, put["links"], strict=True):
        assert (link.trace_id, link.span_id) == (trace_id, span_id)
        assert same_pairs(link.attributes, given_attributes)
    assert got.status.message == utf8(put["message"][: Limits.length])
    assert got.status.code == 2


def a_log(body: Any, attributes: dict[str, Any], time: int, severity: int, level: str, event: str) -> None:
    record = log.LogRecord(
        Scope("fuzz"), time, time, severity, level, body, attributes, RemoteContext(b"t" * 16, b"s" * 8, 1)
    )
    record.event_name = event
    encoded, count = logs.encode(b"", [record])
    assert count == 1
    (got,) = ExportLogsServiceRequest.FromString(encoded).resource_logs[0].scope_logs[0].log_records
    assert same(got.body, body)
    assert same_pairs(got.attributes, attributes)
    assert (got.time_unix_nano, got.severity_number, got.severity_text) == (time, severity, utf8(level))
    assert (got.event_name, got.trace_id, got.span_id, got.flags) == (utf8(event), b"t" * 16, b"s" * 8, 1)


def a_point(kind: str, measured: list[Any], attributes: dict[str, Any]) -> None:
    metric.registry.instruments.clear()
    name = f"fuzz.{kind}"
    instrument = metric.registry.make(Scope("fuzz"), kind, name, "1", "what it is")
    series = instrument.of(attributes)
    for value in measured:
        series.record(value)
    series.fold()
    encoded, points = metrics.encode(b"", "cumulative")
    assert not outbox.drops
    assert points == 1
    (got,) = ExportMetricsServiceRequest.FromString(encoded).resource_metrics[0].scope_metrics[0].metrics
    (point,) = getattr(got, got.WhichOneof("data")).data_points
    assert same_pairs(sorted(point.attributes, key=lambda one: one.key), dict(sorted(attributes.items())))
    if kind == metric.HISTOGRAM:
        assert point.count == sum(point.bucket_counts) == len(measured)
    else:
        whole = measured[-1] if kind == metric.GAUGE else sum(measured)
        value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
        assert value == close(whole), (value, whole)


def close(value: Any) -> Any:
    try:
        return pytest.approx(float(value), nan_ok=True)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


measurements = st.lists(
    st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6
)
ATTRIBUTES = st.dictionaries(
    texts.filter(bool).map(utf8), st.text(max_size=5).map(utf8) | st.integers(-9, 9), max_size=3
)

test_any_value_is_decoded_as_it_was_put_in = quick(given(values)(any_value))
test_what_is_nested_too_deep_becomes_its_text = quick(
    given(
        scalars.filter(lambda one: not isinstance(one, int) or abs(one) < 1 << 80), st.integers(14, 20), st.booleans()
    )(deeply_nested)
)
test_a_span_is_decoded_as_it_was_put_in = quick(given(span_contents())(a_span))
test_a_log_record_is_decoded_as_it_was_put_in = quick(
    given(values, attributes, moments.filter(bool), st.integers(1, 24), texts.filter(bool), texts.filter(bool))(a_log)
)
test_a_metric_is_decoded_as_it_was_measured = quick(
    given(
        st.sampled_from([metric.COUNTER, metric.UP_DOWN_COUNTER, metric.GAUGE, metric.HISTOGRAM]),
        measurements,
        ATTRIBUTES,
    )(a_point)
)
test_thousands_of_values = deep(given(values)(any_value))
test_thousands_of_spans = deep(given(span_contents())(a_span))
test_thousands_of_log_records = deep(
    given(values, attributes, moments.filter(bool), st.integers(1, 24), texts.filter(bool), texts.filter(bool))(a_log)
)


def test_one_measurement_beyond_all_numbers_does_not_silence_its_metric() -> None:
    for value in (10**400, -(10**400), math.inf):
        for kind in (metric.GAUGE, metric.UP_DOWN_COUNTER):
            a_point(kind, [value], {})


def test_what_has_no_text_costs_a_span_nothing_but_that_attribute() -> None:
    span = Span(Scope("fuzz"), "named", INTERNAL, None)
    span.set_attributes({"bad": Bad(), "colour": Colour.RED, "level": Level.HIGH, "named": Named("own"), "kept": 1})
    span.set_attribute("again", [Bad(), {"deep": Bad()}])
    span.end()
    encoded = span.deliver(True)
    assert encoded is not None
    request = ExportTraceServiceRequest.FromString(traces.encode(b"", {span.scope: [encoded]}))
    (got,) = request.resource_spans[0].scope_spans[0].spans
    told = {one.key: one.value for one in got.attributes}
    assert told["kept"].int_value == 1
    assert told["bad"].string_value == "<Bad whose text raised RuntimeError>"
    assert told["named"].string_value == "own"
    assert told["level"].int_value == 3


def test_a_log_record_that_cannot_be_encoded_is_counted_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfagent import settings

    monkeypatch.setattr(settings.current(), "strict", False, raising=False)
    good = log.LogRecord(Scope("fuzz"), 1, 1, 9, "INFO", "good", {}, None)
    bad = log.LogRecord(Scope("fuzz"), 1, 1, 9, "INFO", "bad", {1: 2}, None)  # type: ignore[dict-item]
    bad.severity = "high"  # type: ignore[assignment]
    encoded, count = logs.encode(b"", [bad, good])
    (got,) = ExportLogsServiceRequest.FromString(encoded).resource_logs[0].scope_logs[0].log_records
    assert (count, got.body.string_value) == (1, "good")
    assert outbox.drops == {("log", "encode_error"): 1}
