"""A plan as it is told: the same tree for every database, without literals, with the step that costs most marked."""

from __future__ import annotations

import json

from perfagent.runtime.sql import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

DEEPEST = 30
MOST = 120  # nodes
LONGEST = 300  # characters of a detail
LARGEST = 12_000  # characters of a plan as JSON


class Node:
    """A step of a plan.

    Args:
        step: what it does and to what, such as "Seq Scan on orders".
        detail: conditions and keys, their literals masked.
        rows: how many it gives, by the database's guess; None where it tells none.
        cost: in the database's own unit, with what is below; None likewise.
        below: the steps that it gets its rows from.
    """

    __slots__ = ("below", "cost", "detail", "mark", "rows", "step")

    def __init__(
        self,
        step: str,
        detail: str = "",
        rows: float | None = None,
        cost: float | None = None,
        below: tuple[Node, ...] = (),
    ) -> None:
        self.step = step
        self.detail = detail
        self.rows = rows
        self.cost = cost
        self.below = below
        self.mark = ""
        """Why this is the step to look at; "" for all others."""

    @property
    def own_cost(self) -> float:
        """What it costs by itself."""
        return (self.cost or 0.0) - sum(one.cost or 0.0 for one in self.below)

    def walk(self) -> Iterator[Node]:
        """It and all below it, from the top."""
        yield self
        for one in self.below:
            yield from one.walk()

    def as_json(self) -> str:
        """The tree, cut where it is too large."""
        for most in (MOST, 40, 12):
            text = json.dumps(self._told(0, [most]), ensure_ascii=False, separators=(",", ":"))
            if len(text) <= LARGEST:
                break
        return text

    def _told(self, depth: int, left: list[int]) -> dict[str, Any]:
        left[0] -= 1
        told: dict[str, Any] = {"step": self.step[:LONGEST]}
        if self.detail:
            told["detail"] = self.detail[:LONGEST]
        if self.rows is not None:
            told["rows"] = round(self.rows)
        if self.cost is not None:
            told["cost"] = round(self.cost, 2)
        if self.mark:
            told["mark"] = self.mark[:LONGEST]
        below = []
        for one in self.below if depth < DEEPEST else ():
            if left[0] <= 0:
                break
            below.append(one._told(depth + 1, left))
        if below:
            told["below"] = below
        if len(below) < len(self.below):
            told["cut"] = True
        return told


class Plan:
    """What a database says of a statement.

    Args:
        root: its first step.
        advice: the index that would help, where the database has proven that it does.
        note: what a reader should know of how it was got.
    """

    __slots__ = ("advice", "note", "root")

    def __init__(self, root: Node, advice: Advice | None = None, note: str = "") -> None:
        self.root = root
        self.advice = advice
        self.note = note

    def marked(self) -> Node | None:
        """The step to look at."""
        return next((one for one in self.root.walk() if one.mark), None)


class Advice:
    """An index that the planner would use.

    Args:
        ddl: CREATE INDEX.
        table: as the statement's plan calls it.
        columns: its keys.
        before: the plan's cost without it.
        after: and with it.
        size: bytes, by the planner's guess; 0 where unknown.
    """

    __slots__ = ("after", "before", "columns", "ddl", "size", "table")

    def __init__(self, ddl: str, table: str, columns: tuple[str, ...], before: float, after: float, size: int) -> None:
        self.ddl = ddl
        self.table = table
        self.columns = columns
        self.before = before
        self.after = after
        self.size = size


def masked(text: object, mysql: bool = False) -> str:
    """A condition of a plan without its literals."""
    return describe(str(text), double_quotes_are_strings=mysql, limit=1000).text[:LONGEST]


class UnexplainedError(Exception):
    """Why a statement has no plan, in words that may be shown."""
