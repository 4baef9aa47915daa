"""The hub's own log: `hub.log` in its folder, kept small, with the tracebacks that no user is shown."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from collections import Counter
from logging.handlers import RotatingFileHandler
from time import monotonic
from typing import TYPE_CHECKING

from perfagent.hub.lock import log_path

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType
    from typing import Any

SIZE = 1 << 20  # bytes of hub.log, and of hub.log.1, which holds what was before
OFTEN = (
    5  # times that one message is logged in PERIOD; a sender that fails a thousand times a second would push out all
)
PERIOD = 60.0  # seconds

log = logging.getLogger("perfagent.hub")


def begin(directory: str, foreground: bool) -> None:
    """Logs to the file, and in the foreground warnings to standard error too, without tracebacks.

    Args:
        directory: the hub's folder.
        foreground: whether a person sees the standard error; else it becomes the log file.

    Raises:
        OSError: the file cannot be written.
    """
    file = Journal(log_path(directory), maxBytes=SIZE, backupCount=1, encoding="utf-8", errors="backslashreplace")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    file.takes_output = not foreground
    handlers: list[logging.Handler] = [file]
    if foreground:
        shown = logging.StreamHandler()
        shown.setFormatter(Plain())
        shown.setLevel(logging.WARNING)
        handlers.append(shown)
    seldom = Seldom()
    for handler in handlers:
        handler.addFilter(seldom)
    logging.basicConfig(handlers=handlers, level=logging.WARNING, force=True)
    log.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk must not print a traceback for each line that is not logged
    file.redirect()
    sys.excepthook = _uncaught
    threading.excepthook = lambda failure: _uncaught(
        failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback
    )


class Journal(RotatingFileHandler):
    """A log file that is begun anew when it is full; standard output and error follow it where nobody sees them."""

    takes_output = False

    def doRollover(self) -> None:  # noqa: N802 - the base class has it so
        """Begins the next file."""
        super().doRollover()
        self.redirect()

    def redirect(self) -> None:
        """Makes what a library prints, and what a crash tells, go into the file."""
        if self.stream is None:
            return
        faulthandler.enable(self.stream)
        if self.takes_output:
            for descriptor in (1, 2):
                os.dup2(self.stream.fileno(), descriptor)


class Seldom(logging.Filter):
    """Keeps one message from filling the log: the first few of each minute are there, then how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._since = monotonic()
        self._times: Counter[tuple[str, int, str]] = Counter()
        self._last: tuple[logging.LogRecord, bool] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged; several handlers ask for the same one."""
        if self._last is not None and self._last[0] is record:
            return self._last[1]
        if monotonic() - self._since > PERIOD:
            self._since = monotonic()
            self._times.clear()
        kind = (record.name, record.levelno, record.getMessage()[:40])
        self._times[kind] += 1
        shown = self._times[kind] <= OFTEN
        if self._times[kind] == OFTEN:
            record.msg, record.args = f"{record.getMessage()} (not logged again in this minute)", ()
        self._last = record, shown
        return shown


class Plain(logging.Formatter):
    """One line for a person: no traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, and where its traceback is."""
        return f"perfagent: {record.getMessage()}" + ("; hub.log has the details" if record.exc_info else "")


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Logs what fails on the loop with nobody to catch it."""

    def failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        log.error("%s", context["message"], exc_info=error if error is not None else False)

    loop.set_exception_handler(failed)


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        log.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, traceback))
