"""Which span is current: one context variable, so threads, tasks and greenlets each see their own."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.span import Span

SAMPLED = 1


class RemoteContext:
    """A parent that lives in another process, or a span that somebody else's SDK made.

    It has the fields of a span that a child needs, under the same names.

    Args:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        flags: the trace flags of W3C Trace Context; bit 0 says sampled.
        state: the `tracestate` header as it came, or "".
        remote: whether it came from another process.
    """

    __slots__ = ("entry", "flags", "remote", "span_id", "state", "trace_id")
    kind = 0
    nobody = False  # whether it stands for no span at all

    def __init__(self, trace_id: bytes, span_id: bytes, flags: int, state: str = "", remote: bool = True) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags
        self.state = state
        self.remote = remote
        self.entry: Span | None = None


current: ContextVar[Span | RemoteContext | None] = ContextVar("perfagent_current_span", default=None)
"""The span that new spans become children of."""

baggage: ContextVar[str] = ContextVar("perfagent_baggage", default="")
"""The `baggage` header as it came in, handed on as it is; "" where there is none."""
