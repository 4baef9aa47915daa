"""W3C Trace Context and Baggage headers, in and out (https://www.w3.org/TR/trace-context/, https://www.w3.org/TR/baggage/).

Whatever a header holds, nothing here raises: a header that breaks a rule is as if it had not come.
"""

from __future__ import annotations

from perfagent.runtime.context import RemoteContext, baggage, current
from perfagent.runtime.ids import NO_SPAN, NO_TRACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.runtime.span import Span

LONGEST_STATE = 512  # characters (section 3.3.1.5); more is handed on no further
LONGEST_BAGGAGE = 8192  # bytes (W3C Baggage 3.3.2)

trace_context = True
"""Whether `traceparent` and `tracestate` are read and written (OTEL_PROPAGATORS)."""
carry_baggage = True
"""Whether `baggage` is read and written (OTEL_PROPAGATORS)."""


def parent(traceparent: str, tracestate: str = "") -> RemoteContext | None:
    """The caller's context, or None where `traceparent` breaks a rule.

    Args:
        traceparent: `version-traceid-spanid-flags`, in lower-case hexadecimal digits.
        tracestate: handed on as it is where it is short enough.
    """
    if len(traceparent) < 55 or traceparent[2] != "-" or traceparent[35] != "-" or traceparent[52] != "-":
        return None
    version = traceparent[:2]
    if (
        version == "ff"
        or (version == "00" and len(traceparent) != 55)
        or (len(traceparent) > 55 and traceparent[55] != "-")
    ):
        return None
    digits = version + traceparent[3:35] + traceparent[36:52] + traceparent[53:55]
    if digits.lower() != digits or not digits.isascii() or not digits.isalnum():
        return None
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return None
    trace_id, span_id = raw[1:17], raw[17:25]
    if trace_id == NO_TRACE or span_id == NO_SPAN:
        return None
    return RemoteContext(trace_id, span_id, raw[25], tracestate if len(tracestate) <= LONGEST_STATE else "")


def extract(get: Callable[[str], str | None]) -> RemoteContext | None:
    """The caller's context by a function that looks a header up."""
    if not trace_context:
        return None
    header = get("traceparent")
    return parent(header, get("tracestate") or "") if header else None


def carried(get: Callable[[str], str | None]) -> str:
    """The caller's baggage by a function that looks a header up; "" where there is none.

    Who answers the request sets the context variable `baggage` to it and resets it afterwards: a server's threads, and
    the task of a test, go on to the next request.
    """
    header = get("baggage") if carry_baggage else None
    return header if header and len(header) <= LONGEST_BAGGAGE else ""


def traceparent(span: Span | RemoteContext) -> str:
    """The `traceparent` that tells a callee who calls."""
    return f"00-{span.trace_id.hex()}-{span.span_id.hex()}-0{span.flags & 1}"


def inject(put: Callable[[str, str], object], span: Span | RemoteContext | None = None) -> None:
    """Writes the context into outgoing headers.

    Args:
        put: called with each header's name and value.
        span: who calls; the current span when left out.
    """
    span = current.get() if span is None else span
    if span is not None and trace_context and not span.nobody:
        put("traceparent", traceparent(span))
        if span.state:
            put("tracestate", span.state)
    if carry_baggage:
        header = baggage.get()
        if header:
            put("baggage", header)
