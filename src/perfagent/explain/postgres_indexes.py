"""The index that PostgreSQL's planner would use: candidates from a plan's conditions, made up by HypoPG and tried.

They may be generous, for the planner has the last word. Nothing is written: HypoPG's indexes are in our session alone.
"""

from __future__ import annotations

import re

from perfagent.explain.node import Advice
from perfagent.explain.postgres import literal, nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from perfagent.explain.postgres import Planner

MOST = 16  # candidates that are tried
WORTH = 0.5  # of the cost that is left at most, to be advised
NARROWER = 1.1  # times the best cost that a narrower index may take and still go first
SMALL = 1000  # rows of a table that need no index
JOINS = ("Hash Cond", "Merge Cond", "Join Filter")
_NAME = r'("(?:[^"]|"")+"|\w+)'
_CAST = r"\)*(?:::[\w .]+?(?:\(\d+\))?)?\)*"
Keys = tuple[str, ...]
Candidate = tuple[str, str, Keys]  # schema, table, keys


class Reading:
    """How a plan reads one table.

    Args:
        node: of the plan, the one that reads.
        above: what stands above it, the nearest last.
    """

    def __init__(self, node: dict[str, Any], above: list[dict[str, Any]]) -> None:
        self.table = str(node["Relation Name"])
        self.schema = str(node.get("Schema", ""))
        alias = re.escape(_quoted(str(node.get("Alias", self.table))))
        own = " ".join(str(node[name]) for name in ("Filter", "Index Cond", "Recheck Cond") if name in node)
        joins = " ".join(str(one[name]) for one in above for name in JOINS if name in one)
        self.equal, self.ranges = _compared(own, alias)
        self.joined, _ = _compared(joins, alias)
        self.order = _order(above, alias)

    def candidates(self) -> Iterator[Keys]:
        """Keys of indexes, the widest of each kind first."""
        for front in [self.equal, []] if self.equal else [[]]:
            for tail in (self.order, *([one] for one in self.ranges)):
                if tail and (front or tail):
                    yield tuple(dict.fromkeys([*front, *tail]))
        if self.equal:
            yield tuple(self.equal)
        for one in self.joined:
            yield tuple(dict.fromkeys([one, *self.equal]))
            yield (one,)
        for one in self.equal[:3]:
            yield (one,)


def best(planner: Planner, schema: str, text: str, count: int, root: dict[str, Any]) -> Advice | None:
    """The index that lowers the cost of a statement most; None where none does by half.

    Args:
        planner: in its transaction.
        schema: where HypoPG is.
        text, count: the statement, prepared.
        root: its plan as it is.
    """
    trial = Trial(planner, _quoted(schema), text, count, float(root["Total Cost"]))
    wanted = list(_candidates(planner, root))
    tried = [found for one in wanted if (found := trial.run([one])) is not None]
    good = [found for found in tried if found.after <= trial.before * WORTH]
    if not good and len(tried) > 1:  # a join may want an index on either side
        several = trial.run(wanted)
        good = [several] if several is not None and several.after <= trial.before * WORTH else []
    least = min((one.after for one in good), default=0.0)
    near = [one for one in good if one.after <= least * NARROWER]
    return min(near, key=lambda one: (len(one.columns), one.after), default=None)


def _candidates(planner: Planner, root: dict[str, Any]) -> list[Candidate]:
    found = (
        (reading.schema, reading.table, keys)
        for reading in _readings(root, [])
        if planner.sizes.get((reading.schema, reading.table), 0.0) >= SMALL
        for keys in reading.candidates()
    )
    return list(dict.fromkeys(found))[:MOST]


class Trial:
    """Plans of one statement with indexes that are made up; arguments as for `best`.

    Args:
        before: what it costs without one.
    """

    def __init__(self, planner: Planner, hypopg: str, text: str, count: int, before: float) -> None:
        self.planner = planner
        self.ask = planner.session.ask
        self.hypopg = hypopg
        self.text = text
        self.count = count
        self.before = before

    def run(self, wanted: list[Candidate]) -> Advice | None:
        """The advice to make those that the planner takes; None where it takes none, or they cannot be."""
        self.ask("SAVEPOINT perfagent_index")
        try:
            return self._run(wanted)
        except Exception as error:
            self.ask("ROLLBACK TO SAVEPOINT perfagent_index")
            if "QueryCanceled" in type(error).__name__:  # it takes too long
                raise
            return None
        finally:
            self.ask(f"SELECT {self.hypopg}.hypopg_reset()")

    def _run(self, wanted: list[Candidate]) -> Advice | None:
        made = {}
        for schema, table, keys in wanted:
            ddl = literal(f"CREATE INDEX ON {_quoted(schema)}.{_quoted(table)} ({', '.join(keys)})")
            sql = f"SELECT indexrelid::bigint, indexname::text FROM {self.hypopg}.hypopg_create_index({ddl})"  # noqa: S608 - quoted
            oid, name = self.ask(sql)[0]
            made[name] = int(oid), (schema, table, keys)
        plan = self.planner.explain(self.text, self.count)
        used = {one["Index Name"] for one in nodes(plan) if one.get("Index Name") in made}
        if not used:
            return None
        taken = [made[name] for name in made if name in used]
        sizes = [self.ask(f"SELECT {self.hypopg}.hypopg_relation_size({oid}::oid)::bigint")[0][0] for oid, _ in taken]
        columns = tuple(key for _, (_, _, keys) in taken for key in keys)
        tables = ", ".join(dict.fromkeys(table for _, (_, table, _) in taken))
        ddl = ";\n".join(_statement(*one) for _, one in taken)
        return Advice(ddl, tables, columns, self.before, float(plan["Total Cost"]), sum(map(int, sizes)))


def _statement(schema: str, table: str, keys: Keys) -> str:
    place = _quoted(table) if schema == "public" else f"{_quoted(schema)}.{_quoted(table)}"
    return f"CREATE INDEX CONCURRENTLY ON {place} ({', '.join(keys)})"


def _readings(node: dict[str, Any], above: list[dict[str, Any]]) -> Iterator[Reading]:
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        yield Reading(node, above)
    for child in node.get("Plans", ()):
        yield from _readings(child, [*above, node])


def _compared(conditions: str, alias: str) -> tuple[list[str], list[str]]:
    """The columns that are compared for equality, and those by a range."""
    equal: dict[str, None] = {}
    ranges: dict[str, None] = {}
    left = rf"(?:\b(lower|upper)\()?\(*(?<![\w.]){alias}\.{_NAME}{_CAST}\s+(=|<=|>=|<|>|IS NULL)(?=[\s)])"
    for function, column, sign in re.findall(left, conditions):
        key = f"{function}({column})" if function else column
        (equal if sign in ("=", "IS NULL") else ranges)[key] = None
    for sign, column in re.findall(rf"\s(=|<=|>=|<|>)\s+\(*{alias}\.{_NAME}", conditions):
        (equal if sign == "=" else ranges)[column] = None
    return list(equal), [one for one in ranges if one not in equal]


def _order(above: list[dict[str, Any]], alias: str) -> list[str]:
    """The keys that the table's rows are sorted by, where they are its own columns and nothing is joined before."""
    for one in reversed(above):
        if "Sort Key" in one:
            found = [re.fullmatch(rf"{alias}\.{_NAME}( DESC)?( NULLS (?:FIRST|LAST))?", key) for key in one["Sort Key"]]
            if all(found):
                return [f"{key[1]}{key[2] or ''}{key[3] or ''}" for key in found if key is not None]
            return []
        if any(name in one for name in JOINS) or one["Node Type"] == "Nested Loop":
            return []
    return []


def _quoted(name: str) -> str:
    """A name as PostgreSQL writes it in a plan, but for those that are keywords."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else '"' + name.replace('"', '""') + '"'
