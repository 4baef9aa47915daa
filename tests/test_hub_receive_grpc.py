"""OTLP over gRPC: the same answers as over HTTP, in gRPC's own way."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceResponse
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2_grpc import ProfilesServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from perfagent.hub.receive import grpc as receive_grpc
from perfagent.hub.store.errors import StoreFailed
from perfagent.hub.store.intake import Overloaded
from tests.profiles import Profiles
from tests.receiving import Receiving
from tests.test_hub_receive import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture(scope="module")
def receiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    directory = tmp_path_factory.mktemp("hub")
    with Receiving(directory, with_grpc=True, PERFAGENT_HUB_MAX_BODY="1000000") as receiving:
        yield receiving


@pytest.fixture
def hub(receiving: Receiving) -> Iterator[Receiving]:
    receiving.batches.clear()
    yield receiving
    receiving.failure = None


@pytest.fixture
def channel(hub: Receiving) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(hub.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield channel


def export(channel: grpc.Channel, body: bytes, **options: Any) -> Any:
    return channel.unary_unary(EXPORT)(body, timeout=60, **options)


def failure(channel: grpc.Channel, body: bytes, **options: Any) -> tuple[grpc.StatusCode, str, float | None]:
    """Code, message and RetryInfo's seconds of a call that fails."""
    with pytest.raises(grpc.RpcError) as raised:
        export(channel, body, **options)
    error: Any = raised.value
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
    if details is None:
        return error.code(), error.details(), None
    retry = RetryInfo()
    assert Status.FromString(details).details[0].Unpack(retry)
    return error.code(), error.details(), retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_sdk_s_exporters_send_all_three_signals(hub: Receiving, compression: grpc.Compression) -> None:
    arguments: Any = {"endpoint": hub.grpc, "insecure": True, "compression": compression}
    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(**arguments)))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(**arguments)))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(**arguments), 60_000)])
    tracers.get_tracer("t").start_span("one").end()
    loggers.get_logger("l").emit(body="two", timestamp=time.time_ns())
    meters.get_meter("m").create_counter("three").add(3)
    for provider in (tracers, loggers, meters):
        provider.shutdown()
    assert [row.name for row in hub.spans] == ["one"]
    assert [row.body for row in hub.logs] == ["two"]
    assert hub.point("three")[1].value == 3


def test_profiles_are_a_signal_as_the_others_are(hub: Receiving, channel: grpc.Channel) -> None:
    made = Profiles().add([("cart", "/srv/shop/views.py", 20, 24)], 5_000_000, endpoint="GET /cart")
    answer = ProfilesServiceStub(channel).Export(made.message, timeout=60)
    assert answer == ExportProfilesServiceResponse()
    (batch,) = hub.batches
    assert [row.value for row in batch.profiles] == [5_000_000]


def test_a_partial_success_tells_the_number_and_the_reason(hub: Receiving) -> None:
    with grpc.insecure_channel(hub.grpc) as channel:
        answer = TraceServiceStub(channel).Export(request(3, trace_id=b"x"))
        empty = TraceServiceStub(channel).Export(request(0))
    assert answer.partial_success.rejected_spans == 3
    assert "3 without a trace id" in answer.partial_success.error_message
    assert empty == ExportTraceServiceResponse()


def test_what_cannot_be_read_is_an_invalid_argument(channel: grpc.Channel) -> None:
    assert failure(channel, b"hello")[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_what_is_too_large_packed_or_unpacked_is_refused(channel: grpc.Channel) -> None:
    assert failure(channel, bytes(1_000_001))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    bomb = failure(channel, bytes(40_000_000), compression=grpc.Compression.Gzip)
    assert bomb[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_full_queue_and_a_store_that_fails_ask_the_sender_to_come_back(hub: Receiving, channel: grpc.Channel) -> None:
    hub.failure = Overloaded(2.5)
    code, text, seconds = failure(channel, request().SerializeToString())
    assert (code, seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 2.5)
    assert "PERFAGENT_HUB_QUEUE" in text
    hub.failure = StoreFailed("the disk is full")
    code, text, seconds = failure(channel, request().SerializeToString())
    assert (code, seconds) == (grpc.StatusCode.UNAVAILABLE, 5)
    assert "the disk is full" in text


def test_the_sdk_s_exporter_sends_again_what_was_not_stored(hub: Receiving) -> None:
    hub.failure = Overloaded(0.5)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=hub.grpc, insecure=True)))
    span = provider.get_tracer("t").start_span("patient")
    threading.Timer(0.3, lambda: setattr(hub, "failure", None)).start()
    span.end()
    provider.shutdown()
    assert [row.name for row in hub.spans] == ["patient"]


def test_waiting_commands_are_told_in_the_trailing_metadata(hub: Receiving, channel: grpc.Channel) -> None:
    hub.hub.commands.ask("two", "report", None)
    message = request()
    message.resource_spans[0].resource.attributes.add(key="service.instance.id").value.string_value = "two"
    _answer, call = channel.unary_unary(EXPORT).with_call(message.SerializeToString())
    assert dict(call.trailing_metadata())["perfagent-control"] == "1"


def test_beyond_the_loopback_address_a_token_is_needed(tmp_path: Path) -> None:
    everywhere = Receiving(tmp_path, with_grpc=True, PERFAGENT_HUB_HOST="0.0.0.0")
    with everywhere as hub, grpc.insecure_channel(hub.grpc) as channel:
        body = request().SerializeToString()
        assert failure(channel, body)[0] is grpc.StatusCode.UNAUTHENTICATED
        foreign = failure(channel, body, metadata=[("authorization", "Bearer agent.x")])
        assert foreign[0] is grpc.StatusCode.UNAUTHENTICATED
        token = hub.hub.access.token("agent")
        assert export(channel, body, metadata=[("authorization", f"Bearer {token}")]) == b""


def test_a_port_that_is_taken_is_an_error_and_not_shared(hub: Receiving) -> None:
    with pytest.raises(OSError, match="is taken by another program"):
        asyncio.run(receive_grpc.serve(hub.hub, int(hub.grpc.rpartition(":")[2])))


def test_without_grpcio_the_error_tells_how_to_get_it(hub: Receiving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(receive_grpc.Missing, match=r"PERFAGENT_HUB_GRPC_PORT=4317 needs grpcio.*perfagent\[grpc\]"):
        asyncio.run(receive_grpc.serve(hub.hub, 4317))
