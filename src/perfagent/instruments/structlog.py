"""structlog: every event names the span it happens in, and the severe ones are sent.

The identity is put in before the program's processors, so that they may move or drop it, and only within a span. What
is sent is what the processors have made of the event before it is rendered, so what they hide stays hidden. Events that
go to `logging` are sent from there, once.
"""

from __future__ import annotations

import sys
from sys import _getframe

from perfagent.instruments import log_events
from perfagent.instruments.base import Instrument
from perfagent.runtime import callers, guard, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any

LEVELS = {
    "debug": 10, "info": 20, "msg": 20, "warn": 30, "warning": 30, "error": 40, "err": 40, "exception": 40,
    "critical": 50, "fatal": 50, "failure": 50,
}  # fmt: skip
NAMES = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
OURS = frozenset((*log_events.NONE, "event", "exc_info", "stack_info", "exception", "logger", "level", "timestamp"))
"""Fields that a record has in places of their own."""


class Structlog(Instrument):
    """Patches where every event passes the processors."""

    name = "structlog"
    distribution = "structlog"
    versions = ("20.1", "99")
    records = "trace and span of each event, warnings and errors as log records"

    def patch(self, module: ModuleType) -> None:
        correlates, sends = log_events.correlates(), log_events.sends()
        if correlates or sends:
            self.replace(
                module.BoundLoggerBase, "_process_event", lambda process: _processing(process, correlates, sends)
            )


def _processing(process: Callable[..., Any], correlates: bool, sends: bool) -> Callable[..., Any]:
    def _process_event(logger: Any, method_name: str, event: Any, event_kw: dict[str, Any]) -> Any:
        taken: list[Callable[[], None]] = []
        told, through = event_kw, logger
        try:
            if correlates:
                found = log_events.identity()
                if found is not None and "trace_id" not in event_kw and "trace_id" not in logger._context:
                    told = {**event_kw, **found}
            if sends and LEVELS.get(method_name, 0) >= log.least and not _is_standard(logger._logger):
                through = _copy(logger, _Taking(logger, method_name, event_kw, taken))
        except Exception:
            guard.failed("structlog")
            told, through = event_kw, logger
        made = process(through, method_name, event, told)  # may raise DropEvent
        for send in taken:
            send()
        return made

    return _process_event


def _copy(logger: Any, taking: _Taking) -> Any:
    """The same logger, with a processor more in front of the one that renders; not by its class, which may be the
    program's and do more than keep what it is given.
    """
    processors = list(logger._processors)
    copy = object.__new__(type(logger))
    copy.__dict__.update(logger.__dict__)
    copy._processors = [*processors[:-1], taking, *processors[-1:]]
    return copy


def _is_standard(logger: Any) -> bool:
    """Whether what is wrapped belongs to `logging`."""
    logging = sys.modules.get("logging")
    return logging is not None and isinstance(logger, (logging.Logger, logging.LoggerAdapter))


class _Taking:
    """A processor that takes a copy of the event.

    Args:
        logger: the program's.
        method: its method that was called.
        given: the fields as they were given.
        taken: gets what sends the copy, for a later processor may still drop the event.
    """

    def __init__(self, logger: Any, method: str, given: Mapping[str, Any], taken: list[Callable[[], None]]) -> None:
        self.logger = logger
        self.method = method
        self.given = given
        self.taken = taken

    def __call__(self, wrapped: Any, method: str, event: Any) -> Any:
        try:
            self._take(event)
        except Exception:
            guard.failed("structlog")
        return event

    def _take(self, event: Any) -> None:
        fields = event if isinstance(event, dict) else {"event": event}
        level = LEVELS[self.method]
        caller = callers.nearest(_getframe(2))
        name = fields.get("logger") or getattr(self.logger._logger, "name", None) or "structlog"
        record = log_events.event(
            str(name),
            level,
            NAMES[level],
            fields.get("event", ""),
            {key: value for key, value in fields.items() if key not in OURS},
            {} if caller is None else callers.attributes(caller),
            _error(self.method, self.given.get("exc_info")),
        )
        if record is not None:
            self.taken.append(lambda: log_events.send(record))


def _error(method: str, given: Any) -> BaseException | None:
    """The exception that an event is about: given by itself, in a tuple, or the one that is handled."""
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple) and len(given) == 3:
        return given[1] if isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given or method == "exception" else None


instrument = Structlog()
