"""The span of a program's own tracer: a runtime span that can be read back, as the SDK's can."""

from __future__ import annotations

from types import MappingProxyType

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from perfagent.runtime import clock
from perfagent.runtime.api import identity
from perfagent.runtime.attributes import Limits, merge
from perfagent.runtime.context import RemoteContext
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import CLIENT, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any

    from perfagent.runtime.span import Scope

_KINDS = {kind: b"0" + wire.varint(kind.value + 1) for kind in SpanKind}
_KINDS[CLIENT] = _KINDS[SpanKind.CLIENT]  # an instrumentor's
_CODES = (StatusCode.UNSET, StatusCode.OK, StatusCode.ERROR)
_NONE: Mapping[str, Any] = MappingProxyType({})


class Event:
    """An event of a span, as it is read back."""

    __slots__ = ("attributes", "dropped_attributes", "name", "timestamp")

    def __init__(self, name: str, timestamp: int, attributes: dict[str, object], lost: int) -> None:
        self.name = name
        self.timestamp = timestamp
        self.attributes = MappingProxyType(attributes)
        self.dropped_attributes = lost


class ProgramSpan(Span):
    """A span that the program made by its tracer.

    Its kind is OpenTelemetry's SpanKind, which equals none of ours: a CLIENT span of the program's own never makes an
    instrument think that somebody else measures the call. One of an instrumentor of OpenTelemetry's does, for it does.

    Args:
        scope: the tracer's.
        name: its name.
        kind: its kind.
        parent: the span above it, or None.
        records_exception: whether leaving it by an exception records that.
        sets_status: whether leaving it by an exception sets the status.
    """

    __slots__ = ("records_exception", "sets_status")
    kind: SpanKind

    def __init__(
        self,
        scope: Scope,
        name: str,
        kind: SpanKind,
        parent: Span | RemoteContext | None,
        records_exception: bool = True,
        sets_status: bool = True,
    ) -> None:
        Span.__init__(self, scope, name, kind, parent)
        self.records_exception = records_exception
        self.sets_status = sets_status

    def prepare(
        self, attributes: Mapping[str, object] | None, links: Sequence[trace.Link] | None, start_time: int | None
    ) -> None:
        """Takes what `start_span` was given beyond a name; see there."""
        if start_time is not None:
            self.started = int(start_time) - clock.offset
        if not self.flags & 1:
            return
        details = self._more()
        if attributes:
            details.lost_attributes += merge(details.attributes, attributes, Limits.attributes)
        for link in links or ():
            self.add_link(link.context, link.attributes)

    def finish(self) -> None:
        """Stops the clock and hands the span over, unless it is not sampled; once."""
        if self.flags & 1:
            Span.finish(self)
        else:
            self.ended = 1

    def end(self, end_time: int | None = None) -> None:
        """Ends the span; `end_time` is Unix time in ns, now when left out."""
        if end_time is None or not self.flags & 1:
            self.finish()
        else:
            Span.end(self, int(end_time))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.left_by(error, escaped=True)
        self.end()

    def left_by(self, error: BaseException, escaped: bool) -> None:
        """Notes the exception that a block ended with, as far as the program wants that."""
        if self.is_recording():
            if self.records_exception:
                self.record_exception(error, escaped=escaped)
            if self.sets_status:
                self.set_status(*failure(error))

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        return self.encode_around(wire.text(5, self.name) + _KINDS.get(self.kind, b"0\x01"))

    # What the SDK's ReadableSpan has; programs read it in tests and in hooks.

    @property
    def context(self) -> trace.SpanContext:
        """The identity."""
        return identity.span_context(self)

    @property
    def parent(self) -> trace.SpanContext | None:
        """The identity of the span above, or None."""
        if self.parent_id is None:
            return None
        return identity.span_context(
            RemoteContext(self.trace_id, self.parent_id, self.flags, self.state, self.parent_remote)
        )

    @property
    def start_time(self) -> int:
        """When it started, in Unix ns."""
        return self.started + clock.offset

    @property
    def end_time(self) -> int | None:
        """When it ended, in Unix ns; None until then."""
        return self.ended + clock.offset if self.ended else None

    @property
    def status(self) -> Status:
        """The status."""
        details = self.details
        if details is None:
            return Status()
        return Status(_CODES[details.status], details.message or None)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes, to read."""
        return _NONE if self.details is None else MappingProxyType(self.details.attributes)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events, oldest first."""
        return () if self.details is None else tuple(Event(*event) for event in self.details.events)

    @property
    def links(self) -> tuple[trace.Link, ...]:
        """The links, oldest first."""
        if self.details is None:
            return ()
        return tuple(
            trace.Link(
                identity.span_context(RemoteContext(trace_id, span_id, 0, state, bool(flags & 0x200))),
                attributes,
            )
            for trace_id, span_id, state, flags, attributes, _lost in self.details.links
        )

    @property
    def instrumentation_scope(self) -> Scope:
        """The tracer's scope."""
        return self.scope

    @property
    def dropped_attributes(self) -> int:
        """How many attributes were beyond the limit."""
        return 0 if self.details is None else self.details.lost_attributes

    @property
    def dropped_events(self) -> int:
        """How many events were beyond the limit."""
        return 0 if self.details is None else self.details.lost_events

    @property
    def dropped_links(self) -> int:
        """How many links were beyond the limit."""
        return 0 if self.details is None else self.details.lost_links

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name="{self.name}", context={self.context!r})'


def failure(error: BaseException) -> tuple[StatusCode, str]:
    """Status code and description of a span left by an exception."""
    from perfagent.runtime.attributes import text_of

    return StatusCode.ERROR, f"{type(error).__name__}: {text_of(error)}"
