"""confluent-kafka's consumers: a span for each message that a poll gives the program to work on, or for all at once."""

from __future__ import annotations

from perfagent.instruments.confluent_clients import client_of, header, initialise
from perfagent.instruments.messages import Work, ambient, answers
from perfagent.runtime import guard, propagation
from perfagent.runtime.clock import now
from perfagent.runtime.messaging import ProcessSpan, ReceiveSpan
from perfagent.runtime.span import CONSUMER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    from perfagent.runtime.context import RemoteContext


class Consuming:
    """Makes what takes the place of consumers.

    Args:
        scope: of the spans.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def consumer(self, original: Any) -> Any:
        """A class that takes the place of the type of C."""
        begin, receive = self.begin, self.receive

        class Consumer(original):  # type: ignore[misc]
            __slots__ = ("_perfagent", "_perfagent_work")

            def __init__(self, *args: Any, **options: Any) -> None:
                initialise(original, self, args, options)

            def poll(self, *args: Any, **options: Any) -> Any:
                if client_of(self).awaited:
                    return original.poll(self, *args, **options)
                leave(self)
                began = now()
                message = original.poll(self, *args, **options)
                if message is not None:
                    begin(self, began, message)
                return message

            def consume(self, *args: Any, **options: Any) -> Any:
                if client_of(self).awaited:
                    return original.consume(self, *args, **options)
                leave(self)
                began = now()
                messages = original.consume(self, *args, **options)
                receive(self, began, messages)
                return messages

            def close(self, *args: Any, **options: Any) -> Any:
                leave(self)
                return original.close(self, *args, **options)

            def __exit__(self, *raised: Any) -> Any:
                leave(self)
                return original.__exit__(self, *raised)

        if not hasattr(original, "__exit__"):
            del Consumer.__exit__
        return Consumer

    def begin(self, consumer: Any, began: int, message: Any) -> None:
        """The program has one message to work on; in a request, nobody can tell for how long."""
        try:
            if message.error() is not None:  # the end of a partition, or what went wrong: no message
                return
            above = ambient()
            if answers(above):
                self.receive(consumer, began, (message,))
                return
            headers = message.headers()
            origin: RemoteContext | None = None
            carried = ""
            if headers:
                origin = propagation.extract(lambda name: header(headers, name))
                carried = propagation.carried(lambda name: header(headers, name))
            parent = origin if above is None else above
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            span = ProcessSpan(self.scope, CONSUMER, parent, client_of(consumer), topic, origin, partition, offset)
            span.made = message.timestamp()[1]
            span.tombstone = message.value() is None
            consumer._perfagent_work = Work(span, carried)
        except Exception:
            guard.failed("confluent_kafka")

    def receive(self, consumer: Any, began: int, messages: Sequence[Any]) -> None:
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
            span = ReceiveSpan(self.scope, ambient(), client_of(consumer), topic, began, made, origins)
            partitions = {message.partition() for message in found}
            if topic and len(partitions) == 1:
                span.partition = partitions.pop()
            span.finish()
        except Exception:
            guard.failed("confluent_kafka")


def awaiting(
    then: Callable[[Any, int, Any], None] | None,
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    """AIOConsumer asks its consumer in a thread; the message belongs to the task that awaits it."""

    def make(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapper(consumer: Any, *args: Any, **options: Any) -> Any:
            try:
                inner = consumer._consumer
                client_of(inner).awaited = True
                leave(inner)
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


def leave(consumer: Any) -> None:
    """Ends what the last message was doing."""
    try:
        work: Work | None = getattr(consumer, "_perfagent_work", None)
        if work is not None:
            consumer._perfagent_work = None
            work.leave()
    except Exception:
        guard.failed("confluent_kafka")
