"""Statements that one request runs again and again: the loop that does it, and which runs were the same ones again.

The background thread sees a statement end twice in one trace and has the next runs of it looked at more closely: the
whole stack of the program's own frames, and a digest of the parameters, 5 us each, in a few requests every half
minute. Runs of one statement in one trace are compared here, again in the background. No digest leaves the process.
"""

from __future__ import annotations

import os

from perfagent.runtime import callers, loops, outbox
from perfagent.runtime.clock import monotonic
from perfagent.runtime.notices import notice
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.db import QuerySpan, Statement
    from perfagent.runtime.pipeline import Payload, Pipeline
    from perfagent.runtime.span import Span

MOST = 256  # statements of traces that are compared at a time
SETTLED = 2.0  # seconds after its last run, when a statement of a trace is looked at as a whole
MANY = 3  # runs for nothing in one request; fewer must be seen in two requests
PAUSE = 250_000_000  # ns: what one place asks again after that, and after longer than it took, may have changed by then
LOOP = {
    "code.file.path": "perfagent.loop.file.path",
    "code.line.number": "perfagent.loop.line.number",
    "code.function.name": "perfagent.loop.function.name",
}
AGAIN = wire.key_value(9, "perfagent.query.duplicate", True)
DUPLICATES = "perfagent.duplicate_queries."

_runs: dict[tuple[bytes, bytes], Runs] = {}
_once: dict[str, bytes] = {}  # places that ran something for nothing in one request so far


class Runs:
    """What ran of one statement in one trace.

    Args:
        statement: the statement.
    """

    __slots__ = ("again", "asked", "last", "loop", "lost", "seen", "span", "stack", "statement")

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.stack: callers.Stack = ()
        self.asked: dict[tuple[object, int], Asked] = {}
        self.seen = self.again = self.lost = 0
        self.loop: dict[str, object] = {}
        self.last = 0.0
        self.span: QuerySpan | None = None
        """The last one that was the same again."""


class Asked:
    """One question of a trace: when it was answered last, and from where it was asked.

    Who waits for something asks for it again and again at one place, with pauses: a worker for its next job, a request
    for the end of one. The answer may be another each time, so that is no question for nothing. From a place that has
    not asked before it is one, however long the answer of the other is known.
    """

    __slots__ = ("ended", "places")

    def __init__(self) -> None:
        self.ended = 0
        self.places: set[tuple[tuple[int, int], ...]] = set()

    def again(self, span: QuerySpan, stack: callers.Stack) -> bool:
        """Takes a run; says whether what it asked was known by then."""
        place = tuple((id(code), offset) for code, offset, _ in stack)
        known = bool(self.places) and (
            place not in self.places or span.started - self.ended < max(PAUSE, span.ended - span.started)
        )
        self.places.add(place)
        self.ended = max(self.ended, span.ended)
        return known


def seen(span: QuerySpan, statement: Statement) -> bytes:
    """Compares a run that was looked at closely with the others of its trace.

    Returns:
        The attributes that its span gets by that, encoded.
    """
    key = span.trace_id, statement.body
    runs = _runs.get(key)
    if runs is None:
        if len(_runs) >= MOST:
            return b""
        if not _runs and tell not in outbox.sources:
            outbox.sources.insert(0, tell)  # before the one that sends log records
        runs = _runs[key] = Runs(statement)
    runs.seen += 1
    runs.last = monotonic()
    assert span.caller is not None
    stack, digest = span.caller[2:]
    found = b""
    if runs.stack:
        runs.loop = _loop(runs.stack, stack) or runs.loop
        found = wire.attributes(9, {LOOP[name]: value for name, value in runs.loop.items()})
    runs.stack = stack
    if digest is not None and _reads(statement):
        asked = runs.asked.get((span.query, digest))
        if asked is None:
            asked = runs.asked[span.query, digest] = Asked()
        if asked.again(span, stack):
            runs.again += 1
            runs.lost += span.ended - span.started
            runs.span = span
            found += AGAIN
    return found


def _reads(statement: Statement) -> bool:
    """Whether a statement reads a table, so that running it again gives the same."""
    told = statement.attributes
    return told.get("db.operation.name") == "SELECT" and bool(told.get("db.collection.name"))


def _loop(before: callers.Stack, now: callers.Stack) -> dict[str, object]:
    """File, line and function of the loop that two runs have in common; empty where there is none.

    A frame that lasts from one run to the next has the same identity in both. That of a frame that has ended may be
    taken by its successor, so a frame counts only where its instruction can be come back to.
    """
    common: list[tuple[object, ...]] = []
    for one, other in zip(reversed(before), reversed(now), strict=False):
        if one[0] is not other[0] or one[2] != other[2]:
            break
        common.append(other)
        if one[1] != other[1]:  # it has gone on to another call
            break
    for code, offset, _ in reversed(common):
        line = loops.line_of_loop(code, offset)  # type: ignore[arg-type]
        if line:
            return {**callers.attributes((code, offset)), "code.line.number": line}
    return {}


def tell(pipeline: Pipeline) -> list[Payload]:
    """Tells of statements that ran for nothing, once their requests are over; a source that has nothing to send."""
    now = monotonic()
    for key, runs in _runs.copy().items():
        if now - runs.last >= SETTLED or pipeline.stopping:
            del _runs[key]
            if runs.span is not None:
                _tell(runs, runs.span)
    return []


def _tell(runs: Runs, span: QuerySpan) -> None:
    assert span.caller is not None
    place = callers.attributes(span.caller)
    subject = f"{place['code.file.path']}:{place['code.line.number']}"
    if runs.again < MANY and _once.get(subject) in (None, span.trace_id):
        if len(_once) >= MOST:
            _once.clear()
        _once[subject] = span.trace_id
        return
    told = {
        **place,
        **{LOOP[name]: value for name, value in runs.loop.items()},
        "db.query.text": span.summary(),
        f"{DUPLICATES}runs": runs.seen,
        f"{DUPLICATES}again": runs.again,
        f"{DUPLICATES}seconds": runs.lost / 1e9,
        **endpoint(span),
    }
    text = f"The same query with the same parameters {runs.again + 1} times in one request: {span.summary()}"
    notice("duplicate_queries", subject, text, told, span)


def endpoint(span: Span) -> dict[str, object]:
    """The request that a span is part of, by its route; nothing where that is unknown.

    A request that has ended is known to its own calls alone: it lets go of what leads to itself.
    """
    entry = span.entry or getattr(span, "_parent", span)
    method, route = getattr(entry, "method", ""), getattr(entry, "route", "")
    name = f"{method} {route}" if method and route else getattr(entry, "name", "")
    return {"perfagent.endpoint": name} if name else {}


os.register_at_fork(after_in_child=_runs.clear)
