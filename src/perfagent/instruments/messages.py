"""What the instruments of queues have in common: how a message's span begins, is current, and ends."""

from __future__ import annotations

from functools import lru_cache

from perfagent.runtime import clock, guard
from perfagent.runtime.context import baggage, current
from perfagent.runtime.encoded import MOST
from perfagent.runtime.messaging import Client, ProcessSpan, ReceiveSpan, SendSpan
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Token
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.messaging import Template

    Header = Callable[[str], str | None]

_clients: dict[tuple[str, str, int, str], Client] = {}


def client_of(system: str, host: str, port: int, attribute: str, name: str) -> Client:
    """What the spans of one function's jobs share, for a queue that hands out calls of functions.

    Args:
        system: `messaging.system`.
        host: the broker, or "".
        port: its port, or 0.
        attribute: what the system calls the function.
        name: the function's.
    """
    key = (system, host, port, name)
    client = _clients.get(key)
    if client is None:
        client = Client(system, host, port)
        client.shared[attribute] = name
        if len(_clients) < MOST:
            _clients[key] = client
    return client


def ambient() -> Span | RemoteContext | None:
    """The current span; none where it is that of a message which another thread or task has meanwhile ended."""
    found = current.get()
    if isinstance(found, ProcessSpan) and found.ended:
        current.set(None)
        return None
    return found


def answers(above: Span | RemoteContext | None) -> bool:
    """Whether that span is part of a request or a message: a further message is then not what the program works on."""
    if above is None:
        return False
    return above.entry is not None or getattr(above.kind, "name", "") in ("SERVER", "CONSUMER")  # OpenTelemetry's kinds


def text(value: object) -> str | None:
    """A header's value, which may be text or bytes."""
    if isinstance(value, str):
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else None


def among(headers: Iterable[Any], name: str) -> str | None:
    """The first header of that name among pairs; what is no pair is for the library to refuse."""
    for pair in headers:
        if isinstance(pair, tuple) and len(pair) == 2 and pair[0] == name and pair[1]:
            return text(pair[1])
    return None


class Work:
    """A message that the program works on until it asks for the next one, or lets go of who gave it this one.

    Its span is current from now until `leave`.

    Args:
        span: the message's.
        carried: the baggage that came with it, or "".
    """

    __slots__ = ("_baggage", "_token", "span")

    def __init__(self, span: ProcessSpan, carried: str = "") -> None:
        self.span = span
        self._token: Token[Span | RemoteContext | None] = current.set(span)
        self._baggage: Token[str] | None = baggage.set(carried) if carried else None

    def leave(self, error: BaseException | None = None) -> None:
        """Ends it; harmless where it has ended."""
        span = self.span
        if span.ended:
            return
        try:
            # A span that the program has opened since stays current; `ambient` sees later that this one has ended.
            if current.get() is span:
                current.reset(self._token)
            if self._baggage is not None:
                baggage.reset(self._baggage)
        except ValueError:  # begun in another context: a consumer that is handed from thread to thread
            pass
        if error is not None:
            span.fail(error)
        span.finish()

    def __del__(self) -> None:
        try:
            self.leave()
        except Exception:
            guard.failed("messages")


WORK = "_perfagent_work"
"""Where an object that gives messages keeps what the last one is doing."""


def leave(giver: Any) -> None:
    """Ends what the last message that an object gave is doing."""
    try:
        work: Work | None = giver.__dict__.pop(WORK, None)
        if work is not None:
            work.leave()
    except Exception:
        guard.failed("messages")


class Loop:
    """The iterator of one `async for`, in the place of the object that gives messages.

    When the loop is left, by `break`, `return` or an exception, nobody holds this object any more, and what the last
    message was doing has ended.
    """

    __slots__ = ("_giver",)

    def __init__(self, giver: Any) -> None:
        self._giver = giver

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """That of what it stands for."""
        return self._giver.__class__

    def __aiter__(self) -> Loop:
        return self

    def __anext__(self) -> Any:
        return self._giver.__anext__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._giver, name)

    def __del__(self) -> None:
        leave(self._giver)


def looping(iterate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An `__aiter__` whose loop tells when it is left."""

    def wrapper(giver: Any) -> Any:
        return Loop(iterate(giver))

    return wrapper


class BatchSpan(SendSpan):
    """Several messages that are sent in one go, none of which can carry a context."""

    __slots__ = ("size",)
    size: int

    def count(self, template: Template) -> None:
        """Counts the messages."""
        if getattr(self, "taken", False):
            template.messages.record(self.size)

    def batch(self) -> list[bytes]:
        """How many they are."""
        return [wire.key_value(9, "messaging.batch.message_count", self.size)]


class GetSpan(ReceiveSpan):
    """One message that the program asked for by itself; nobody knows when it was made."""

    __slots__ = ()
    operation = "get"

    def count(self, template: Template) -> None:
        """Counts the message."""
        template.messages.record(1)


def ends(span: Span, seconds: float) -> None:
    """Ends a span that many seconds after its start: where others tell of the end later than it was."""
    span.end(span.started + clock.offset + max(int(seconds * 1e9), 1))


class Amqp:
    """What spans of AMQP's messages add: the routing key. To be mixed in."""

    __slots__ = ()

    def batch(self: Any) -> list[bytes]:
        """The routing key, besides what there is to tell anyway."""
        parts: list[bytes] = super().batch()  # type: ignore[misc]
        if self.routing_key:
            parts.append(wire.key_value(9, "messaging.rabbitmq.destination.routing_key", self.routing_key))
        return parts


class Publishing(Amqp, SendSpan):
    """A message on its way to an exchange."""

    __slots__ = ("routing_key",)
    routing_key: str
    operation = "publish"


class Processing(Amqp, ProcessSpan):
    """A message from a queue that the program works on."""

    __slots__ = ("routing_key",)
    routing_key: str


class Getting(Amqp, GetSpan):
    """A message that the program asked a queue for."""

    __slots__ = ("routing_key",)
    routing_key: str


ANONYMOUS = "(anonymous)"


@lru_cache(MOST)
def destination(exchange: str, routing_key: str, queue: str = "") -> str:
    """`messaging.destination.name` by the conventions for RabbitMQ: the parts that there are, each once.

    A queue that lives as long as one client has a name that nobody has seen before, so that is told as such.
    """
    parts = []
    for part in (exchange, routing_key, queue):
        named = ANONYMOUS if _is_anonymous(part) else part
        if named and named not in parts:
            parts.append(named)
    return ":".join(parts)


def _is_anonymous(name: str) -> bool:
    if name.startswith(("amq.gen-", "amq.rabbitmq.reply-to", "amq_")):
        return True
    digits = name.replace("-", "")
    return len(digits) == 32 and len(name) in (32, 36) and set(digits) <= set("0123456789abcdef")
