"""Spans as OTLP: opentelemetry/proto/trace/v1/trace.proto. Each span encodes itself; here is what goes around them."""

from __future__ import annotations

from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.span import Scope


def encode(resource: bytes, by_scope: dict[Scope, list[bytes]]) -> bytes:
    """An ExportTraceServiceRequest.

    Args:
        resource: the encoded Resource.
        by_scope: for each scope its spans, each as `Span.deliver` gives it.
    """
    parts = [wire.message(1, resource)]
    for scope, spans in by_scope.items():
        body = b"".join((wire.message(1, scope.encoded), *spans))
        if scope.schema_url:
            body += wire.text(3, scope.schema_url)
        parts.append(wire.message(2, body))
    return wire.message(1, b"".join(parts))
