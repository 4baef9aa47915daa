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
from perfagent.instruments.confluent_clients import client_of, header, initialise
from perfagent.instruments.confluent_consumer import Consuming, awaiting
from perfagent.instruments.messages import BatchSpan, ends
from perfagent.runtime import guard, propagation
from perfagent.runtime.context import current
from perfagent.runtime.messaging import SendSpan
from perfagent.runtime.span import CLIENT, PRODUCER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

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
        consuming = Consuming(self.scope)
        if hasattr(module, "AIOConsumer"):
            self.replace(module.AIOConsumer, "poll", awaiting(consuming.begin))
            self.replace(module.AIOConsumer, "consume", awaiting(consuming.receive))
            self.replace(module.AIOConsumer, "close", awaiting(None))
            return
        atexit.register(_end_all)
        self.replace(module, "Producer", _producer)
        self.replace(module, "Consumer", consuming.consumer)

    def unsupported(self, module: ModuleType) -> str:
        """The extension tells its version itself, as a text or, before 2, with a number behind it."""
        version = getattr(module, "version", None)
        found = version() if callable(version) else ""
        return self.out_of_range(found if isinstance(found, str) else str(found[0]))


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


def _producer(original: Any) -> Any:
    class Producer(original):  # type: ignore[misc]
        __slots__ = ("_perfagent", "_perfagent_waiting")  # apart, for the spans know the client that they are of

        def __init__(self, *args: Any, **options: Any) -> None:
            initialise(original, self, args, options)

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


def _open(
    producer: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Sending, tuple[Any, ...], dict[str, Any]]:
    """The span, and the call's arguments with the context in headers of its own, and who hears of the delivery.

    A context that the program has put there itself, as who forwards a message does, is left alone and linked to.
    """
    client = client_of(producer)
    named = dict(zip(ARGUMENTS[4:], args[4:], strict=False))
    topic = args[0] if args else options.get("topic", "")
    if not named.keys().isdisjoint(options) or len(args) > len(ARGUMENTS):  # the producer says so in its own words
        return Sending(_scope, PRODUCER, current.get(), client, str(topic)), args, options
    named.update(options)
    headers = named.get("headers")
    known = headers if isinstance(headers, (list, dict)) else None  # the producer refuses others in its own words
    origin = propagation.extract(lambda name: header(known, name)) if known else None
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
            span = BatchSpan(_scope, PRODUCER, current.get(), client_of(producer), str(topic))
        except Exception:
            guard.failed("confluent_kafka")
            return produce_batch(producer, *args, **options)
        span.size = 0
        try:
            taken = produce_batch(producer, *args, **options)
        except BaseException as error:
            span.fail(error)
            raise
        else:
            if isinstance(taken, int):
                span.size, span.taken = taken, True
            return taken
        finally:
            span.finish()

    wrapper.__name__ = wrapper.__qualname__ = "produce_batch"
    return wrapper


instrument = ConfluentKafka()
