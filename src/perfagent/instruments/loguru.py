"""loguru: every record names the span it was written in, in its `extra`, and the severe ones are sent.

Both are done by a patcher that comes after the program's own, for each call, so that what those hide stays hidden. The
identity is there outside of a span as well, as zeros, for a format asks for `{extra[trace_id]}` in any case.
"""

from __future__ import annotations

from _thread import get_ident

from perfagent.instruments import log_events
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.log import LogRecord


class Loguru(Instrument):
    """Patches the one method that every call of a logger ends in."""

    name = "loguru"
    distribution = "loguru"
    versions = ("0.7", "1")
    records = "trace and span of each record, warnings and errors as log records"

    def patch(self, module: ModuleType) -> None:
        correlates, sends = log_events.correlates(), log_events.sends()
        if correlates or sends:
            self.replace(module.Logger, "_log", lambda write: _writing(write, correlates, sends))


def _writing(write: Callable[..., None], correlates: bool, sends: bool) -> Callable[..., None]:
    def _log(logger: Any, level: Any, from_decorator: Any, options: Any, message: Any, args: Any, kwargs: Any) -> None:
        taken: list[LogRecord] = []
        try:
            options = _patched(options, correlates, sends, taken)
        except Exception:
            guard.failed("loguru")
        if not sends:
            return write(logger, level, from_decorator, options, message, args, kwargs)
        try:
            return write(logger, level, from_decorator, options, message, args, kwargs)
        finally:
            if log.above:
                log.above.discard(get_ident())
            for record in taken:
                log_events.send(record)

    return _log


def _patched(options: Any, correlates: bool, sends: bool, taken: list[LogRecord]) -> Any:
    """The options of a call with our patcher as the last one.

    Args:
        options: as loguru's own methods give them.
        correlates: whether the record is to name its span.
        sends: whether it may be sent.
        taken: gets what is to be sent.
    """

    def patcher(record: dict[str, Any]) -> None:
        try:
            if sends and record["level"].no >= log.least:
                log.above.add(get_ident())  # a sink that hands it to `logging` must not have it sent twice
                _take(record, taken)
            if correlates:
                fields = record["extra"]
                for name, value in (log_events.identity() or log_events.NONE).items():
                    fields.setdefault(name, value)
        except Exception:
            guard.failed("loguru")

    exception, depth, *flags, patchers, extra = options
    # Loguru looks for its caller by the number of frames between.
    return (exception, depth + 1, *flags, [*patchers, patcher], extra)


def _take(record: dict[str, Any], taken: list[LogRecord]) -> None:
    level, error = record["level"], record["exception"]
    made = log_events.event(
        record["name"] or "loguru",
        level.no,
        level.name,
        record["message"],
        record["extra"],
        {
            "code.file.path": record["file"].path,
            "code.function.name": record["function"],
            "code.line.number": record["line"],
        },
        None if error is None else error.value,
    )
    if made is not None:
        taken.append(made)


instrument = Loguru()
