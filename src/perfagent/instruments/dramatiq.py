"""Dramatiq: a span for each message that is enqueued, and one for each time that a worker's thread processes it.

The context travels in the message's options. What an actor is called with and what it returns is not looked at. A
message that is tried again is sent by the try before; a delayed one, whose time has come, was sent by who enqueued it.
An exception fails a try, whether or not another follows; that an actor asks to be called again, or waits for a rate
limiter, does not. What a worker asks its broker for by itself is left out. A message that is sent costs 6.9 us
(`python -m benchmarks.instruments dramatiq`).
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.instruments.messages import Work, ambient, client_of, text
from perfagent.instruments.rq import CARRIED, redis_address, unseen
from perfagent.runtime import guard, propagation
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import current
from perfagent.runtime.messaging import Client, ProcessSpan, SendSpan
from perfagent.runtime.plumbing import plumbing
from perfagent.runtime.span import CONSUMER, PRODUCER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Call = Callable[..., Any]

PUT_OFF = frozenset(("Retry", "RateLimitExceeded", "SkipMessage"))  # exceptions of Dramatiq's that are no failures

_scope: Scope


class Dramatiq(Instrument):
    """Patches where brokers take messages, and the threads of a worker."""

    name = "dramatiq"
    distribution = "dramatiq"
    versions = ("1.15", "3")
    records = "a span a message enqueued, and a try processed; Redis and RabbitMQ; a worker's own traffic left out"

    def patch(self, module: ModuleType) -> None:
        """Patches one of Dramatiq's modules."""
        global _scope
        _scope = self.scope
        if module.__name__ == "dramatiq.worker":
            self.replace(module._ConsumerThread, "run", unseen)
            self.replace(module._WorkerThread, "process_message", _processing)
        elif module.__name__ == "dramatiq.broker":
            self.replace(module.MessageProxy, "stuff_exception", _failing)
        else:
            for name in ("RedisBroker", "RabbitmqBroker", "StubBroker"):
                broker = vars(module).get(name)
                if broker is not None:
                    self.replace(broker, "enqueue", _sending)


class Sending(SendSpan):
    """A message on its way, until the broker has it."""

    __slots__ = ()


class Processing(ProcessSpan):
    """A message that an actor works on."""

    __slots__ = ()


def _client(actor: str, broker: Any) -> Client:
    """What the spans of an actor's messages share."""
    host, port = _address(broker)
    return client_of("dramatiq", host, port, "dramatiq.actor_name", actor)


def _address(broker: Any) -> tuple[str, int]:
    """Where a broker is; "" and 0 where it is in memory."""
    options = broker.__dict__
    if "client" in options:
        return redis_address(options["client"])
    parameters = options.get("parameters")
    if isinstance(parameters, (list, tuple)):
        parameters = parameters[0] if parameters else None
    return str(getattr(parameters, "host", "") or ""), int(getattr(parameters, "port", 0) or 0)


def _sending(enqueue: Call) -> Call:
    def wrapper(broker: Any, message: Any, *args: Any, **options: Any) -> Any:
        try:
            above = current.get()
            moved = above is None and plumbing.get() and "traceparent" in message.options
            if moved or type(above) is Sending:
                return enqueue(broker, message, *args, **options)
            span = Sending(_scope, PRODUCER, above, _client(message.actor_name, broker), message.queue_name)
            span.name = f"send {message.actor_name}"
        except Exception:
            guard.failed("dramatiq")
            return enqueue(broker, message, *args, **options)
        kept = _carry(span, message.options)
        token = current.set(span)
        try:
            taken = enqueue(broker, message, *args, **options)
            span.taken = True
            return taken
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            current.reset(token)
            span.finish()
            _put_back(kept, message.options)

    return wrapper


def _carry(span: Sending, options: dict[str, Any]) -> dict[str, Any]:
    """Puts the context into a message's options, and returns what was there; brokers encode a message at once."""
    kept = {name: options.pop(name) for name in CARRIED if name in options}
    try:
        propagation.inject(options.__setitem__, span)
    except Exception:
        guard.failed("dramatiq")
    return kept


def _put_back(kept: dict[str, Any], options: dict[str, Any]) -> None:
    """Leaves the program's message as it was."""
    for name in CARRIED:
        options.pop(name, None)
    options.update(kept)


def _processing(process: Call) -> Call:
    def wrapper(thread: Any, message: Any) -> Any:
        work = _begin(thread, message)
        if work is None:
            return process(thread, message)
        try:
            result = process(thread, message)
        except BaseException as error:
            work.leave(error)
            raise
        work.leave()
        return result

    return carries(wrapper, "work", "span")


def _begin(thread: Any, message: Any) -> Work | None:
    """The work on a message, its span being the current one."""
    try:
        options = message.options

        def header(name: str) -> str | None:
            return text(options.get(name))

        above, origin = ambient(), propagation.extract(header)
        client = _client(message.actor_name, thread.broker)
        parent = origin if above is None else above
        span = Processing(_scope, CONSUMER, parent, client, message.queue_name, origin)
        span.name = f"process {message.actor_name}"
        made = options.get("requeue_timestamp") or message.message_timestamp
        if isinstance(made, int):
            span.made = made
        return Work(span, propagation.carried(header))
    except Exception:
        guard.failed("dramatiq")
        return None


def _failing(stuff_exception: Call) -> Call:
    """An actor's exception ends in its message, so nobody above sees it."""

    def wrapper(message: Any, exception: Any) -> Any:
        try:
            span = current.get()
            if type(span) is Processing and isinstance(exception, BaseException) and not _is_put_off(exception):
                span.fail(exception)
        except Exception:
            guard.failed("dramatiq")
        return stuff_exception(message, exception)

    return wrapper


def _is_put_off(error: BaseException) -> bool:
    return any(kind.__name__ in PUT_OFF and kind.__module__.startswith("dramatiq.") for kind in type(error).__mro__)


instrument = Dramatiq()
