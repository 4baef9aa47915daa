"""Which span is current: one context variable, so threads, tasks and greenlets each see their own."""

from __future__ import annotations

from contextvars import ContextVar

from perfagent.runtime.clock import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from typing import TypeVar

    from perfagent.runtime.span import Span

    Value = TypeVar("Value")

SAMPLED = 1
LATE = 30_000_000_000
"""Nanoseconds after the end of a span, within which work in another thread still belongs to it.

The Collector's tail sampler decides on a trace after that time (its `decision_wait`): what comes later is cut off.
"""


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
    ended = 0  # nobody knows when
    nobody = False  # whether it stands for no span at all
    lapsed = False  # whether a span made under it is none of its children any more

    def __init__(self, trace_id: bytes, span_id: bytes, flags: int, state: str = "", remote: bool = True) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags
        self.state = state
        self.remote = remote
        self.entry: Span | None = None


class Inherited(RemoteContext):
    """What is current in a thread, or in a pool's thread for one piece of work: the span that it was started in.

    A thread may outlive that span by days. So it belongs to it until LATE after its end, and at least that long after
    its own beginning; the spans of a loop that goes on for longer are roots.

    Args:
        lender: the span that was current where the work was handed over.
    """

    __slots__ = ("lender", "until")
    lender: Span | RemoteContext | None
    """None once it has lapsed, so that nothing is kept alive."""

    def __init__(self, lender: Span | RemoteContext) -> None:
        self.trace_id = lender.trace_id
        self.span_id = lender.span_id
        self.flags = lender.flags
        self.state = lender.state
        self.remote = lender.remote
        self.entry = lender.entry
        self.lender = lender
        self.until = now() + LATE

    @property
    def lapsed(self) -> bool:  # type: ignore[override]
        """Whether it is too late for a child."""
        lender = self.lender
        if lender is None:
            return True
        if now() <= self.until or not _is_late(lender):
            return False
        self.lender = self.entry = None
        return True

    @property
    def nobody(self) -> bool:  # type: ignore[override]
        """Whether it has lapsed: then it is neither logged nor sent to others."""
        return self.lapsed or self.lender is None or self.lender.nobody

    @property
    def kind(self) -> int:  # type: ignore[override]
        """The lender's, for what is called on behalf of a client's call keeps still."""
        lender = self.lender
        return 0 if self.lapsed or lender is None or lender.ended else lender.kind


def lent(span: Span | RemoteContext | None) -> Span | RemoteContext | None:
    """What work that is started now inherits from the current span.

    A timer that starts the next one, or a task that submits itself again, does not go on in the first one's trace.
    """
    if type(span) is not Inherited:
        return span
    lender = span.lender
    return None if lender is None or _is_late(lender) else lender


def _is_late(lender: Span | RemoteContext) -> bool:
    """Whether a span has ended for LATE; of one of another process nobody knows, so it has."""
    ended = 2 if isinstance(lender, RemoteContext) else lender.ended
    return ended > 1 and now() > ended + LATE  # 1 while it is ending


current: ContextVar[Span | RemoteContext | None] = ContextVar("perfagent_current_span", default=None)
"""The span that new spans become children of."""

baggage: ContextVar[str] = ContextVar("perfagent_baggage", default="")
"""The `baggage` header as it came in, handed on as it is; "" where there is none."""


def restore(variable: ContextVar[Value], token: Token[Value]) -> None:
    """Resets a variable in a coroutine: one that nobody finishes is closed in another context, which knows no token."""
    try:
        variable.reset(token)
    except ValueError:
        pass
