"""Plans of PostgreSQL: generic ones, which need no values, of a statement that is prepared and never run."""

from __future__ import annotations

import json
import re

from perfagent.data.indexes.placeholders import numbered
from perfagent.explain import moves
from perfagent.explain.node import Node, Plan, UnexplainedError, masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from perfagent.explain.sessions import Session

BEGIN = (
    "BEGIN READ ONLY",
    "SET LOCAL statement_timeout = 1000",
    "SET LOCAL lock_timeout = 100",
    "SET LOCAL plan_cache_mode = force_generic_plan",  # what makes NULL in place of each value do
)
CONDITIONS = ("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter", "TID Cond")
KEYS = ("Sort Key", "Presorted Key", "Group Key")
# What psycopg2 makes a list of.
_IN_LIST = ((re.compile(r"\bNOT\s+IN\s+(\$\d+)", re.IGNORECASE), r"<> ALL(\1)"),
            (re.compile(r"\bIN\s+(\$\d+)", re.IGNORECASE), r"= ANY(\1)"))  # fmt: skip


class Planner:
    """Asks for plans.

    Args:
        session: a connection of ours.
        before: what it is told first.
    """

    def __init__(self, session: Session, before: tuple[str, ...] = ()) -> None:
        self.session = session
        self.before = before
        self.sizes: dict[tuple[str, str], float] = {}
        """Rows of the tables that the last plan reads, by schema and name."""

    def plan(self, text: str) -> Plan:
        """The plan of a statement, with the index that would help where HypoPG can tell."""
        for setting in BEGIN:
            self.session.ask(setting)
        try:
            for setting in self.before:
                self.session.ask(setting)
            text, count = prepared(text)
            root = self.explain(text, count)
            tree = _tree(root)
            self.sizes = self._sizes(root)
            _mark(root, tree, self.sizes)
            return Plan(tree, self._advice(text, count, root), moves.NOTE if self.before else "")
        finally:
            self.session.ask("ROLLBACK")

    def explain(self, text: str, count: int) -> dict[str, Any]:
        """The plan as PostgreSQL gives it.

        A statement that is prepared is not rolled back: where a pooler hands connections on, it must not stay.
        """
        ask = self.session.ask
        ask("SAVEPOINT perfagent")
        made = False
        try:
            ask(f"PREPARE perfagent AS {text}")
            made = True
            values = f"({', '.join(['NULL'] * count)})" if count else ""
            answer = ask(f"EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE perfagent{values}")[0][0]
        finally:
            ask("ROLLBACK TO SAVEPOINT perfagent")
            if made:
                ask("DEALLOCATE perfagent")
        return (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]  # type: ignore[no-any-return]

    def _sizes(self, root: dict[str, Any]) -> dict[tuple[str, str], float]:
        names = {(one.get("Schema", ""), one["Relation Name"]) for one in nodes(root) if "Relation Name" in one}
        if not names:
            return {}
        wanted = ", ".join(f"({literal(schema)}, {literal(name)})" for schema, name in sorted(names)[:20])
        rows = self.session.ask(
            "SELECT n.nspname::text, c.relname::text, c.reltuples::float8 FROM pg_class c"  # noqa: S608 - quoted
            f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE (n.nspname, c.relname) IN ({wanted})"
        )
        return {(schema, name): rows for schema, name, rows in rows if rows >= 0}

    def _advice(self, text: str, count: int, root: dict[str, Any]) -> Any:
        if root["Node Type"] == "ModifyTable" and root.get("Operation") == "Insert" and len(list(nodes(root))) < 3:
            return None
        found = self.session.ask(
            "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE e.extname = 'hypopg'"
        )
        if not found:
            return None
        from perfagent.explain.postgres_indexes import best

        return best(self, found[0][0], text, count, root)


def prepared(text: str) -> tuple[str, int]:
    """A statement as PREPARE takes it, and how many values it wants."""
    text, count = numbered(text, None)
    for pattern, instead in _IN_LIST:
        text = pattern.sub(instead, text)
    if ";" in text:  # several at once could end the transaction that only reads
        raise UnexplainedError("it has a semicolon within")
    return text, count


def nodes(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps of a plan, from the top."""
    yield root
    for child in root.get("Plans", ()):
        yield from nodes(child)


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def _tree(one: dict[str, Any]) -> Node:
    kind = str(one["Node Type"])
    if kind == "ModifyTable":
        kind = str(one.get("Operation", kind))
    join = one.get("Join Type", "Inner")
    words = [kind if join == "Inner" else f"{kind} ({join})"]
    if "Index Name" in one:
        words.append(f"using {one['Index Name']}")
    if "Relation Name" in one:
        words.append(f"on {one['Relation Name']}")
        if one.get("Alias", one["Relation Name"]) != one["Relation Name"]:
            words.append(str(one["Alias"]))
    if "Subplan Name" in one:
        words.append(f"({one['Subplan Name']})")
    details = [f"{name}: {masked(one[name])}" for name in CONDITIONS if name in one]
    details += [f"{name}: {masked(', '.join(map(str, one[name])))}" for name in KEYS if name in one]
    below = tuple(_tree(child) for child in one.get("Plans", ()))
    return Node(" ".join(words), "; ".join(details), one.get("Plan Rows"), one.get("Total Cost"), below)


def _mark(root: dict[str, Any], tree: Node, sizes: dict[tuple[str, str], float]) -> None:
    """Marks the step that costs most by itself."""
    told, costly = max(zip(nodes(root), tree.walk(), strict=True), key=lambda pair: pair[1].own_cost)
    share = min(costly.own_cost / tree.cost, 1.0) if tree.cost else 0.0
    kind = str(told["Node Type"])
    if kind in ("Seq Scan", "Parallel Seq Scan"):
        rows = sizes.get((told.get("Schema", ""), told["Relation Name"]))
        size = f"all {rows:,.0f} rows" if rows is not None else "every row"
        why = f"reads {size} of {told['Relation Name']}"
        if "Filter" in told:
            why += f" to keep {told.get('Plan Rows', 0):,.0f}"
    elif kind.endswith("Sort"):
        why = f"sorts {costly.below[0].rows if costly.below else costly.rows or 0:,.0f} rows"
    elif kind == "Nested Loop" and len(costly.below) > 1:
        why = f"repeats “{costly.below[1].step}” {costly.below[0].rows or 0:,.0f} times"
    else:
        why = "costs most"
    costly.mark = f"{why}: {share:.0%} of the cost"
