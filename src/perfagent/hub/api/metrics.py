"""Any metric, by name: what there is, over time, and all in one look."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.api import overview
from perfagent.hub.api.calls import bounds
from perfagent.hub.api.chosen import PERCENTILES, STATS, Choice, Stat, choose, compute
from perfagent.hub.api.context import PLAIN, OfService, Search, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Range, Within
from perfagent.hub.api.remotely import Names, WithMetric
from perfagent.hub.remote.points import Listed
from perfagent.hub.store.rows import Row

router = APIRouter(tags=["metrics"])

HITS = ["perfagent.cache.hits", "perfagent_cache_hits_total"]
MISSES = ["perfagent.cache.misses", "perfagent_cache_misses_total"]
Kind = Literal["gauge", "counter", "updown", "histogram", "exponential", "summary"]


class Metric(Model):
    """One metric that there is."""

    name: str = Field(description="Its name.", examples=["process.memory.usage"])
    kind: Kind = Field(description="What it is.", examples=["updown"])
    unit: str = Field(description="Its unit, by UCUM.", examples=["By"])
    description: str = Field(description="What it tells.", examples=["The amount of physical memory in use."])
    services: list[str] = Field(description="Who tells it.", examples=[["payments", "shop"]])
    series: int = Field(description="Processes times sets of attributes.", examples=[4])
    last_seen: float = Field(description="When it was last told, to the minute.", examples=[1789000000.0])


class OneSeries(Model):
    """One line of a chart."""

    attributes: dict[str, str] = Field(description="What it is of.", examples=[{"service.instance.id": "shop-1"}])
    values: list[float | None] = Field(description="A value for each step.", examples=[[157286400.0, None]])


class Readings(Model):
    """A metric over time."""

    name: str = Field(description="Its name.", examples=["process.memory.usage"])
    unit: str = Field(description="Unit of the values, by UCUM; `rate` adds `/s`.", examples=["By"])
    kind: Kind = Field(description="What it is.", examples=["updown"])
    stat: Stat = Field(description="What the values are.", examples=["avg"])
    step: int = Field(description="Seconds between two of them.", examples=[60])
    time: list[int] = Field(description="Starts of the steps.", examples=[[1789000000, 1789000060]])
    series: list[OneSeries] = Field(description="By the attributes of `by`, largest first; at most 50.")
    left_out: int = Field(description="Series beyond those.", examples=[0])


class Level(Model):
    """A metric in one look: its readings, what a counter adds a second, or the mean of a histogram."""

    current: float = Field(description="In the last minute.", examples=[157286400.0])
    average: float = Field(description="Mean of the minutes.", examples=[151000000.0])
    min: float = Field(description="The smallest minute.", examples=[149000000.0])
    max: float = Field(description="The largest minute.", examples=[158000000.0])
    unit: str = Field(description="Unit of these, by UCUM.", examples=["By"])
    timestamp: float = Field(description="When that last minute began.", examples=[1789000000.0])


class CacheLevel(Model):
    """All caches together."""

    hits: float = Field(description="Look-ups that found something.", examples=[5400.0])
    misses: float = Field(description="Look-ups that found nothing.", examples=[600.0])
    hit_ratio: float | None = Field(description="Share of look-ups that found something.", examples=[0.9])


class Summary(Model):
    """Every metric in one look."""

    metrics: dict[str, Level] = Field(description="By name; at most 1000.")
    cache: CacheLevel = Field(description="All caches together.")
    health_score: float | None = Field(description="0 to 100; null where there were no requests.", examples=[97.0])


@router.get("/metrics", response_model=Success[Listing[Metric]])
def list_metrics(
    hub: TheHub, within: Within, page: Paging, names: Names, service: OfService = None, q: Search = None
) -> Answer:
    """The metrics that were told in the range, by name."""
    rows = hub.store.rows(
        "metrics/list",
        **bounds(hub.store, within.begin, within.end),
        service=service,
        q=q or None,
        after=page.after[0] if page.after else None,
        limit=page.limit + 1,
    )
    items = [
        {
            **{name: row[name] for name in ("name", "unit", "description", "services", "series")},
            "kind": kind(row),
            "last_seen": row["last_seen"],
        }
        for row in rows
    ]
    shown = {item["name"] for item in items}
    further = [
        _readable(name, one, within)
        for name, one in names.items()
        if name not in shown
        and (service is None or service in one.services)
        and (q or "").lower() in name.lower()
        and (page.after is None or name > page.after[0])
    ]
    if further:
        items = sorted([*items, *further], key=lambda item: str(item["name"]))[: page.limit + 1]
    return success(page.listing(items, within, key=lambda item: (item["name"],)))


def _readable(name: str, one: Listed, within: Range) -> dict[str, Any]:
    """A metric that nobody has looked at yet, of a hub that reads from elsewhere."""
    return {
        "name": name,
        "kind": one.kind,
        "unit": one.unit,
        "description": "",
        "services": sorted(one.services),
        "series": one.series,
        "last_seen": within.end,
    }


def kind(row: Row) -> str:
    """What the interface calls a series' kind: sums are counters where they only grow."""
    if row["kind"] != "sum":
        return str(row["kind"])
    return "counter" if row["monotonic"] else "updown"


@router.get("/metrics/query", response_model=Success[Readings], responses=refuses(404), dependencies=[WithMetric])
def query_metric(
    hub: TheHub,
    within: Within,
    name: Annotated[
        str,
        Query(
            description="The metric's name.",
            min_length=1,
            max_length=255,
            pattern=PLAIN,
            examples=["process.memory.usage"],
        ),
    ],
    stat: Annotated[
        Stat | None,
        Query(
            description="What of it. rate: increments, or a histogram's values, a second; sum: of increments, values "
            "or levels; avg: mean (levels are added up over the series first); min, max; last: the last reading; "
            "count: of points or a histogram's values; p50 to p99: percentiles, of histograms and of the readings of "
            "gauges and levels that are kept. When left out: what suits its kind.",
            examples=["avg"],
        ),
    ] = None,
    by: Annotated[
        list[Annotated[str, Query(min_length=1, max_length=255, pattern=PLAIN)]],
        Query(
            description="Attributes of the points or of their process that make a series each; two at most.",
            max_length=2,
            examples=[["service.instance.id"]],
        ),
    ] = [],  # noqa: B006 - FastAPI copies it
    attribute: Annotated[
        list[Annotated[str, Query(min_length=3, max_length=600, pattern=r"^[^\x00-\x1f\x7f=]+=[^\x00-\x1f\x7f]*$")]],
        Query(
            description="Only points with this attribute, `key=value`; five at most, all of which must hold.",
            max_length=5,
            examples=[["cpu.mode=user"]],
        ),
    ] = [],  # noqa: B006 - FastAPI copies it
    service: OfService = None,
) -> Answer:
    """A metric over time, by attributes."""
    wanted = [(key, value) for key, _, value in (one.partition("=") for one in attribute)]
    choice = choose(hub.store, name, service, wanted, by)
    if choice is None:
        raise Refused(
            404, "not_found", f"no metric {name[:100]!r} was ever told; GET metrics lists those that were", "name"
        )
    found = compute(hub.store, within, choice, _stat(choice, stat, hub.remote is not None))
    return success({"name": name, "kind": kind(choice.like), "step": within.step, "time": within.times(), **found})


def _stat(choice: Choice, stat: Stat | None, remote: bool) -> Stat:
    suits = STATS[kind(choice.like)]
    if remote and choice.like["kind"] in ("gauge", "sum"):  # single readings stay where they are
        suits = tuple(one for one in suits if one not in PERCENTILES)
    if stat is None:
        return suits[0]
    if stat not in suits:
        message = f"stat={stat} is not to be had of a {kind(choice.like)}; accepted: {', '.join(suits)}"
        raise Refused(400, "bad_request", message, "stat")
    return stat


@router.get("/metrics/summary", response_model=Success[Summary])
def summarize_metrics(hub: TheHub, within: Within, service: OfService = None) -> Answer:
    """Every metric in one look."""
    limits = bounds(hub.store, within.begin, within.end)
    hourly = limits["hours_until"] > limits["hours_since"]
    rows = hub.store.rows("metrics/summary", **limits, service=service, seconds=3600 if hourly else 60)
    hits, misses = _lookups(hub.store.rows("metrics/cache", **limits, service=service, hits=HITS, misses=MISSES))
    return success(
        {
            "metrics": {row["name"]: _level(row) for row in rows},
            "cache": {"hits": hits, "misses": misses, "hit_ratio": hits / (hits + misses) if hits + misses else None},
            "health_score": overview.see(hub.store, within, service).answer["health"]["score"],
        }
    )


def _lookups(rows: list[Row]) -> tuple[float, float]:
    return (rows[0]["hits"], rows[0]["misses"])


def _level(row: Row) -> dict[str, Any]:
    return {
        "current": row["current"],
        "average": row["average"],
        "min": row["smallest"],
        "max": row["largest"],
        "unit": f"{row['unit']}/s" if kind(row) == "counter" else row["unit"],
        "timestamp": row["time"],
    }
