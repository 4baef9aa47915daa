"""kafka-python: a span for each message that is sent, and for each that the program works on; one for each poll.

A message is worked on from when a loop over the consumer gets it until the loop asks for the next one or is left. What
a message holds is not looked at, neither key nor value; its headers carry the trace context and nothing else is read.
Its thread pays about 4.3 us for a message that it sends, acknowledgement included, and as much for one that a loop
gets, measured around empty calls (`python -m benchmarks.micro`).
"""

from __future__ import annotations

from weakref import ref

from perfagent.instruments.base import Instrument
from perfagent.instruments.messages import Work, ambient
from perfagent.runtime import guard, propagation
from perfagent.runtime.clock import now
from perfagent.runtime.context import current
from perfagent.runtime.messaging import Client, ProcessSpan, ReceiveSpan, SendSpan
from perfagent.runtime.span import CLIENT, CONSUMER, PRODUCER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext

    Headers = Sequence[tuple[str, bytes]]

DEFAULT_PORT = 9092
WITH_HEADERS = (0, 11)  # the first broker whose messages have headers

_scope: Scope


class KafkaPython(Instrument):
    """Patches where a producer takes a message, and where a consumer gives messages to the program."""

    name = "kafka"
    distribution = "kafka-python"
    versions = ("2.0.2", "4")
    records = "a span a message sent, received, processed; links; waits"

    def patch(self, module: ModuleType) -> None:
        """Patches the producer or the consumer."""
        global _scope
        _scope = self.scope
        if module.__name__ == "kafka.producer.kafka":
            self.replace(module.KafkaProducer, "send", _sending)
            return
        self.replace(module.KafkaConsumer, "__iter__", _iterating)
        self.replace(module.KafkaConsumer, "__next__", _advancing)
        self.replace(module.KafkaConsumer, "poll", _polling)
        self.replace(module.KafkaConsumer, "close", _closing)


class KafkaClient(Client):
    """What spans share of one producer or consumer.

    `carries` is whether its messages have headers, `loop` the loop that goes on over a consumer, and `inside` whether
    that loop has asked the consumer for the next message.
    """

    __slots__ = ("carries", "inside", "loop")

    def __init__(self, config: dict[str, Any]) -> None:
        host, port = first_server(config.get("bootstrap_servers"))
        super().__init__("kafka", host, port, str(config.get("client_id") or ""), str(config.get("group_id") or ""))
        self.carries = (config.get("api_version") or WITH_HEADERS) >= WITH_HEADERS
        self.inside = False
        self.loop: Callable[[], Loop | None] | None = None


def _client(owner: Any) -> KafkaClient:
    client: KafkaClient | None = owner.__dict__.get("_perfagent")
    if client is None:
        client = owner._perfagent = KafkaClient(owner.config)
    return client


def first_server(servers: Any) -> tuple[str, int]:
    """Host and port of the first server of `bootstrap_servers`: a text with commas, or a list."""
    if isinstance(servers, (list, tuple)):
        servers = servers[0] if servers else ""
    server = str(servers or "").partition(",")[0].strip().rpartition("://")[2]
    host, _, port = server.rpartition(":")
    if not host or port.endswith("]") or not port.isdecimal():
        host, port = server, str(DEFAULT_PORT)
    return host.strip("[]"), int(port)


def _sending(send: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(producer: Any, *args: Any, **options: Any) -> Any:
        try:
            span, given, named = _open(producer, args, options)
        except Exception:
            guard.failed("kafka-python")
            return send(producer, *args, **options)
        try:
            future = send(producer, *given, **named)
        except BaseException as error:
            span.fail(error)
            span.finish()
            raise
        try:
            span.follow(future)
        except Exception:
            guard.failed("kafka-python")
        return future

    return wrapper


def _open(
    producer: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Sending, tuple[Any, ...], dict[str, Any]]:
    """The span, and the call's arguments with the context in headers of its own; the program's list stays as it is.

    A context that the program has put there itself, as who forwards a message does, is left alone and linked to.
    """
    client = _client(producer)
    count = len(args)
    headers = args[3] if count > 3 else options.get("headers")
    origin = _origin(headers) if headers and _are_headers(headers) else None
    topic = args[0] if count else options.get("topic", "")
    span = Sending(_scope, PRODUCER if origin is None else CLIENT, current.get(), client, topic, origin)
    span.tombstone = (args[1] if count > 1 else options.get("value")) is None
    if origin is not None or not client.carries or not (headers is None or isinstance(headers, list)):
        return span, args, options  # what is no list is refused by the producer, in its own words
    carried = [] if headers is None else headers.copy()
    propagation.inject(lambda name, text: carried.append((name, text.encode())), span)
    if count > 3:
        return span, (*args[:3], carried, *args[4:]), options
    options["headers"] = carried
    return span, args, options


class Sending(SendSpan):
    """A message on its way; the producer's own thread tells how that ends, so nobody waits."""

    __slots__ = ()

    def follow(self, future: Any) -> None:
        """Ends with the future that `send` returned."""
        self.taken = True
        future.add_callback(self._delivered)
        future.add_errback(self._lost)
        if future.is_done and not self.ended:  # before 2.3 a future that is done while we add forgets what was added
            if future.exception is None:
                self.finish()
            else:
                self._lost(future.exception)

    def _delivered(self, metadata: Any) -> None:
        try:
            self.partition, self.offset = metadata.partition, metadata.offset
        except Exception:
            guard.failed("kafka-python")
        self.finish()

    def _lost(self, error: BaseException) -> None:
        self.fail(error)
        self.finish()


class Loop:
    """The iterator of one loop over a consumer, in the consumer's place.

    The span of a message is current while the loop's body runs. When the loop is left, by `break`, `return` or an
    exception, nobody holds this object any more, and what it has opened is closed.
    """

    __slots__ = ("__weakref__", "_client", "_consumer", "_work")

    def __init__(self, consumer: Any) -> None:
        self._work: Work | None = None
        self._consumer = consumer
        self._client = _client(consumer)
        self._client.loop = ref(self)

    def __iter__(self) -> Loop:
        return self

    def __next__(self) -> Any:
        self.leave()
        client = self._client
        client.inside = True
        try:
            record = self._consumer.__next__()
        finally:
            client.inside = False
        try:
            self._enter(record)
        except Exception:
            guard.failed("kafka-python")
        return record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def _enter(self, record: Any) -> None:
        above = ambient()
        headers = record.headers
        origin = _origin(headers) if headers else None
        span = ProcessSpan(
            _scope,
            CONSUMER,
            origin if above is None else above,
            self._client,
            record.topic,
            origin,
            record.partition,
            record.offset,
        )
        span.made = record.timestamp
        span.tombstone = record.value is None
        carried = propagation.carried(lambda name: _header(headers, name)) if headers and len(headers) > 1 else ""
        self._work = Work(span, carried)

    def leave(self) -> None:
        """Ends the span of the message that was worked on."""
        work, self._work = self._work, None
        if work is not None:
            work.leave()

    def close_here(self) -> None:
        """As `leave`, where the loop runs in this very context: not for a thread that closes another's consumer."""
        if self._work is not None and current.get() is self._work.span:
            self.leave()


def _iterating(iterate: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(consumer: Any) -> Any:
        try:
            return Loop(consumer)
        except Exception:
            guard.failed("kafka-python")
            return iterate(consumer)

    return wrapper


def _advancing(advance: Callable[..., Any]) -> Callable[..., Any]:
    """`next(consumer)` by the program itself: nobody can tell when it is done with the message, so it is received."""

    def wrapper(consumer: Any) -> Any:
        client: KafkaClient | None = consumer.__dict__.get("_perfagent")
        if client is not None and client.inside:
            return advance(consumer)
        _leave_loop(consumer)
        began = now()
        record = advance(consumer)
        _received(consumer, began, (record,))
        return record

    return wrapper


def _polling(poll: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(consumer: Any, *args: Any, **options: Any) -> Any:
        if options.get("update_offsets") is False:  # how the iterator asks
            return poll(consumer, *args, **options)
        _leave_loop(consumer)
        began = now()
        try:
            batches = poll(consumer, *args, **options)
        except Exception as error:
            _received(consumer, began, (), error)
            raise
        if batches:  # a poll in vain is no operation: programs do many of these
            _received(consumer, began, [record for records in batches.values() for record in records])
        return batches

    return wrapper


def _received(consumer: Any, began: int, records: Sequence[Any], error: Exception | None = None) -> None:
    try:
        made = [(record.topic, record.timestamp) for record in records]
        origins = [
            value for record in records if record.headers for name, value in record.headers if name == "traceparent"
        ]
        topics = {topic for topic, _made in made}
        topic = topics.pop() if len(topics) == 1 else ""
        span = ReceiveSpan(_scope, ambient(), _client(consumer), topic, began, made, origins)
        if topic:
            partitions = {record.partition for record in records}
            if len(partitions) == 1:
                span.partition = partitions.pop()
        if error is not None:
            span.fail(error)
        span.finish()
    except Exception:
        guard.failed("kafka-python")


def _closing(close: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(consumer: Any, *args: Any, **options: Any) -> Any:
        _leave_loop(consumer)
        return close(consumer, *args, **options)

    return wrapper


def _leave_loop(consumer: Any) -> None:
    """Ends what a loop works on, where the program asks its consumer for something else."""
    try:
        client: KafkaClient | None = consumer.__dict__.get("_perfagent")
        loop = client.loop() if client is not None and client.loop is not None else None
        if loop is not None:
            loop.close_here()
            ambient()
    except Exception:
        guard.failed("kafka-python")


def _origin(headers: Headers) -> RemoteContext | None:
    """The creation context of a message."""
    if propagation.trace_context:
        for name, value in headers:
            if name == "traceparent" and value:
                state = _header(headers, "tracestate") if len(headers) > 1 else None
                return propagation.parent(value.decode("latin-1"), state or "")
    return None


def _are_headers(headers: Any) -> bool:
    """Whether the producer will take them."""
    return isinstance(headers, list) and all(
        isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], bytes) for item in headers
    )


def _header(headers: Headers, name: str) -> str | None:
    for key, value in headers:
        if key == name and value:
            return value.decode("latin-1")
    return None


instrument = KafkaPython()
