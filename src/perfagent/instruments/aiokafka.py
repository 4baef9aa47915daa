"""aiokafka: a span for each message that is sent, and for each that a task works on; one for each batch.

A message is worked on from when `getone` or a loop over the consumer gives it until the same consumer is asked for the
next one or is stopped, or the loop is left; in a request or in another message's work, where nobody can tell that, it
is received and no more. What a message holds is not looked at. A message that is sent costs 10 us, its acknowledgement
included (`python -m benchmarks.instruments aiokafka`).
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument, passed_over
from perfagent.instruments.kafka_python import WITH_HEADERS, first_server
from perfagent.instruments.messages import BatchSpan, Work, ambient, among, answers, leave, looping
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

    Call = Callable[..., Awaitable[Any]]

_scope: Scope


class AioKafka(Instrument):
    """Patches where a producer takes a message, and where a consumer gives messages to the program."""

    name = "aiokafka"
    distribution = "aiokafka"
    versions = ("0.8", "1")
    records = "a span a message sent or processed, and a batch received"

    def patch(self, module: ModuleType) -> None:
        """Patches the producer or the consumer."""
        global _scope
        _scope = self.scope
        if hasattr(module, "AIOKafkaProducer"):
            self.replace(module.AIOKafkaProducer, "send", _sending)
            self.replace(module.AIOKafkaProducer, "send_batch", _batching)
            return
        self.replace(module.AIOKafkaConsumer, "__aiter__", looping)
        self.replace(module.AIOKafkaConsumer, "getone", _getting)
        self.replace(module.AIOKafkaConsumer, "getmany", _polling)
        self.replace(module.AIOKafkaConsumer, "stop", _stopping)


def _client(owner: Any) -> Client:
    client: Client | None = owner.__dict__.get("_perfagent")
    if client is None:
        inner = getattr(owner, "client", None) or owner._client
        host, port = first_server(inner._bootstrap_servers)
        group = getattr(owner, "_group_id", None)
        client = owner._perfagent = Client("kafka", host, port, str(inner._client_id or ""), str(group or ""))
    return client


class Sending(SendSpan):
    """A message on its way; the future that the program is given tells how that ends."""

    __slots__ = ()

    def follow(self, future: Any) -> None:
        """Ends with the future."""
        self.taken = True
        future.add_done_callback(self.delivered)

    def delivered(self, future: Any) -> None:
        """What the loop calls; asking the future for its exception would tell asyncio that the program has seen it."""
        try:
            error = None if future.cancelled() else future._exception
            if error is not None:
                self.fail(error)
            elif not future.cancelled():
                self.arrived(future._result)
        except Exception:
            guard.failed("aiokafka")
        self.finish()

    def arrived(self, metadata: Any) -> None:
        """Keeps where the broker has put it."""
        self.partition, self.offset = metadata.partition, metadata.offset


class BatchSending(BatchSpan, Sending):
    """Several messages on their way, none of which can carry a context."""

    __slots__ = ()


def _sending(send: Call) -> Call:
    async def wrapper(producer: Any, *args: Any, **options: Any) -> Any:
        try:
            span, given, named = _open(producer, args, options)
        except Exception:
            guard.failed("aiokafka")
            return await send(producer, *args, **options)
        return await _followed(span, send(producer, *given, **named))

    return wrapper


def _batching(send_batch: Call) -> Call:
    async def wrapper(producer: Any, batch: Any, *args: Any, **options: Any) -> Any:
        try:
            topic = args[0] if args else options.get("topic", "")
            span = BatchSending(_scope, PRODUCER, current.get(), _client(producer), str(topic))
            span.size = batch.record_count()
        except Exception:
            guard.failed("aiokafka")
            return await send_batch(producer, batch, *args, **options)
        return await _followed(span, send_batch(producer, batch, *args, **options))

    return wrapper


@passed_over
async def _followed(span: Sending, sending: Awaitable[Any]) -> Any:
    try:
        future = await sending
    except BaseException as error:
        span.fail(error)
        span.finish()
        raise
    try:
        span.follow(future)
    except Exception:
        guard.failed("aiokafka")
    return future


def _open(
    producer: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Sending, tuple[Any, ...], dict[str, Any]]:
    """The span, and the call's arguments with the context in headers of its own; the program's stay as they are.

    A context that the program has put there itself, as who forwards a message does, is left alone and linked to.
    """
    client = _client(producer)
    headers = args[5] if len(args) > 5 else options.get("headers")
    listed = list(headers) if isinstance(headers, list) else []  # it refuses others, in its own words
    origin = propagation.extract(lambda name: among(listed, name)) if listed else None
    topic = args[0] if args else options.get("topic", "")
    span = Sending(_scope, PRODUCER if origin is None else CLIENT, current.get(), client, str(topic), origin)
    span.tombstone = (args[1] if len(args) > 1 else options.get("value")) is None
    version = getattr(producer.client, "api_version", None)
    refuses = isinstance(version, tuple) and version < WITH_HEADERS
    if origin is not None or refuses or not (headers is None or isinstance(headers, list)):
        return span, args, options
    propagation.inject(lambda name, value: listed.append((name, value.encode())), span)
    if len(args) > 5:
        return span, (*args[:5], listed, *args[6:]), options
    return span, args, {**options, "headers": listed}


def _getting(getone: Call) -> Call:
    async def wrapper(consumer: Any, *partitions: Any) -> Any:
        leave(consumer)
        began = now()
        record = await getone(consumer, *partitions)
        _begin(consumer, began, record)
        return record

    return wrapper


def _polling(getmany: Call) -> Call:
    async def wrapper(consumer: Any, *partitions: Any, **options: Any) -> Any:
        leave(consumer)
        began = now()
        batches = await getmany(consumer, *partitions, **options)
        if batches:  # a poll in vain is no operation: programs do many of these
            _receive(consumer, began, [record for records in batches.values() for record in records])
        return batches

    return wrapper


def _stopping(stop: Call) -> Call:
    async def wrapper(consumer: Any) -> Any:
        leave(consumer)
        return await stop(consumer)

    return wrapper


def _begin(consumer: Any, began: int, record: Any) -> None:
    """The program has one message to work on; in a request, nobody can tell for how long."""
    try:
        above = ambient()
        if answers(above):
            _receive(consumer, began, (record,))
            return
        headers = record.headers
        origin: RemoteContext | None = None
        carried = ""
        if headers:
            origin = propagation.extract(lambda name: among(headers, name))
            carried = propagation.carried(lambda name: among(headers, name))
        parent, client = origin if above is None else above, _client(consumer)
        span = ProcessSpan(_scope, CONSUMER, parent, client, record.topic, origin, record.partition, record.offset)
        span.made = record.timestamp
        span.tombstone = record.value is None
        consumer._perfagent_work = Work(span, carried)
    except Exception:
        guard.failed("aiokafka")


def _receive(consumer: Any, began: int, records: Sequence[Any]) -> None:
    try:
        made = [(record.topic, record.timestamp) for record in records]
        origins = [value for record in records for name, value in record.headers if name == "traceparent" and value]
        topics = {topic for topic, _made in made}
        topic = topics.pop() if len(topics) == 1 else ""
        span = ReceiveSpan(_scope, ambient(), _client(consumer), topic, began, made, origins)
        partitions = {record.partition for record in records}
        if topic and len(partitions) == 1:
            span.partition = partitions.pop()
        span.finish()
    except Exception:
        guard.failed("aiokafka")


instrument = AioKafka()
