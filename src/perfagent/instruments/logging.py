"""logging: every record tells the span it was written in, and the severe ones are sent.

Records are completed by `Logger.makeRecord`, which a program's own record factory does not replace, and sent after
`Logger.callHandlers`, so that a logger that does not propagate is heard and `basicConfig` finds no handler of ours.
"""

from __future__ import annotations

import logging
import sys
from _thread import get_ident

from perfagent import settings as options
from perfagent.instruments.base import Instrument
from perfagent.runtime import clock, guard, log, outbox, resource
from perfagent.runtime.attributes import Limits, merge, text_of
from perfagent.runtime.clock import now
from perfagent.runtime.context import current
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.settings import Settings

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime", "message", "taskName", "otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName",
}  # fmt: skip
"""What every record has; the rest is what the program added."""
NAMES = {"WARNING": "WARN", "CRITICAL": "FATAL"}
MOST = 4096  # loggers whose scope is remembered

_scopes: dict[str, Scope] = {}
_busy: set[int] = set()
"""Threads that are sending a record: what an object logs while it is made a text is not sent in turn."""


class Logging(Instrument):
    """Completes records as they are made and takes those that are severe enough."""

    name = "logging"
    records = "trace and span of each record, warnings and errors as log records"

    def patch(self, module: ModuleType) -> None:
        """Wraps what the settings ask for."""
        settings = options.current()
        if settings.log_correlation:
            self.replace(logging.Logger, "makeRecord", _correlating(service_name(settings)))
        if settings.log_level != "off" and "otlp" in settings.logs_exporter:
            log.listen(settings.log_level)
            self.replace(logging.Logger, "callHandlers", _sending(getattr(logging, settings.log_level.upper())))


def service_name(settings: Settings) -> str:
    """The service's name, without the rest of the resource, which takes files to read."""
    return settings.service_name or settings.resource_attributes.get("service.name") or resource.program_name()


def severity(level: int) -> int:
    """OpenTelemetry's severity number for a level of `logging`; below DEBUG it has none."""
    if level < 10:
        return 0
    return min(level // 10, 5) * 4 + 1 + (min(level % 10, 3) if level <= 53 else 3)


def _correlating(service: str) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def makeRecord(  # noqa: N802
            logger: Any, name: Any, level: Any, fn: Any, lno: Any, msg: Any, args: Any, exc_info: Any,
            func: Any = None, extra: Any = None, sinfo: Any = None,
        ) -> Any:  # fmt: skip
            record = original(logger, name, level, fn, lno, msg, args, exc_info, func, extra, sinfo)
            try:
                fields = record.__dict__
                if "otelTraceID" in fields:  # the program's own, by `extra`
                    return record
                span = current.get()
                if span is None or span.nobody:
                    fields["otelTraceID"] = fields["otelSpanID"] = "0"
                    fields["otelTraceSampled"] = False
                else:
                    fields["otelTraceID"] = span.trace_id.hex()
                    fields["otelSpanID"] = span.span_id.hex()
                    fields["otelTraceSampled"] = bool(span.flags & 1)
                fields["otelServiceName"] = service
            except Exception:  # what a record factory of the program's made
                guard.failed("logging")
            return record

        return _as_logging(makeRecord)

    return make


def _sending(least: int) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def callHandlers(logger: Any, record: Any) -> None:  # noqa: N802
            if log.written:
                log.written.discard(get_ident())
            original(logger, record)
            try:
                if record.levelno >= least and not log.is_sent_by_another():
                    send(record)
            except Exception:
                guard.failed("logging")

        return _as_logging(callHandlers)

    now = options.current().log_level

    def change(level: object) -> dict[str, str]:
        nonlocal least, now
        before, now = now, str(level or options.current().log_level)
        least = logging.CRITICAL * 1000 if now == "off" else getattr(logging, now.upper())
        log.listen(now)
        return {"before": before, "now": now}

    outbox.commands["log_level"] = change
    return make


def _as_logging(function: Any) -> Any:
    """Makes a function's frame one of logging's own.

    A handler that looks for the line that logged skips those, as in the usual bridge from logging to loguru.
    """
    function.__code__ = function.__code__.replace(co_filename=logging.addLevelName.__code__.co_filename)
    return function


def send(record: logging.LogRecord) -> None:
    """Queues what a record says, as texts and numbers: nothing of the program's is kept alive."""
    thread = get_ident()
    if thread in _busy:
        return
    _busy.add(thread)
    try:
        span = current.get()
        entry = log.LogRecord(
            _scopes.get(record.name) or _scope(record.name),
            int(record.created * 1e9),
            now() + clock.offset,
            severity(record.levelno),
            NAMES.get(record.levelname, record.levelname),
            _message(record),
            {
                "code.file.path": record.pathname,
                "code.function.name": record.funcName,
                "code.line.number": record.lineno,
            },
            None if span is None or span.nobody else span,
        )
        if record.exc_info:
            _exception(record, entry)
        fields = record.__dict__
        if not fields.keys() <= STANDARD:
            added = {key: value for key, value in fields.items() if key not in STANDARD}
            if record.name == "celery.app.trace":
                added.pop("data", None)  # the arguments of the task that failed are in there
            entry.lost += merge(entry.attributes, added, Limits.attributes)
        log.emit(entry)
    except Exception:
        guard.failed("logging")
    finally:
        _busy.discard(thread)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()[: Limits.length]
    except Exception:  # arguments that do not fit: logging has told the program so, the text says the most
        return text_of(record.msg)


def _exception(record: logging.LogRecord, entry: log.LogRecord) -> None:
    found: Any = record.exc_info
    error = found[1] if isinstance(found, tuple) else sys.exc_info()[1]
    if isinstance(error, BaseException):
        entry.lost += merge(entry.attributes, log.exception_attributes(error), Limits.attributes)


def _scope(name: str) -> Scope:
    scope = Scope(name)
    if len(_scopes) < MOST:
        scope = _scopes.setdefault(name, scope)
    return scope


instrument = Logging()
