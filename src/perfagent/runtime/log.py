"""Log records: put into a bounded queue where they are written, encoded and sent by the background thread."""

from __future__ import annotations

from _thread import get_ident

from perfagent.runtime import outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.pipeline import Payload, Pipeline
    from perfagent.runtime.span import Scope, Span


written: set[int] = set()
"""Threads that wrote by the API since `logging` last looked: so does a handler of OpenTelemetry's with its record."""
above: set[int] = set()
"""Threads in which a library above `logging` sends the record that they are busy with."""
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50, "off": 50_000}
least = LEVELS["off"]
"""The level, in the numbers of `logging`, from which records are sent."""


class LogRecord:
    """One log record (OpenTelemetry logs data model). It holds texts, numbers and copies: no object of the program.

    Args:
        scope: the logger.
        time: when it happened, in Unix ns; 0 where that is unknown.
        observed: when it was written, in Unix ns.
        severity: 1 (trace) to 24 (fatal); 0 where that is unknown.
        level: the severity's name at its origin, or "".
        body: what it says.
        attributes: cleaned ones.
        span: the span it was written in, or None.
    """

    __slots__ = (
        "attributes", "body", "event_name", "flags", "level", "lost", "observed", "scope", "severity", "span_id",
        "time", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        time: int,
        observed: int,
        severity: int,
        level: str,
        body: object,
        attributes: dict[str, object],
        span: Span | RemoteContext | None,
    ) -> None:
        self.scope = scope
        self.time = time
        self.observed = observed
        self.severity = severity
        self.level = level
        self.body = body
        self.attributes = attributes
        self.lost = 0  # attributes beyond the limit
        self.event_name = ""
        if span is None:
            self.trace_id = self.span_id = b""
            self.flags = 0
        else:
            self.trace_id = span.trace_id
            self.span_id = span.span_id
            self.flags = span.flags


def emit(record: LogRecord) -> None:
    """Queues a record; never blocks. Where the queue is full the record is dropped and counted."""
    waiting = len(outbox.logs)
    if waiting >= outbox.log_limit:
        outbox.drop("log", "queue_full", 1)
        outbox.wake()
        return
    outbox.logs.append(record)
    if waiting >= outbox.CROWDED:
        outbox.wake()


def is_sent_by_another() -> bool:
    """Whether the record that this thread is about to send through `logging` is sent by somebody else."""
    thread = get_ident()
    return thread in written or thread in above


def listen(level: str) -> None:
    """Sends records from a level on, a key of LEVELS; called again where that changes."""
    global least
    least = LEVELS[level.lower()]
    connect()


def connect() -> None:
    """Makes the background thread send what is queued; once, however often it is called."""
    if _take not in outbox.sources:
        outbox.sources.append(_take)


def _take(pipeline: Pipeline) -> list[Payload]:
    """Every queued record, encoded, in batches."""
    if not outbox.logs:
        return []
    if "logs" not in pipeline.destinations:
        outbox.logs.clear()
        return []
    from perfagent.runtime.otlp import logs
    from perfagent.runtime.pipeline import Payload

    payloads = []
    left = len(outbox.logs)
    while left > 0:
        batch = [outbox.logs.popleft() for _ in range(min(left, pipeline.batch, len(outbox.logs)))]
        if not batch:
            break
        left -= len(batch)
        body, count = logs.encode(pipeline.encoded_resource(), batch)
        if count:
            payloads.append(Payload("logs", body, count))
    return payloads


def exception_attributes(error: BaseException) -> dict[str, object]:
    """The attributes that tell an exception (OpenTelemetry semantic conventions, "Exceptions on logs")."""
    import traceback

    from perfagent.runtime.attributes import text_of
    from perfagent.runtime.span import type_name

    return {
        "exception.type": type_name(error),
        "exception.message": text_of(error),
        "exception.stacktrace": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }
