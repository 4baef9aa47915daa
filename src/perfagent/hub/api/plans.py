"""Plans of slow statements, as agents told them: how the database runs the statement, and which index would help."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field

from perfagent.hub.api.envelope import Model

if TYPE_CHECKING:
    from perfagent.hub.analyse.calls import Calls
    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.store import Store

PREFIX = "perfagent.query.plan"
BEFORE = 86_400 * 10**9  # ns before the range in which a plan still tells something of it
DEEPEST, MOST = 40, 200  # steps that are given on


class Step(Model):
    """One step of a plan, with those that it gets its rows from."""

    step: str = Field(examples=["Seq Scan on orders"])
    detail: str = Field("", description="Conditions and keys, without literals.", examples=["Filter: (customer = $1)"])
    rows: float | None = Field(None, description="That it gives, by the database's guess.", examples=[80.0])
    cost: float | None = Field(None, description="In the database's own unit, with what is below.", examples=[9725.0])
    mark: str = Field("", description="Why this is the step to look at; empty for all others.")
    below: list[Step] = Field([], description="In the order that the database tells them.")
    cut: bool = Field(False, description="Whether there are steps below that were left out.")


class Index(Model):
    """An index that the database's planner would use, tried with HypoPG."""

    ddl: str = Field(examples=["CREATE INDEX CONCURRENTLY ON orders (customer)"])
    cost_before: float = Field(description="Of the whole statement.", examples=[9725.0])
    cost_after: float = Field(examples=[88.3])
    bytes: float = Field(description="By the planner's guess; 0 where unknown.", examples=[6_000_000.0])


class PlanOf(Model):
    """The last plan of a statement."""

    time: float = Field(description="When it was told, seconds since the epoch.")
    seconds: float = Field(description="That the slow call took.", examples=[0.21])
    place: str = Field(description="Of that call: file, line and function.", examples=["shop/store.py:40 orders_of"])
    plan: Step | None = Field(description="None where there is none; `failure` tells why.")
    failure: str = Field(examples=["InsufficientPrivilege 42501"])
    note: str = Field(description="What to know of how the plan was got.")
    index: Index | None = Field(description="None where none was found, or nobody could look.")


def plan_of(store: Store, one: Calls, within: Range) -> dict[str, Any] | None:
    """The last plan that was told of a statement, in a range or the day before it."""
    rows = store.rows(
        "queries/plan",
        begin_ns=within.begin_ns - BEFORE,
        end_ns=within.end_ns,
        service=one.service,
        text=one.text,
    )
    for row in rows:
        return told(row["time"], json.loads(row["attributes"]))
    return None


def told(time: int, attributes: dict[str, Any]) -> dict[str, Any]:
    """A plan's event as the interface gives it; what a sender made up is left out."""
    path, line = attributes.get("code.file.path"), attributes.get("code.line.number")
    place = f"{path}:{line} {attributes.get('code.function.name', '')}".rstrip() if path else ""
    ddl = attributes.get(f"{PREFIX}.index")
    index = None
    if ddl:
        index = {
            "ddl": str(ddl),
            "cost_before": _number(attributes.get(f"{PREFIX}.index.before")) or 0.0,
            "cost_after": _number(attributes.get(f"{PREFIX}.index.after")) or 0.0,
            "bytes": _number(attributes.get(f"{PREFIX}.index.bytes")) or 0.0,
        }
    try:
        root = _step(json.loads(str(attributes.get(f"{PREFIX}.tree") or "null")), 0, [MOST])
    except (ValueError, RecursionError):  # cut off on its way
        root = None
    return {
        "time": time / 1e9,
        "seconds": _number(attributes.get(f"{PREFIX}.seconds")) or 0.0,
        "place": place,
        "plan": root,
        "failure": str(attributes.get(f"{PREFIX}.failure") or ("" if root else "the plan did not arrive as a whole")),
        "note": str(attributes.get(f"{PREFIX}.note") or ""),
        "index": index,
    }


def _step(one: Any, depth: int, left: list[int]) -> dict[str, Any] | None:
    if not isinstance(one, dict) or left[0] <= 0 or depth > DEEPEST:
        return None
    left[0] -= 1
    given = one.get("below")
    below = [_step(child, depth + 1, left) for child in given] if isinstance(given, list) else []
    return {
        "step": str(one.get("step") or "")[:500],
        "detail": str(one.get("detail") or "")[:1000],
        "rows": _number(one.get("rows")),
        "cost": _number(one.get("cost")),
        "mark": str(one.get("mark") or "")[:500],
        "below": [child for child in below if child is not None],
        "cut": one.get("cut") is True or None in below,
    }


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if number == number and abs(number) < 1e300 else None
