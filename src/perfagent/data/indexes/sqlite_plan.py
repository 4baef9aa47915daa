"""SQLite's planner on an empty copy of the schema, and what its plans cost by the estimate."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

from perfagent.data.indexes import ddl, estimate
from perfagent.data.indexes.accesses import UnreadableError
from perfagent.data.indexes.advice import Key
from perfagent.data.indexes.candidates import Candidate
from perfagent.data.indexes.placeholders import positional
from perfagent.data.indexes.search import Plan
from perfagent.data.indexes.sqlite_catalog import statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.data.indexes.accesses import Access
    from perfagent.data.indexes.advice import Index
    from perfagent.data.indexes.catalog import Catalog
    from perfagent.data.indexes.search import Question

_COLLATION = re.compile(r"""\bCOLLATE\s+["'`\[]?(\w+)""", re.IGNORECASE)
BUILT_IN = ("BINARY", "NOCASE", "RTRIM")
_STEP = re.compile(r"^(SCAN|SEARCH) (?:TABLE )?(\S+)(?: AS (\S+))?(.*)$")
_INDEX = re.compile(r"USING (?:COVERING )?INDEX (.+?)(?: \(|$)")


class Copied:
    """Plans on a copy in memory; used between `with` and its end.

    Args:
        source: the database.
        catalog: its tables.
    """

    def __init__(self, source: sqlite3.Connection, catalog: Catalog) -> None:
        self.catalog = catalog
        self._copy = sqlite3.connect(":memory:", isolation_level=None)
        order = "CASE type WHEN 'table' THEN 0 WHEN 'view' THEN 1 ELSE 2 END"
        kinds = "type IN ('table', 'view', 'index') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL"
        for (text,) in source.execute(f"SELECT sql FROM sqlite_master WHERE {kinds} ORDER BY {order}"):  # noqa: S608
            for name in _COLLATION.findall(text):
                if name.upper() not in BUILT_IN:  # the program's own; how it compares is nothing to a plan
                    self._copy.create_collation(name, lambda one, two: (one > two) - (one < two))
            try:
                self._copy.execute(text)
            except sqlite3.Error:
                continue  # a module or function that this process lacks; statements that need it tell so
        self._copy.execute("ANALYZE")
        counts = statistics(source)
        for (table, index), numbers in counts.items():
            self._count(table, index, numbers)
        for one in catalog.tables:
            if not any(table == one.name for table, _index in counts):
                self._count(one.name, None, [int(max(one.rows, 1))])
        self._existing = {index.name: index for one in catalog.tables for index in one.indexes}

    def __enter__(self) -> Copied:
        return self

    def __exit__(self, *_: object) -> None:
        self._copy.close()

    def _count(self, table: str, index: str | None, numbers: Sequence[int]) -> None:
        row = (table, index, " ".join(map(str, numbers)))
        self._copy.execute("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", row)

    def plan(self, question: Question, indexes: Sequence[Candidate]) -> Plan:
        """The plan with these indexes; raises UnreadableError."""
        named = {index_name(one): one for one in indexes}
        try:
            for name, one in named.items():
                self._copy.execute(definition(one))
                self._count(one.table, name, self._leaves(one))
            self._copy.execute("ANALYZE sqlite_master")  # reads the counts
            steps = self._explain(question.statement.sql)
        except sqlite3.Error as error:
            raise UnreadableError(str(error)) from None
        finally:
            for name in named:
                self._copy.execute(f"DROP INDEX IF EXISTS {ddl.quoted(name, 'sqlite')}")
        used = {named[name] for name in _named(steps) if name in named}
        text = ", ".join(detail for _id, _parent, detail in steps)
        return Plan(self._cost(question, steps, named), text, frozenset(used))

    def used(self, statements: Sequence[str]) -> set[str]:
        """The indexes that the plans of these statements use as it is."""
        found: set[str] = set()
        self._copy.execute("ANALYZE sqlite_master")
        for sql in statements:
            try:
                found.update(_named(self._explain(sql)))
            except sqlite3.Error:
                continue
        return found

    def _explain(self, sql: str) -> list[tuple[int, int, str]]:
        text, count = positional(sql.strip().rstrip(";"))
        rows = self._copy.execute(f"EXPLAIN QUERY PLAN {text}", (None,) * count)
        return [(row[0], row[1], row[3]) for row in rows]

    def _leaves(self, one: Candidate) -> list[int]:
        """Rows of the table, and rows that each of the leading keys leaves, as ANALYZE would have it."""
        table = self.catalog.find(one.table)
        assert table is not None
        numbers, left = [max(int(table.rows), 1)], max(table.rows, 1)
        for key in one.keys:
            left = max(left / max(table.distinct.get(key.column, 10), 1), 1)
            numbers.append(int(left))
        return numbers

    def _cost(self, question: Question, steps: list[tuple[int, int, str]], named: dict[str, Candidate]) -> float:
        """Each step once for each row of the steps before it: SQLite joins by nested loops alone."""
        cost, loops = 0.0, {0: 1.0}
        for step, parent, detail in steps:
            outer = loops.get(parent, 1.0)
            found = _STEP.match(detail)
            access = _access(question, found[3] or found[2]) if found else None
            if found is None or access is None:
                if "TEMP B-TREE" in detail:
                    cost += estimate.sort(outer)
                loops[step] = outer if "CORRELATED" in detail else 1.0
                continue
            one, rows = self._step(access, found[1], found[4], question.statement.rows, named)
            if "AUTOMATIC" in found[4]:
                cost += estimate.scan(access.table) + estimate.sort(access.table.rows)
            cost += outer * one
            loops[parent] = outer * max(rows, 1)
        return cost

    def _step(
        self, access: Access, verb: str, how: str, limit: float | None, named: dict[str, Candidate]
    ) -> tuple[float, float]:
        """What one loop of a step costs, and the rows that it gives."""
        table, index = access.table, _INDEX.search(how)
        if verb == "SCAN" and (index is None or "COVERING" in how):
            return estimate.scan(table) * (0.5 if index else 1), table.rows * estimate.filtered(access)
        if index is None:
            if "AUTOMATIC" in how or "=?" in how:
                return estimate.lookup(table, 1), 1
            return estimate.lookup(table, table.rows / 3), table.rows / 3
        candidate = named.get(index[1]) or _as_candidate(access, self._existing.get(index[1]))
        rows = estimate.matched(access, candidate, limit) if candidate is not None else None
        if rows is None:
            rows = table.rows if verb == "SCAN" else table.rows / 10
        return estimate.lookup(table, rows), rows


def _as_candidate(access: Access, index: Index | None) -> Candidate | None:
    if index is None or not all(index.plain):
        return None
    keys = [Key(name) for name in index.plain]
    wanted = {key.column for key in (*access.equal, *access.joined, *access.ranges, *access.order)}
    while keys and keys[-1].column not in wanted:  # what the statement has no use for
        keys.pop()
    return Candidate("", access.table.name, tuple(keys)) if keys else None


def _access(question: Question, name: str) -> Access | None:
    for one in question.accesses:
        if name.strip('"').lower() in (one.alias.lower(), one.table.name.lower()):
            return one
    return None


def _named(steps: list[tuple[int, int, str]]) -> list[str]:
    return [found[1] for _id, _parent, detail in steps if (found := _INDEX.search(detail))]


def index_name(one: Candidate) -> str:
    """The name that the index gets."""
    return ddl.name(one.table, one.keys, ddl.condition(one.fixed, "sqlite"))


def definition(one: Candidate) -> str:
    """CREATE INDEX."""
    where = ddl.condition(one.fixed, "sqlite")
    return ddl.create("sqlite", "", one.table, one.keys, index_name(one), where=where)
