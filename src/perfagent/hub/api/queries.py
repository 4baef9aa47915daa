"""Database statements: what they cost, how many rows they return, who runs them and how often within one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.analyse.durations import MS
from perfagent.hub.api import calls as reading
from perfagent.hub.api.context import PLAIN, Identity, OfService, Search, TheHub
from perfagent.hub.api.endpoints import HeatMap, Series, heat, known
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.plans import PlanOf, plan_of
from perfagent.hub.api.ranges import Range, Within
from perfagent.hub.api.remotely import WithOperation
from perfagent.hub.api.samples import most_in_one_trace, recent
from perfagent.hub.api.search import Terms, search
from perfagent.hub.api.traces import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.hub.analyse.calls import Calls
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["queries"])

SAMPLED_CALLS = 20_000  # of one statement, the latest, to tell who runs it


class Caller(Model):
    """A place in the program that runs a statement."""

    caller: str = Field(description="File, line and function.", examples=["shop/lines.py:44 load_lines"])
    calls: float = Field(description="Of the calls whose place is known.", examples=[265.0])


class Statement(Model):
    """One statement, its literals removed, and its calls in the range."""

    operation: str = Field(description="Identity, a decimal number.", examples=["6917529027641081856"])
    service: str = Field(examples=["shop"])
    system: str = Field(examples=["postgresql"])
    summary: str = Field(examples=["SELECT lines"])
    text: str = Field(examples=["SELECT * FROM lines WHERE order_id = ?"])
    calls: float = Field(examples=[265.0])
    errors: float = Field(examples=[0.0])
    total_ms: float = Field(examples=[203.0])
    share: float = Field(description="Of the time of all statements, 0..1.", examples=[0.31])
    mean_ms: float | None = Field(examples=[0.8])
    p95_ms: float | None = Field(examples=[1.6])
    max_ms: float | None = Field(examples=[9.1])
    rows: float = Field(description="Returned, as far as spans tell.", examples=[2650.0])
    rows_per_call: float | None = Field(examples=[10.0])
    repeated: int = Field(description="Most calls of it within one trace, among the latest 60,000 spans.", examples=[8])
    callers: list[Caller] = Field(description="At most 10, among the latest 60,000 spans.")


class Runner(Model):
    """An endpoint whose requests run a statement."""

    operation: str
    name: str = Field(examples=["GET /orders"])
    service: str = Field(examples=["shop"])
    calls: float = Field(description="In the sampled traces.")
    calls_per_request: float = Field(description="In requests that run it.")


class OneStatement(Model):
    """One statement in detail."""

    query: Statement
    series: Series
    heatmap: HeatMap
    callers: list[Caller]
    endpoints: list[Runner]
    slowest: list[Trace]
    plan: PlanOf | None = Field(description="Where an agent asked the database for it (PERFAGENT_EXPLAIN).")


ORDERS: dict[str, Callable[[Calls], float]] = {
    "total": lambda one: one.durations.total,
    "calls": lambda one: one.durations.calls,
    "p95": lambda one: one.durations.quantile(0.95) or 0.0,
    "mean": lambda one: one.durations.mean_ms or 0.0,
    "rows": lambda one: one.durations.rows,
}


@router.get("/queries", response_model=Success[Listing[Statement]])
def queries(
    hub: TheHub,
    within: Within,
    page: Paging,
    service: OfService = None,
    system: Annotated[
        str | None,
        Query(description="Only this database system.", max_length=100, pattern=PLAIN, examples=["postgresql"]),
    ] = None,
    q: Search = None,
    sort: Annotated[Literal["total", "calls", "p95", "mean", "rows"], Query(description="Most first.")] = "total",
) -> Answer:
    """The database statements that ran in the range."""
    everything = reading.by_operation(hub.store, within, service, ["db"])
    whole = sum(one.durations.total for one in everything)
    text = (q or "").lower()
    chosen = [
        one
        for one in everything
        if (system is None or one.system == system) and (text in one.name.lower() or text in one.text.lower())
    ]
    chosen.sort(key=lambda one: -ORDERS[sort](one))
    chosen = chosen[page.offset : page.offset + page.limit + 1]
    return success(page.listing(listed(hub.store, recent(hub.store, within), chosen, whole), within))


def listed(store: Store, sampled: Range, chosen: Sequence[Calls], whole: float) -> list[dict[str, Any]]:
    """Statements as the interface gives them.

    Args:
        sampled: the part of the range that callers and repetitions are read from.
        whole: the time of all statements, ns.
    """
    if not chosen:
        return []
    operations = [one.operation for one in chosen]
    callers = _callers(store, sampled, operations)
    repeated = most_in_one_trace(store, sampled, operations)
    return [
        {
            "operation": str(one.operation),
            "service": one.service,
            "system": one.system,
            "summary": one.name,
            "text": one.text,
            "calls": one.durations.calls,
            "errors": one.durations.errors,
            "total_ms": one.durations.total / MS,
            "share": one.durations.total / whole if whole else 0.0,
            "mean_ms": one.durations.mean_ms,
            "p95_ms": one.durations.quantile(0.95),
            "max_ms": one.durations.longest / MS if one.durations.calls else None,
            "rows": one.durations.rows,
            "rows_per_call": one.durations.rows / one.durations.calls if one.durations.calls else None,
            "repeated": repeated.get(one.operation, 0),
            "callers": callers.get(one.operation, []),
        }
        for one in chosen
    ]


def _callers(store: Store, within: Range, operations: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    rows = store.rows("queries/callers", begin_ns=within.begin_ns, end_ns=within.end_ns, operations=list(operations))
    for row in rows:
        found.setdefault(row["operation"], []).append({"caller": row["caller"], "calls": row["calls"]})
    return found


@router.get(
    "/queries/{operation}",
    response_model=Success[OneStatement],
    responses=refuses(404),
    dependencies=[WithOperation],
)
def query(hub: TheHub, within: Within, operation: Identity) -> Answer:
    """One statement: over time, by duration, who runs it, and the traces in which it was slowest."""
    store = hub.store
    one = known(store, operation, ("db",), "query")
    everything = reading.by_operation(store, within, None, ["db"])
    whole = sum(other.durations.total for other in everything)
    one = next((other for other in everything if other.operation == one.operation), one)
    steps = reading.by_time(store, within, operation=one.operation)
    sampled = recent(store, within, one.operation, SAMPLED_CALLS)
    statement = listed(store, sampled, [one], whole)[0]
    runners = store.rows(
        "queries/endpoints",
        begin_ns=sampled.begin_ns,
        end_ns=sampled.end_ns,
        operation=one.operation,
    )
    return success(
        {
            "query": statement,
            "series": steps.series(),
            "heatmap": heat(steps),
            "callers": statement["callers"],
            "endpoints": [
                {
                    "operation": str(row["operation"]),
                    "name": row["name"],
                    "service": row["service"],
                    "calls": row["calls"],
                    "calls_per_request": row["calls"] / row["requests"],
                }
                for row in runners
            ],
            "slowest": search(store, within, Terms(operation=one.operation, sort="slowest"), 10).traces,
            "plan": plan_of(store, one, within),
        }
    )
