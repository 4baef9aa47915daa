"""Statements that get far more rows than a request needs: rows that came, and rows that the program looked at.

A driver has all rows of an ordinary cursor when the statement is done, and tells how many; how many of them were read
is the cursor's position when it is closed (`perfagent.instruments.cursors`).
"""

from __future__ import annotations

import os
from collections import deque

from perfagent.runtime import callers, outbox
from perfagent.runtime.clock import monotonic
from perfagent.runtime.notices import notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.callers import Caller
    from perfagent.runtime.db import QuerySpan, Statement
    from perfagent.runtime.pipeline import Payload, Pipeline

TOO_MANY = 1000  # rows a call, on average, that no page shows
FEW_READ = 0.1  # of the rows; who reads less asks for too many
CALLS = 3
MOST = 500  # statements
A_MINUTE = 60.0

_tallies: dict[bytes, Tally] = {}
_read: deque[tuple[QuerySpan, int]] = deque(maxlen=10_000)


def read(span: QuerySpan, rows: int) -> None:
    """The program has looked at so many of a call's rows when it closed its cursor."""
    _read.append((span, rows))


# The background thread's side.


class Tally:
    """What one statement has got within requests since it was told last.

    Args:
        span: one of its calls.
    """

    __slots__ = ("calls", "most", "place", "read", "reads", "rows", "rows_read", "since", "span")

    def __init__(self, span: QuerySpan) -> None:
        self.since = monotonic()
        self.span = span
        self.place: Caller | None = None
        self.calls = self.rows = self.most = 0
        self.reads = self.rows_read = self.read = 0


def seen(span: QuerySpan, statement: Statement) -> None:
    """Counts a call that got many rows."""
    if not _is_of_request(span):
        return
    if tell not in outbox.sources:
        outbox.sources.insert(0, tell)  # before the one that sends log records
    tally = _tally(span, statement)
    tally.calls += 1
    tally.rows += span.rows
    if span.rows > tally.most:
        tally.most, tally.span = span.rows, span
    if span.caller is not None:
        tally.place = span.caller


def _is_of_request(span: QuerySpan) -> bool:
    """Whether somebody waits for it: a job that reads whole tables means to."""
    return hasattr(span.entry or span._parent, "route")


def _tally(span: QuerySpan, statement: Statement) -> Tally:
    found = _tallies.get(statement.body)
    if found is None:
        if len(_tallies) >= MOST:
            _tallies.clear()
        found = _tallies[statement.body] = Tally(span)
    return found


def tell(pipeline: Pipeline) -> list[Payload]:
    """Tells of statements that get too many rows; a source that has nothing to send."""
    while _read:
        span, rows = _read.popleft()
        if _is_of_request(span):
            tally = _tally(span, span._statement())
            tally.reads += 1
            tally.rows_read += span.rows
            tally.read += min(rows, span.rows)
    now = monotonic()
    for key, tally in _tallies.copy().items():
        if _tell(tally) or now - tally.since > A_MINUTE:
            _tallies.pop(key, None)
    return []


def _tell(tally: Tally) -> bool:
    if tally.calls < CALLS:
        return False
    is_unread = tally.reads >= CALLS and tally.read <= FEW_READ * tally.rows_read
    if not is_unread and tally.rows < TOO_MANY * tally.calls:
        return False
    span = tally.span
    if tally.place is None:  # its next calls tell it
        callers.watch(span)
        return False
    from perfagent.runtime.repeats import endpoint

    place, query = callers.attributes(tally.place), span.summary()
    told = {
        **place,
        **endpoint(span),
        "db.query.text": query,
        "perfagent.over_fetch.calls": tally.calls,
        "perfagent.over_fetch.rows": tally.rows / tally.calls,
        "perfagent.over_fetch.most": tally.most,
        **({"perfagent.over_fetch.read": tally.read / tally.reads} if tally.reads else {}),
        "perfagent.over_fetch.unread": is_unread,
    }
    subject = f"{place['code.file.path']}:{place['code.line.number']}"
    text = f"{tally.rows / tally.calls:.0f} rows a call, {tally.calls} times: {query}"
    return notice("over_fetch", subject, text, told, span)


def _forget() -> None:
    """In a forked child: what its parent has read is its parent's."""
    for kept in (_tallies, _read):
        kept.clear()


os.register_at_fork(after_in_child=_forget)
