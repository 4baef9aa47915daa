"""What PostgreSQL tells that costs more, and changes less: statements, tables, indexes; every fourth collection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from perfagent.hub.receive.statements import normalised
from perfagent.hub.sources.increments import Increments
from perfagent.hub.sources.seen import DeadTuples, SequentialScans, SlowStatement, UnusedIndex
from perfagent.hub.sources.source import Collected, SourceError
from perfagent.hub.sources.sql import MARK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.sources.source import Plan

    Row = dict[str, Any]

    class Ask(Protocol):
        """`Postgres.rows`."""

        def __call__(self, name: str, parameters: Mapping[str, object] | None = None, /, **parts: str) -> list[Row]:
            """The rows of a query of ours."""
            ...


EVERY = 4
"""Collections."""
SYSTEM = "postgresql"
SLOW = 100.0  # ms of a statement on average that is told in any case
HEAVIEST = 20  # statements that are told because of the time that they took in all
LEAST = 0.001  # of the time of all statements
KNOWN = 2_000  # texts that are remembered
DEAD = 1_000  # rows of a table, from which on it is told where a tenth of it or more is dead
LARGE = 10_000  # rows of a table whose whole scans are told
INDEX = 64 * 1024  # bytes of an index that is told; an empty one has 8 or 16 KiB
NO_STATEMENTS = (
    "statements are not told: add pg_stat_statements to shared_preload_libraries, restart, and run "
    "CREATE EXTENSION pg_stat_statements in the database that is connected to"
)


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
        self._statements: Increments[tuple[int, int, int]] = Increments()
        self._scans: Increments[tuple[str, str]] = Increments()
        self._texts: dict[tuple[int, int], tuple[str, str]] = {}
        self._turn = 0
        self._last = Collected()

    def forget(self) -> None:
        """The server began anew: what was counted is of no use."""
        self._statements.forget()
        self._scans.forget()
        self._turn = 0

    def collect(self, found: Collected, about: Row) -> None:
        """Adds what is known; looks anew every fourth time."""
        turn, self._turn = self._turn, self._turn + 1  # one that takes too long is not tried again at once
        if turn % EVERY == 0:
            self._last = Collected()
            self._of_statements(self._last, about)
            self._of_tables(self._last, about["database"])
            self._of_indexes(self._last, about["database"])
            found.points += self._last.points
        found.seen += self._last.seen
        found.notes += self._last.notes

    def _of_statements(self, found: Collected, about: Row) -> None:
        import psycopg

        if about["statements"] is None:
            found.notes.append(NO_STATEMENTS)
            return
        modern = about["version"] >= 130_000
        names = {
            "total": "total_exec_time" if modern else "total_time",
            "longest": "max_exec_time" if modern else "max_time",
        }
        try:
            rows = self._ask("statements", None, schema=about["statements"], **names)
        except psycopg.errors.ObjectNotInPrerequisiteState:  # the extension without the library
            found.notes.append(NO_STATEMENTS)
            return
        totals = {
            (row["queryid"], row["dbid"], row["userid"]): (row["calls"], row["total_ms"], row["rows"]) for row in rows
        }
        longest = {key: row["max_ms"] for key, row in zip(totals, rows, strict=True)}
        added, seconds = self._statements.take(totals)
        if not seconds:
            return
        called = {key: values for key, values in added.items() if values[0] > 0}
        whole = sum(values[1] for values in called.values())
        calls = sum(values[0] for values in called.values())
        text = "Time of all statements a second, since the collection before."
        found.gauge("postgresql.statement.time", whole / 1000 / seconds, "s/s", text)
        found.gauge("postgresql.statement.rate", calls / seconds, "{statement}/s", "Statements a second.")
        heaviest = sorted(called, key=lambda key: -called[key][1])[:HEAVIEST]
        heaviest = [key for key in heaviest if called[key][1] >= LEAST * whole]
        slow = [key for key, values in called.items() if values[1] / values[0] >= self._slow]
        chosen = list(dict.fromkeys([*heaviest, *slow[: 2 * HEAVIEST]]))
        self._learn([key for key in chosen if key[:2] not in self._texts], about)
        now = time.time()
        for key in chosen:
            database, statement = self._texts.get(key[:2], ("", ""))
            if not statement or statement.startswith("<insufficient privilege>"):
                continue
            count, total, returned = called[key]
            found.seen.append(
                SlowStatement(
                    source=self._plan.name, time=now, system=SYSTEM, database=database, statement=statement,
                    calls=int(count), mean_ms=total / count, total_ms=total, seconds=seconds, max_ms=longest[key],
                    share=total / whole if whole else None, rows=int(returned),
                )
            )  # fmt: skip

    def _learn(self, keys: list[tuple[int, int, int]], about: Row) -> None:
        if not keys:
            return
        if len(self._texts) > KNOWN:
            self._texts.clear()
        for row in self._ask("texts", {"ids": [key[0] for key in keys]}, schema=about["statements"]):
            query = row["query"] or ""
            text = "" if MARK in query else normalised(query, SYSTEM)
            self._texts[row["queryid"], row["dbid"]] = (row["database"] or "", text)

    def _of_tables(self, found: Collected, database: str) -> None:
        rows = self._ask("tables")
        now, name = time.time(), self._plan.name
        totals = {
            (row["schema"], row["table"]): (row["seq_scan"], row["seq_tup_read"], row["idx_scan"]) for row in rows
        }
        added, seconds = self._scans.take(totals)
        for row in rows:
            where = {"database": database, "schema": row["schema"], "table": row["table"]}
            told = {
                "postgresql__database__name": database,
                "postgresql__table__name": f"{row['schema']}.{row['table']}",
            }
            for state in ("live", "dead"):
                found.level("postgresql.rows", row[state], "{row}", "Rows of a table, by state.", state=state, **told)
            found.level("postgresql.table.size", row["bytes"], "By", "Size of a table.", **told)
            found.counter("postgresql.sequential_scans", row["seq_scan"], "{scan}", "Scans of all of it.", **told)
            found.counter("postgresql.table.vacuum.count", row["vacuums"], "{vacuum}", "Clean-ups of it.", **told)
            dead, live = row["dead"], row["live"]
            if dead >= DEAD and dead >= (live + dead) / 10:
                found.seen.append(
                    DeadTuples(
                        source=name, time=now, live=live, dead=dead, bytes=row["bytes"],
                        last_vacuum=row["last_vacuum"], threshold=row["threshold"], **where,
                    )
                )  # fmt: skip
            scans, read, by_index = added.get((row["schema"], row["table"]), (0, 0, 0))
            if scans and live >= LARGE and read / scans >= live / 2:
                found.seen.append(
                    SequentialScans(
                        source=name, time=now, system=SYSTEM, scans=int(scans), rows_read=int(read),
                        index_scans=int(by_index), rows=live, bytes=row["bytes"], seconds=seconds, **where,
                    )
                )  # fmt: skip

    def _of_indexes(self, found: Collected, database: str) -> None:
        rows = self._ask("indexes", {"bytes": INDEX})
        text = "Indexes that no statement has used since the statistics began."
        found.level("postgresql.index.unused", len(rows), "{index}", text)
        size = sum(row["bytes"] for row in rows)
        found.level("postgresql.index.unused.size", size, "By", "Their size.")
        for row in rows:
            found.seen.append(
                UnusedIndex(source=self._plan.name, time=time.time(), system=SYSTEM, database=database, **row)
            )
