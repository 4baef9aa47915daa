"""What the agent notices in the program and tells by itself: an event of OTLP's logs, `perfagent.<kind>`.

A notice is about a place in the program, and told at most once a minute with how often it was seen since; so a fault
in a loop is one event a minute, and the hub's finding ends a while after the fault does. What may be noticed at a time
is bounded. The hub makes findings of them (`perfagent.hub.analyse.notice_findings`).
"""

from __future__ import annotations

import os

from perfagent.runtime import log
from perfagent.runtime.clock import monotonic, time_ns
from perfagent.runtime.companions import allocate_lock
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

PREFIX = "perfagent."
EVERY = 60.0  # seconds between two events of one notice
MOST = 500  # that are remembered; a program with more faults than that has enough to read
COUNT = "perfagent.notice.count"
"""Attribute: how often it was seen since the last event of it."""
WARN = 13  # OTLP's severity number

_scope = Scope("perfagent.notices")
_seen: dict[tuple[str, str], _Seen] = {}
_changing = allocate_lock()


class _Seen:
    __slots__ = ("count", "due")

    def __init__(self) -> None:
        self.due = 0.0  # by the monotonic clock
        self.count = 0


def notice(
    kind: str,
    subject: str,
    text: str,
    attributes: Mapping[str, object] | None = None,
    span: Span | RemoteContext | None = None,
    severity: int = WARN,
    again: bool = False,
) -> bool:
    """Tells of something, unless it was told within the last minute: then it is only counted.

    Args:
        kind: in words with underscores, such as "missing_timeout"; the event is `perfagent.<kind>`.
        subject: what it is about, the same for the same thing: a place `file:line`, mostly. Nothing secret.
        text: a sentence for people, without anything secret.
        attributes: what there is to tell besides: `code.file.path`, `code.line.number`, `code.function.name`,
            `code.stacktrace`, and `perfagent.<kind>.*`.
        span: that it was seen in.
        severity: OTLP's severity number.
        again: whether it is told although it was within the last minute, for it is much worse now.

    Returns:
        Whether it was told.
    """
    now = monotonic()
    with _changing:
        seen = _seen.get((kind, subject))
        if seen is None:
            if len(_seen) >= MOST:
                _forget(now)
            if len(_seen) >= MOST:
                return False
            seen = _seen[kind, subject] = _Seen()
        seen.count += 1
        if now < seen.due and not again:
            return False
        seen.due = now + EVERY
        count, seen.count = seen.count, 0
    moment = time_ns()
    told = {"perfagent.notice.subject": subject, COUNT: count, **(attributes or {})}
    record = log.LogRecord(_scope, moment, moment, severity, "WARN" if severity < 17 else "ERROR", text, told, span)
    record.event_name = PREFIX + kind
    log.connect()
    log.emit(record)
    return True


def _reset() -> None:
    """In a forked child: what its parent has told is not told again within the minute, and the lock is its own."""
    global _changing
    _changing = allocate_lock()


def _forget(now: float) -> None:
    for key in [key for key, seen in _seen.items() if now > seen.due + EVERY]:
        del _seen[key]


os.register_at_fork(after_in_child=_reset)
