"""PostgreSQL's own planner, asked with indexes that HypoPG makes up for this session: the proof that they are used."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import ddl
from perfagent.data.indexes.accesses import UnreadableError
from perfagent.data.indexes.connect import reason
from perfagent.data.indexes.placeholders import numbered
from perfagent.data.indexes.search import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from perfagent.data.indexes.candidates import Candidate
    from perfagent.data.indexes.search import Question

    Value = TypeVar("Value")

READS = ("Scan", "Sort", "Join", "Nested Loop")


class Explained:
    """Plans of PostgreSQL; statements are prepared and explained, never run.

    Args:
        connection: in a transaction that only reads, with `plan_cache_mode` at `force_generic_plan`.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def explain(self, question: Question) -> dict[str, Any]:
        """The plan as EXPLAIN (FORMAT JSON) gives it; raises UnreadableError."""
        text, count = _prepared(question)
        return self._apart(lambda: self._explain(text, count))

    def _explain(self, text: str, count: int) -> dict[str, Any]:
        self._do(f"PREPARE perfagent AS {text}")
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        found: dict[str, Any] = self._do(f"EXPLAIN (FORMAT JSON) EXECUTE perfagent{values}").scalar()[0]["Plan"]
        self._do("DEALLOCATE perfagent")
        return found

    def _do(self, sql: str) -> Any:
        return self.connection.exec_driver_sql(sql)

    def _apart(self, body: Callable[[], Value]) -> Value:
        with apart(self.connection) as failure:
            return body()
        self._do("DEALLOCATE ALL")  # a statement that is prepared outlives what is rolled back
        raise UnreadableError(failure[0])


def _prepared(question: Question) -> tuple[str, int]:
    """The statement for PREPARE, and how many parameters it has; raises UnreadableError."""
    text, count = numbered(question.statement.sql.strip().rstrip(";"), question.statement.rows)
    if ";" in text:  # several at once would leave the transaction that only reads
        raise UnreadableError("has a semicolon within")
    return text, count


@contextlib.contextmanager
def apart(connection: Any) -> Iterator[list[str]]:
    """A part of the transaction that may fail without the rest; the reason is then in the list.

    The name is always the same: pg_stat_statements keeps each as a statement of its own.
    """
    from sqlalchemy.exc import DBAPIError

    failure: list[str] = []
    connection.exec_driver_sql("SAVEPOINT perfagent")
    try:
        yield failure
    except DBAPIError as error:
        failure.append(reason(error))
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT perfagent")
    connection.exec_driver_sql("RELEASE SAVEPOINT perfagent")


class Hypothetical(Explained):
    """Plans with hypothetical indexes; arguments as for `Explained`.

    Args:
        connection: as for `Explained`.
        schema: where the extension HypoPG is.
    """

    def __init__(self, connection: Any, schema: str) -> None:
        super().__init__(connection)
        self.schema = ddl.quoted(schema, "postgres")
        self._there: tuple[Candidate, ...] | None = ()
        self._names: dict[str, Candidate] = {}
        self.sizes: dict[Candidate, int] = {}

    def plan(self, question: Question, indexes: Sequence[Candidate]) -> Plan:
        """The plan with these indexes; raises UnreadableError."""
        text, count = _prepared(question)

        def planned() -> dict[str, Any]:
            self._make(tuple(indexes))
            return self._explain(text, count)

        try:
            root = self._apart(planned)
        except UnreadableError:
            self._there = None  # some may have been made
            raise
        used = {self._names[node["Index Name"]] for node in nodes(root) if node.get("Index Name") in self._names}
        return Plan(root["Total Cost"], self._text(root), frozenset(used))

    def _make(self, indexes: tuple[Candidate, ...]) -> None:
        if indexes == self._there:
            return
        self._do(f"SELECT {self.schema}.hypopg_reset()")
        self._there, self._names = None, {}
        for one in indexes:
            text = definition(one).replace("'", "''")
            row = self._do(f"SELECT indexrelid, indexname FROM {self.schema}.hypopg_create_index('{text}')").one()  # noqa: S608
            self._names[row[1]] = one
            if one not in self.sizes:
                self.sizes[one] = self._do(f"SELECT {self.schema}.hypopg_relation_size({int(row[0])})").scalar()
        self._there = indexes

    def _text(self, root: dict[str, Any]) -> str:
        text = summary(root)
        for name, one in self._names.items():
            text = text.replace(name, index_name(one))
        return text


def index_name(one: Candidate) -> str:
    """The name that the index gets."""
    return ddl.name(one.table, one.keys, ddl.condition(one.fixed, "postgres"))


def definition(one: Candidate) -> str:
    """CREATE INDEX as HypoPG reads it."""
    where = ddl.condition(one.fixed, "postgres")
    return ddl.create("postgres", one.schema, one.table, one.keys, index_name(one), where=where, online=False)


def nodes(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plan's nodes, from the top."""
    yield root
    for child in root.get("Plans", ()):
        yield from nodes(child)


def summary(root: dict[str, Any]) -> str:
    """The nodes that read and sort, in a line."""
    found = []
    for node in nodes(root):
        kind = node["Node Type"]
        if kind.endswith(READS):
            place = f" on {node['Relation Name']}" if "Relation Name" in node else ""
            index = f" using {node['Index Name']}" if "Index Name" in node else ""
            found.append(f"{kind}{index}{place}")
    return ", ".join(found) or str(root["Node Type"])
