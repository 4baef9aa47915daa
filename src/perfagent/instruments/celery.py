"""Celery: a span for each task that is sent, and one in the worker that is its child, wherever and however it runs.

The trace context travels in the message's headers. What a task is called with and what it returns is not looked at. A
task that is called in place (`apply`, `task_always_eager`) belongs to its caller, as any function does. What a worker,
beat or a client asks a Redis for by itself, as broker or for results, is told only where a span above has caused it.
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.runtime import flight, guard, propagation
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import baggage, current
from perfagent.runtime.messaging import Client, MessageSpan, ProcessSpan, SendSpan
from perfagent.runtime.span import CONSUMER, PRODUCER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Scope

    Send = Callable[..., Any]
    Trace = Callable[..., Any]

FAILURE = "FAILURE"  # a retry and a task that is put off or ignored on purpose are no failures


class Celery(Instrument):
    """Patches where messages of tasks are sent, and what runs a task."""

    name = "celery"
    distribution = "celery"
    versions = ("5.0", "6")
    records = "a span a task published and run, links, retries; survives prefork"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "celery.app.amqp":
            self.replace(module.AMQP, "_create_task_sender", self._sending)
        elif module.__name__ == "kombu.transport.redis":
            self.replace(module.Channel, "_create_client", _marking)
        elif module.__name__ == "celery.backends.redis":
            self.replace(module.RedisBackend, "_create_client", _marking)
        else:
            self.replace(module, "build_tracer", self._building)

    def _sending(self, create: Callable[[Any], Send]) -> Callable[[Any], Send]:
        scope = self.scope

        def _create_task_sender(amqp: Any) -> Send:
            send, queues = create(amqp), Tasks(getattr(amqp, "app", None))

            def send_task_message(producer: Any, name: str, message: Any, *args: Any, **options: Any) -> Any:
                try:
                    queue = options.get("queue") or (args[2] if len(args) > 2 else None)
                    span = Sending(scope, PRODUCER, current.get(), queues.of(name), _called(queue, amqp))
                    span.name = f"send {name}"
                    # A retry hands on the headers of the message that it retries, which come after the message's own.
                    headers = dict(options.get("headers") or {})
                    propagation.inject(headers.__setitem__, span)
                    options["headers"] = headers
                except Exception:
                    guard.failed("celery")
                    return send(producer, name, message, *args, **options)
                token = current.set(span)
                try:
                    sent = send(producer, name, message, *args, **options)
                    span.taken = True
                    return sent
                except BaseException as error:
                    span.fail(error)
                    raise
                finally:
                    current.reset(token)
                    span.finish()

            return send_task_message

        return _create_task_sender

    def _building(self, build: Callable[..., Trace]) -> Callable[..., Trace]:
        scope = self.scope

        def build_tracer(name: str, task: Any, *args: Any, **options: Any) -> Trace:
            trace = build(name, task, *args, **options)
            if options.get("eager"):
                return trace
            try:
                app = options.get("app")
                return _traced(scope, trace, Tasks(task.app if app is None else app).of(name), name)
            except Exception:
                guard.failed("celery")
                return trace

        return build_tracer


def _marking(create: Callable[..., Any]) -> Callable[..., Any]:
    """The clients by which Celery asks for tasks and keeps results, marked as its own; a program's are others."""

    def wrapper(*args: Any, **options: Any) -> Any:
        client = create(*args, **options)
        pool = getattr(client, "connection_pool", None)  # a test's client may have none
        if pool is not None:
            try:
                pool._perfagent_plumbing = True
            except Exception:
                guard.failed("celery")
        return client

    return wrapper


class Sending(SendSpan):
    """A task on its way, until the broker has it."""

    __slots__ = ()


class Tasks:
    """What the spans of each task share.

    Args:
        app: the Celery application, whose broker is told without its password.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._known: dict[str, Client] = {}

    def of(self, task: str) -> Client:
        """That of one task."""
        client = self._known.get(task)
        if client is None:
            host, port = _broker(self._app)
            client = Client("celery", host, port)
            client.shared["celery.task_name"] = task
            if len(self._known) < MOST:
                self._known[task] = client
        return client


MOST = 2000  # tasks that are remembered


def _broker(app: Any) -> tuple[str, int]:
    try:
        connection = app.connection_for_write()
        return connection.hostname or "", int(connection.port or 0)
    except Exception:  # a broker in memory, or several that take turns
        return "", 0


def _called(queue: Any, amqp: Any) -> str:
    """The name of a queue that may be an object, or left out."""
    name = queue if isinstance(queue, str) else getattr(queue, "name", None)
    return str(name or amqp.app.conf.task_default_queue or "")


def _traced(scope: Scope, trace: Trace, client: Client, name: str) -> Trace:
    @carries
    def trace_task(uuid: Any, args: Any, kwargs: Any, request: Any = None) -> Any:
        try:
            span, carried = _received(scope, client, name, request or {})
        except Exception:
            guard.failed("celery")
            return trace(uuid, args, kwargs, request)
        token = current.set(span)
        inner = baggage.set(carried) if carried else None
        try:
            outcome = trace(uuid, args, kwargs, request)
            _judge(span, outcome)
            return outcome
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            current.reset(token)
            if inner is not None:
                baggage.reset(inner)
            span.finish()

    return trace_task


def _received(scope: Scope, client: Client, name: str, request: Any) -> tuple[ProcessSpan, str]:
    """The span of a task that a worker begins with, and the baggage that came with it."""

    def header(key: str) -> str | None:
        value = request.get(key)
        return value if isinstance(value, str) else None

    origin: RemoteContext | None = propagation.extract(header)
    delivery = request.get("delivery_info") or {}
    span = ProcessSpan(scope, CONSUMER, origin, client, str(delivery.get("routing_key") or ""), origin)
    span.name = f"process {name}"
    flight.rename(span, name)
    return span, propagation.carried(header)


def _judge(span: MessageSpan, outcome: Any) -> None:
    """Celery turns a task's exception into a state of the task, so nobody above sees it."""
    try:
        info = outcome[1]
        if info is not None and info.state == FAILURE and isinstance(info.retval, BaseException):
            span.fail(info.retval)
    except Exception:
        guard.failed("celery")


instrument = Celery()
