"""The same program on the stock SDK and on our runtime, both used by the API alone, and what each would send of it.

What is sent is made comparable: identifiers become the order of their making, and a moment that the program did not
name itself becomes 1, for no two runs agree on that.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from perfagent.runtime import outbox
from perfagent.runtime.api.tracer import TracerProvider
from perfagent.runtime.attributes import Limits
from perfagent.runtime.otlp import traces
from perfagent.runtime.span import framed

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMED_TIMES = range(1_600_000_000_000_000_000, 1_600_000_001_000_000_000)
"""Where every moment lies that a program names."""
LIMITS = {"attributes": 5, "length": 6, "events": 3, "links": 2, "event_attributes": 2, "link_attributes": 2}


class ProgramError(Exception):
    """What programs of these tests raise."""


@dataclass
class Block:
    """A span and what happens while it is current."""

    name: str
    kind: SpanKind
    attributes: Mapping[Any, Any] | None
    links: list[tuple[int, Mapping[str, Any] | None]]
    parent: int | str  # "current", "root", "remote", "unsampled", or the number of an earlier span
    start: int | None
    end: int | None
    style: str  # "current": start_as_current_span; "with": a span as a context manager; "use": use_span
    records: bool
    sets_status: bool
    fails: bool
    scope: int
    steps: list[Any] = field(default_factory=list)


class TraceProgram:
    """Runs blocks on a tracer provider and remembers the spans in the order of their making."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self.tracers = [
            provider.get_tracer("library"),
            provider.get_tracer("library", "1.0", "https://schema", {"a": 1, "b": ["x"]}),
        ]
        self.made: list[SpanContext] = []

    def run(self, block: Block) -> None:
        with contextlib.suppress(ProgramError):
            self._run(block)

    def _run(self, block: Block) -> None:
        arguments = {
            "context": self._context(block.parent),
            "kind": block.kind,
            "attributes": block.attributes,
            "links": [trace.Link(self._identity(number), attributes) for number, attributes in block.links] or None,
            "start_time": block.start,
            "record_exception": block.records,
            "set_status_on_exception": block.sets_status,
        }
        tracer = self.tracers[block.scope]
        if block.style == "current":
            with tracer.start_as_current_span(block.name, end_on_exit=block.end is None, **arguments) as span:
                self._within(block, span)
        else:
            span = tracer.start_span(block.name, **arguments)
            if block.style == "with":
                with span:
                    self._within(block, span)
            else:
                with trace.use_span(span, block.end is None, block.records, block.sets_status):
                    self._within(block, span)
        if block.end is not None:
            span.end(block.end)

    def _within(self, block: Block, span: Any) -> None:
        self.made.append(span.get_span_context())
        for method, *arguments in block.steps:
            if method == "child":
                self.run(arguments[0])
            elif method == "add_link":
                span.add_link(self._identity(arguments[0]), arguments[1])
            elif method == "end":
                span.end(arguments[0])
            else:
                getattr(span, method)(*arguments)
        if block.fails:
            raise ProgramError("failed")
        if block.end is not None:
            span.end(block.end)

    def _identity(self, number: int) -> SpanContext:
        if self.made and number >= 0:
            return self.made[number % len(self.made)]
        return remote(abs(number))

    def _context(self, parent: int | str) -> context_api.Context | None:
        if parent == "current":
            return None
        if parent == "root" or (isinstance(parent, int) and not self.made):
            return context_api.Context()
        above = remote(1, sampled=parent == "remote") if isinstance(parent, str) else self._identity(parent)
        return trace.set_span_in_context(trace.NonRecordingSpan(above), context_api.Context())


def remote(number: int, sampled: bool = True) -> SpanContext:
    """The identity of a span of another process; number 0 gives an invalid one."""
    state = TraceState([("vendor", "value"), ("other", "1")]) if number else None
    return SpanContext(0xABC << 64 | number, number, True, TraceFlags(sampled), state)


def sdk_spans(block: Block) -> str:
    """What the SDK sends for a program."""
    memory = InMemorySpanExporter()
    limits = SpanLimits(
        max_span_attributes=LIMITS["attributes"],
        max_attribute_length=LIMITS["length"],
        max_events=LIMITS["events"],
        max_links=LIMITS["links"],
        max_event_attributes=LIMITS["event_attributes"],
        max_link_attributes=LIMITS["link_attributes"],
    )
    provider = SdkTracerProvider(shutdown_on_exit=False, span_limits=limits)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    program = TraceProgram(provider)
    program.run(block)
    return comparable_spans(encode_spans(memory.get_finished_spans()), program.made)


def our_spans(block: Block) -> str:
    """What we send for a program."""
    kept = {name: getattr(Limits, name) for name in LIMITS}
    for name, value in LIMITS.items():
        setattr(Limits, name, value)
    outbox.pending.clear()
    try:
        program = TraceProgram(TracerProvider())
        program.run(block)
        by_scope: dict[Any, list[bytes]] = {}
        while outbox.pending:
            span = outbox.pending.popleft()
            span.measure()
            by_scope.setdefault(span.scope, []).append(framed(span.encode()))
    finally:
        for name, value in kept.items():
            setattr(Limits, name, value)
    message = ExportTraceServiceRequest.FromString(traces.encode(b"", by_scope))
    return comparable_spans(message, program.made)


def comparable_spans(message: ExportTraceServiceRequest, made: list[SpanContext]) -> str:
    """An export request as text, spans in the order of their making."""
    order = {context.span_id.to_bytes(8, "big"): number for number, context in enumerate(made, 1)}
    trace_order: dict[bytes, int] = {}
    for context in made:
        trace_order.setdefault(context.trace_id.to_bytes(16, "big"), len(trace_order) + 1)
    lines = []
    for group in message.resource_spans:
        for scoped in group.scope_spans:
            for span in scoped.spans:
                _clean_span(span, order, trace_order)
                lines.append((span.span_id, f"{scoped.scope}schema: {scoped.schema_url}\n{span}"))
    return "\n".join(text for _, text in sorted(lines))


def _clean_span(span: Any, order: dict[bytes, int], trace_order: dict[bytes, int]) -> None:
    def number(known: dict[bytes, int], identifier: bytes) -> bytes:
        return known[identifier].to_bytes(2, "big") if identifier in known else identifier

    for linked in (span, *span.links):
        linked.trace_id = number(trace_order, linked.trace_id)
        linked.span_id = number(order, linked.span_id)
    span.parent_span_id = number(order, span.parent_span_id)
    for link in span.links:
        link.trace_state = ""  # the SDK's encoder leaves it out; see docs/reference/differences.md
    if not span.status.code:
        span.ClearField("status")
    moments = [(span, "start_time_unix_nano"), (span, "end_time_unix_nano")]
    moments += [(event, "time_unix_nano") for event in span.events]
    for moment, name in moments:
        if getattr(moment, name) not in NAMED_TIMES:
            setattr(moment, name, 1)
    for event in span.events:
        for attribute in event.attributes:
            if attribute.key == "exception.stacktrace":  # frames of the implementation are in it
                attribute.value.string_value = attribute.value.string_value.strip().rpartition("\n")[2]


def status(code: StatusCode, description: str | None, whole: bool) -> tuple[Any, ...]:
    """The arguments of `set_status` in either of its two forms."""
    return (Status(code, description),) if whole else (code, description)
