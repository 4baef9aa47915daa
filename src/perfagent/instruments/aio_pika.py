"""aio-pika, and aiormq below it: a span for each message that is published, and for each that a task works on.

A callback works on its message until it ends, a loop over a queue until it asks for the next one or is left;
`Queue.get` is a span of its own, since nobody can tell what becomes of its message. The body is not looked at; of the
properties, the headers that carry the context. A message that is published costs 39 us on a busy machine, most of
which pamqp takes to encode the header (`python -m benchmarks.instruments aio_pika`).
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument, disguise
from perfagent.instruments.messages import (
    Getting,
    Processing,
    Publishing,
    Work,
    ambient,
    destination,
    leave,
    looping,
    text,
)
from perfagent.runtime import guard, propagation
from perfagent.runtime.carriers import carries
from perfagent.runtime.clock import now
from perfagent.runtime.context import current
from perfagent.runtime.messaging import Client
from perfagent.runtime.span import CLIENT, CONSUMER, PRODUCER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    Call = Callable[..., Awaitable[Any]]

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}

_scope: Scope
_properties: Any
_ensure_awaitable: Callable[[Any], Call]


class AioPika(Instrument):
    """Patches the channel of aiormq, and the queues and their iterators of aio-pika."""

    name = "aio-pika"
    distribution = "aio-pika"
    versions = ("9.5", "11")
    records = "a span a message published, processed by a callback or a loop, or asked for; aiormq's alike"

    def patch(self, module: ModuleType) -> None:
        """Patches one of the three modules."""
        global _scope, _properties, _ensure_awaitable
        _scope = self.scope
        if module.__name__ == "aiormq.channel":
            _properties = module.spec.Basic.Properties
            self.replace(module.Channel, "basic_publish", _publishing)
            return
        if module.__name__ == "aio_pika.queue":
            _ensure_awaitable = module.ensure_awaitable
            self.replace(module.Queue, "consume", _consuming)
            self.replace(module.Queue, "get", _getting)
            self.replace(module.Queue, "__aiter__", looping)
        for name in ("QueueIterator", "RobustQueueIterator"):
            iterator = vars(module).get(name)
            if iterator is not None and iterator.__module__ == module.__name__:
                for method, make in (("__aiter__", looping), ("__anext__", _advancing), ("close", _closing)):
                    if method in vars(iterator):
                        self.replace(iterator, method, make)

    def unsupported(self, module: ModuleType) -> str:
        """aiormq has versions of its own, which those of aio-pika choose."""
        return "" if module.__name__ == "aiormq.channel" else super().unsupported(module)


def _client(channel: Any) -> Client:
    """What the spans of a channel share; kept with its connection.

    Args:
        channel: one of aiormq's.
    """
    connection = channel.connection
    client: Client | None = connection.__dict__.get("_perfagent")
    if client is None:
        url = connection.url
        port = url.port or DEFAULT_PORTS.get(url.scheme, 0)
        client = connection._perfagent = Client("rabbitmq", str(url.host or ""), int(port))
    return client


def _publishing(publish: Call) -> Call:
    async def wrapper(
        channel: Any, body: Any, *, exchange: Any = "", routing_key: Any = "", properties: Any = None, **options: Any
    ) -> Any:
        try:
            span, carried = _open(channel, exchange, routing_key, properties)
        except Exception:
            guard.failed("aio-pika")
            span, carried = None, properties
        if span is None:
            return await publish(
                channel, body, exchange=exchange, routing_key=routing_key, properties=properties, **options
            )
        try:
            result = await publish(
                channel, body, exchange=exchange, routing_key=routing_key, properties=carried, **options
            )
            span.taken = True
            return result
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.finish()

    return wrapper


def _open(channel: Any, exchange: Any, routing_key: Any, properties: Any) -> tuple[Publishing | None, Any]:
    """The span, and properties that carry it; those of the program stay as they are.

    A context that the program has put there itself, as who forwards a message does, is left alone and linked to.
    """
    headers = getattr(properties, "headers", None)
    origin = propagation.extract(_looked_up(headers)) if headers else None
    where = destination(str(exchange), str(routing_key))
    kind = PRODUCER if origin is None else CLIENT
    span = Publishing(_scope, kind, current.get(), _client(channel), where, origin)
    span.routing_key = str(routing_key)
    if origin is not None or not (headers is None or isinstance(headers, dict)):
        return span, properties
    carried = _properties(delivery_mode=1) if properties is None else _copied(properties)
    given = dict(headers or {})
    propagation.inject(given.__setitem__, span)
    if given:
        carried.headers = given
    return span, carried


def _copied(properties: Any) -> Any:
    """As `copy.copy`, which takes ten times as long."""
    kind: Any = type(properties)
    copied = kind.__new__(kind)
    for name in kind.__slots__:
        setattr(copied, name, getattr(properties, name))
    return copied


def _consuming(consume: Call) -> Call:
    async def wrapper(queue: Any, callback: Any, *args: Any, **options: Any) -> Any:
        try:
            if not hasattr(getattr(callback, "__self__", None), "_amqp_queue"):  # an iterator's own: its loop works
                # As aio-pika does next, which finds nothing left to warn of then.
                callback = _processing(_ensure_awaitable(callback), queue)
        except Exception:
            guard.failed("aio-pika")
        return await consume(queue, callback, *args, **options)

    return wrapper


def _processing(callback: Call, queue: Any) -> Call:
    async def on_message(message: Any) -> Any:
        work = _begin(queue, message)
        if work is None:
            return await callback(message)
        try:
            result = await callback(message)
        except BaseException as error:
            work.leave(error)
            raise
        work.leave()
        return result

    return disguise(carries(on_message, "work", "span"), callback)  # type: ignore[no-any-return]


def _advancing(advance: Call) -> Call:
    async def wrapper(iterator: Any) -> Any:
        leave(iterator)
        message = await advance(iterator)
        work = _begin(getattr(iterator, "_amqp_queue", None), message)
        if work is not None:
            iterator._perfagent_work = work
        return message

    return wrapper


def _closing(close: Call) -> Call:
    async def wrapper(iterator: Any) -> Any:
        leave(iterator)
        return await close(iterator)

    return wrapper


def _begin(queue: Any, message: Any) -> Work | None:
    """The work on a message, its span being the current one."""
    try:
        above = ambient()
        header = _looked_up(message.headers)
        origin = propagation.extract(header)
        where = destination(message.exchange or "", message.routing_key or "", queue.name)
        parent = origin if above is None else above
        span = Processing(_scope, CONSUMER, parent, _client(message.channel), where, origin)
        span.routing_key = message.routing_key or ""
        return Work(span, propagation.carried(header))
    except Exception:
        guard.failed("aio-pika")
        return None


def _getting(get: Call) -> Call:
    async def wrapper(queue: Any, **options: Any) -> Any:
        began = now()
        message = await get(queue, **options)
        if message is not None:  # asking in vain is no operation: programs do a lot of that
            try:
                header = _looked_up(message.headers)("traceparent")
                origins = [header.encode("latin-1", "replace")] if header else []
                where = destination(message.exchange or "", message.routing_key or "", queue.name)
                span = Getting(_scope, ambient(), _client(message.channel), where, began, (), origins)
                span.routing_key = message.routing_key or ""
                span.finish()
            except Exception:
                guard.failed("aio-pika")
        return message

    return wrapper


def _looked_up(headers: Any) -> Callable[[str], str | None]:
    if not isinstance(headers, dict):
        return lambda name: None
    return lambda name: text(headers.get(name))


instrument = AioPika()
