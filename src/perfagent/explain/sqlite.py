"""Plans of SQLite, from a connection that cannot write to the file."""

from __future__ import annotations

import re

from perfagent.explain.node import Node, Plan, masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.explain.sessions import Session

_READS = re.compile(r"SCAN (?:TABLE )?(\S+)(?: AS (\S+))?(?!.* USING )")
SMALL = 1000  # rows that may as well be read all


class Planner:
    """Asks for plans.

    Args:
        session: a connection of ours.
        before: nothing is, here.
    """

    def __init__(self, session: Session, before: tuple[str, ...] = ()) -> None:
        self.session = session

    def plan(self, text: str) -> Plan:
        """The plan of a statement."""
        below: dict[int, list[tuple[int, str]]] = {}
        for one, parent, _, detail in self._explain(text):
            below.setdefault(parent, []).append((one, detail))
        tops = tuple(self._node(one, detail, below) for one, detail in below.get(0, ()))
        root = tops[0] if len(tops) == 1 else Node("Query", below=tops)
        self._mark(root, text)
        return Plan(root)

    def _explain(self, text: str) -> list[Any]:
        import sqlite3

        sql = f"EXPLAIN QUERY PLAN {text}"
        try:
            return self.session.ask(sql)
        except sqlite3.ProgrammingError as error:  # it wants values
            found = re.search(r"uses (\d+)", str(error))
            if found is None:
                raise
            try:
                return self.session.ask(sql, _Nothing())
            except sqlite3.ProgrammingError:
                return self.session.ask(sql, (None,) * int(found[1]))

    def _node(self, number: int, detail: str, below: dict[int, list[tuple[int, str]]]) -> Node:
        return Node(masked(detail), below=tuple(self._node(one, text, below) for one, text in below.get(number, ())))

    def _mark(self, root: Node, text: str) -> None:
        scans = []
        for one in root.walk():
            found = _READS.match(one.step)
            if found is not None:
                table, rows = self._size(found[1], text)
                one.rows = rows
                scans.append((rows or 0, table, one))
        rows, table, node = max(scans, key=lambda found: found[0], default=(0, "", root))
        if rows >= SMALL:
            node.mark = f"reads all rows of {table}, up to {rows:,.0f}"
            return
        for one in root.walk():
            if one.step.startswith("USE TEMP B-TREE"):
                one.mark = "sorts the rows"
                return
            if " AUTOMATIC " in one.step:
                one.mark = "makes an index for this run alone"
                return

    def _size(self, name: str, text: str) -> tuple[str, float | None]:
        """The table that a name of the plan stands for, and how many rows it has at most, by its last row."""
        import sqlite3

        for table in (name, *_tables_called(name, text)):
            quoted = table.replace('"', '""')
            try:
                return table, float(self.session.ask(f'SELECT max(rowid) FROM "{quoted}"')[0][0] or 0)  # noqa: S608
            except (sqlite3.Error, TypeError, ValueError):  # an alias, or a table without such a number
                continue
        return name, None


def _tables_called(alias: str, text: str) -> list[str]:
    return re.findall(rf'["`\[]?(\w+)["`\]]?\s+(?:AS\s+)?{re.escape(alias)}\b', text, re.IGNORECASE)


class _Nothing(dict[str, None]):
    """NULL for every name."""

    def __missing__(self, key: str) -> None:
        return None
