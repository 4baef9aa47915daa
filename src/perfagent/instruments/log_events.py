"""What the instruments of log libraries share: the identity of the current span as texts, and the record that is sent.

Libraries above `logging` share its settings: OTEL_PYTHON_LOG_CORRELATION and PERFAGENT_LOGS_LEVEL.
"""

from __future__ import annotations

from _thread import get_ident

from perfagent import settings as options
from perfagent.instruments.logging import NAMES, severity
from perfagent.runtime import clock, guard, log
from perfagent.runtime.attributes import Limits, merge, text_of
from perfagent.runtime.clock import now
from perfagent.runtime.context import current
from perfagent.runtime.log import LogRecord
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NONE = {"trace_id": "0", "span_id": "0", "trace_flags": "00"}
MOST = 4096  # loggers whose scope is remembered

_scopes: dict[str, Scope] = {}
_busy: set[int] = set()
"""Threads that make a record: what an object logs while it is made a text is not sent in turn."""


def correlates() -> bool:
    """Whether events are to name their span."""
    return options.current().log_correlation


def sends() -> bool:
    """Whether events may be sent; then the background thread is told to."""
    settings = options.current()
    if settings.log_level == "off" or "otlp" not in settings.logs_exporter:
        return False
    log.listen(settings.log_level)
    return True


def identity() -> dict[str, str] | None:
    """The current span by the names that OpenTelemetry gives them in logs of any format; None where there is none."""
    span = current.get()
    if span is None or span.nobody:
        return None
    return {"trace_id": span.trace_id.hex(), "span_id": span.span_id.hex(), "trace_flags": f"0{span.flags & 1}"}


def event(
    logger: str,
    level: int,
    level_name: str,
    body: object,
    fields: Mapping[Any, object],
    place: dict[str, object],
    error: BaseException | None,
) -> LogRecord | None:
    """A record of what happened, as texts and numbers; None where it is made by one that is being made.

    Args:
        logger: who logs.
        level: in the numbers of `logging`.
        level_name: the library's name for it, in capitals.
        body: what is said.
        fields: what else is told.
        place: where, as `code.*`.
        error: the exception that is logged, or None.
    """
    thread = get_ident()
    if thread in _busy:
        return None
    _busy.add(thread)
    try:
        span = current.get()
        at = now() + clock.offset
        record = LogRecord(
            _scope(logger),
            at,
            at,
            severity(level),
            NAMES.get(level_name, level_name),
            text_of(body),
            dict(place),
            None if span is None or span.nobody else span,
        )
        if error is not None:
            record.lost += merge(record.attributes, log.exception_attributes(error), Limits.attributes)
        record.lost += merge(record.attributes, fields, Limits.attributes)
        return record
    except Exception:
        guard.failed("log event")
        return None
    finally:
        _busy.discard(thread)


def send(record: LogRecord) -> None:
    """Queues a record; a handler of `logging` in whose course that happens has been told by it."""
    log.written.add(get_ident())
    log.emit(record)


def _scope(name: str) -> Scope:
    scope = _scopes.get(name)
    if scope is None:
        scope = Scope(name)
        if len(_scopes) < MOST:
            scope = _scopes.setdefault(name, scope)
    return scope
