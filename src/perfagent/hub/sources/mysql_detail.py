"""What MySQL and MariaDB tell by the performance_schema, where it is on: statements and unused indexes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from perfagent.hub.receive.statements import normalised
from perfagent.hub.sources.increments import Increments
from perfagent.hub.sources.seen import SlowStatement, UnusedIndex
from perfagent.hub.sources.source import Collected, SourceError
from perfagent.hub.sources.sql import COLUMN, tidied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfagent.hub.sources.source import Plan

    Row = dict[str, Any]

    class Ask(Protocol):
        """`Mysql.rows`."""

        def __call__(self, name: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
            """The rows of a query of ours."""
            ...


LEAST = 0.001  # of the time of all statements
OURS = ("SHOW GLOBAL STATUS", "SHOW SLAVE STATUS", "SHOW REPLICA STATUS")
EVERY = 4
"""Collections."""
SLOW = 100.0  # ms of a statement on average that is told in any case
HEAVIEST = 20  # statements that are told because of the time that they took in all
OFF = "statements and unused indexes are not told: set performance_schema=ON in the server's settings and restart it"


class Detail:
    """The part of the source that looks less often.

    Args:
        plan: the source's.
        ask: runs a query of ours.
    """

    def __init__(self, plan: Plan, ask: Ask) -> None:
        slow = plan.options.get("slow_ms", SLOW)
        if isinstance(slow, bool) or not isinstance(slow, (int, float)) or slow < 0:
            raise SourceError(f"slow_ms={slow!r} is not accepted: milliseconds from 0")
        self._plan, self._ask, self._slow = plan, ask, float(slow)
        self._statements: Increments[tuple[str, str]] = Increments()
        self._turn = 0
        self._statements_told, self._indexes_told = Collected(), Collected()

    def forget(self) -> None:
        """The server began anew: what was counted is of no use."""
        self._statements.forget()
        self._turn = 0

    def turn(self) -> bool:
        """Counts a collection; returns whether it is one that looks."""
        found, self._turn = self._turn % EVERY == 0, self._turn + 1
        return found

    def statements(self, found: Collected, system: str, on: bool, turn: bool) -> None:
        """Adds what is known of statements.

        Args:
            found: what it is added to.
            system: mysql or mariadb.
            on: whether the performance_schema is.
            turn: whether to look anew.
        """
        if not on:
            found.notes.append(OFF)
            return
        self._statements_told = _told(
            found, self._statements_told, turn, lambda told: self._of_statements(told, system)
        )

    def indexes(self, found: Collected, system: str, on: bool, turn: bool) -> None:
        """Adds what is known of unused indexes; as `statements`."""
        if on:
            self._indexes_told = _told(found, self._indexes_told, turn, lambda told: self._of_indexes(told, system))

    def _of_statements(self, found: Collected, system: str) -> None:
        rows = {(row["db"], row["digest"]): row for row in self._ask("digests")}
        totals = {
            key: (float(row["calls"]), float(row["total_ms"]), float(row["returned"])) for key, row in rows.items()
        }
        added, seconds = self._statements.take(totals)
        if not seconds:
            return
        called = {key: values for key, values in added.items() if values[0] > 0}
        whole = sum(values[1] for values in called.values())
        told = "Time of all statements a second, since the collection before."
        found.gauge("mysql.statement.time", whole / 1000 / seconds, "s/s", told)
        heaviest = sorted(called, key=lambda key: -called[key][1])[:HEAVIEST]
        heaviest = [key for key in heaviest if called[key][1] >= LEAST * whole]
        slow = [key for key, values in called.items() if values[1] / values[0] >= self._slow][: 2 * HEAVIEST]
        for key in dict.fromkeys([*heaviest, *slow]):
            text = rows[key]["statement"] or ""
            if COLUMN in text or text.strip() in OURS:
                continue
            count, total, returned = called[key]
            found.seen.append(
                SlowStatement(
                    source=self._plan.name, time=time.time(), system=system, database=key[0],
                    statement=normalised(tidied(text), "mysql"), calls=int(count),
                    mean_ms=total / count, total_ms=total, seconds=seconds, max_ms=float(rows[key]["max_ms"]),
                    share=total / whole if whole else None, rows=int(returned),
                )
            )  # fmt: skip

    def _of_indexes(self, found: Collected, system: str) -> None:
        rows = self._ask("indexes")
        text = "Indexes that no statement has used since the server began."
        found.level("mysql.index.unused", len(rows), "{index}", text)
        for row in rows:
            found.seen.append(
                UnusedIndex(
                    source=self._plan.name, time=time.time(), system=system, database=row["schema_name"],
                    schema="", table=row["table_name"], index=row["index_name"], bytes=int(row["bytes"]),
                    writes=int(row["writes"]),
                )
            )  # fmt: skip


def _told(found: Collected, before: Collected, turn: bool, look: Callable[[Collected], None]) -> Collected:
    """Adds what a look tells, or what the last one saw; returns what is to be known of it."""
    told = before
    if turn:
        told = Collected()
        look(told)
        found.points += told.points
    found.seen += told.seen
    return told
