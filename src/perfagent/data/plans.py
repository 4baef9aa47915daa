"""How a database would run a statement: its own words, and which tables it goes through from end to end."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from perfagent.data.extras import need
from perfagent.data.indexing import check_dialect


@dataclass(frozen=True, slots=True)
class Plan:
    """What `QueryOptimizer.explain` returns.

    Attributes are the dialect, the lines of the database's explanation, and the tables of which every row is read.
    """

    dialect: str
    lines: tuple[str, ...]
    full_scans: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


_PREFIX = {
    "postgresql": "EXPLAIN (FORMAT JSON) ",
    "sqlite": "EXPLAIN QUERY PLAN ",
    "duckdb": "EXPLAIN (FORMAT JSON) ",
    "mysql": "EXPLAIN ",
    "mariadb": "EXPLAIN ",
}


def explain(connection: Any, statement: Any, parameters: Any) -> Plan:
    """Asks the database how it would run a statement, which is not run.

    Args:
        connection: SQLAlchemy's.
        statement: a statement of SQLAlchemy.
        parameters: its parameters.
    """
    dialect = check_dialect(connection.engine)
    names, rows = _asked(connection, _PREFIX[dialect], statement, parameters)
    if dialect == "sqlite":
        lines = [row[3] for row in rows]
        scans = [found[1] for line in lines if (found := re.match(r"SCAN (?:TABLE )?(\S+)(?!.* USING )", line))]
    elif dialect in ("mysql", "mariadb"):
        lines = ["\t".join("" if value is None else str(value) for value in row) for row in rows]
        scans = [row[names.index("table")] for row in rows if row[names.index("type")] == "ALL"]
    else:
        plan = rows[0][0] if dialect == "postgresql" else rows[0][1]
        tree = json.loads(plan) if isinstance(plan, str) else plan
        lines, scans = [], []
        _walk(tree, 0, lines, scans)
    return Plan(dialect, tuple(lines), tuple(dict.fromkeys(scans)))


def _walk(node: Any, depth: int, lines: list[str], scans: list[str]) -> None:
    """PostgreSQL's plan, or DuckDB's: nodes with children of their own."""
    if isinstance(node, list):
        for one in node:
            _walk(one, depth, lines, scans)
        return
    node = node.get("Plan", node)
    kind = str(node.get("Node Type") or node.get("name") or "").strip()
    extra = node.get("extra_info") or {}
    extra = extra if isinstance(extra, dict) else {"": extra}
    table = node.get("Relation Name") or str(extra.get("Table", "")).rpartition(".")[2]
    words = [kind, *([f"on {table}"] if table else [])]
    if "Index Name" in node:
        words.append(f"using {node['Index Name']}")
    if "Total Cost" in node:
        words.append(f"(cost {node['Total Cost']}, rows {node['Plan Rows']})")
    lines.append("  " * depth + " ".join(words))
    if table and kind.replace(" ", "_").upper() in ("SEQ_SCAN", "TABLE_SCAN"):
        scans.append(table)
    for child in (*node.get("Plans", ()), *node.get("children", ())):
        _walk(child, depth + 1, lines, scans)


class _AnsweredError(Exception):
    """Ends the execution of a statement whose plan is known; never seen outside."""


def _asked(connection: Any, prefix: str, statement: Any, parameters: Any) -> tuple[list[str], list[Any]]:
    """Names and rows of what the database answers to the statement with a prefix.

    SQLAlchemy makes text and parameters as ever; with the driver's cursor in hand, the question is asked in its place.
    """
    event = need("sqlalchemy", "QueryOptimizer.explain").event
    answer: list[Any] = []

    def ask(_connection: Any, cursor: Any, text: str, values: Any, _context: Any, _many: bool) -> None:
        cursor.execute(prefix + text, values)
        answer.extend(([column[0] for column in cursor.description], [tuple(row) for row in cursor.fetchall()]))
        cursor.close()
        raise _AnsweredError

    event.listen(connection, "before_cursor_execute", ask)
    try:
        connection.execute(statement, parameters)
    except _AnsweredError:
        pass
    finally:
        event.remove(connection, "before_cursor_execute", ask)
    return answer[0], answer[1]
