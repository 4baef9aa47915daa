"""Database spans and the metric made of them (OpenTelemetry semantic conventions, "Database client").

The program's thread stores the statement as it is; the background thread takes its literals out and keeps the result
for each distinct statement, so that a repeated one costs a dict look-up.
"""

from __future__ import annotations

from perfagent.runtime import metric
from perfagent.runtime.encoded import MOST
from perfagent.runtime.http import SCHEMA
from perfagent.runtime.metric import DB_SECONDS, HISTOGRAM, registry
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import CLIENT, ERROR, Scope, Span, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.metric import Series
    from perfagent.runtime.sql import SqlText

LONGEST_KEPT = 16_384  # characters; a longer statement is worked on each time rather than remembered

duration = registry.make(
    Scope("perfagent.db", schema_url=SCHEMA),
    HISTOGRAM,
    "db.client.operation.duration",
    "s",
    "Duration of database client operations.",
    DB_SECONDS,
)


class Statement:
    """What all spans of one statement share: its encoded name and attributes, and its series."""

    __slots__ = ("attributes", "body", "series")

    def __init__(self, body: bytes, attributes: dict[str, object]) -> None:
        self.body = body
        self.attributes = attributes
        self.series: Series = duration.of(attributes)


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
        if self.describe is None:
            from perfagent.runtime.sql import describe

            self.describe = describe
        found = self.describe(query)
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

    Args:
        scope: the driver's instrument.
        parent: the span that asks, or None.
        database: what the connection talks to.
        query: the statement as the program gave it, without its parameters.
    """

    __slots__ = ("batch", "database", "failure", "query")

    def __init__(self, scope: Scope, parent: RemoteContext | Span | None, database: Database, query: str) -> None:
        super().__init__(scope, "", CLIENT, parent)
        self.database = database
        self.query = query
        self.batch = 0
        self.failure = ""

    def fail(self, error: BaseException) -> None:
        """Records the exception that the call ended with."""
        self.record_exception(error)
        self.failure = type_name(error)

    def measure(self) -> None:
        statement = self.database.statement(self.query)
        seconds = (self.ended - self.started) / 1e9
        if self.failure:
            series = duration.of({**statement.attributes, "error.type": self.failure})
        else:
            series = statement.series
        series.record(seconds)
        if self.flags & 1 and metric.exemplar_filter != "always_off":
            series.exemplify(seconds, self.ended, self.trace_id, self.span_id)

    def encode(self) -> bytes:
        body = self.database.statement(self.query).body
        if self.batch > 1:
            body += wire.key_value(9, "db.operation.batch.size", self.batch)
        if self.failure:
            body += wire.key_value(9, "error.type", self.failure) + wire.message(15, wire.integer(3, ERROR))
        return self.encode_around(body)
