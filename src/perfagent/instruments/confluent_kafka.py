"""confluent-kafka: a span for each message that is sent, and for each that a poll gives the program to work on.

Its Producer and Consumer are types of C, which cannot be patched: classes of their names that inherit from them take
their places before anybody sees them, so the library's own and the program's classes inherit from ours. A message is
worked on from when `poll` gives it until the consumer is asked for the next one, is closed or is let go; in a request
or in another message's work, where nobody can tell that, it is received and no more. How long sending took is told by
librdkafka's own clock, since a program may ask for deliveries (`poll`, `flush`) long after they happened. What a
message holds is not looked at. A message that is sent costs 5.2 us, its delivery included
(`python -m benchmarks.instruments confluent_kafka`).
"""

from __future__ import annotations

import atexit
import os
from collections import deque
from weakref import WeakSet

from perfagent.instruments.base import Instrument
from perfagent.instruments.kafka_python import first_server
from perfagent.instruments.messages import BatchSpan, Work, ambient, among, answers, ends, text
from perfagent.runtime import guard, propagation
from perfagent.runtime.clock import now
from perfagent.runtime.context import current
from perfagent.runtime.messaging import Client, ProcessSpan, ReceiveSpan, SendSpan
from perfagent.runtime.span import CLIENT, CONSUMER, PRODUCER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext

# The names of `produce`'s arguments in their order.
ARGUMENTS = ("topic", "value", "key", "partition", "callback", "on_delivery", "timestamp", "headers")

_scope: Scope


class ConfluentKafka(Instrument):
    """Puts classes of ours in the places of the types of C, and patches what awaits them."""

    name = "confluent_kafka"  # as OpenTelemetry calls it
    distribution = "confluent-kafka"
    versions = ("1.9", "3")
    records = "a span a message sent, processed or received; librdkafka's own time until it is acknowledged"

    def patch(self, module: ModuleType) -> None:
        """Patches the extension module, or the consumer for asyncio."""
        global _scope
        _scope = self.scope
        if hasattr(module, "AIOConsumer"):
            self.replace(module.AIOConsumer, "poll", _awaiting(_begin))
            self.replace(module.AIOConsumer, "consume", _awaiting(_receive))
            self.replace(module.AIOConsumer, "close", _awaiting(None))
            return
        atexit.register(_end_all)
        self.replace(module, "Producer", _producer)
        self.replace(module, "Consumer", _consumer)

    def unsupported(self, module: ModuleType) -> str:
        """The extension tells its version itself, as a text or, before 2, with a number behind it."""
        version = getattr(module, "version", None)
        found = version() if callable(version) else ""
        return self.out_of_range(found if isinstance(found, str) else str(found[0]))


class KafkaClient(Client):
    """What spans share of one producer or consumer.

    `deliver` is the callback of the whole producer, `silent` whether librdkafka tells of failures only, and `awaited`
    whether somebody else awaits the consumer in a thread.
    """

    __slots__ = ("awaited", "deliver", "silent")

    def __init__(self, config: dict[str, Any]) -> None:
        def of(name: str) -> Any:
            return config.get(name) or config.get(name.replace(".", "_"))

        host, port = first_server(of("bootstrap.servers") or of("metadata.broker.list"))
        super().__init__("kafka", host, port, str(of("client.id") or ""), str(of("group.id") or ""))
        self.deliver = config.get("on_delivery")
        self.silent = str(of("delivery.report.only.error")).lower() in ("true", "1")
        self.awaited = False


class Waiting:
    """The messages of one producer that nobody has told the end of.

    A program may never ask for deliveries; what became of its messages is not known then, and they end with it.
    """

    __slots__ = ("__weakref__", "_process", "_spans")

    def __init__(self) -> None:
        self._spans: deque[Sending] = deque()
        self._process = os.getpid()
        _all.add(self)

    def add(self, span: Sending) -> None:
        """Remembers one, and forgets those at the front that have ended."""
        spans = self._spans
        spans.append(span)
        try:
            while spans[0].ended:
                spans.popleft()
        except IndexError:  # another thread was faster
            pass

    def end(self) -> None:
        """Ends all, unless they are those of the process that this one was forked from."""
        spans, self._spans = self._spans, deque()
        if self._process == os.getpid():
            for span in spans:
                ends(span, 0)

    def __del__(self) -> None:
        try:
            self.end()
        except Exception:
            guard.failed("confluent_kafka")


_all: WeakSet[Waiting] = WeakSet()


def _end_all() -> None:
    for waiting in list(_all):
        waiting.end()


def _initialise(original: Any, owner: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Keeps what spans need of a configuration, which nobody can ask the types of C for."""
    if options:
        original.__init__(owner, *args, **options)
    else:  # C tells no keywords from none
        original.__init__(owner, *args)
    try:
        owner._perfagent = KafkaClient({**(args[0] if args and isinstance(args[0], dict) else {}), **options})
    except Exception:
        guard.failed("confluent_kafka")


def _producer(original: Any) -> Any:
    class Producer(original):  # type: ignore[misc]
        __slots__ = ("_perfagent", "_perfagent_waiting")  # apart, for the spans know the client that they are of

        def __init__(self, *args: Any, **options: Any) -> None:
            _initialise(original, self, args, options)

        def produce(self, *args: Any, **options: Any) -> Any:
            try:
                span, given, named = _open(self, args, options)
            except Exception:
                guard.failed("confluent_kafka")
                return original.produce(self, *args, **options)
            try:
                result = original.produce(self, *given, **named)
            except BaseException as error:
                span.lose(error)
                raise
            span.taken = True
            _wait(self, span)
            return result

        def __exit__(self, *raised: Any) -> Any:
            return original.__exit__(self, *raised)

    if hasattr(original, "produce_batch"):
        Producer.produce_batch = _batching(original.produce_batch)
    if not hasattr(original, "__exit__"):
        del Producer.__exit__
    return Producer


def _wait(producer: Any, span: Sending) -> None:
    """Waits for what becomes of a message that librdkafka has taken, unless it tells of failures only."""
    try:
        if span.client.silent:  # type: ignore[attr-defined]
            span.finish()
            return
        try:
            waiting = producer._perfagent_waiting
        except AttributeError:
            waiting = producer._perfagent_waiting = Waiting()
        waiting.add(span)
    except Exception:
        guard.failed("confluent_kafka")


def _client(owner: Any) -> KafkaClient:
    try:
        client: KafkaClient = owner._perfagent
    except AttributeError:  # a class of the program's that calls no __init__
        client = owner._perfagent = KafkaClient({})
    return client


def _open(
    producer: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Sending, tuple[Any, ...], dict[str, Any]]:
    """The span, and the call's arguments with the context in headers of its own, and who hears of the delivery.

    A context that the program has put there itself, as who forwards a message does, is left alone and linked to.
    """
    client = _client(producer)
    named = dict(zip(ARGUMENTS[4:], args[4:], strict=False))
    topic = args[0] if args else options.get("topic", "")
    if not named.keys().isdisjoint(options) or len(args) > len(ARGUMENTS):  # the producer says so in its own words
        return Sending(_scope, PRODUCER, current.get(), client, str(topic)), args, options
    named.update(options)
    headers = named.get("headers")
    known = headers if isinstance(headers, (list, dict)) else None  # the producer refuses others in its own words
    origin = propagation.extract(lambda name: _header(known, name)) if known else None
    span = Sending(_scope, PRODUCER if origin is None else CLIENT, current.get(), client, str(topic), origin)
    span.tombstone = (args[1] if len(args) > 1 else options.get("value")) is None
    if origin is None:
        carried: Any = None
        if headers is None or isinstance(headers, list):
            carried = list(headers or ())
            propagation.inject(lambda name, value: carried.append((name, value)), span)
        elif isinstance(headers, dict):
            carried = dict(headers)
            propagation.inject(carried.__setitem__, span)
        if carried:
            named["headers"] = carried
    hears = named.get("callback") or named.get("on_delivery")
    if not client.silent and (hears is None or callable(hears)):
        span.hears = hears or client.deliver
        named.pop("callback", None)
        named["on_delivery"] = span.delivered
    return span, args[:4], named


class Sending(SendSpan):
    """A message on its way; whoever asks for deliveries tells how that ended. `hears` is the program's callback."""

    __slots__ = ("hears",)
    hears: Any

    def delivered(self, error: Any, message: Any) -> None:
        """What librdkafka calls, from within the program's `poll` or `flush`."""
        try:
            partition, offset = message.partition(), message.offset()  # None where it has none
            self.partition = -1 if partition is None else partition
            self.offset = -1 if offset is None else offset
            if error is not None:
                self.failure = error.name()
            took = getattr(message, "latency", lambda: None)()
            if took is None or took < 0:
                self.finish()
            else:
                ends(self, took)
        except Exception:
            guard.failed("confluent_kafka")
        hears, self.hears = self.hears, None
        if hears is not None:
            hears(error, message)

    def lose(self, error: BaseException) -> None:
        """Ends with what the producer raised; an error of librdkafka's has a name."""
        self.fail(error)
        try:
            inner = error.args[0] if error.args else None
            if type(inner).__name__ == "KafkaError":
                self.failure = inner.name()  # type: ignore[union-attr]
        except Exception:
            guard.failed("confluent_kafka")
        self.finish()


def _batching(produce_batch: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(producer: Any, *args: Any, **options: Any) -> Any:
        try:
            topic = args[0] if args else options.get("topic", "")
            span = BatchSpan(_scope, PRODUCER, current.get(), _client(producer), str(topic))
        except Exception:
            guard.failed("confluent_kafka")
            return produce_batch(producer, *args, **options)
        span.size = 0
        try:
            taken = produce_batch(producer, *args, **options)
            span.size, span.taken = int(taken), True
            return taken
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.finish()

    wrapper.__name__ = wrapper.__qualname__ = "produce_batch"
    return wrapper


def _consumer(original: Any) -> Any:
    class Consumer(original):  # type: ignore[misc]
        __slots__ = ("_perfagent", "_perfagent_work")

        def __init__(self, *args: Any, **options: Any) -> None:
            _initialise(original, self, args, options)

        def poll(self, *args: Any, **options: Any) -> Any:
            if _client(self).awaited:
                return original.poll(self, *args, **options)
            _leave(self)
            began = now()
            message = original.poll(self, *args, **options)
            if message is not None:
                _begin(self, began, message)
            return message

        def consume(self, *args: Any, **options: Any) -> Any:
            if _client(self).awaited:
                return original.consume(self, *args, **options)
            _leave(self)
            began = now()
            messages = original.consume(self, *args, **options)
            _receive(self, began, messages)
            return messages

        def close(self, *args: Any, **options: Any) -> Any:
            _leave(self)
            return original.close(self, *args, **options)

        def __exit__(self, *raised: Any) -> Any:
            _leave(self)
            return original.__exit__(self, *raised)

    if not hasattr(original, "__exit__"):
        del Consumer.__exit__
    return Consumer


def _leave(consumer: Any) -> None:
    """Ends what the last message was doing."""
    try:
        work: Work | None = getattr(consumer, "_perfagent_work", None)
        if work is not None:
            consumer._perfagent_work = None
            work.leave()
    except Exception:
        guard.failed("confluent_kafka")


def _begin(consumer: Any, began: int, message: Any) -> None:
    """The program has one message to work on; in a request, nobody can tell for how long."""
    try:
        if message.error() is not None:  # the end of a partition, or what went wrong: no message
            return
        above = ambient()
        if answers(above):
            _receive(consumer, began, (message,))
            return
        headers = message.headers()
        origin: RemoteContext | None = None
        carried = ""
        if headers:
            origin = propagation.extract(lambda name: _header(headers, name))
            carried = propagation.carried(lambda name: _header(headers, name))
        parent = origin if above is None else above
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        span = ProcessSpan(_scope, CONSUMER, parent, _client(consumer), topic, origin, partition, offset)
        span.made = message.timestamp()[1]
        span.tombstone = message.value() is None
        consumer._perfagent_work = Work(span, carried)
    except Exception:
        guard.failed("confluent_kafka")


def _receive(consumer: Any, began: int, messages: Sequence[Any]) -> None:
    """The program was given several messages at once, or none, which is no operation: programs do many of these."""
    try:
        found = [message for message in messages if message.error() is None]
        if not found:
            return
        made = [(message.topic(), message.timestamp()[1]) for message in found]
        origins = [
            value
            for message in found
            for name, value in message.headers() or ()
            if name == "traceparent" and isinstance(value, bytes)
        ]
        topics = {topic for topic, _made in made}
        topic = topics.pop() if len(topics) == 1 else ""
        span = ReceiveSpan(_scope, ambient(), _client(consumer), topic, began, made, origins)
        partitions = {message.partition() for message in found}
        if topic and len(partitions) == 1:
            span.partition = partitions.pop()
        span.finish()
    except Exception:
        guard.failed("confluent_kafka")


def _awaiting(
    then: Callable[[Any, int, Any], None] | None,
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    """AIOConsumer asks its consumer in a thread; the message belongs to the task that awaits it."""

    def make(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapper(consumer: Any, *args: Any, **options: Any) -> Any:
            try:
                inner = consumer._consumer
                _client(inner).awaited = True
                _leave(inner)
            except Exception:
                guard.failed("confluent_kafka")
                return await call(consumer, *args, **options)
            began = now()
            found = await call(consumer, *args, **options)
            if found is not None and then is not None:
                then(inner, began, found)
            return found

        return wrapper

    return make


def _header(headers: Any, name: str) -> str | None:
    return text(headers.get(name)) if isinstance(headers, dict) else among(headers, name)


instrument = ConfluentKafka()
