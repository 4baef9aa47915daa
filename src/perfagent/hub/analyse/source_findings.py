"""Findings that databases tell of themselves: who blocks whom, unused indexes, dead rows, scans of whole tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import Finding
from perfagent.hub.sources.seen import Blocked, DeadTuples, LongTransaction, PoolUse, SequentialScans, UnusedIndex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.analyse.finding import Facts

WAITED = 1.0  # s for a lock
LONG = 60.0  # s of a transaction
DEAD, DEAD_ROWS = 0.2, 10_000
UNUSED_BYTES, UNUSED_WRITES, UNUSED_DAYS = 1_000_000, 1000, 1.0
SCANNED_ROWS = 10_000  # of a table
SCANS = 0.1  # a second
LINK = "#/hub"


def of_sources(facts: Facts) -> Iterator[Finding]:
    """All of them; each is of the moment at which its source looked last."""
    for fact in facts.told:
        if isinstance(fact, Blocked) and fact.seconds >= WAITED:
            yield _blocked(fact)
        elif isinstance(fact, LongTransaction) and fact.seconds >= LONG:
            yield _long(fact)
        elif isinstance(fact, UnusedIndex):
            yield from _unused(fact)
        elif isinstance(fact, DeadTuples) and fact.share >= DEAD and fact.dead >= DEAD_ROWS:
            yield _dead(fact)
        elif isinstance(fact, SequentialScans):
            yield from _scans(facts, fact)
        elif isinstance(fact, PoolUse) and fact.share >= 0.9:
            yield _connections(fact)


def _blocked(one: Blocked) -> Finding:
    last = words.shorten(one.blocking_statement, 80) or "a statement that is not told"
    return Finding(
        "lock", "bottleneck", "high" if one.seconds >= 5 else "medium",
        f"session {one.root} of {one.database} makes others wait",
        f"session {one.blocked} has waited {one.seconds:.0f} s for it ({one.blocking_state}, last: {last})",
        "who changes the same rows waits until its transaction ends",
        f"end the transaction of session {one.root} if it is stuck", 0.95, one.source, LINK,
        {"waited_s": one.seconds}, subject=f"session:{one.root}",
    )  # fmt: skip


def _long(one: LongTransaction) -> Finding:
    idle = f", idle for {one.idle_seconds:.0f} s of it" if one.idle_seconds else ""
    return Finding(
        "long_transaction", "anomaly", "medium", f"a transaction of {one.database} is open for {one.seconds:.0f} s",
        f"session {one.pid} ({one.state}){idle}: {words.shorten(one.statement, 80)}",
        "its locks stay, and rows that were deleted since cannot be cleaned up",
        "commit or roll back sooner; set idle_in_transaction_session_timeout", 0.95, one.source, LINK,
        {"seconds": one.seconds}, subject=f"session:{one.pid}",
    )  # fmt: skip


def _unused(one: UnusedIndex) -> Iterator[Finding]:
    days = (one.time - one.since) / 86_400 if one.since is not None else None
    if one.bytes < UNUSED_BYTES or one.writes < UNUSED_WRITES or (days is not None and days < UNUSED_DAYS):
        return
    known = f" in {days:.0f} days" if days is not None else ""
    yield Finding(
        "unused_index", "optimisation", "low", f"index {one.index} of {one.table} is not used",
        f"{words.size(one.bytes)}, no statement has read it{known}, and {words.count(one.writes)} changes kept it up",
        "each change of the table costs its upkeep",
        f"look whether a replica or a yearly job needs it, then DROP INDEX CONCURRENTLY {one.index}", 0.8, one.source,
        LINK, {"bytes": float(one.bytes)}, subject=f"index:{one.index}",
    )  # fmt: skip


def _dead(one: DeadTuples) -> Finding:
    return Finding(
        "dead_tuples", "optimisation", "medium" if one.share >= 0.5 else "low",
        f"{words.percent(one.share)} of the rows of {one.table} are dead",
        f"{words.count(one.dead)} dead rows beside {words.count(one.live)}, {words.size(one.bytes)}",
        "scans read them all, and indexes point to them",
        f"VACUUM (ANALYZE) {one.table}; lower autovacuum_vacuum_scale_factor for it, and end old transactions", 0.9,
        one.source, LINK, {"share": one.share}, subject=f"table:{one.schema}.{one.table}",
    )  # fmt: skip


def _scans(facts: Facts, one: SequentialScans) -> Iterator[Finding]:
    if one.rows < SCANNED_ROWS or one.scans / max(one.seconds, 1.0) < SCANS:
        return
    slow = [
        each for each in facts.calls
        if each.category == "db" and one.table.lower() in each.text.lower() and "WHERE" in each.text.upper()
    ]  # fmt: skip
    statement = max(slow, key=lambda each: each.durations.total, default=None)
    which = f"; likely by {words.shorten(statement.text, 100)}" if statement is not None else ""
    yield Finding(
        "missing_index", "bottleneck", "high" if one.rows >= 10 * SCANNED_ROWS else "medium",
        f"{one.table} is read from begin to end again and again",
        f"{one.scans} times in {one.seconds:.0f} s, {words.count(one.rows)} rows each, "
        f"{one.index_scans} times by an index{which}",
        f"{words.count(one.rows_read / max(one.seconds, 1.0))} rows a second are read",
        "create the index for the WHERE of the statement: `perfagent index analyze` proposes it", 0.85, one.source,
        statement.link if statement is not None else LINK, {"scans": float(one.scans), "rows": float(one.rows)},
        subject=f"table:{one.schema}.{one.table}",
        seconds_per_day=statement.durations.total / 1e9 / facts.seconds * 86_400 if statement is not None else 0.0,
    )  # fmt: skip


def _connections(one: PoolUse) -> Finding:
    states = ", ".join(f"{number} {state}" for state, number in sorted(one.states.items()))
    return Finding(
        "connections", "bottleneck", "critical" if one.share >= 0.97 else "high",
        f"{one.source} has hardly a connection left", f"{one.used} of {one.limit} are in use: {states}",
        "who wants one more is refused", "close idle ones, put a pooler in front, or raise the limit", 0.95, one.source,
        LINK, {"share": one.share}, subject=one.source,
    )  # fmt: skip
