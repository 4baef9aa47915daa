"""A span: slotted, timed by the one clock, encoded by the background thread.

It answers the methods of OpenTelemetry's `Span`, so that a program that asks for the current span can use ours,
and holds as little as it can: what few spans have (attributes, events, links, a status) is one slot until it is used.
"""

from __future__ import annotations

from struct import Struct

from perfagent.runtime import clock, ids, outbox
from perfagent.runtime.attributes import LONGEST_NAME, Limits, merge, put, text_of
from perfagent.runtime.clock import now
from perfagent.runtime.flight import running
from perfagent.runtime.otlp import wire
from perfagent.runtime.sampler import Sampler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Any

    from perfagent.runtime.context import RemoteContext

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
UNSET, OK, ERROR = 0, 1, 2

sampler = Sampler()
"""The sampler of this process; replaced when the agent starts."""


thinned = ""
"""The trace state of the span that is being encoded, where its trace stands for others that are left out."""


class Scope:
    """Who made a span: the instrumentation scope.

    Args:
        name: the instrument's or the library's name.
        version: its version, or "".
        schema_url: the schema of its attribute names, or "".
        attributes: attributes of the scope, or None.
    """

    __slots__ = ("attributes", "encoded", "name", "schema_url", "version")

    def __init__(
        self, name: str, version: str = "", schema_url: str = "", attributes: Mapping[str, object] | None = None
    ) -> None:
        self.name = name
        self.version = version
        self.schema_url = schema_url
        self.attributes = attributes
        self.encoded = b"".join(
            (
                wire.text(1, name) if name else b"",
                wire.text(2, version) if version else b"",
                wire.attributes(3, attributes) if attributes else b"",
            )
        )


class Details:
    """What a span has beyond its name and times."""

    __slots__ = ("attributes", "events", "links", "lost_attributes", "lost_events", "lost_links", "message", "status")

    def __init__(self) -> None:
        self.attributes: dict[str, object] = {}
        self.events: list[tuple[str, int, dict[str, object], int]] = []  # name, Unix ns, attributes, lost attributes
        self.links: list[
            tuple[bytes, bytes, str, int, dict[str, object], int]
        ] = []  # ids, state, flags, attributes, lost
        self.lost_attributes = self.lost_events = self.lost_links = 0
        self.status = UNSET
        self.message = ""


class Span:
    """One timed operation; a child of the current span, or of `parent`, or the root of a new trace.

    Args:
        scope: who makes it.
        name: its name.
        kind: INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER.
        parent: the span or remote context above it; None makes a root.
    """

    __slots__ = (
        "__weakref__",
        "details",
        "ended",
        "entry",
        "flags",
        "kind",
        "name",
        "parent_id",
        "parent_remote",
        "scope",
        "span_id",
        "started",
        "state",
        "told",
        "trace_id",
    )
    slot = -1  # of a request in the flight recorder
    told: int  # on a request: the identity of the error that a query or call below it ended with last
    remote = False
    nobody = False
    lapsed = False

    def __init__(self, scope: Scope, name: str, kind: int, parent: Span | RemoteContext | None) -> None:
        self.scope = scope
        self.name = name
        self.kind = kind
        self.details: Details | None = None
        self.ended = 0
        self.span_id = ids.span_id()
        if parent is None or parent.lapsed:
            self.trace_id = ids.trace_id()
            self.parent_id: bytes | None = None
            self.parent_remote = False
            self.flags, self.state = sampler.decide(self.trace_id)
            self.entry: Span | None = None
        else:
            self.trace_id = parent.trace_id
            self.parent_id = parent.span_id
            self.parent_remote = parent.remote
            if sampler.parent_based:
                self.flags, self.state = parent.flags & 1, parent.state
            else:
                self.flags, self.state = sampler.decide(parent.trace_id, parent.state)
            entry = self.entry = parent.entry
            if entry is not None and entry.slot >= 0:
                running[entry.slot] = self
        self.started = now()

    def finish(self) -> None:
        """Stops the clock and hands the span over; once, further calls do nothing."""
        if not self.ended:
            self.ended = 1  # the interpreter never switches between this test and store: two threads cannot both pass
            self.ended = now()
            outbox.pending.append(self)
            if len(outbox.pending) > outbox.CROWDED:
                outbox.crowded()

    def fail(self, error: BaseException) -> None:
        """Records `error` as an event and sets the error status, as leaving a span by an exception does."""
        self.record_exception(error)
        self.set("error.type", type_name(error))
        self._more().status = ERROR
        self._more().message = text_of(error)

    def set(self, key: str, value: object) -> None:
        """Sets an attribute of a span that we made: key and value are known to be good."""
        self._more().attributes[key] = value

    def summary(self) -> str:
        """What it does, without anything secret, for who asks while it runs."""
        return self.name

    def _more(self) -> Details:
        details = self.details
        if details is None:
            details = Details()
            if self.details is not None:  # another thread was faster; nothing can come between test and store
                return self.details
            self.details = details
        return details

    # The methods of opentelemetry.trace.Span.

    def end(self, end_time: int | None = None) -> None:
        """Ends the span.

        Args:
            end_time: Unix time in ns; now when left out.
        """
        if end_time is None:
            self.finish()
            return
        ended = end_time - clock.offset or 1  # 0 means that it has not ended
        if not self.ended:
            self.ended = ended
            outbox.pending.append(self)
            if len(outbox.pending) > outbox.CROWDED:
                outbox.crowded()

    def is_recording(self) -> bool:
        """Whether it still takes attributes and will be exported."""
        return not self.ended and bool(self.flags & 1)

    def get_span_context(self) -> Any:
        """The identity, as OpenTelemetry's SpanContext."""
        from perfagent.runtime.api import identity

        return identity.span_context(self)

    def set_attribute(self, key: str, value: object) -> None:
        """Sets one attribute; see OpenTelemetry's Span."""
        if self.flags & 1 and not self.ended:
            details = self._more()
            details.lost_attributes += put(details.attributes, key, value, Limits.attributes)

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Sets attributes; the oldest go where there are more than the limit."""
        if not self.is_recording():
            return
        details = self._more()
        details.lost_attributes += merge(details.attributes, attributes, Limits.attributes)

    def add_event(
        self, name: str, attributes: Mapping[str, object] | None = None, timestamp: int | None = None
    ) -> None:
        """Adds an event; `timestamp` is Unix time in ns."""
        if not self.is_recording():
            return
        details = self._more()
        kept: dict[str, object] = {}
        lost = merge(kept, attributes, Limits.event_attributes) if attributes else 0
        if isinstance(name, str):
            name = name[:LONGEST_NAME]
        details.events.append((name, now() + clock.offset if timestamp is None else timestamp, kept, lost))
        if len(details.events) > Limits.events:
            del details.events[0]
            details.lost_events += 1

    def add_link(self, context: Any, attributes: Mapping[str, object] | None = None) -> None:
        """Links to another span by its OpenTelemetry SpanContext."""
        if not self.is_recording() or context is None:
            return
        if not (context.is_valid or attributes or context.trace_state):
            return
        state = ",".join(f"{key}={value}" for key, value in context.trace_state.items())
        self._link(
            (context.trace_id & (1 << 128) - 1).to_bytes(16, "big"),
            (context.span_id & (1 << 64) - 1).to_bytes(8, "big"),
            state,
            0x300 if context.is_remote else 0x100,
            attributes,
        )

    def link(self, to: Span | RemoteContext, attributes: Mapping[str, object] | None = None) -> None:
        """Links to another span of ours."""
        self._link(to.trace_id, to.span_id, to.state, 0x300 if to.remote else 0x100, attributes)

    def _link(
        self, trace_id: bytes, span_id: bytes, state: str, flags: int, attributes: Mapping[str, object] | None
    ) -> None:
        details = self._more()
        kept: dict[str, object] = {}
        lost = merge(kept, attributes, Limits.link_attributes) if attributes else 0
        details.links.append((trace_id, span_id, state, flags, kept, lost))
        if len(details.links) > Limits.links:
            del details.links[0]
            details.lost_links += 1

    def update_name(self, name: str) -> None:
        """Gives the span another name."""
        if self.is_recording():
            self.name = name

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Sets the status by OpenTelemetry's Status or StatusCode; OK is final, UNSET changes nothing."""
        code = getattr(status, "status_code", status)
        if code is not status:
            description = status.description
        value = getattr(code, "value", code)
        if value not in (OK, ERROR) or not self.is_recording():
            return
        details = self._more()
        if details.status != OK:
            details.status = value
            details.message = description if value == ERROR and isinstance(description, str) else ""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, object] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Adds the event `exception` with type, message and stack trace."""
        if not self.is_recording():
            return
        import traceback

        found: dict[str, object] = {
            "exception.type": type_name(exception),
            "exception.message": text_of(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        if attributes:
            found.update(attributes)
        self.add_event("exception", found, timestamp)

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.is_recording():
            self.record_exception(error, escaped=True)
            self.set_status(ERROR, f"{type(error).__name__}: {text_of(error)}")
        self.end()

    # The background thread's side.

    def deliver(self, wanted: bool) -> bytes | None:
        """Measures the span, and encodes it where it is kept and `wanted`; called once for each.

        Returns:
            The span as it stands in its ScopeSpans, or None.
        """
        self.measure()
        return framed(self.encode()) if wanted and self.flags & 1 else None

    def leave_out(self) -> None:
        """Has the span measured, but not sent, nor made the exemplar of a metric."""
        self.flags = 0

    def measure(self) -> None:
        """Adds the span to the metrics that are made of its kind; called once for each, kept or not."""

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        return self.encode_around(b"".join((wire.text(5, self.name), b"0", wire.varint(self.kind))))

    def encode_around(self, body: bytes) -> bytes:
        """An OTLP Span message around `body`: the fields that its kind encodes by itself (name, kind, attributes)."""
        offset = clock.offset
        if self.parent_id is None:
            head = _root(
                b"\x0a\x10", self.trace_id, b"\x12\x08", self.span_id, b"\x39", self.started + offset,
                b"\x41", self.ended + offset, b"\x85\x01", 0x100,
            )  # fmt: skip
        else:
            head = child_head(
                b"\x0a\x10", self.trace_id, b"\x12\x08", self.span_id, b"\x22\x08", self.parent_id,
                b"\x39", self.started + offset, b"\x41", self.ended + offset,
                b"\x85\x01", 0x300 if self.parent_remote else 0x100,
            )  # fmt: skip
        state = thinned or self.state
        if state:
            head += wire.text(3, state)
        details = self.details
        return head + body if details is None else head + body + _encode_details(details)


_root = Struct("<2s16s2s8scQcQ2sI").pack
_child = Struct("<2s16s2s8s2s8scQcQ2sI")
child_head = _child.pack
"""Ids, times and flags of a span with a parent; each field after its tag, in one call."""
CHILD_HEAD = _child.size


def framed(span: bytes) -> bytes:
    """An encoded span as it stands in its ScopeSpans."""
    return b"".join((b"\x12", wire.varint(len(span)), span))


def _encode_details(details: Details) -> bytes:
    parts = [wire.attributes(9, details.attributes.copy())]  # a copy: a late thread may still be setting one
    if details.lost_attributes:
        parts.append(wire.integer(10, details.lost_attributes))
    for name, time, attributes, lost in details.events:
        if name == "exception":
            attributes = _scrubbed(attributes)
        event = wire.fixed64(1, time) + wire.text(2, name) + wire.attributes(3, attributes)
        parts.append(wire.message(11, event + wire.integer(4, lost) if lost else event))
    if details.lost_events:
        parts.append(wire.integer(12, details.lost_events))
    for trace_id, span_id, state, flags, attributes, lost in details.links:
        link = wire.message(1, trace_id) + wire.message(2, span_id) + (wire.text(3, state) if state else b"")
        link += wire.attributes(4, attributes) + (wire.integer(5, lost) if lost else b"") + wire.fixed32(6, flags)
        parts.append(wire.message(13, link))
    if details.lost_links:
        parts.append(wire.integer(14, details.lost_links))
    if details.status:
        status = b""
        if details.message:
            from perfagent.runtime import scrub

            status = wire.text(2, scrub.text(str(details.message)))
        parts.append(wire.message(15, status + wire.integer(3, details.status)))
    return b"".join(parts)


def _scrubbed(attributes: dict[str, object]) -> dict[str, object]:
    """What an exception says, without secrets that it quotes."""
    from perfagent.runtime import scrub

    said = ("exception.message", "exception.stacktrace")
    return {key: scrub.text(value) if key in said and isinstance(value, str) else value
            for key, value in attributes.items()}  # fmt: skip


def type_name(error: BaseException) -> str:
    """The name of an exception's type, with its module unless that is `builtins`."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
