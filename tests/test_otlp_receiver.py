"""The tests' own receiver, checked with the stock OpenTelemetry exporters and with a plain HTTP client."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
import requests
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from tests import otlp
from tests.conftest import RunProgram
from tests.otlp import Receiver

RESOURCE = Resource({"service.name": "checked", "process.pid": 7})
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def a_request(spans: int = 1, first_id: int = 1) -> bytes:
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for number in range(first_id, first_id + spans):
        scoped.spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8, "big"), name=f"span {number}", kind=2)
    return request.SerializeToString()


def post(
    receiver: Receiver, body: bytes | None = None, path: str = "/v1/traces", **options: object
) -> requests.Response:
    return requests.post(receiver.url + path, a_request() if body is None else body, headers=PROTOBUF, **options)


def test_a_span_of_the_sdk_arrives_with_every_field(receiver: Receiver) -> None:
    provider = TracerProvider(resource=RESOURCE)
    exporter = OTLPSpanExporter(receiver.url + "/v1/traces", compression=Compression.Gzip)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("a.library", "1.2")
    with tracer.start_as_current_span("outer", kind=SpanKind.SERVER) as outer:
        link = Link(outer.get_span_context(), {"why": "test"})
        with tracer.start_as_current_span("inner", links=[link], attributes={"n": 1, "list": ["a", "b"]}) as inner:
            inner.add_event("happened", {"x": 1.5}, timestamp=42)
            inner.set_status(Status(StatusCode.ERROR, "broken"))
    provider.shutdown()

    spans = {span.name: span for span in receiver.wait_for_spans(2)}
    outer, inner = spans["outer"], spans["inner"]
    assert (outer.kind, outer.parent_id, outer.status.code) == ("SERVER", "", "UNSET")
    assert (inner.kind, inner.parent_id, inner.trace_id) == ("INTERNAL", outer.span_id, outer.trace_id)
    assert inner.attributes == {"n": 1, "list": ["a", "b"]}
    assert (inner.status.code, inner.status.message) == ("ERROR", "broken")
    assert [(event.name, event.time, event.attributes) for event in inner.events] == [("happened", 42, {"x": 1.5})]
    assert [(link.span_id, link.attributes) for link in inner.links] == [(outer.span_id, {"why": "test"})]
    assert inner.resource == {"service.name": "checked", "process.pid": 7}
    assert (inner.scope.name, inner.scope.version) == ("a.library", "1.2")
    assert outer.start <= inner.start <= inner.end <= outer.end
    assert receiver.children(outer) == [inner]
    assert receiver.requests[0].headers["content-encoding"] == "gzip"
    assert len(receiver.requests[0].body) != receiver.requests[0].wire_size


def test_counters_and_histograms_of_the_sdk_arrive_and_are_totalled_once(receiver: Receiver) -> None:
    exporter = OTLPMetricExporter(receiver.url + "/v1/metrics")
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
    provider = MeterProvider([reader], resource=RESOURCE)
    meter = provider.get_meter("a.library")
    calls, took = meter.create_counter("calls", "{call}"), meter.create_histogram("took", "s")
    for _ in range(2):
        calls.add(2, {"http.route": "/a"})
        calls.add(1, {"http.route": "/b"})
        took.record(0.3)
        provider.force_flush()
    provider.shutdown()

    point = receiver.wait_for_metric("took", where=lambda point: point.count == 2)
    assert (point.type, point.unit, point.sum, point.temporality) == ("histogram", "s", 0.6, "CUMULATIVE")
    assert sum(point.buckets) == 2
    assert len(point.buckets) == len(point.bounds) + 1
    assert receiver.metric("calls")[-1].monotonic
    assert receiver.total("calls").value == 6
    assert receiver.total("calls", http__route="/a").value == 4


def test_a_log_record_of_the_sdk_arrives_with_its_body(receiver: Receiver) -> None:
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(receiver.url + "/v1/logs")))
    record = LogRecord(body="sold 3", severity_text="WARN", severity_number=SeverityNumber.WARN, attributes={"n": 3})
    provider.get_logger("a.library").emit(record)
    provider.shutdown()

    [record] = receiver.wait_for_logs(1)
    assert (record.body, record.severity, record.severity_text) == ("sold 3", 13, "WARN")
    assert (record.attributes, record.scope.name) == ({"n": 3}, "a.library")


def test_waiting_in_vain_tells_what_arrived_instead(receiver: Receiver) -> None:
    post(receiver)
    with pytest.raises(AssertionError, match="SERVER 'span 1'"):
        receiver.wait_for_spans(1, 0.1, where=lambda span: span.kind == "CLIENT")


def test_a_status_is_answered_so_many_times_with_retry_after_and_keeps_nothing(receiver: Receiver) -> None:
    receiver.fault = otlp.status(503, retry_after=2, times=1)
    refused, accepted = post(receiver), post(receiver)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert accepted.status_code == 200
    assert len(receiver.spans) == 1
    assert len(receiver.requests) == 2


def test_a_partial_success_names_what_it_left_out(receiver: Receiver) -> None:
    receiver.fault = otlp.partial(2, "too many")
    reply = ExportTraceServiceResponse.FromString(post(receiver, a_request(spans=5)).content)
    assert (reply.partial_success.rejected_spans, reply.partial_success.error_message) == (2, "too many")
    assert (len(receiver.spans), receiver.rejected) == (3, 2)


def test_a_fault_of_one_path_leaves_the_others_alone(receiver: Receiver) -> None:
    receiver.fault = otlp.status(500, path="/v1/metrics")
    assert post(receiver, path="/v1/metrics").status_code == 500
    assert post(receiver).status_code == 200


def test_garbage_is_no_protobuf_and_then_not_even_http(receiver: Receiver) -> None:
    receiver.fault = otlp.garbage()
    with pytest.raises(Exception, match="parsing"):
        ExportTraceServiceResponse.FromString(post(receiver).content)
    receiver.fault = otlp.garbage(http=False)
    with pytest.raises(requests.ConnectionError, match="BadStatusLine"):
        post(receiver)


def test_a_reset_reaches_the_client_as_a_reset(receiver: Receiver) -> None:
    receiver.fault = otlp.reset()
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port)
    connection.request("POST", "/v1/traces", a_request(), PROTOBUF)
    with pytest.raises(ConnectionResetError):
        connection.getresponse()


def test_a_hanging_request_is_let_go_without_an_answer_when_the_fault_changes(receiver: Receiver) -> None:
    receiver.fault = otlp.hang()
    with pytest.raises(requests.ReadTimeout):
        post(receiver, timeout=0.2)
    failures: list[Exception] = []

    def hanging() -> None:
        try:
            post(receiver)
        except requests.ConnectionError as error:
            failures.append(error)

    thread = threading.Thread(target=hanging)
    thread.start()
    receiver.wait_for_requests(2)
    receiver.fault = otlp.ok()
    thread.join(60)
    assert len(failures) == 1
    assert not receiver.spans


def test_a_stopped_receiver_closes_its_connections_and_comes_back_on_the_same_port(receiver: Receiver) -> None:
    port = receiver.port
    with requests.Session() as session:
        session.post(receiver.url + "/v1/traces", a_request(), headers=PROTOBUF)
        receiver.stop()
        with pytest.raises(requests.ConnectionError):
            session.post(receiver.url + "/v1/traces", a_request(), headers=PROTOBUF)
        receiver.start()
        session.post(receiver.url + "/v1/traces", a_request(first_id=2), headers=PROTOBUF)
    assert receiver.port == port
    assert [span.name for span in receiver.spans] == ["span 1", "span 2"]


def test_connections_are_kept_between_requests(receiver: Receiver) -> None:
    with requests.Session() as session:
        for _ in range(3):
            session.post(receiver.url + "/v1/traces", a_request(), headers=PROTOBUF)
    assert len({request.client for request in receiver.requests}) == 1


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/nothing", PROTOBUF, b"", 404),
        ("/v1/traces", {"Content-Type": "application/json"}, b"{}", 415),
        ("/v1/traces", PROTOBUF | {"Content-Encoding": "br"}, b"", 415),
        ("/v1/traces", PROTOBUF | {"Content-Encoding": "gzip"}, b"not gzip", 400),
        ("/v1/traces", PROTOBUF, b"\xff\xff", 400),
    ],
)
def test_a_malformed_request_is_refused(
    receiver: Receiver, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    assert requests.post(receiver.url + path, body, headers=headers).status_code == status


def test_the_counting_receiver_tells_spans_duplicates_orphans_and_children(
    run_program: RunProgram, free_port: int
) -> None:
    root = Path(__file__).parents[1]
    program = run_program(sys.executable, "-m", "tests.otlp", "--port", str(free_port), cwd=root)
    program.wait_for_port(free_port)
    url = f"http://127.0.0.1:{free_port}"
    request = ExportTraceServiceRequest.FromString(a_request(spans=3))
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[1].parent_span_id = spans[0].span_id
    spans[2].parent_span_id = b"elsewher"
    for _ in range(2):
        requests.post(url + "/v1/traces", request.SerializeToString(), headers=PROTOBUF)
    requests.post(url + "/fault", json={"name": "partial", "rejected": 1})
    requests.post(url + "/v1/traces", a_request(spans=2, first_id=10), headers=PROTOBUF)

    with urllib.request.urlopen(url + "/counts") as reply:
        counts = json.load(reply)
    assert counts["spans_by_name"] == {f"SERVER span {n}": 1 for n in (1, 2, 3, 10)}
    assert (counts["duplicates"], counts["parents_missing"], counts["rejected"]["spans"]) == (3, 1, 1)
    assert counts["children"]["SERVER span 1"] == {"1": 1}
    assert counts["requests"] == {"/v1/traces": 3}
    program.wait_for_output("duplicates 3")
