"""Database spans and the metric made of them (OpenTelemetry semantic conventions, "Database client").

The program's thread stores the statement as it is; the background thread takes its literals out and keeps the result
for each distinct statement, so that a repeated one costs a dict look-up.
"""

from __future__ import annotations

from perfagent import settings as options
from perfagent.runtime import callers, clock, guard, ids, metric, outbox, span
from perfagent.runtime.clock import now
from perfagent.runtime.context import RemoteContext
from perfagent.runtime.encoded import MOST, Encoded
from perfagent.runtime.flight import running
from perfagent.runtime.http import SCHEMA
from perfagent.runtime.metric import DB_SECONDS, FOLD_AT, HISTOGRAM, registry
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import CLIENT, ERROR, Scope, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.runtime.callers import Caller
    from perfagent.runtime.metric import Series
    from perfagent.runtime.sql import SqlText

WATCHED_EVERY = 30_000_000_000  # ns between two closer looks at a statement that requests repeat
MANY_ROWS = 100  # from which on it is asked whether the program needs them
LONGEST_KEPT = 16_384  # characters; a longer statement is worked on each time rather than remembered

duration = registry.make(
    Scope("perfagent.db", schema_url=SCHEMA),
    HISTOGRAM,
    "db.client.operation.duration",
    "s",
    "Duration of database client operations.",
    DB_SECONDS,
    keys=(
        "db.system.name",
        "db.namespace",
        "db.operation.name",
        "db.collection.name",
        "server.address",
        "server.port",
        "db.response.status_code",
        "error.type",
    ),
)


class Statement:
    """What all spans of one statement share: its encoded name and attributes, and its series."""

    __slots__ = ("attributes", "body", "due", "frame", "reads", "series", "slow", "trace")

    def __init__(self, body: bytes, attributes: dict[str, object]) -> None:
        self.body = body
        self.frame = b"\x12" + wire.varint(span.CHILD_HEAD + len(body))  # of a span with nothing of its own
        self.slow = 0.0  # seconds; what takes longer becomes an exemplar; falls with time
        self.attributes = attributes
        self.reads = attributes.get("db.operation.name") == "SELECT"
        self.series: Series = duration.of(attributes)
        self.trace = b""
        """That ran it last."""
        self.due = 0
        """When its repetitions may be looked at again, by `clock.now`."""


class Database:
    """What a connection talks to; kept with the connection, shared by all with the same address.

    Args:
        system: `db.system.name`, such as "postgresql".
        namespace: the database's name, or "".
        host: the server, or "" where there is none.
        port: its port, or 0.
        describe: makes the description of a statement; SQL when left out.
    """

    __slots__ = ("attributes", "describe", "statements")

    def __init__(
        self,
        system: str,
        namespace: str = "",
        host: str = "",
        port: int = 0,
        describe: Callable[[str], SqlText] | None = None,
    ) -> None:
        self.attributes: dict[str, object] = {"db.system.name": system}
        if namespace:
            self.attributes["db.namespace"] = namespace
        if host:
            self.attributes["server.address"] = host
            if port:
                self.attributes["server.port"] = port
        self.describe = describe
        self.statements: dict[str, Statement] = {}

    def statement(self, query: str) -> Statement:
        """The shared part of the spans of `query`."""
        return self.statements.get(query) or self._describe(query)

    def _describe(self, query: str) -> Statement:
        describe = self.describe
        if describe is None:
            describe = self.describe = _describer(self.attributes["db.system.name"])
        found = describe(query)
        shared = dict(self.attributes)
        if found.operation:
            shared["db.operation.name"] = found.operation
        if found.collection:
            shared["db.collection.name"] = found.collection
        own = dict(shared)
        own["db.query.text"] = found.text
        if found.summary:
            own["db.query.summary"] = found.summary
        name = (
            found.summary
            or found.operation
            or str(self.attributes.get("db.namespace") or self.attributes["db.system.name"])
        )
        statement = Statement(wire.text(5, name) + b"0\x03" + wire.attributes(9, own), shared)
        if len(query) <= LONGEST_KEPT:
            if len(self.statements) >= MOST:
                self.statements.clear()
            self.statements[query] = statement
        return statement


def _describer(system: object) -> Callable[[str], SqlText]:
    """SQL as that database reads it: what `"` and a backslash mean decides where a literal ends."""
    from perfagent.runtime.sql import describe, without_currencies, without_data

    if system in ("mysql", "mariadb"):
        return lambda query: describe(query, double_quotes_are_strings=True)
    if system in ("sqlite", "duckdb", "oracle.db"):
        return lambda query: describe(query, backslash_escapes=False)
    if system == "microsoft.sql_server":
        return lambda query: describe(without_currencies(query), backslash_escapes=False)
    if system == "clickhouse":
        return lambda query: describe(without_data(query), backslash_escapes=True)
    return describe


_span_ids = ids._span_ids
_known, _ONE_IN_32, _SLOW = callers.known, callers.ONE_IN_32, callers.SLOW
_NOT_TOLD = callers.NOT_TOLD
_returned = Encoded("db.response.returned_rows")
_databases: dict[tuple[str, str, str, int], Database] = {}


def database(system: str, namespace: str = "", host: str = "", port: int = 0) -> Database:
    """The shared `Database` of an address; arguments as there. Bounded: a program with very many gets new ones."""
    key = (system, namespace, host, port)
    found = _databases.get(key)
    if found is None:
        found = Database(system, namespace, host, port)
        if len(_databases) < MOST:
            _databases[key] = found
    return found


class QuerySpan(Span):
    """One call to a database.

    What follows from its parent is read from there when somebody asks, which is the background thread as a rule: that
    takes 0.15 us off what making one costs the program.

    Args:
        scope: the driver's instrument.
        parent: the span that asks, or None.
        database: what the connection talks to.
        query: the statement as the program gave it, without its parameters; or a function that the background thread
            gets it from.

    `code`, where the driver's instrument sets it, is what the database answered to a failed call: an SQLSTATE, say.
    `rows` is how many rows the driver has got, below 0 where it does not tell.
    """

    __slots__ = ("_parent", "batch", "caller", "code", "database", "failure", "query", "rows")
    kind = CLIENT
    caller: Caller | None
    _parent: RemoteContext | Span
    code: str

    def __init__(self, scope: Scope, parent: RemoteContext | Span | None, database: Database, query: Any) -> None:
        self.scope = scope
        self.caller = None
        self.database = database
        self.query = query
        self.batch = 0
        self.rows = -1
        self.failure = ""
        self.details = None
        self.ended = 0
        try:  # as ids.span_id does, without the call: 40 ns
            self.span_id = _span_ids.pop()
        except IndexError:
            self.span_id = ids.span_id()
        if parent is None or parent.lapsed:
            self._parent = _root()
        else:
            self._parent = parent
            entry = parent.entry
            if entry is not None and entry.slot >= 0:
                running[entry.slot] = self
        self.started = now()

    @property
    def name(self) -> str:
        """The name is made of the statement, in the background; another one is not taken."""
        return ""

    @name.setter
    def name(self, name: str) -> None:
        pass

    @property
    def trace_id(self) -> bytes:  # type: ignore[override]
        """The trace that it belongs to."""
        return self._parent.trace_id

    @property
    def parent_id(self) -> bytes | None:  # type: ignore[override]
        """The span that asks; None for a root."""
        above = self._parent.span_id
        return None if above is ids.NO_SPAN else above

    @property
    def parent_remote(self) -> bool:  # type: ignore[override]
        """Whether that is in another process."""
        return self._parent.remote

    @property
    def state(self) -> str:  # type: ignore[override]
        """The trace state."""
        parent = self._parent
        return parent.state if span.sampler.parent_based else span.sampler.decide(parent.trace_id, parent.state)[1]

    @property
    def entry(self) -> Span | None:  # type: ignore[override]
        """The request that it is part of."""
        return self._parent.entry

    @property
    def flags(self) -> int:  # type: ignore[override]
        """Whether it is kept: 1 or 0."""
        parent = self._parent
        if span.sampler.parent_based:
            return parent.flags & 1
        return span.sampler.decide(parent.trace_id, parent.state)[0]

    def summary(self) -> str:
        """The statement without its literals; where that takes the driver to tell, the database's kind alone."""
        query, system = self.query, str(self.database.attributes["db.system.name"])
        if type(query) is not str:
            return system
        self.database.statement(query)  # what finds out how this database reads it
        describe = self.database.describe
        return system if describe is None else describe(query).text

    def finish(self, parameters: object = _NOT_TOLD, options: object = None) -> None:
        """As every span's; now and then, and whenever the call was slow, with a look at who made it.

        Args:
            parameters, options: what the statement was run with; not kept, see `callers.digest`.
        """
        if not self.ended:
            self.ended = 1  # see Span.finish
            self.ended = ended = now()
            try:  # 0.1 us for all three; a count for each statement would take 0.14
                if ended - self.started >= _SLOW or self.span_id < _ONE_IN_32 or self.query not in _known:
                    self.caller = callers.look(self, parameters, options)
            except Exception:  # a statement that cannot be hashed
                guard.failed("callers")
            pending = outbox.pending
            pending.append(self)
            if len(pending) > outbox.CROWDED:
                outbox.crowded()

    def fail(self, error: BaseException) -> None:
        """Records the exception that the call ended with, without the values that databases quote in them."""
        from perfagent.runtime.failure import Failure

        failure = Failure(error)
        self.failure = failure.type
        if self.entry is not None:
            self.entry.told = id(error)
        if self.is_recording():
            self._more().events.append(("exception", now() + clock.offset, failure, 0))

    def deliver(self, wanted: bool) -> bytes | None:  # noqa: C901 - a call more would cost 60 ns
        """As `measure` and `encode`, in one go for the usual query: 0.6 us in place of 1.2."""
        parent, ended = self._parent, self.ended
        statement = self.database.statements.get(self.query) or self._statement()
        trace = parent.trace_id
        if statement.trace != trace:
            statement.trace = trace
        elif ended > statement.due and callers.wanted:
            statement.due = ended + WATCHED_EVERY
            callers.watch(self)
        special = (
            self.failure
            or self.batch
            or self.details is not None
            or parent.state
            or parent.span_id is ids.NO_SPAN
            or span.thinned
        )
        if special or type(self) is not QuerySpan:
            return super().deliver(wanted)
        started = self.started
        seconds = (ended - started) / 1e9
        pending = statement.series.pending
        pending.append(seconds)
        count = len(pending)
        if count > FOLD_AT:
            statement.series.fold()
        if not (parent.flags & 1 if span.sampler.parent_based else self.flags):
            return None
        if seconds > statement.slow or not count & 15:  # the slowest and a sample of the others become exemplars
            statement.slow = max(seconds, statement.slow * 0.9)
            if metric.exemplar_filter != "always_off":
                statement.series.exemplify(seconds, ended, trace, self.span_id)
        if not wanted:
            return None
        offset = clock.offset
        head = span.child_head(
            b"\x0a\x10", trace, b"\x12\x08", self.span_id, b"\x22\x08", parent.span_id,
            b"\x39", started + offset, b"\x41", ended + offset, b"\x85\x01", 0x300 if parent.remote else 0x100,
        )  # fmt: skip
        body, rows = statement.body, self.rows
        if self.caller is not None or rows >= MANY_ROWS:
            told = self._told(statement)
        elif rows >= 0 and statement.reads:
            told = _returned[rows]
        else:
            return b"".join((statement.frame, head, body))
        return b"".join((b"\x12", wire.varint(span.CHILD_HEAD + len(body) + len(told)), head, body, told))

    def leave_out(self) -> None:
        """As every span's; its parent is another one then, as the flag is its parent's."""
        parent = self._parent
        self._parent = RemoteContext(parent.trace_id, parent.span_id, 0)

    def measure(self) -> None:
        """Adds the span to the metrics of its kind."""
        statement = self._statement()
        seconds = (self.ended - self.started) / 1e9
        series = duration.of({**statement.attributes, **self._outcome()}) if self.failure else statement.series
        series.record(seconds)
        if self.flags & 1 and metric.exemplar_filter != "always_off":
            series.exemplify(seconds, self.ended, self.trace_id, self.span_id)

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        statement = self._statement()
        body = statement.body + self._told(statement)
        if self.batch > 1:
            body += wire.key_value(9, "db.operation.batch.size", self.batch)
        if self.failure:
            body += wire.attributes(9, self._outcome()) + wire.message(15, wire.integer(3, ERROR))
        return self.encode_around(body)

    def _called(self, statement: Statement) -> bytes:
        """The attributes that tell the caller, and those that follow from a closer look."""
        assert self.caller is not None
        found = callers.encode(self.caller)
        if len(self.caller) > 2:
            from perfagent.runtime import repeats

            found += repeats.seen(self, statement)
        return found

    def _told(self, statement: Statement) -> bytes:
        """The attributes that not all calls of a statement share: who made it, and how many rows came back."""
        told = b"" if self.caller is None else self._called(statement)
        rows = self.rows
        if rows >= 0 and statement.reads:
            told += _returned[rows]
            if rows >= MANY_ROWS:
                from perfagent.runtime import overfetch

                overfetch.seen(self, statement)
        return told

    def _statement(self) -> Statement:
        query = self.query
        if type(query) is not str and callable(query):
            query = self.query = query()
        return self.database.statements.get(query) or self.database.statement(query)

    def _outcome(self) -> dict[str, object]:
        """What a failed call adds to the attributes of its span and its metric."""
        code = getattr(self, "code", "")
        return {"error.type": self.failure, **({"db.response.status_code": code} if code else {})}


def _root() -> RemoteContext:
    """What stands above the first span of a trace."""
    trace_id = ids.trace_id()
    return RemoteContext(trace_id, ids.NO_SPAN, *span.sampler.decide(trace_id), remote=False)


callers.wanted = options.current().query_callers != "off"
if not callers.wanted:

    def _finish(self: QuerySpan, parameters: object = None, options: object = None) -> None:
        callers.shorten(self)
        Span.finish(self)

    QuerySpan.finish = _finish  # type: ignore[method-assign] # nobody pays for a test in each call
