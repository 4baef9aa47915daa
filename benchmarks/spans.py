"""Counts what an agent has sent, so that none looks cheap because it does nothing."""

from __future__ import annotations

import gzip
import struct
from collections import Counter
from typing import Any, NamedTuple


class Payload(NamedTuple):
    """One request of an exporter."""

    path: str
    encoding: str
    body: bytes


def count(payload: Payload) -> Counter[str]:
    """How many of each kind are in a payload.

    Returns:
        Counts under "server" (one a request is right), "query", "other" (further spans) and "points" (of metrics).
    """
    body = gzip.decompress(payload.body) if payload.encoding == "gzip" else payload.body
    if payload.path == "/v1/traces":
        return _otlp_spans(body)
    if payload.path == "/v1/metrics":
        return _otlp_points(body)
    if payload.path == "/v0.5/traces":
        strings, traces = MessagePack(body).read()
        return Counter(_datadog_kind(span[5], strings[span[11]]) for trace in traces for span in trace)
    if payload.path == "/v0.4/traces":
        traces = MessagePack(body).read()
        return Counter(_datadog_kind(span.get("parent_id"), span.get("type")) for trace in traces for span in trace)
    return Counter()


def _otlp_spans(body: bytes) -> Counter[str]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    # The programs make no outgoing call but queries.
    kinds = {Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "query"}
    request = ExportTraceServiceRequest.FromString(body)
    scopes = (scope for resource in request.resource_spans for scope in resource.scope_spans)
    return Counter(kinds.get(span.kind, "other") for scope in scopes for span in scope.spans)


def _otlp_points(body: bytes) -> Counter[str]:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest.FromString(body)
    metrics = (m for resource in request.resource_metrics for scope in resource.scope_metrics for m in scope.metrics)
    return Counter(points=sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics))


def _datadog_kind(parent: int | None, kind: str | None) -> str:
    if not parent:
        return "server"
    return "query" if kind == "sql" else "other"


# The tags of MessagePack's specification: a number's struct format, and the width of a size in front of a value.
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d",
    0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_SIZED = {
    0xC4: (1, "bytes"), 0xC5: (2, "bytes"), 0xC6: (4, "bytes"),
    0xD9: (1, "text"), 0xDA: (2, "text"), 0xDB: (4, "text"),
    0xDC: (2, "array"), 0xDD: (4, "array"),
    0xDE: (2, "map"), 0xDF: (4, "map"),
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_SMALL = {0x8: "map", 0x9: "array"}


class MessagePack:
    """Reads the part of MessagePack that Datadog's tracer writes; a library for it would be one more to install."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def read(self) -> Any:
        """The next value."""
        tag = self.body[self.at]
        self.at += 1
        if tag < 0x80:
            return tag
        if tag >= 0xE0:
            return tag - 0x100
        if tag < 0xC0:
            return self._read("text", tag & 0x1F) if tag >= 0xA0 else self._read(_SMALL[tag >> 4], tag & 0x0F)
        if tag in _NUMBERS:
            number = struct.Struct(_NUMBERS[tag])
            self.at += number.size
            return number.unpack_from(self.body, self.at - number.size)[0]
        if tag in _SIZED:
            width, kind = _SIZED[tag]
            self.at += width
            return self._read(kind, int.from_bytes(self.body[self.at - width : self.at], "big"))
        return _CONSTANTS[tag]

    def _read(self, kind: str, size: int) -> Any:
        if kind == "array":
            return [self.read() for _ in range(size)]
        if kind == "map":
            return {self.read(): self.read() for _ in range(size)}
        self.at += size
        raw = self.body[self.at - size : self.at]
        return raw.decode("utf-8", "replace") if kind == "text" else raw
