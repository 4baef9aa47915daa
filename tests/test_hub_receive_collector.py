"""A real OpenTelemetry Collector sends what a program's SDK gave it, by each of its exporters."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from perfagent.hub.store.intake import Overloaded
from tests.collector import Collector
from tests.receiving import Receiving, attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "one", "list": ["a", "b"]})


@pytest.fixture(scope="module")
def receiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with Receiving(tmp_path_factory.mktemp("hub"), with_grpc=True) as receiving:
        yield receiving


@pytest.fixture
def hub(receiving: Receiving) -> Iterator[Receiving]:
    receiving.batches.clear()
    yield receiving
    receiving.failure = None


def wait_for(condition: Callable[[], bool], collector: Collector) -> None:
    collector.program.wait_until(condition, "the hub did not receive it")


def http(hub: Receiving, **options: Any) -> dict[str, Any]:
    return {"otlp_http": {"endpoint": hub.url, **options}}


EXPORTERS: dict[str, Callable[[Receiving], dict[str, Any]]] = {
    "http, protobuf, gzip": lambda hub: http(hub),
    "http, protobuf, deflate": lambda hub: http(hub, compression="deflate"),
    "http, protobuf, zlib": lambda hub: http(hub, compression="zlib"),
    "http, json": lambda hub: http(hub, encoding="json", compression="none"),
    "http, json, gzip": lambda hub: http(hub, encoding="json"),
    "grpc, gzip": lambda hub: {"otlp_grpc": {"endpoint": hub.grpc, "tls": {"insecure": True}}},
    "grpc": lambda hub: {"otlp_grpc": {"endpoint": hub.grpc, "tls": {"insecure": True}, "compression": "none"}},
}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_all_three_signals_arrive_as_the_program_made_them(hub: Receiving, tmp_path: Path, exporter: str) -> None:
    with Collector(tmp_path, EXPORTERS[exporter](hub)) as collector:
        context = _send(collector.url)
        wait_for(lambda: bool(hub.spans and hub.logs and len(hub.points) >= 2), collector)
        assert "error" not in collector.program.stderr.lower()
    (span,) = hub.spans
    assert (span.name, span.kind, span.status, span.status_message) == ("GET /items/{id}", 2, 2, "sold out")
    assert (span.trace_id, span.span_id) == (context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"))
    assert (span.status_code, span.duration, span.parent_id) == (503, 5_000_000, None)
    assert hub.operations[span.operation][1:4] == ("shop", "server", "GET /items/{id}")
    assert attributes(span) == {
        "http.request.method": "GET", "http.route": "/items/{id}", "http.response.status_code": 503, "share": 0.5,
        "flags": [True, False], "big": 2**62, "otel.scope.name": "shop.web", "otel.scope.version": "2",
    }  # fmt: skip
    assert '"name":"exception"' in (span.events or "")
    (log,) = hub.logs
    assert (log.body, log.severity_text, log.trace_id) == ("low stock", "WARN", None)
    assert hub.point("sold", kind="book")[1].value == 3
    series, point = hub.point("spread")
    assert (series.kind, point.count, sum(point.buckets or ())) == ("exponential", 3, 3)
    assert len(hub.resources) == 1
    (resource,) = hub.resources.values()
    assert (resource.service, resource.instance) == ("shop", "one")
    assert attributes(resource)["list"] == ["a", "b"]


@pytest.mark.parametrize("exporter", ["http, protobuf, gzip", "grpc, gzip"])
def test_a_collector_that_is_told_to_come_back_comes_back(hub: Receiving, tmp_path: Path, exporter: str) -> None:
    hub.failure = Overloaded(1)
    with Collector(tmp_path, EXPORTERS[exporter](hub)) as collector:
        threading.Timer(1.5, lambda: setattr(hub, "failure", None)).start()
        _send(collector.url)
        wait_for(lambda: bool(hub.spans and hub.logs and hub.points), collector)
    assert len(hub.spans) == 1  # once, although it was sent more often


def test_thousands_of_spans_a_second_arrive_all(hub: Receiving, tmp_path: Path) -> None:
    with Collector(tmp_path, EXPORTERS["http, protobuf, gzip"](hub)) as collector:
        exporter = OTLPSpanExporter(f"{collector.url}/v1/traces")
        provider = TracerProvider(resource=RESOURCE)
        provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=20_000))
        tracer = provider.get_tracer("t")
        for number in range(5_000):
            tracer.start_span("work", attributes={"n": number}).end()
        provider.shutdown()
        wait_for(lambda: len(hub.spans) >= 5_000, collector)
    assert {attributes(span)["n"] for span in hub.spans} == set(range(5_000))


def _send(url: str) -> Any:
    """One span, one log record, a counter and an exponential histogram; returns the span's context."""
    tracers, loggers = TracerProvider(resource=RESOURCE), LoggerProvider(RESOURCE)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), 60_000)
    views = [View(instrument_name="spread", aggregation=ExponentialBucketHistogramAggregation())]
    meters = MeterProvider([reader], RESOURCE, views=views)
    now = time.time_ns()
    told: Any = {
        "http.request.method": "GET", "http.route": "/items/{id}", "http.response.status_code": 503, "share": 0.5,
        "flags": [True, False], "big": 2**62,
    }  # fmt: skip
    span = tracers.get_tracer("shop.web", "2").start_span(
        "GET /items/{id}", kind=SpanKind.SERVER, attributes=told, start_time=now
    )
    span.record_exception(ValueError("sold out"))
    span.set_status(Status(StatusCode.ERROR, "sold out"))
    span.end(now + 5_000_000)
    loggers.get_logger("shop.stock").emit(body="low stock", severity_text="WARN", timestamp=now)
    meter = meters.get_meter("m")
    meter.create_counter("sold").add(3, {"kind": "book"})
    spread = meter.create_histogram("spread")
    for value in (1, 10, 100):
        spread.record(value)
    for provider in (tracers, loggers, meters):
        provider.shutdown()
    return span.get_span_context()
