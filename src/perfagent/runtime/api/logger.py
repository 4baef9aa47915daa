"""OpenTelemetry's logger provider and loggers on our runtime."""

# mypy: allow-subclassing-any
from __future__ import annotations

from _thread import get_ident

from opentelemetry import _logs

from perfagent import settings
from perfagent.runtime import clock, log, outbox
from perfagent.runtime.api.context import parent_above, parent_in
from perfagent.runtime.api.handover import asked
from perfagent.runtime.api.resource import Resource
from perfagent.runtime.api.scopes import MOST, Scopes
from perfagent.runtime.attributes import Limits, clean, merge
from perfagent.runtime.clock import now
from perfagent.runtime.context import RemoteContext
from perfagent.runtime.log import exception_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from opentelemetry.context.context import Context

    from perfagent.runtime.span import Scope, Span


class LoggerProvider(_logs.LoggerProvider):
    """Makes loggers whose records go out by perfagent; the global one until the program sets its own."""

    def __init__(self) -> None:
        self._scopes = Scopes()
        self._loggers: dict[Scope, Logger] = {}
        self._successor: _logs.LoggerProvider | None = None

    def get_logger(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> _logs.Logger:
        """See opentelemetry._logs.LoggerProvider; the same arguments give the same logger."""
        scope = self._scopes.of(name, version, schema_url, attributes)
        if self._successor is not None:
            return self._successor.get_logger(*asked(scope))
        logger = self._loggers.get(scope)
        if logger is None:
            logger = Logger(scope)
            if len(self._loggers) < MOST:
                logger = self._loggers.setdefault(scope, logger)
        return logger

    def hand_over(self, successor: _logs.LoggerProvider) -> None:
        """The program has set its own provider: every logger that came from here now writes to that one."""
        if successor is self:
            return
        self._successor = successor
        for scope, logger in self._loggers.copy().items():
            logger.become(successor.get_logger(*asked(scope)))

    @property
    def resource(self) -> Resource:
        """Who sends."""
        return Resource()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Sends what was written. Returns whether all of it was delivered within the time."""
        return outbox.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Sends what was written. Nothing is closed; the agent does that at exit."""
        outbox.flush(2.0)


class Logger(_logs.Logger):
    """A logger of the program.

    Args:
        scope: who asked for it.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope.name, scope.version or None, scope.schema_url or None)
        self._attributes = scope.attributes
        self.scope = scope

    def become(self, successor: _logs.Logger) -> None:
        """Writes by another logger from now on."""
        self.emit = successor.emit  # type: ignore[method-assign]
        if hasattr(successor, "enabled"):
            self.enabled = successor.enabled  # type: ignore[method-assign]

    def enabled(
        self, *, context: Context | None = None, severity_number: Any = None, event_name: str | None = None
    ) -> bool:
        """Whether records are sent at all."""
        return settings.current().log_level != "off"

    def emit(
        self,
        record: _logs.LogRecord | None = None,
        *,
        timestamp: int | None = None,
        observed_timestamp: int | None = None,
        context: Context | None = None,
        severity_number: Any = None,
        severity_text: str | None = None,
        body: Any = None,
        attributes: Mapping[str, Any] | None = None,
        event_name: str | None = None,
        exception: BaseException | None = None,
    ) -> None:
        """See opentelemetry._logs.Logger."""
        if not self.enabled():
            return
        span: Span | RemoteContext | None
        if record is not None:
            timestamp, observed_timestamp = record.timestamp, record.observed_timestamp
            severity_number, severity_text = record.severity_number, record.severity_text
            body, attributes = record.body, record.attributes
            event_name, exception = getattr(record, "event_name", None), getattr(record, "exception", None)
            span = _span_of(record)
        else:
            span = parent_above() if context is None else parent_in(context)
        kept: dict[str, object] = {}
        lost = 0
        if exception is not None:
            lost += merge(kept, exception_attributes(exception), Limits.attributes)
        if attributes:
            lost += merge(kept, attributes, Limits.attributes)
        written = log.LogRecord(
            self.scope,
            timestamp or 0,
            observed_timestamp or now() + clock.offset,
            getattr(severity_number, "value", severity_number) or 0,
            severity_text or "",
            clean(body),
            kept,
            span,
        )
        written.lost = lost
        written.event_name = event_name or ""
        log.emit(written)
        log.written.add(get_ident())


def _span_of(record: _logs.LogRecord) -> RemoteContext | None:
    """The span that a record names."""
    if not record.trace_id or not record.span_id:
        return None
    flags = int(record.trace_flags or 0)
    return RemoteContext(record.trace_id.to_bytes(16, "big"), record.span_id.to_bytes(8, "big"), flags)
