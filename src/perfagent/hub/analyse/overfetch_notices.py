"""Words for statements that get more rows than their requests need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import Facts, Finding, Notice, severity, sure

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = (0.0, 5000.0, 50_000.0, 1e12)  # a call that nobody reads; never critical


def worded(one: Notice, facts: Facts) -> Finding:
    """A statement that gets many rows within a request."""
    told = one.attributes
    rows, calls, most = _number(one, "rows"), _number(one, "calls"), _number(one, "most")
    unread = bool(told.get("perfagent.over_fetch.unread"))
    read = _number(one, "read")
    text = words.shorten(str(told.get("db.query.text") or ""))
    endpoint = str(told.get("perfagent.endpoint") or "a request")
    got = f"{words.count(rows)} rows a call"
    title = f"{endpoint} gets {got}" + (f" and reads {words.count(read)} of them" if unread else "")
    advice = (
        "LIMIT it to what is read, or ask for that row alone" if unread
        else "pages of some rows (LIMIT), and the columns that are needed; count and add up in the database"
    )  # fmt: skip
    return Finding(
        "over_fetch", "bottleneck", severity(rows - read if unread else rows, ROWS) or "low", title,
        f"{words.place(one.place)}: {words.count(calls)} calls, {words.count(most)} rows at most: {text}",
        "the database reads them, the network carries them, and the process has all of them in memory at once", advice,
        sure(calls + 10), one.service, f"#/traces/{one.trace_id.hex()}" if one.trace_id else "#/queries",
        {"rows_per_call": rows, "calls": calls, "most": most, **({"read": read} if unread else {})},
        subject=one.subject, place=one.place,
        steps=(
            f"go to {one.place}: how many of the rows does the request need?",
            advice,
            "compare the rows of a call, and the time of the endpoint, after the change",
        ),
    )  # fmt: skip


def _number(one: Notice, name: str) -> float:
    try:
        return float(one.attributes.get(f"perfagent.over_fetch.{name}") or 0.0)
    except (TypeError, ValueError):
        return 0.0


WORDED: dict[str, Callable[[Notice, Facts], Finding]] = {"over_fetch": worded}
