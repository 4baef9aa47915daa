"""Catches the spans of this process as they end, in the thread that ends them, while somebody wants them.

The outbox's queue is replaced by one that notes what is appended; a process without budgets has the plain one.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from sys import _getframe
from time import monotonic, sleep

from perfagent.runtime import callers, http, outbox
from perfagent.runtime.span import CLIENT, PRODUCER, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.callers import Caller

    Seen = tuple[Span, Caller | None, int]  # the span, who called, the thread that ended it

MOST = 100_000  # spans of one test: 30 MB
SETTLE = 0.3  # seconds; a server in another thread may still be ending a request whose answer the test has


class Noting(deque[Span]):
    """The outbox's queue, which notes who called as a span ends: then the stack is still the caller's.

    Unlike in production every call is looked at, which takes 1 us.
    """

    noted: list[Seen] | None = None
    left_out = 0

    def append(self, span: Span) -> None:
        """As a queue's."""
        noted = self.noted
        if noted is not None:
            if len(noted) < MOST:
                kind = span.kind
                place = callers.nearest(_getframe(1)) if kind in (CLIENT, PRODUCER) else None
                noted.append((span, place, get_ident()))
            else:
                self.left_out += 1
        super().append(span)


_queue: Noting | None = None


def install() -> None:
    """Puts it in; once."""
    global _queue
    if _queue is None:
        _queue = Noting(outbox.pending)
        outbox.pending = _queue


def begin() -> None:
    """Notes spans from now on."""
    assert _queue is not None
    _queue.left_out = 0
    _queue.noted = []


def end() -> tuple[list[Seen], int]:
    """The spans that ended since `begin`, and how many more there were."""
    assert _queue is not None
    deadline = monotonic() + SETTLE
    while _active() > 0 and monotonic() < deadline:
        sleep(0.002)
    noted, _queue.noted = _queue.noted or [], None
    return noted, _queue.left_out


def _active() -> float:
    """Requests that this process is answering."""
    return sum(series.value + sum(list(series.pending)) for series in list(http.server_active.series.values()))
