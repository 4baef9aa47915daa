"""RQ: a span for each job that is enqueued, and one for each time that a worker performs it, wherever it forks.

The context travels in the job's `meta`. What a job is called with and what it returns is not looked at. A job that RQ
tries again is sent by the try before; one that it merely moves, because its time or its dependency has come, was sent
by who enqueued it. What a worker and the scheduler ask Redis for by themselves is left out. A job that is performed
costs 6.7 us (`python -m benchmarks.instruments rq`).
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.instruments.messages import Work, ambient, client_of, text
from perfagent.runtime import guard, propagation
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import RemoteContext, current
from perfagent.runtime.messaging import Client, ProcessSpan, SendSpan
from perfagent.runtime.plumbing import plumbing
from perfagent.runtime.span import CONSUMER, PRODUCER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Call = Callable[..., Any]

RAN = "_perfagent_ran"
"""Where a job that has run in this process keeps its span's identity, for what RQ sends again."""
CARRIED = ("traceparent", "tracestate", "baggage")

_scope: Scope


class Rq(Instrument):
    """Patches where a queue takes a job, where a job is performed, and the loops of workers and the scheduler."""

    name = "rq"
    distribution = "rq"
    versions = ("1.16", "4")
    records = "a span a job enqueued, and a try performed; parents across processes; a worker's own commands left out"

    def patch(self, module: ModuleType) -> None:
        """Patches one of RQ's modules."""
        global _scope
        _scope = self.scope
        if module.__name__ == "rq.queue":
            for method in ("enqueue_job", "_enqueue_job", "schedule_job"):
                self.replace(module.Queue, method, _sending)
        elif module.__name__ == "rq.job":
            self.replace(module.Job, "perform", _performing)
        elif module.__name__ == "rq.suspension":
            self.replace(module, "is_suspended", unseen)  # asked for by the command line, once
        elif module.__name__ == "rq.scheduler":
            self.replace(module.RQScheduler, "work", unseen)
        else:
            worker = getattr(module, "BaseWorker", None) or module.Worker
            self.replace(worker, "__init__", unseen)
            self.replace(worker, "work", unseen)
            self.replace(worker, "perform_job", unseen)  # a work horse that was not forked comes here at once


class Sending(SendSpan):
    """A job on its way, until Redis has it."""

    __slots__ = ()


def unseen(call: Call) -> Call:
    """What is done of the library's own accord."""

    def wrapper(*args: Any, **options: Any) -> Any:
        token = plumbing.set(True)
        try:
            return call(*args, **options)
        finally:
            plumbing.reset(token)

    return wrapper


def _client(job: Any, connection: Any) -> tuple[Client, str]:
    """What the spans of a function's jobs share, and the function's name, which a job may be unable to tell."""
    try:
        function = str(job.func_name or "")
    except Exception:
        function = ""
    host, port = redis_address(connection)
    return client_of("rq", host, port, "rq.job.function", function), function


def redis_address(client: Any) -> tuple[str, int]:
    """Host and port of what a client of Redis is configured with; "" and 0 where it has none."""
    options = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    if "path" in options:
        return str(options["path"]), 0
    return str(options.get("host") or ""), int(options.get("port") or 0)


def _sending(enqueue: Call) -> Call:
    def wrapper(queue: Any, job: Any, *args: Any, **options: Any) -> Any:
        try:
            span = _open(queue, job)
        except Exception:
            guard.failed("rq")
            span = None
        if span is None:
            return enqueue(queue, job, *args, **options)
        token = current.set(span)
        try:
            taken = enqueue(queue, job, *args, **options)
            span.taken = True
            return taken
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            current.reset(token)
            span.finish()

    return wrapper


def _open(queue: Any, job: Any) -> Sending | None:
    """The span of a job that the program sends, carried in metadata of its own; the program's dict stays as it is.

    None where it is sent already: this is a part of that, or RQ moves what was sent before.
    """
    above = current.get()
    if type(above) is Sending:
        return None
    ran: RemoteContext | None = job.__dict__.pop(RAN, None)
    if above is None:
        if ran is None and plumbing.get() and "traceparent" in job.meta:
            return None
        above = ran
    client, function = _client(job, queue.connection)
    span = Sending(_scope, PRODUCER, above, client, queue.name)
    if function:
        span.name = f"send {function}"
    meta = {name: value for name, value in job.meta.items() if name not in CARRIED}
    propagation.inject(meta.__setitem__, span)
    job.meta = meta
    return span


def _performing(perform: Call) -> Call:
    def wrapper(job: Any) -> Any:
        work = _begin(job)
        if work is None:
            return perform(job)
        try:
            result = perform(job)
        except BaseException as error:
            work.leave(error)
            raise
        work.leave()
        return result

    return carries(wrapper, "work", "span")


def _begin(job: Any) -> Work | None:
    """The work on a job, its span being the current one."""
    try:
        meta = job.meta if isinstance(job.meta, dict) else {}

        def header(name: str) -> str | None:
            return text(meta.get(name))

        above, origin = ambient(), propagation.extract(header)
        client, function = _client(job, job.connection)
        span = ProcessSpan(_scope, CONSUMER, origin if above is None else above, client, str(job.origin or ""), origin)
        if function:
            span.name = f"process {function}"
        enqueued = job.enqueued_at
        if enqueued is not None:
            if enqueued.tzinfo is None:  # before 2, UTC without saying so
                from datetime import timezone

                enqueued = enqueued.replace(tzinfo=timezone.utc)
            span.made = int(enqueued.timestamp() * 1000)
        job.__dict__[RAN] = RemoteContext(span.trace_id, span.span_id, span.flags, span.state, remote=False)
        return Work(span, propagation.carried(header))
    except Exception:
        guard.failed("rq")
        return None


instrument = Rq()
