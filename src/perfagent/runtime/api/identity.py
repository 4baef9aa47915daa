"""Span identities, from our bytes to OpenTelemetry's SpanContext and back."""

from __future__ import annotations

from opentelemetry.trace import DEFAULT_TRACE_STATE, SpanContext, TraceFlags, TraceState

from perfagent.runtime.context import RemoteContext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.span import Span

_FLAGS = {flags: TraceFlags(flags) for flags in range(4)}


def span_context(span: Span | RemoteContext) -> SpanContext:
    """The identity of a span as OpenTelemetry has it."""
    return SpanContext(
        int.from_bytes(span.trace_id, "big"),
        int.from_bytes(span.span_id, "big"),
        span.remote,
        _FLAGS.get(span.flags) or TraceFlags(span.flags),
        trace_state(span.state),
    )


def trace_state(header: str) -> TraceState:
    """The content of a `tracestate` header; empty where it breaks a rule."""
    return TraceState.from_header([header]) if header else DEFAULT_TRACE_STATE


def remote_context(context: SpanContext) -> RemoteContext:
    """An identity of OpenTelemetry's as a parent for our spans."""
    return RemoteContext(*fields(context))


def fields(context: SpanContext) -> tuple[bytes, bytes, int, str, bool]:
    """What RemoteContext is made of."""
    state = context.trace_state
    return (
        context.trace_id.to_bytes(16, "big"),
        context.span_id.to_bytes(8, "big"),
        int(context.trace_flags),
        state.to_header() if state else "",
        context.is_remote,
    )
