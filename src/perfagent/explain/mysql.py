"""Plans of MySQL and MariaDB, whose planner wants values: it gets one that every type can be compared with."""

from __future__ import annotations

import json

from perfagent.data.indexes.placeholders import filled
from perfagent.explain import moves
from perfagent.explain.node import Node, Plan, UnexplainedError, masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.explain.sessions import Session

VALUE = "'2000-01-01'"  # text, date and number; with NULL the answer would be "Impossible WHERE"
NOTE = "values of the program are not known: the plan is one for made-up values and may differ"
LIMITS = (
    ("SET SESSION max_statement_time = 1", "SET SESSION max_execution_time = 1000"),  # MariaDB, MySQL
    ("SET SESSION lock_wait_timeout = 1",),
    ("SET SESSION innodb_lock_wait_timeout = 1",),
    ("SET SESSION TRANSACTION READ ONLY",),
)
SAID = {
    "filesort": "Sort", "read_sorted_file": "Read what was sorted", "temporary_table": "Temporary table",
    "ordering_operation": "Sort", "grouping_operation": "Group", "duplicates_removal": "Distinct",
    "block-nl-join": "Block nested loop", "nested_loop": "Nested loop", "query_block": "Select",
    "materialized": "Materialise", "materialized_from_subquery": "Materialise", "union_result": "Union",
    "buffer_result": "Buffer",
}  # fmt: skip
SMALL = 1000  # rows that may as well be read all


class Planner:
    """Asks for plans.

    Args:
        session: a connection of ours.
        before: what it is told first.
    """

    def __init__(self, session: Session, before: tuple[str, ...] = ()) -> None:
        self.session = session
        self.before = before

    def plan(self, text: str) -> Plan:
        """The plan of a statement."""
        for ways in (*LIMITS, *((setting,) for setting in self.before)):
            self._one_of(ways)
        if not text.lstrip("( \n\t")[:6].lower().startswith(("select", "with", "values", "table")):
            raise UnexplainedError("this database explains changes only where it may make them")
        self.session.ask("START TRANSACTION READ ONLY")
        try:
            sql = filled(text, VALUE).replace("%%", "%") if "%s" in text or "%(" in text else text
            answer = self.session.ask(f"EXPLAIN FORMAT=JSON {sql}")[0][0]
        finally:
            self.session.ask("ROLLBACK")
        root = _tree("query_block", json.loads(answer)["query_block"])
        _mark(root)
        notes = (moves.NOTE if self.before else "", NOTE if sql != text else "")
        return Plan(root, note="; ".join(filter(None, notes)))

    def _one_of(self, ways: tuple[str, ...]) -> None:
        for sql in ways[:-1]:
            try:
                self.session.ask(sql)
            except Exception as error:
                if error.args[:1] not in ((1193,), (1232,)):  # no such variable
                    raise
            else:
                return
        self.session.ask(ways[-1])


def _tree(name: str, told: dict[str, Any]) -> Node:
    if name == "table":
        return _table(told)
    below = []
    for key, value in told.items():
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, dict) or key == "cost_info":
                continue
            if key in ("nested_loop", "subqueries", "attached_subqueries", "query_specifications") and len(one) == 1:
                key_of_one, inner = next(iter(one.items()))
                if isinstance(inner, dict):
                    below.append(_tree(key_of_one, inner))
                    continue
            below.append(_tree(key, one))
    if name == "query_block" and len(below) == 1 and not told.get("union_result"):
        only = below[0]
        only.cost = only.cost if only.cost is not None else _cost(told)
        return only
    step = SAID.get(name, name.replace("_", " "))
    if name == "query_block" and "table_name" not in told and not below:
        step = f"Select: {told.get('message') or (told.get('table') or {}).get('message') or 'no table'}"
    return Node(step, _keys(told), None, _cost(told), tuple(below))


def _table(told: dict[str, Any]) -> Node:
    access, name = str(told.get("access_type", "")), str(told.get("table_name", ""))
    if not name:
        return Node(str(told.get("message") or "no table"))
    step = {"ALL": "Full scan of", "index": "Full index scan of", "range": "Range of", "const": "One row of",
            "eq_ref": "One row each of", "ref": "Look-up in"}.get(access, f"{access} of")  # fmt: skip
    words = f"{step} {name}" + (f" using {told['key']}" if told.get("key") else "")
    details = [f"{one.replace('_', ' ')}: {masked(told[one], mysql=True)}"
               for one in ("attached_condition", "index_condition") if told.get(one)]  # fmt: skip
    rows = told.get("rows", told.get("rows_examined_per_scan"))
    inner = tuple(_tree(key, value) for key, value in told.items() if isinstance(value, dict) and key != "cost_info")
    return Node(words, "; ".join(details), _number(rows), _cost(told), inner)


def _keys(told: dict[str, Any]) -> str:
    key = told.get("sort_key") or told.get("group_key")
    return f"by {masked(key, mysql=True)}" if key else ""


def _cost(told: dict[str, Any]) -> float | None:
    info = told.get("cost_info") or {}
    return _number(told.get("cost", info.get("query_cost", info.get("read_cost"))))


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _mark(root: Node) -> None:
    steps = list(root.walk())
    full = [one for one in steps if one.step.startswith("Full ") and (one.rows or 0) >= SMALL]
    if full:
        costly = max(full, key=lambda one: one.rows or 0)
        costly.mark = f"reads all {costly.rows or 0:,.0f} rows of {costly.step.split()[-1].strip('`')}"
        if " using " in costly.step:
            costly.mark = f"reads all {costly.rows or 0:,.0f} entries of an index"
        return
    sorts = [one for one in steps if one.step in ("Sort", "Temporary table", "Block nested loop")]
    if sorts:
        sorts[0].mark = {"Sort": "sorts the rows", "Temporary table": "writes a temporary table"}.get(
            sorts[0].step, "joins without an index"
        )
