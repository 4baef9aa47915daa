"""Endpoints: what enters a service, how long it takes and where that time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.analyse import time_parts
from perfagent.hub.analyse.calls import OUTGOING, REQUESTS, Calls, Steps
from perfagent.hub.analyse.durations import MS, Durations, heat_map
from perfagent.hub.api import calls as reading
from perfagent.hub.api.context import Identity, OfService, Search, TheHub, number
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Range, Within
from perfagent.hub.api.remotely import WithOperation
from perfagent.hub.api.samples import breakdowns, recent
from perfagent.hub.api.search import Terms, search
from perfagent.hub.api.traces import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.hub.analyse.breakdown import Breakdown
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["endpoints"])

DRAWN_FROM = 500  # requests, the latest ones, of which 100 are broken down


class Endpoint(Model):
    """One operation that enters a service, and its requests in the range."""

    operation: str = Field(description="Identity, a decimal number.", examples=["6917529027641081856"])
    service: str = Field(examples=["shop"])
    name: str = Field(description="Method and route, or the queue.", examples=["GET /orders"])
    category: str = Field(description="server or consumer.", examples=["server"])
    requests: float = Field(
        description="How many; where spans are sampled, those left out count too.", examples=[412.0]
    )
    requests_per_second: float = Field(examples=[0.11])
    errors: float = Field(examples=[2.0])
    error_ratio: float | None = Field(description="0..1", examples=[0.005])
    mean_ms: float | None = Field(examples=[14.2])
    p50_ms: float | None = Field(description="Percentiles are at most 9 % off.", examples=[12.9])
    p95_ms: float | None = Field(examples=[19.3])
    p99_ms: float | None = Field(examples=[23.4])
    max_ms: float | None = Field(examples=[61.0])
    total_ms: float = Field(description="Time of all requests.", examples=[5850.0])
    share: float = Field(description="Of the time of all requests, 0..1.", examples=[0.12])
    spark: list[float] = Field(description="Requests in each of up to 31 equal steps.", examples=[[12.0, 14.0]])


class Series(Model):
    """Calls over time."""

    time: list[float] = Field(description="Begin of each step, seconds since the epoch.")
    rate: list[float] = Field(description="Calls a second.")
    errors: list[float] = Field(description="Failed calls a second.")
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]


class HeatMap(Model):
    """How many calls took how long, over time."""

    time: list[float] = Field(description="Begin of each step.")
    bounds_ms: list[float] = Field(description="Upper bounds, at most 40.")
    counts: list[list[float]] = Field(description="For each step, the calls up to each bound and above the one before.")


class Between(Model):
    """The range of an answer."""

    begin: float = Field(alias="from", description="Seconds since the epoch.")
    end: float = Field(alias="to")
    step: int = Field(description="Seconds a step of the series.")


class StatusCode(Model):
    """How often an endpoint answered with a status."""

    code: int = Field(description="0 where there is none.", examples=[200])
    requests: float = Field(examples=[410.0])


class TimePart(Model):
    """One of the parts that a request's time went to."""

    part: str = Field(
        description="cpu, gc, lock, pool, loop, network, sleep, processor, gil or other.", examples=["pool"]
    )
    mean_ms: float = Field(description="In a mean request.", examples=[12.5])
    slow_ms: float = Field(description="In a mean one of the slowest 5 %.", examples=[180.0])


class Parts(Model):
    """Where the time of a request goes on average: on its critical path, so that the parts add up to its duration."""

    queries_ms: float | None
    cache_ms: float | None
    calls_ms: float | None
    own_ms: float | None
    sampled: int = Field(description="Requests that this was measured on: up to 100 of the latest 500.")
    time: list[TimePart] = Field(
        description="Of the requests of which their agent has measured it: they add up to the mean duration of these."
    )
    timed: int = Field(description="How many of the sampled ones these are; those under 1 ms are not measured.")


class Inner(Model):
    """A statement or a call within the requests of an endpoint, from a sample of them."""

    operation: str
    category: str
    summary: str
    text: str
    system: str
    calls_per_request: float
    max_in_one_request: int
    mean_ms: float
    total_ms: float = Field(description="In the sampled requests together.")


class OneEndpoint(Model):
    """One endpoint in detail."""

    endpoint: Endpoint
    range: Between
    series: Series
    heatmap: HeatMap
    status_codes: list[StatusCode]
    breakdown: Parts
    slowest: list[Trace]
    errors: list[Trace]
    queries: list[Inner]
    calls: list[Inner]


Order = Literal["total", "p95", "requests", "errors", "name"]
ORDERS: dict[str, Callable[[Calls], Any]] = {
    "total": lambda one: -one.durations.total,
    "p95": lambda one: -(one.durations.quantile(0.95) or 0.0),
    "requests": lambda one: -one.durations.calls,
    "errors": lambda one: (-one.durations.errors, -one.durations.calls),
    "name": lambda one: (one.name, one.service),
}


@router.get("/endpoints", response_model=Success[Listing[Endpoint]])
def endpoints(
    hub: TheHub,
    within: Within,
    page: Paging,
    service: OfService = None,
    q: Search = None,
    sort: Annotated[Order, Query(description="The order: most first, names from A to Z.")] = "total",
) -> Answer:
    """The endpoints that were called in the range."""
    everything = reading.by_operation(hub.store, within, service, REQUESTS)
    whole = sum(one.durations.total for one in everything)
    chosen = [one for one in everything if q is None or q.lower() in one.name.lower()]
    chosen.sort(key=ORDERS[sort])
    chosen = chosen[page.offset : page.offset + page.limit + 1]
    return success(page.listing(listed(hub.store, within, chosen, whole), within))


def listed(store: Store, within: Range, chosen: Iterable[Calls], whole: float) -> list[dict[str, Any]]:
    """Endpoints as the interface gives them; `whole` is the time of all requests, in ns."""
    chosen = list(chosen)
    sparks = reading.sparks(store, within, [one.operation for one in chosen])
    long = reading.seconds(within)
    return [
        {
            "operation": str(one.operation),
            "service": one.service,
            "name": one.name,
            "category": one.category,
            **figures(one.durations, long),
            "share": one.durations.total / whole if whole else 0.0,
            "spark": sparks[one.operation],
        }
        for one in chosen
    ]


def figures(durations: Durations, long: float) -> dict[str, Any]:
    """The figures of requests in a range of `long` seconds."""
    p50, p95, p99 = durations.quantiles(0.5, 0.95, 0.99)
    return {
        "requests": durations.calls,
        "requests_per_second": durations.calls / long,
        "errors": durations.errors,
        "error_ratio": durations.error_ratio,
        "mean_ms": durations.mean_ms,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": durations.longest / MS if durations.calls else None,
        "total_ms": durations.total / MS,
    }


def known(store: Store, identity: str, categories: tuple[str, ...], what: str) -> Calls:
    """An operation of some categories without its calls; raises Refused where there is none."""
    rows = store.rows("calls/operation", operation=number(identity))
    if not rows or rows[0]["category"] not in categories:
        raise Refused(404, "not_found", f"no {what} {identity}; the list of them tells which there are", "operation")
    row = rows[0]
    return Calls(
        row["operation"], row["service"], row["category"], row["name"], row["system"], row["text"],
        row["first_seen"] / 1e9, Durations(),
    )  # fmt: skip


@router.get(
    "/endpoints/{operation}",
    response_model=Success[OneEndpoint],
    responses=refuses(404),
    dependencies=[WithOperation],
)
def endpoint(hub: TheHub, within: Within, operation: Identity) -> Answer:
    """One endpoint: over time, by duration, by status, where its time goes, and traces to look at."""
    store = hub.store
    one = known(store, operation, REQUESTS, "endpoint")
    requests = reading.by_operation(store, within, None, REQUESTS)
    whole = sum(other.durations.total for other in requests)
    one = next((other for other in requests if other.operation == one.operation), one)
    steps = reading.by_time(store, within, operation=one.operation)
    breakdown = breakdowns(store, recent(store, within, one.operation, DRAWN_FROM), [one.operation])[one.operation]
    codes = store.rows("calls/codes", **reading.bounds(store, within.begin, within.end), operation=one.operation)
    inner = within_requests(store, breakdown)
    return success(
        {
            "endpoint": listed(store, within, [one], whole)[0],
            "range": between(within),
            "series": steps.series(),
            "heatmap": heat(steps),
            "status_codes": codes,
            "breakdown": {
                **{f"{part}_ms": breakdown.mean_ms(part) for part in ("queries", "cache", "calls", "own")},
                "sampled": breakdown.requests,
                "time": _time(breakdown),
                "timed": len(breakdown.timed),
            },
            "slowest": search(store, within, Terms(operation=one.operation, sort="slowest"), 10).traces,
            "errors": search(store, within, Terms(operation=one.operation, status="error"), 10).traces,
            "queries": [item for item in inner if item["category"] == "db"],
            "calls": [item for item in inner if item["category"] in (*OUTGOING, "cache")],
        }
    )


def _time(breakdown: Breakdown) -> list[dict[str, Any]]:
    """What the requests' time went to, in a mean one and in a mean slow one."""
    means, slow = breakdown.mean_times(), breakdown.mean_times(slowest=True)
    return [
        {"part": part, "mean_ms": means.get(part, 0.0) / MS, "slow_ms": slow.get(part, 0.0) / MS}
        for part in time_parts.PARTS
        if part in means
    ]


def between(within: Range) -> dict[str, float]:
    """The range as answers tell it."""
    return {"from": within.begin, "to": within.end, "step": within.step}


def heat(steps: Steps) -> dict[str, Any]:
    """The heat map of calls over time."""
    bounds, counts = heat_map([one.counts for one in steps.durations])
    return {"time": steps.times, "bounds_ms": bounds, "counts": counts}


def within_requests(store: Store, breakdown: Breakdown) -> list[dict[str, Any]]:
    """What ran within sampled requests, what took most time first."""
    if not breakdown.inner:
        return []
    names = {row["operation"]: row for row in store.rows("calls/operations", operations=list(breakdown.inner))}
    return [
        {
            "operation": str(operation),
            "category": names[operation]["category"],
            "summary": names[operation]["name"],
            "text": names[operation]["text"],
            "system": names[operation]["system"],
            "calls_per_request": one.calls / breakdown.requests,
            "max_in_one_request": one.most,
            "mean_ms": one.total / one.calls / MS,
            "total_ms": one.total / MS,
        }
        for operation, one in sorted(breakdown.inner.items(), key=lambda pair: -pair[1].total)
        if operation in names
    ]
