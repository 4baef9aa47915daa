"""Words for what agents notice of queries: runs for nothing, and transactions that stay open meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import DAY, Facts, Finding, Notice, severity, sure

if TYPE_CHECKING:
    from collections.abc import Callable

LOST = (0.0, 20.0, 100.0, 5000.0)  # ms of a request that go into queries whose result it had; never critical
OPEN = (0.0, 100.0, 500.0, 10_000.0)  # ms that a transaction stays open for somebody else


def duplicates(one: Notice, facts: Facts) -> Finding:
    """A query that one request runs again with the same parameters."""
    again, runs = _number(one, "duplicate_queries.again"), _number(one, "duplicate_queries.runs")
    lost = _number(one, "duplicate_queries.seconds")
    text = words.shorten(str(one.attributes.get("db.query.text") or ""))
    endpoint = str(one.attributes.get("perfagent.endpoint") or "a request")
    loop = _place(one, "perfagent.loop")
    where = f"; the loop at {words.place(loop)} runs it" if loop else ""
    return Finding(
        "duplicate_queries", "bottleneck", severity(lost * 1000, LOST) or "low",
        f"{endpoint} runs a query {words.times(again)} more than it needs to, with the same parameters",
        f"{words.place(one.place)}: {words.count(again)} of {words.count(runs)} runs have parameters that it had run "
        f"with before in the same request{where}: {text}",
        f"{words.milliseconds(lost * 1000)} of such a request, and as much of the database's time",
        "ask once and hand the result on, or keep it for the request", sure(one.times + 10), one.service,
        f"#/traces/{one.trace_id.hex()}" if one.trace_id else "#/queries",
        {"again": again, "runs": runs, "lost_ms": lost * 1000}, subject=one.subject, place=one.place,
        seconds_per_day=lost * one.times / max(facts.seconds, 1.0) * DAY,
        steps=(
            f"go to {one.place}: see who calls it within one request",
            "ask once and hand the result on, or keep it for the request (functools.cache of an object that lives as "
            "long as the request, a session's identity map, a DataLoader)",
            "where it may be some seconds old, keep it in a cache for all requests",
        ),
    )  # fmt: skip


def transaction(one: Notice, facts: Facts) -> Finding:
    """A transaction that stays open while another service is asked."""
    long = _number(one, "transaction.seconds") * 1000
    call, system = one.attributes.get("perfagent.transaction.call"), one.attributes.get("db.system.name")
    text = words.shorten(str(one.attributes.get("db.query.text") or ""))
    began = _place(one, "perfagent.transaction")
    return Finding(
        "transaction_across_call", "bottleneck", severity(long, OPEN) or "low",
        f"A transaction of {system} stays open while {call} is waited for",
        f"{words.milliseconds(long)} at {words.place(one.place)}; the transaction's last statement before it: {text}"
        + (f", from {words.place(began)}" if began else "")
        + ".",
        "its locks and its connection are kept from everybody else meanwhile, however slow the other side gets",
        "commit before the call, or call before the transaction begins", sure(one.times + 10), one.service,
        f"#/traces/{one.trace_id.hex()}" if one.trace_id else "#/queries", {"call_ms": long}, subject=one.subject,
        place=one.place, seconds_per_day=long / 1000 * one.times / max(facts.seconds, 1.0) * DAY,
        steps=(
            f"go to {one.place}: what does the call need of the transaction?",
            "call first and write its answer, or commit first and call then; an outbox table keeps both in step",
            "set idle_in_transaction_session_timeout (PostgreSQL), and a time-out on the call",
        ),
    )  # fmt: skip


def _place(one: Notice, prefix: str) -> str:
    told = one.attributes
    path, line = told.get(f"{prefix}.file.path"), told.get(f"{prefix}.line.number")
    return f"{path}:{line} {told.get(f'{prefix}.function.name', '')}".rstrip() if path else ""


def _number(one: Notice, name: str) -> float:
    try:
        return float(one.attributes.get(f"perfagent.{name}") or 0.0)
    except (TypeError, ValueError):
        return 0.0


WORDED: dict[str, Callable[[Notice, Facts], Finding]] = {
    "duplicate_queries": duplicates,
    "transaction_across_call": transaction,
}
