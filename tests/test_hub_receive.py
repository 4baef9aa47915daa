"""OTLP over HTTP: what is taken, what is refused, and what the sender is told."""

from __future__ import annotations

import base64
import gzip
import json
import time
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import Compression, OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from perfagent.hub.receive.body import Refused, Unpacker
from perfagent.hub.store.errors import StoreFailed
from perfagent.hub.store.intake import Overloaded
from tests.receiving import PROTOBUF, Receiving, attributes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3_600_000_000_000


@pytest.fixture(scope="module")
def receiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with Receiving(tmp_path_factory.mktemp("hub")) as receiving:
        yield receiving


@pytest.fixture
def hub(receiving: Receiving) -> Iterator[Receiving]:
    receiving.batches.clear()
    yield receiving
    receiving.failure = None


def request(spans: int = 1, **changes: Any) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    part = message.resource_spans.add()
    part.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = part.scope_spans.add()
    now = time.time_ns()
    for number in range(1, spans + 1):
        scope.spans.add(
            **{
                "trace_id": bytes(15) + b"\1",
                "span_id": number.to_bytes(8, "big"),
                "name": "work",
                "start_time_unix_nano": now,
                "end_time_unix_nano": now + 5_000_000,
                **changes,
            }
        )
    return message


def as_json(**changes: Any) -> dict[str, Any]:
    now = time.time_ns()
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "EEE19B7EC3C1B174",
        "name": "work",
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 1_000_000),
        **changes,
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def failure(answer: httpx.Response) -> Status:
    """The google.rpc.Status of an answer in protobuf."""
    assert answer.headers["content-type"] == PROTOBUF
    return Status.FromString(answer.content)


def rejected(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code == 200, answer.text
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    return partial.rejected_spans, partial.error_message


@pytest.mark.parametrize("compression", list(Compression), ids=lambda compression: compression.value)
def test_the_sdk_s_exporter_sends_spans_that_are_committed(hub: Receiving, compression: Compression) -> None:
    exporter = OTLPSpanExporter(f"{hub.url}/v1/traces", compression=compression)
    provider = TracerProvider(resource=Resource({"service.name": "shop", "service.instance.id": "one"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("my.scope", "1.2")
    before = hub.hub.intake.stored().spans
    with (
        tracer.start_as_current_span("GET /items/{id}", kind=SpanKind.SERVER, attributes={"n": 1}) as server,
        tracer.start_as_current_span("inside"),
    ):
        pass
    provider.shutdown()
    inside, outside = hub.spans
    assert hub.hub.intake.stored().spans == before + 2
    assert (outside.kind, outside.entry, outside.parent_id, outside.weight) == (2, True, None, 1)
    assert (inside.parent_id, inside.entry, inside.trace_id) == (outside.span_id, False, outside.trace_id)
    assert outside.trace_id == server.get_span_context().trace_id.to_bytes(16, "big")
    assert attributes(outside) == {"n": 1, "otel.scope.name": "my.scope", "otel.scope.version": "1.2"}
    assert hub.resources[outside.resource][1:3] == ("shop", "one")
    assert hub.operations[outside.operation][1:] == ("shop", "server", "GET /items/{id}", "", "")


def test_an_empty_request_is_fine_in_both_formats(hub: Receiving) -> None:
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        protobuf, as_object = hub.post(path, b""), hub.post(path, {})
        assert (protobuf.status_code, protobuf.content, protobuf.headers["content-type"]) == (200, b"", PROTOBUF)
        assert (as_object.status_code, as_object.json()) == (200, {})
        assert as_object.headers["content-type"] == "application/json"


def test_a_span_of_the_protocol_s_own_json_example_is_read(hub: Receiving) -> None:
    body = as_json(
        name="I'm a server span",
        parentSpanId="EEE19B7EC3C1B173",
        kind=2,
        attributes=[{"key": "my.span.attr", "value": {"stringValue": "some value"}}],
    )
    body["resourceSpans"][0]["resource"] = {
        "attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]
    }
    body["resourceSpans"][0]["scopeSpans"][0]["scope"] = {
        "name": "my.library",
        "version": "1.0.0",
        "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}],
    }
    assert hub.post("/v1/traces", body).json() == {}
    (span,) = hub.spans
    assert (span.trace_id.hex(), span.span_id.hex()) == ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174")
    assert span.parent_id == bytes.fromhex("eee19b7ec3c1b173")
    assert (span.name, span.duration) == ("I'm a server span", 1_000_000)
    assert attributes(span) == {
        "my.span.attr": "some value",
        "otel.scope.name": "my.library",
        "otel.scope.version": "1.0.0",
        "otel.scope.my.scope.attribute": "some scope attribute",
    }
    assert hub.operations[span.operation].service == "my.service"


def test_json_takes_enumerations_as_names_integers_as_numbers_and_what_nobody_knows(hub: Receiving) -> None:
    now = time.time_ns()
    body = as_json(
        kind="SPAN_KIND_CLIENT",
        startTimeUnixNano=now,
        endTimeUnixNano=float(now + 10**9),
        status={"code": "STATUS_CODE_ERROR", "message": "no", "news": [1]},
        attributes=[
            {"key": "whole", "value": {"intValue": "9223372036854775807"}},
            {"key": "bytes", "value": {"bytesValue": base64.b64encode(b"\xff\0").decode()}},
            {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}}},
            {"key": "list", "value": {"arrayValue": {"values": [{"doubleValue": "NaN"}, {"doubleValue": 1}, {}]}}},
            {"key": "none", "value": {}},
        ],
        droppedAttributesCount=2,
        from_the_future={"traceId": "no hex"},
        traceState=None,
    )
    assert hub.post("/v1/traces", body).json() == {}
    (span,) = hub.spans
    assert (span.kind, span.status, span.status_message, span.started) == (3, 2, "no", now)
    assert attributes(span) == {
        "whole": 9223372036854775807,
        "bytes": "/wA=",
        "map": {"a": True},
        "list": ["NaN", 1.0, None],
        "none": None,
        "otel.dropped_attributes_count": 2,
    }


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{", "no JSON"),
        (b"[]", "the body: an object is needed, not []"),
        (b'{"resourceSpans": 1}', "resourceSpans: a list is needed, not 1"),
        (b'{"resourceSpans": [1]}', "resourceSpans[0]: an object is needed, not 1"),
        (as_json(traceId="xy"), "resourceSpans[0].scopeSpans[0].spans[0].traceId: 'xy' is not hexadecimal"),
        (as_json(traceId=7), "spans[0].traceId: 7 is not hexadecimal"),
        (as_json(kind="SERVER"), "spans[0].kind: 'SERVER' is none of SPAN_KIND_UNSPECIFIED, SPAN_KIND_INTERNAL"),
        (as_json(name=1), "spans[0].name: a text is needed, not 1"),
        (as_json(startTimeUnixNano="soon"), "spans[0].startTimeUnixNano: a whole number is needed, not 'soon'"),
        (as_json(startTimeUnixNano=-1), "spans[0]: "),
        (as_json(attributes={}), "spans[0].attributes: a list is needed, not {}"),
        (as_json(attributes=[{"value": {"boolValue": 1}}]), "attributes.value.boolValue: true or false is needed"),
        (as_json(attributes=[{"value": {"doubleValue": "x"}}]), "value.doubleValue: a number is needed, not 'x'"),
        (as_json(attributes=[{"value": {"bytesValue": "*"}}]), "value.bytesValue: '*' is not base64"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "the body"),
        (b"[" * 5000, "no JSON"),
    ],
)
def test_malformed_json_is_answered_with_the_place_and_the_reason(hub: Receiving, body: Any, place: str) -> None:
    answer = hub.post("/v1/traces", body, "application/json")
    if answer.status_code == 200:  # deep, but nothing in it is OTLP's
        assert answer.json() == {}
        return
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["code"] == 3
    assert place in answer.json()["message"]
    assert not hub.batches


def test_values_nested_without_end_are_refused(hub: Receiving) -> None:
    deep = '{"arrayValue":{"values":[' * 300 + "]}}" * 300
    body = json.dumps(as_json(attributes=[{"key": "a", "value": "?"}])).replace('"?"', deep)
    answer = hub.post("/v1/traces", body.encode(), "application/json")
    assert answer.status_code == 400
    assert not hub.batches


def test_malformed_protobuf_is_answered_with_a_status_in_protobuf(hub: Receiving) -> None:
    whole = request(3).SerializeToString()
    for body in (b"hello", whole[:-1], whole + b"\x0a"):
        answer = hub.post("/v1/traces", body)
        assert answer.status_code == 400
        assert failure(answer).code == 3
        assert "no OTLP message in protobuf" in failure(answer).message
    assert not hub.batches


def test_other_content_types_and_encodings_are_answered_with_what_is_taken(hub: Receiving) -> None:
    for kind in ("text/plain", "application/grpc", "", "multipart/form-data; boundary=x"):
        answer = hub.post("/v1/traces", b"", kind)
        assert answer.status_code == 415
        assert "send application/x-protobuf or application/json" in answer.json()["message"]
    answer = hub.post("/v1/traces", b"", content_encoding="zstd")
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate"
    assert hub.post("/v1/traces", b"{}", "Application/JSON; charset=utf-8").json() == {}
    assert hub.client.get(f"{hub.url}/v1/traces").status_code == 405


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:40]) + gzip.compress(data[40:]) + bytes(8)),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
    ],
    ids=["gzip", "gzip of two members", "deflate", "raw deflate", "identity"],
)
def test_packed_bodies_are_unpacked(hub: Receiving, encoding: str, pack: Any) -> None:
    body = request(20).SerializeToString()
    assert rejected(hub.post("/v1/traces", pack(body), content_encoding=encoding)) == (0, "")
    assert len(hub.spans) == 20
    assert hub.batches[0].bytes == len(body)


def test_broken_packed_bodies_are_refused(hub: Receiving) -> None:
    packed = gzip.compress(request(20).SerializeToString())
    for body, encoding in ((packed[:-9], "gzip"), (b"x" + packed, "gzip"), (b"\xff\xff\xff", "deflate"), (b"", "gzip")):
        answer = hub.post("/v1/traces", body, content_encoding=encoding)
        assert answer.status_code == 400, body
        assert encoding in failure(answer).message
    assert not hub.batches


def test_a_zip_bomb_is_refused_and_takes_no_more_memory_than_the_limit(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1_048_576)) for _ in range(128)), packer.flush()])
    with Receiving(tmp_path, PERFAGENT_HUB_MAX_BODY="1000000") as hub:
        answer = hub.post("/v1/traces", bomb, content_encoding="gzip")
        assert answer.status_code == 413
        assert "larger than 1000000 bytes unpacked (PERFAGENT_HUB_MAX_BODY" in failure(answer).message
        assert hub.post("/v1/traces", bytes(1_000_001)).status_code == 413
        assert rejected(hub.post("/v1/traces", request().SerializeToString())) == (0, "")
    tracemalloc.start()
    try:
        first = next(Unpacker("gzip").feed(bomb))
        assert len(first) == 1_048_576
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, 1_048_575, 1_048_576, 1_048_577, 3_000_000])
@pytest.mark.parametrize("step", [1_000, 10_000_000])
def test_an_unpacker_gives_every_byte_in_pieces_of_a_mebibyte(size: int, step: int) -> None:
    for pack, name in ((gzip.compress, "gzip"), (zlib.compress, "deflate"), (raw_deflate, "deflate")):
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        packed, unpacker = pack(data), Unpacker(name)
        pieces = [piece for at in range(0, len(packed), step) for piece in unpacker.feed(packed[at : at + step])]
        unpacker.end()
        assert b"".join(pieces) == data
        assert max(map(len, pieces), default=0) <= 1_048_576


def test_bytes_that_are_no_deflate_stream_are_refused_by_the_unpacker() -> None:
    with pytest.raises(Refused, match="no deflate data"):
        list(Unpacker("deflate").feed(b"\xff\xff"))


def test_json_has_a_smaller_limit_for_it_is_read_in_one_go(hub: Receiving) -> None:
    answer = hub.post("/v1/traces", b" " * 16_777_217, "application/json")
    assert answer.status_code == 413
    assert "of JSON, 16 MiB at most" in answer.json()["message"]
    assert hub.post("/v1/traces", b" " * 16_777_214 + b"{}", "application/json").json() == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trace_id": b"short"}, "without a trace id (16 bytes, not all zero)"),
        ({"trace_id": bytes(16)}, "without a trace id (16 bytes, not all zero)"),
        ({"span_id": bytes(8)}, "without a span id (8 bytes, not all zero)"),
        ({"span_id": b""}, "without a span id (8 bytes, not all zero)"),
        ({"parent_span_id": b"x"}, "with a parent's id of other than 8 bytes"),
        ({"start_time_unix_nano": 0}, "without a time"),
        ({"end_time_unix_nano": 0}, "without an end"),
        ({"start_time_unix_nano": time.time_ns() + 25 * HOUR}, "more than a day in the future"),
        ({"start_time_unix_nano": 2**64 - 1}, "more than a day in the future"),
        ({"start_time_unix_nano": time.time_ns() - 49 * HOUR}, "older than the 48 h that are kept"),
        ({"start_time_unix_nano": int(time.time())}, "older than the 48 h that are kept"),
    ],
)
def test_unusable_spans_are_counted_and_the_others_are_kept(
    hub: Receiving, changes: dict[str, Any], reason: str
) -> None:
    message = request(2, **changes)
    message.resource_spans[0].MergeFrom(request(3).resource_spans[0])
    count, text = rejected(hub.post("/v1/traces", message.SerializeToString()))
    assert count == 2
    assert text.startswith(f"2 spans refused: 2 {reason}")
    assert len(hub.spans) == 3


def test_a_partial_success_in_json_has_the_protocol_s_names(hub: Receiving) -> None:
    answer = hub.post("/v1/traces", as_json(spanId="00")).json()
    assert answer["partialSuccess"]["rejectedSpans"] == "1"
    assert "span id" in answer["partialSuccess"]["errorMessage"]


def test_a_full_queue_and_a_store_that_fails_ask_the_sender_to_come_back(hub: Receiving) -> None:
    body = request().SerializeToString()
    hub.failure = Overloaded(2.5)
    answer = hub.post("/v1/traces", body)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert "PERFAGENT_HUB_QUEUE" in failure(answer).message
    hub.failure = StoreFailed("the disk is full")
    answer = hub.post("/v1/traces", as_json())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"code": 14, "message": "the request could not be stored: the disk is full"}
    hub.failure = None
    assert rejected(hub.post("/v1/traces", body)) == (0, "")
    assert len(hub.spans) == 1


def test_the_sdk_s_exporter_sends_again_what_was_not_stored(hub: Receiving) -> None:
    hub.failure = Overloaded(1)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{hub.url}/v1/traces")))
    span = provider.get_tracer("t").start_span("patient")
    import threading

    threading.Timer(0.5, lambda: setattr(hub, "failure", None)).start()
    span.end()
    provider.shutdown()
    assert [row.name for row in hub.spans] == ["patient"]


def test_a_sender_over_its_rate_is_told_and_others_are_not(tmp_path: Path) -> None:
    with Receiving(tmp_path, PERFAGENT_HUB_RATE="100") as hub:
        count, text = rejected(hub.post("/v1/traces", request(1000).SerializeToString()))
        assert 780 <= count <= 800  # two seconds' worth came in
        assert "over the rate of 100 items/s of one sender (PERFAGENT_HUB_RATE)" in text
        other = request(150)
        other.resource_spans[0].resource.attributes.add(key="service.instance.id").value.string_value = "other"
        assert rejected(hub.post("/v1/traces", other.SerializeToString())) == (0, "")
        hub.failure = Overloaded(1)
        third = request(200)
        third.resource_spans[0].resource.attributes.add(key="service.instance.id").value.string_value = "third"
        assert hub.post("/v1/traces", third.SerializeToString()).status_code == 429
        hub.failure = None
        assert rejected(hub.post("/v1/traces", third.SerializeToString())) == (0, "")


def test_what_is_over_the_limits_of_attributes_is_cut_and_told(hub: Receiving) -> None:
    message = request()
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="long").value.string_value = "x" * 40_000
    span.attributes.add(key="k" * 600).value.bool_value = True
    span.attributes.add(key="list").value.array_value.values.add().string_value = "y" * 40_000
    for number in range(200):
        span.attributes.add(key=f"a{number}").value.int_value = number
    for _ in range(130):
        span.events.add(name="e")
    count, text = rejected(hub.post("/v1/traces", message.SerializeToString()))
    assert count == 0
    assert text.startswith("80 attributes or texts cut: an item keeps 128 attributes")  # 3 texts, 75 + 2 left out
    (row,) = hub.spans
    found = attributes(row)
    assert len(found["long"]) == len(found["list"]) == 32_768
    assert found["k" * 512] is True
    assert (len(found), found["otel.dropped_attributes_count"]) == (129, 75)
    events = json.loads(row.events or "")
    assert len(events) == 129
    assert events[-1] == {"time": 0, "name": "otel.dropped", "attributes": {"count": 2}}


def test_waiting_commands_are_told_in_a_header(hub: Receiving) -> None:
    body = request()
    body.resource_spans[0].resource.attributes.add(key="service.instance.id").value.string_value = "one"
    assert "perfagent-control" not in hub.post("/v1/traces", body.SerializeToString()).headers
    hub.hub.commands.ask("one", "report", None)
    assert hub.post("/v1/traces", body.SerializeToString()).headers["perfagent-control"] == "1"


def test_a_text_that_is_no_utf_8_costs_a_character_and_no_batch(hub: Receiving) -> None:
    body = request(name="MARK").SerializeToString().replace(b"MARK", b"\xff\xfeOK")
    assert rejected(hub.post("/v1/traces", body)) == (0, "")
    assert hub.spans[0].name == "��OK"


def test_nul_characters_are_stored(hub: Receiving) -> None:
    message = request(name="a\0b")
    message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="\0").value.string_value = "\0"
    assert rejected(hub.post("/v1/traces", message.SerializeToString())) == (0, "")
    assert (hub.spans[0].name, attributes(hub.spans[0])) == ("a\0b", {"\0": "\0"})


@pytest.mark.parametrize(
    ("state", "weight"),
    [
        ("ot=th:8", 2),
        ("ot=th:c", 4),
        ("ot=th:0", 1),
        ("ot=rv:abcdefabcdefab;th:fd70a4", pytest.approx(100, rel=1e-4)),
        ("vendor=x,ot=th:8", 2),
        ("ot=p:3;r:20", 8),
        ("ot=p:63", 1),
        ("ot=th:zz", 1),
        ("ot=th:fffffffffffffffff", 1),
        ("vendor=th:8", 1),
        ("ot", 1),
    ],
)
def test_a_span_stands_for_those_that_were_not_sampled(hub: Receiving, state: str, weight: float) -> None:
    assert rejected(hub.post("/v1/traces", request(trace_state=state).SerializeToString())) == (0, "")
    assert hub.spans[0].weight == weight
    assert attributes(hub.spans[0])["w3c.tracestate"] == state


def test_names_that_never_end_share_one_operation(tmp_path: Path) -> None:
    from perfagent.hub.receive import traces

    message = request(6000)
    for number, span in enumerate(message.resource_spans[0].scope_spans[0].spans):
        span.name = f"job {number}"
    batch = traces.decode(message.SerializeToString())
    assert len(batch.operations) == traces.OPERATIONS + 1
    assert [o.name for o in batch.operations.values()].count("(other)") == 1
    assert batch.spans[-1].name == "job 5999"
