"""Spans of messages, sent, received and processed, and the metrics made of them (OpenTelemetry semantic conventions,
"Messaging").

The program's thread stores a few references; names, attributes, links and metrics are worked out by the background
thread, from templates kept for each operation, topic and outcome. No key, no value and no header is recorded.
"""

from __future__ import annotations

from collections import Counter

from perfagent import settings
from perfagent.runtime import clock, flight, guard, metric, propagation
from perfagent.runtime.attributes import Limits
from perfagent.runtime.clock import now
from perfagent.runtime.encoded import MOST, Encoded
from perfagent.runtime.http import SCHEMA
from perfagent.runtime.metric import COUNTER, HISTOGRAM, SECONDS, registry
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import CLIENT, CONSUMER, ERROR, Scope, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.metric import Instrument, Series
    from perfagent.runtime.timeparts.parts import Parts

    Made = Sequence[tuple[str, int]]  # topic, and Unix time in ms at which the message was made, below 0 where unknown

_meter = Scope("perfagent.messaging", schema_url=SCHEMA)
_WHERE = ("messaging.system", "messaging.destination.name", "messaging.consumer.group.name")
_WHAT = ("messaging.operation.name", *_WHERE, "server.address", "server.port", "error.type")

operation_duration = registry.make(
    _meter,
    HISTOGRAM,
    "messaging.client.operation.duration",
    "s",
    "Duration of sending a message until it is acknowledged, and of receiving a batch.",
    SECONDS,
    keys=(*_WHAT, "messaging.operation.type"),
)
process_duration = registry.make(
    _meter, HISTOGRAM, "messaging.process.duration", "s", "Duration of processing a message.", SECONDS, keys=_WHAT
)
sent = registry.make(
    _meter,
    COUNTER,
    "messaging.client.sent.messages",
    "{message}",
    "Number of messages that a producer tried to send.",
    keys=_WHAT,
)
consumed = registry.make(
    _meter,
    COUNTER,
    "messaging.client.consumed.messages",
    "{message}",
    "Number of messages that were given to the program.",
    keys=_WHAT,
)

_partitions = Encoded("messaging.destination.partition.id")


def ages() -> tuple[Instrument, Instrument]:
    """How long messages wait until they are received, and until they have been processed: `<namespace>.messaging.wait`
    and `.latency`.
    """
    prefix = f"{settings.current().namespace}.messaging"
    return (
        registry.make(
            _meter,
            HISTOGRAM,
            f"{prefix}.wait",
            "s",
            "Time from when a message was made to when the program received it.",
            SECONDS,
            keys=_WHERE,
        ),
        registry.make(
            _meter,
            HISTOGRAM,
            f"{prefix}.latency",
            "s",
            "Time from when a message was made to when the program had processed it.",
            SECONDS,
            keys=_WHERE,
        ),
    )


class Template:
    """What all spans of one operation, topic and outcome share."""

    __slots__ = ("body", "duration", "messages")

    def __init__(self, body: bytes, duration: Series, messages: Series) -> None:
        self.body = body
        self.duration = duration
        self.messages = messages


class Client:
    """A producer or consumer; kept with it, shared by its spans.

    Args:
        system: `messaging.system`, such as "kafka".
        host: the broker that it was configured with, or "".
        port: its port, or 0.
        name: what it calls itself, or "".
        group: the consumer group, or "".
    """

    __slots__ = ("_ages", "_templates", "own", "shared")

    def __init__(self, system: str, host: str = "", port: int = 0, name: str = "", group: str = "") -> None:
        self.shared: dict[str, object] = {"messaging.system": system}
        if group:
            self.shared["messaging.consumer.group.name"] = group
        if host:
            self.shared["server.address"] = host
            if port:
                self.shared["server.port"] = port
        self.own: dict[str, object] = {"messaging.client.id": name} if name else {}
        self._templates: dict[tuple[object, ...], Template] = {}
        self._ages: dict[str, tuple[Series, Series]] = {}

    def template(self, kind: int, operation: str, kind_of: str, topic: str, failure: str) -> Template:
        """The shared part of the spans of one operation on a topic ("" for several) with one outcome.

        Args:
            kind: the span's.
            operation: `messaging.operation.name`.
            kind_of: `messaging.operation.type`.
            topic: where messages go or come from.
            failure: `error.type`, or "".
        """
        key = (kind, operation, topic, failure)
        return self._templates.get(key) or self._make(key, kind, operation, kind_of, topic, failure)

    def _make(
        self, key: tuple[object, ...], kind: int, operation: str, kind_of: str, topic: str, failure: str
    ) -> Template:
        shared = {"messaging.operation.name": operation, **self.shared}
        if topic:
            shared["messaging.destination.name"] = topic
        if failure:
            shared["error.type"] = failure
        typed = {**shared, "messaging.operation.type": kind_of}
        name = f"{operation} {topic}" if topic else operation
        body = wire.text(5, name) + b"0" + wire.varint(kind) + wire.attributes(9, {**typed, **self.own})
        if failure:
            body += wire.message(15, wire.integer(3, ERROR))
        duration = process_duration.of(shared) if kind == CONSUMER else operation_duration.of(typed)
        template = Template(body, duration, (sent if kind_of == "send" else consumed).of(shared))
        if len(self._templates) >= MOST:
            self._templates.clear()
        self._templates[key] = template
        return template

    def ages(self, topic: str) -> tuple[Series, Series]:
        """The series of how long messages of a topic wait until they are received and until they are processed."""
        found = self._ages.get(topic)
        if found is None:
            where = {name: value for name, value in self.shared.items() if name in _WHERE}
            where["messaging.destination.name"] = topic
            wait, latency = ages()
            found = (wait.of(where), latency.of(where))
            if len(self._ages) < MOST:
                self._ages[topic] = found
        return found


class MessageSpan(Span):
    """One operation on messages of one topic.

    Args:
        scope: the instrument.
        kind: PRODUCER, CONSUMER or CLIENT.
        parent: the span above, or None.
        client: who sends or receives.
        topic: where to or from; "" where there are several.
        origin: the creation context of the message, where that is another span than this one.
        partition: of the topic; -1 where unknown.
        offset: in the partition; -1 where unknown.
    """

    __slots__ = ("client", "failure", "offset", "origin", "partition", "tombstone", "topic")
    operation = ""
    type = ""

    def __init__(
        self,
        scope: Scope,
        kind: int,
        parent: Span | RemoteContext | None,
        client: Client,
        topic: str,
        origin: RemoteContext | None = None,
        partition: int = -1,
        offset: int = -1,
    ) -> None:
        Span.__init__(self, scope, self.operation, kind, parent)
        self.client = client
        self.topic = topic
        self.origin = origin
        self.partition = partition
        self.offset = offset
        self.failure = ""
        self.tombstone = False

    def fail(self, error: BaseException) -> None:
        """Records the exception that the operation ended with, without what it quotes: it may be a key or a value."""
        try:
            from perfagent.runtime.failure import Failure

            failure = Failure(error)
            self.failure = failure.type
            if self.is_recording():
                self._more().events.append(("exception", now() + clock.offset, failure, 0))
        except Exception:
            guard.failed("messaging")

    def template(self) -> Template:
        """What it shares with others."""
        return self.client.template(self.kind, self.operation, self.type, self.topic, self.failure)

    def measure(self) -> None:
        """Adds the span to the metrics of its kind."""
        template = self.template()
        seconds = (self.ended - self.started) / 1e9
        template.duration.record(seconds)
        self.count(template)
        if self.flags & 1 and metric.exemplar_filter != "always_off":
            template.duration.exemplify(seconds, self.ended, self.trace_id, self.span_id)

    def count(self, template: Template) -> None:
        """Counts its messages."""
        template.messages.record(1)

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        parts = [self.template().body]
        if self.name != self.operation:  # the program has renamed it through OpenTelemetry's API; the last name holds
            parts.append(wire.text(5, self.name))
        if self.partition >= 0:
            parts.append(_partitions[str(self.partition)])
        if self.offset >= 0:
            parts.append(wire.key_value(9, "messaging.kafka.offset", self.offset))
        if self.tombstone:
            parts.append(wire.key_value(9, "messaging.kafka.message.tombstone", True))
        if self.origin is not None:
            parts.append(_link(self.origin))
        parts += self.batch()
        return self.encode_around(b"".join(parts))

    def batch(self) -> list[bytes]:
        """What it has to tell of several messages, encoded."""
        return []


class SendSpan(MessageSpan):
    """One message on its way, until the broker has acknowledged it.

    It is the creation context of its message, unless the program itself has put one there. `taken` is to be set
    once the client library has taken the message: one that it refused at once was never sent.
    """

    __slots__ = ("taken",)
    operation = type = "send"
    taken: bool

    def count(self, template: Template) -> None:
        """Counts the message."""
        if getattr(self, "taken", False):
            template.messages.record(1)


class ProcessSpan(MessageSpan):
    """One message while the program works on it.

    It is a child of the ambient span where there is one, else of the message's creation context, and links to that.
    `made` is when the message was made, in Unix ms; below 0 where unknown.
    """

    __slots__ = ("made", "parts", "slot")
    operation = type = "process"
    made: int
    parts: Parts  # while messages are timed by parts
    stepped = False

    def __init__(
        self,
        scope: Scope,
        kind: int,
        parent: Span | RemoteContext | None,
        client: Client,
        topic: str,
        origin: RemoteContext | None = None,
        partition: int = -1,
        offset: int = -1,
    ) -> None:
        super().__init__(scope, kind, parent, client, topic, origin, partition, offset)
        begin = flight.begin
        self.slot = -1 if begin is None else begin(self, "process", topic)
        self.made = -1
        if self.entry is None:
            self.entry = self

    def finish(self) -> None:
        """Ends it, once."""
        super().finish()
        slot, self.slot = self.slot, -1
        if slot >= 0:
            flight.end(slot, self, 0)

    def measure(self) -> None:
        """Adds the span to the metrics of its kind."""
        if self.entry is self:  # a program that has turned the garbage collector off must get its memory back
            self.entry = None
        super().measure()

    def count(self, template: Template) -> None:
        """Counts the message and tells its age, when it was received and now that it is done with."""
        template.messages.record(1)
        if self.made >= 0:
            made = self.made * 1_000_000 - clock.offset
            wait, latency = self.client.ages(self.topic)
            wait.record(max(self.started - made, 0) / 1e9)  # clocks of two machines may differ
            latency.record(max(self.ended - made, 0) / 1e9)


class ReceiveSpan(MessageSpan):
    """One batch that the program was given.

    Args:
        parent: the span in which the program asks for it, or None.
        began: when it asked, by the monotonic clock.
        made: topic and time of each message.
        origins: the `traceparent` of those that have one.
    """

    __slots__ = ("made", "origins")
    operation, type = "poll", "receive"

    def __init__(
        self,
        scope: Scope,
        parent: Span | RemoteContext | None,
        client: Client,
        topic: str,
        began: int,
        made: Made,
        origins: Sequence[bytes],
    ) -> None:
        super().__init__(scope, CLIENT, parent, client, topic)
        self.started = began
        self.made = made
        self.origins = origins

    def count(self, template: Template) -> None:
        """Counts the messages by their topics, and tells their age."""
        for topic, number in Counter(topic for topic, _made in self.made).items():
            messages = (
                template.messages
                if topic == self.topic
                else self.client.template(self.kind, self.operation, self.type, topic, "").messages
            )
            messages.record(number)
        ended = self.ended + clock.offset
        for topic, made in self.made:
            if made >= 0:
                self.client.ages(topic)[0].record(max(ended - made * 1_000_000, 0) / 1e9)

    def batch(self) -> list[bytes]:
        """The size of the batch, and links to the creation contexts of its messages, as many as a span may have."""
        if self.failure:
            return []
        parts = [wire.key_value(9, "messaging.batch.message_count", len(self.made))]
        origins = self.origins[: Limits.links]
        for header in origins:
            origin = propagation.parent(header.decode("latin-1"))
            if origin is not None:
                parts.append(_link(origin))
        if len(self.origins) > len(origins):
            parts.append(wire.integer(14, len(self.origins) - len(origins)))
        return parts


def _link(to: RemoteContext) -> bytes:
    state = wire.text(3, to.state) if to.state else b""
    return wire.message(13, wire.message(1, to.trace_id) + wire.message(2, to.span_id) + state + wire.fixed32(6, 0x300))
