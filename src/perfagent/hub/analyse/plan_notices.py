"""Words for the plans of slow statements that agents asked their databases for, and for the indexes that would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import DAY, Finding, severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfagent.hub.analyse.calls import Calls
    from perfagent.hub.analyse.finding import Facts, Notice

KIND = "query.plan"
PREFIX = "perfagent.query.plan."
LATELY = 300.0  # s; the plan is told again each minute while the statement is slow
SLOW = (0.0, 250.0, 500.0, 5000.0)  # ms of one call


def by_statement(facts: Facts) -> Mapping[tuple[str, str], Notice]:
    """The last plan of each statement, by service and text."""
    return {
        (one.service, str(one.attributes.get("db.query.text") or "")): one
        for one in reversed(facts.notices)
        if one.kind == KIND
    }


def told(plan: Notice | None) -> str:
    """What a plan shows, as a part of a sentence; "" where there is none."""
    mark = str(plan.attributes.get(f"{PREFIX}mark") or "") if plan is not None else ""
    return f"; its plan {mark}" if mark else ""


def index_of(plan: Notice | None) -> str:
    """The index that would help; "" where none is known."""
    return str(plan.attributes.get(f"{PREFIX}index") or "") if plan is not None else ""


def gain(plan: Notice) -> str:
    """What that index does to the statement's cost."""
    before, after = _number(plan, "index.before"), _number(plan, "index.after")
    return f"the planner's cost falls from {words.count(round(before))} to {words.count(round(after, 1))}"


def of_plans(facts: Facts) -> Iterator[Finding]:
    """The indexes that databases would use."""
    called = {(one.service, one.text): one for one in facts.calls if one.category == "db"}
    for (service, text), plan in by_statement(facts).items():
        if plan.last_seen >= facts.end - LATELY and index_of(plan):
            yield _missing(plan, text, called.get((service, text)), facts)


def _missing(plan: Notice, text: str, calls: Calls | None, facts: Facts) -> Finding:
    ddl, took = index_of(plan), _number(plan, "seconds") * 1000
    before, after = _number(plan, "index.before"), _number(plan, "index.after")
    table = str(plan.attributes.get(f"{PREFIX}index.table") or "a table")
    size = _number(plan, "index.bytes")
    saved = 0.0
    if calls is not None and before:
        saved = calls.durations.total / 1e9 / max(facts.seconds, 1.0) * DAY * max(1 - after / before, 0.0)
    where = f"at {words.place(plan.place)}: " if plan.place else ""
    return Finding(
        "missing_index", "bottleneck", severity(took, SLOW) or "low",
        f"{table} lacks an index for a query of {words.place(plan.place.split()[0]) if plan.place else plan.service}",
        f"{where}{words.milliseconds(took)}, {words.shorten(text)}{told(plan)}",
        f"{gain(plan)} with it; HypoPG has tried it without making it",
        f"{ddl}" + (f" (about {words.size(size)})" if size else ""), 0.95, plan.service,
        calls.link if calls is not None else "#/queries", {"cost_before": before, "cost_after": after, "call_ms": took},
        subject=plan.subject, place=plan.place, seconds_per_day=saved,
        traces=(plan.trace_id.hex(),) if plan.trace_id else (),
        steps=(
            (f"go to {plan.place}: it runs " if plan.place else "look at ") + words.shorten(text, 80),
            f"create the index: {ddl}",
            "the statement's page has its plan: look at it again afterwards, and at the time of changes of the table",
        ),
    )  # fmt: skip


def _number(plan: Notice, name: str) -> float:
    try:
        return float(plan.attributes.get(f"{PREFIX}{name}") or 0.0)
    except (TypeError, ValueError):
        return 0.0
