"""Requests of realistic spans, encoded once and made distinct by patching identities into the bytes."""

from __future__ import annotations

import os
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

ENDPOINTS = ("/", "/products/{id}", "/orders", "/checkout", "/search")
QUERIES = 4  # below each request
MARK = b"\xfe\xed\xfa\xce"  # what an identity begins with in the encoded template


class Template:
    """An export request of so many spans whose identities are replaced for each sending.

    Args:
        spans: how many.
    """

    def __init__(self, spans: int) -> None:
        self.spans = spans
        body = _request(spans).SerializeToString()
        self._parts: list[bytes] = []
        self._kinds: list[tuple[int, int]] = []  # for each gap: 0 trace, 1 span, 2 parent; and which one
        position = 0
        while (found := body.find(MARK, position)) >= 0:
            kind, number = body[found + 4], int.from_bytes(body[found + 5 : found + 8], "big")
            self._parts.append(body[position:found])
            self._kinds.append((kind, number))
            position = found + (16 if kind == 0 else 8)
        self._parts.append(body[position:])

    def fresh(self) -> tuple[bytes, list[bytes]]:
        """The request with identities that no other has, and those of its spans in order."""
        traces = os.urandom(16 * (self.spans + 1))
        spans = os.urandom(8 * (self.spans + 1))
        pieces = [self._parts[0]]
        for (kind, number), part in zip(self._kinds, self._parts[1:], strict=True):
            pieces.append(traces[16 * number : 16 * number + 16] if kind == 0 else spans[8 * number : 8 * number + 8])
            pieces.append(part)
        return b"".join(pieces), [spans[8 * number : 8 * number + 8] for number in range(self.spans)]


def _mark(kind: int, number: int, length: int) -> bytes:
    return (MARK + bytes([kind]) + number.to_bytes(3, "big")).ljust(length, b"\x01")


def _request(count: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(
        _attributes({"service.name": "shop", "service.instance.id": "shop-1", "telemetry.sdk.language": "python"})
    )
    spans = resource.scope_spans.add()
    spans.scope.name = "perfagent.benchmark"  # as the spans of the agent's instruments, which a Collector trusts
    now = time.time_ns() - 1_000_000_000
    root = 0
    for number in range(count):
        span = spans.spans.add()
        is_root = number % (QUERIES + 1) == 0
        root = number if is_root else root
        span.trace_id = _mark(0, root, 16)
        span.span_id = _mark(1, number, 8)
        span.start_time_unix_nano = now + number * 1000
        span.end_time_unix_nano = span.start_time_unix_nano + (number * 7919 % 900_000 + 50_000)
        if is_root:
            route = ENDPOINTS[number % len(ENDPOINTS)]
            span.name, span.kind = f"GET {route}", 2
            values = {
                "http.request.method": "GET", "http.route": route, "http.response.status_code": 200,
                "url.path": f"/products/{number}", "url.scheme": "http", "server.address": "localhost",
                "server.port": 8000, "client.address": "127.0.0.1", "network.protocol.version": "1.1",
                "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64)",
            }  # fmt: skip
        else:
            span.parent_span_id = _mark(1, root, 8)
            table = ("products", "orders", "lines", "customers")[number % 4]
            span.name, span.kind = f"SELECT {table}", 3
            values = {
                "db.system.name": "postgresql", "db.namespace": "shop", "db.operation.name": "SELECT",
                "db.collection.name": table, "db.query.summary": f"SELECT {table}",
                "db.query.text": f"SELECT id, name, price FROM {table} WHERE id = ? AND shop = ?",
                "server.address": "db.internal", "server.port": 5432,
            }  # fmt: skip
        span.attributes.extend(_attributes(values))
    return request


def _attributes(values: dict[str, str | int]) -> list[KeyValue]:
    found = []
    for key, value in values.items():
        pair = KeyValue(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value
        found.append(pair)
    return found
