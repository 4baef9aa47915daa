"""pika: a span for each message that is published, and for each that a callback or a loop works on.

A callback works on its message until it returns, a loop over `BlockingChannel.consume` until it asks for the next one
or is left. `BlockingChannel.basic_get` is a span of its own, since nobody can tell what becomes of its message. The
body is not looked at; of the properties, the headers that carry the context. Where a library that has spans of its own
publishes by pika (Dramatiq does), there is no second one. A message that is published costs 13 us, in which pika
encodes the header (`python -m benchmarks.instruments pika`).
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument, disguise
from perfagent.instruments.messages import Getting, Processing, Publishing, Work, ambient, destination, text
from perfagent.runtime import guard, propagation
from perfagent.runtime.carriers import carries
from perfagent.runtime.clock import now
from perfagent.runtime.context import current
from perfagent.runtime.messaging import Client, SendSpan
from perfagent.runtime.plumbing import plumbing
from perfagent.runtime.span import CLIENT, CONSUMER, PRODUCER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext

    Call = Callable[..., Any]

INNER = "_perfagent_inner"
"""Marks a channel that a blocking one does its work by: the outer one is measured."""

_scope: Scope
_properties: Any


class Pika(Instrument):
    """Patches the channels of pika's adapters, and the blocking one around them."""

    name = "pika"
    distribution = "pika"
    versions = ("1.1", "2")
    records = "a span a message published, processed by a callback or a loop, or asked for"

    def patch(self, module: ModuleType) -> None:
        """Patches one of the two kinds of channels."""
        global _scope, _properties
        _scope = self.scope
        if not hasattr(module, "BlockingChannel"):
            _properties = module.spec.BasicProperties
            self.replace(module.Channel, "basic_publish", _publishing)
            self.replace(module.Channel, "basic_consume", _consuming)
            self.replace(module.Channel, "basic_get", _asking)
            return
        self.replace(module.BlockingChannel, "__init__", _wrapping)
        self.replace(module.BlockingChannel, "basic_publish", _publishing)
        self.replace(module.BlockingChannel, "basic_consume", _consuming)
        self.replace(module.BlockingChannel, "consume", _looping)
        self.replace(module.BlockingChannel, "basic_get", _getting)


def _wrapping(initialise: Call) -> Call:
    def wrapper(channel: Any, channel_impl: Any, *args: Any, **options: Any) -> None:
        try:
            channel_impl.__dict__[INNER] = True
        except Exception:
            guard.failed("pika")
        initialise(channel, channel_impl, *args, **options)

    return wrapper


def _client(channel: Any) -> Client:
    """What the spans of a connection share; kept with it."""
    inner = channel.__dict__.get("_impl", channel)
    connection = inner.connection
    client: Client | None = connection.__dict__.get("_perfagent")
    if client is None:
        parameters = connection.params
        client = connection._perfagent = Client("rabbitmq", str(parameters.host), int(parameters.port))
    return client


def _publishing(publish: Call) -> Call:
    def wrapper(
        channel: Any, exchange: Any, routing_key: Any, body: Any, properties: Any = None, mandatory: Any = False
    ) -> Any:
        above = current.get()
        if channel.__dict__.get(INNER) or isinstance(above, SendSpan) or (above is None and plumbing.get()):
            return publish(channel, exchange, routing_key, body, properties, mandatory)
        try:
            span, carried = _open(channel, above, exchange, routing_key, properties)
        except Exception:
            guard.failed("pika")
            return publish(channel, exchange, routing_key, body, properties, mandatory)
        try:
            result = publish(channel, exchange, routing_key, body, carried, mandatory)
            span.taken = True
            return result
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.finish()

    return wrapper


def _open(channel: Any, above: Any, exchange: Any, routing_key: Any, properties: Any) -> tuple[Publishing, Any]:
    """The span, and properties that carry it; those of the program stay as they are.

    A context that the program has put there itself, as who forwards a message does, is left alone and linked to.
    """
    headers = getattr(properties, "headers", None)
    origin = _origin(properties)
    where = destination(str(exchange), str(routing_key))
    span = Publishing(_scope, PRODUCER if origin is None else CLIENT, above, _client(channel), where, origin)
    span.routing_key = str(routing_key)
    if origin is not None or not (headers is None or isinstance(headers, dict)):
        return span, properties
    if properties:
        carried = object.__new__(type(properties))
        carried.__dict__.update(properties.__dict__)
    else:
        carried = _properties()
    given = dict(headers or {})
    propagation.inject(given.__setitem__, span)
    if given:
        carried.headers = given
    return span, carried


def _consuming(consume: Call) -> Call:
    def wrapper(channel: Any, queue: Any, on_message_callback: Any, *args: Any, **options: Any) -> Any:
        if not channel.__dict__.get(INNER) and callable(on_message_callback):
            on_message_callback = _processing(on_message_callback, queue)
        return consume(channel, queue, on_message_callback, *args, **options)

    return wrapper


def _asking(get: Call) -> Call:
    def wrapper(channel: Any, queue: Any, callback: Any, *args: Any, **options: Any) -> Any:
        if not channel.__dict__.get(INNER) and callable(callback):
            callback = _processing(callback, queue)
        return get(channel, queue, callback, *args, **options)

    return wrapper


def _processing(callback: Call, queue: Any) -> Call:
    def on_message(channel: Any, method: Any, properties: Any, body: Any) -> Any:
        work = None if plumbing.get() else _begin(channel, method, properties, queue)
        if work is None:
            return callback(channel, method, properties, body)
        try:
            result = callback(channel, method, properties, body)
        except BaseException as error:
            work.leave(error)
            raise
        work.leave()
        return result

    return disguise(carries(on_message, "work", "span"), callback)  # type: ignore[no-any-return]


def _looping(consume: Call) -> Call:
    def wrapper(channel: Any, queue: Any, *args: Any, **options: Any) -> Iterator[Any]:
        messages = consume(channel, queue, *args, **options)
        if plumbing.get():
            yield from messages
            return
        try:
            for method, properties, body in messages:
                work = None if method is None else _begin(channel, method, properties, queue)
                try:
                    yield method, properties, body
                finally:
                    if work is not None:
                        work.leave()
        finally:
            messages.close()

    return wrapper


def _begin(channel: Any, method: Any, properties: Any, queue: Any) -> Work | None:
    """The work on a message, its span being the current one."""
    try:
        above = ambient()
        origin = _origin(properties)
        where = destination(method.exchange, method.routing_key, str(queue))
        parent = origin if above is None else above
        span = Processing(_scope, CONSUMER, parent, _client(channel), where, origin)
        span.routing_key = method.routing_key
        return Work(span, propagation.carried(_looked_up(properties)))
    except Exception:
        guard.failed("pika")
        return None


def _getting(get: Call) -> Call:
    def wrapper(channel: Any, queue: Any, *args: Any, **options: Any) -> Any:
        began = now()
        found = get(channel, queue, *args, **options)
        method, properties, _body = found or (None, None, None)
        if method is not None:  # asking in vain is no operation: programs do a lot of that
            try:
                header = _looked_up(properties)("traceparent")
                where = destination(method.exchange, method.routing_key, str(queue))
                origins = [header.encode("latin-1", "replace")] if header else []
                span = Getting(_scope, ambient(), _client(channel), where, began, (), origins)
                span.routing_key = method.routing_key
                span.finish()
            except Exception:
                guard.failed("pika")
        return found

    return wrapper


def _origin(properties: Any) -> RemoteContext | None:
    return propagation.extract(_looked_up(properties)) if getattr(properties, "headers", None) else None


def _looked_up(properties: Any) -> Callable[[str], str | None]:
    headers = getattr(properties, "headers", None)
    if not isinstance(headers, dict):
        return lambda name: None
    return lambda name: text(headers.get(name))


instrument = Pika()
