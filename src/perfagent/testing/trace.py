"""What a test did, as a tree of operations with what each used: made of the spans that were noted while it ran."""

from __future__ import annotations

import os

from perfagent.runtime import callers, profile
from perfagent.runtime.db import QuerySpan
from perfagent.runtime.http import ServerSpan
from perfagent.runtime.span import CLIENT, PRODUCER, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfagent.testing.limits import Limits
    from perfagent.testing.seen import Seen

CACHES = frozenset(("redis", "memcached", "valkey"))
TRANSACTIONS = frozenset(
    ("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "END", "ABORT", "START TRANSACTION")
)
"""Statements that open, mark or close a transaction: how many there are is the driver's business."""


class Operation:
    """One span, as it is shown and counted.

    Args:
        span: of which it is.
        place: file, line and function of who called, or None.
    """

    __slots__ = ("children", "cpu", "ended", "failed", "kind", "name", "own", "place", "span_id", "started", "text")

    def __init__(self, span: Span, place: Place | None) -> None:
        self.span_id = span.span_id
        self.started, self.ended = span.started, span.ended
        self.place = place
        self.children: list[Operation] = []
        self.cpu: float | None = None
        self.own = True
        """Whether it counts: a call that this process answers itself is none."""
        self.failed = bool(getattr(span, "failure", "")) or (span.details is not None and span.details.status == 2)
        if isinstance(span, QuerySpan):
            self.kind, self.name, self.text = _query(span)
        elif isinstance(span, ServerSpan):
            self.kind, self.name, self.text = "request", endpoint(span), str(span.status or "")
            if span.details is not None:
                cpu = span.details.attributes.get(profile.CPU)
                self.cpu = cpu if isinstance(cpu, float) else None
        else:
            self.kind = "call" if span.kind in (CLIENT, PRODUCER) else "work"
            self.name, self.text = span.summary(), ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.started) / 1e9

    def walk(self) -> Iterator[Operation]:
        """It and all below it, in their order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def requests(self) -> Iterator[Operation]:
        """The requests that were answered in it, outermost first."""
        return (one for one in self.walk() if one.kind == "request")


class Place:
    """A line of the program.

    Args:
        caller: as `callers.nearest` found it.
    """

    __slots__ = ("file", "function", "line")

    def __init__(self, file: str, line: int, function: str = "") -> None:
        self.file = relative(file)
        self.line = line
        self.function = function

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" {self.function}" if self.function else "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and (self.file, self.line) == (other.file, other.line)

    def __hash__(self) -> int:
        return hash((self.file, self.line))


def relative(path: str) -> str:
    """A path below the working directory as seen from there."""
    here = os.getcwd() + os.sep
    return path[len(here) :] if path.startswith(here) else path


def grow(root: Span, noted: Iterable[Seen], began: int, thread: int) -> Operation:
    """The tree below a test's span.

    What belongs to the test is what has its trace. An event loop whose context is older than the test starts traces of
    its own, and so does a server that is asked by a client which hands no trace on: those that begin in the test's own
    thread, or with a request, while the test runs, are its own, too.

    Args:
        root: of the test, ended.
        noted: spans that ended meanwhile.
        began: when the test began, by `clock.now`.
        thread: the test's.
    """
    operations: dict[bytes, Operation] = {}
    above: dict[bytes, bytes | None] = {}
    traces: dict[bytes, list[tuple[Span, int]]] = {}
    for span, caller, ended_by in noted:
        if span is root:
            continue
        traces.setdefault(span.trace_id, []).append((span, ended_by))
        operations[span.span_id] = Operation(span, _place(caller))
        above[span.span_id] = span.parent_id
    top = Operation(root, None)
    for trace_id, spans in traces.items():
        ours = trace_id == root.trace_id
        for span, ended_by in sorted(spans, key=lambda one: one[0].started):
            parent = operations.get(above[span.span_id] or b"")
            operation = operations[span.span_id]
            if parent is not None:
                parent.children.append(operation)
                if operation.kind == "request" and parent.kind == "call":
                    parent.own = False
            elif ours or (span.started >= began and (ended_by == thread or operation.kind == "request")):
                top.children.append(operation)
    top.children.sort(key=lambda one: one.started)
    return top


def used(top: Operation) -> Limits:
    """How much of each countable figure an operation and all below it used."""
    texts: dict[str, int] = {}
    calls = cached = 0
    for one in top.walk():
        if one.kind == "query":
            texts[one.text] = texts.get(one.text, 0) + 1
        elif one.kind == "cache":
            cached += 1
        elif one.kind == "call" and one.own:
            calls += 1
    queries = sum(texts.values())
    return {
        "queries": queries,
        "duplicate_queries": queries - len(texts),
        "calls": calls,
        "cache_calls": cached,
        "time": top.seconds,
        **({} if top.cpu is None else {"cpu": top.cpu}),
    }


def endpoint(span: ServerSpan) -> str:
    """Method and route; the path where no route is known, as of what is not found."""
    if span.name != span.method:
        return span.name
    return f"{span.method} {span.route or span.path}"


def _query(span: QuerySpan) -> tuple[str, str, str]:
    """Kind, name and text of a query, without its literals."""
    shared = span._statement().attributes
    system = str(shared.get("db.system.name", ""))
    operation = str(shared.get("db.operation.name", ""))
    name = " ".join(filter(None, (operation, str(shared.get("db.collection.name", "")))))
    describe, query = span.database.describe, span.query
    text = describe(query).text if describe is not None and type(query) is str else f"{system} {name}"
    if system in CACHES:
        return "cache", f"{system} {name}", f"{system} {name}"
    verb = operation.upper() or text.lstrip().partition(" ")[0].upper().rstrip(";")
    return "transaction" if verb in TRANSACTIONS else "query", name or system, text


def _place(caller: callers.Caller | None) -> Place | None:
    if caller is None:
        return None
    found = callers.attributes(caller)
    line, function = found["code.line.number"], str(found["code.function.name"])
    assert isinstance(line, int)
    return Place(str(found["code.file.path"]), line, function.rpartition(".<locals>.")[2])
