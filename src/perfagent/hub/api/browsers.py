"""Pages as browsers measure them: web vitals, loading, frames, errors; and single loads with their traces."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.points import distributions, figures, merged
from perfagent.hub.api.ranges import Within
from perfagent.hub.receive.client import KINDS

if TYPE_CHECKING:
    from perfagent.hub.api.ranges import Range
    from perfagent.hub.api.vitals import Histogram
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["browsers"])

LIMITS: dict[str, tuple[float, float]] = {
    "lcp": (2500, 4000),
    "inp": (200, 500),
    "cls": (0.1, 0.25),
    "fcp": (1800, 3000),
    "ttfb": (800, 1800),
}
"""Up to the first value a vital is good, beyond the second it is poor (web.dev/articles/vitals)."""
SHARE = 0.75  # of the loads that a vital is told for: its assessment is about the 75th percentile
SLOW_FRAME = 33.3  # ms: at 60 frames a second one was left out
MOST_SERIES = 20_000
MOST_POINTS = 5_000
NAMES = {kind.metric: name for name, kind in KINDS.items()}

Rating = Literal["good", "needs-improvement", "poor"]


class Vital(Model):
    """One web vital of a page."""

    p75: float = Field(description="75th percentile, ms; for cls the score.", examples=[1830.5])
    rating: Rating = Field(description="Of that.", examples=["good"])
    count: float = Field(description="Loads that told it.", examples=[120.0])
    good: float = Field(description="Share of the loads that were good.", examples=[0.86])
    poor: float = Field(description="Share of the loads that were poor.", examples=[0.04])


class Page(Model):
    """One page of a service."""

    service: str = Field(examples=["shop"])
    page: str = Field(description="Its route, or its path with ids replaced.", examples=["/orders/{id}"])
    loads: float = Field(description="How often it was loaded.", examples=[120.0])
    vitals: dict[str, Vital | None] = Field(description="lcp, inp, cls, fcp and ttfb; null where nobody told it.")
    load_p75_ms: float | None = Field(description="Until it was loaded, 75th percentile.", examples=[910.0])
    frame_p95_ms: float | None = Field(description="Between two frames, 95th percentile.", examples=[16.9])
    slow_frames: float | None = Field(description="Share of frames that took 33 ms and more.", examples=[0.02])
    long_tasks: float = Field(description="Times that nothing else ran for 50 ms and more.", examples=[14.0])
    long_task_p75_ms: float | None = Field(examples=[82.0])
    errors: float = Field(description="Errors of scripts.", examples=[0.0])
    error_sources: dict[str, float] = Field(description="Errors by script.", examples=[{"/static/cart.js": 2.0}])
    upload_bytes_per_second: float | None = Field(description="Median.", examples=[1250000.0])


class Load(Model):
    """One load of a page, with the request that it was the answer of."""

    trace_id: str = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    service: str = Field(examples=["shop"])
    page: str = Field(examples=["/orders/{id}"])
    time: float = Field(description="When it was told, seconds since the epoch.", examples=[1789000000.0])
    values: dict[str, float] = Field(
        description="lcp, inp, fcp, ttfb and page_load in ms, cls as it is.", examples=[{"lcp": 1830.5, "cls": 0.02}]
    )


@router.get("/browsers", response_model=Success[Listing[Page]])
def browsers(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """The pages that browsers have measured in the range, the most loaded first; see PERFAGENT_RUM."""
    found = pages(hub.store, within, service)
    return success(page.listing(found[page.offset : page.offset + page.limit + 1], within))


@router.get("/browsers/loads", response_model=Success[Listing[Load]])
def loads(
    hub: TheHub,
    within: Within,
    paging: Paging,
    service: OfService = None,
    page: Annotated[
        str | None, Query(description="Only this page.", max_length=500, pattern=PLAIN, examples=["/orders/{id}"])
    ] = None,
    trace_id: Annotated[str | None, Query(description="Only this trace.", pattern="^[0-9a-f]{32}$")] = None,
) -> Answer:
    """Single loads of pages whose request was traced, the newest first."""
    rows = hub.store.rows(
        "browsers/loads", begin_ns=within.begin_ns, end_ns=within.end_ns, service=service, page=page,
        trace_id=trace_id, most=MOST_POINTS,
    )  # fmt: skip
    found = _loads(rows, trace_id)
    return success(paging.listing(found[paging.offset : paging.offset + paging.limit + 1], within))


def _loads(rows: list[Row], trace_id: str | None) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        page = json.loads(row["attributes"]).get("page", "other")
        for exemplar in json.loads(row["exemplars"]):
            trace = exemplar["trace_id"]
            if trace_id in (None, trace):
                load = {"trace_id": trace, "service": row["service"], "page": page, "time": row["time"] / 1e9}
                kept = found.setdefault((trace, page), {**load, "values": {}})
                kept["values"].setdefault(NAMES.get(row["name"], row["name"]), exemplar["value"])
    return list(found.values())


def pages(store: Store, within: Range, service: str | None) -> list[dict[str, Any]]:
    """All pages of a range."""
    keys: dict[tuple[str, ...], int] = {}
    groups: dict[int, int] = {}
    for row in store.rows("browsers/series", service=service, limit=MOST_SERIES):
        attributes = json.loads(row["attributes"])
        kind = NAMES.get(row["name"])
        if kind is not None:
            part = attributes.get("component", "") if kind == "js_error" else ""
            key = (row["service"], attributes.get("page", "other"), kind, part)
            groups[row["id"]] = keys.setdefault(key, len(keys))
    if not groups:
        return []
    whole = distributions(store, within, groups)
    counted = figures(store, within, groups)
    measured: dict[tuple[str, str], dict[str, Any]] = {}
    for (owner, page, kind, part), group in keys.items():
        told = measured.setdefault((owner, page), {"errors": {}})
        if kind == "js_error":
            number = sum(row["delta"] or 0.0 for row in counted.get(group, {}).values())
            if number:
                told["errors"][part or "unknown"] = number
        elif group in whole:
            told[kind] = merged(whole[group].values())
    items = [_item(*where, told) for where, told in measured.items() if told["errors"] or len(told) > 1]
    return sorted(items, key=lambda item: (-item["loads"], item["service"], item["page"]))


def _item(service: str, page: str, told: dict[str, Any]) -> dict[str, Any]:
    def of(kind: str) -> Histogram | None:
        found: Histogram | None = told.get(kind)
        return found

    frames, tasks = of("frame_time"), of("long_task")
    vitals = {name: _vital(name, of(name)) for name in LIMITS}
    loaded = of("page_load")
    return {
        "service": service,
        "page": page,
        "loads": max([loaded.count if loaded else 0.0, *(one["count"] for one in vitals.values() if one)]),
        "vitals": vitals,
        "load_p75_ms": _quantile(loaded, SHARE),
        "frame_p95_ms": _quantile(frames, 0.95),
        "slow_frames": None if frames is None else 1 - _below(frames, SLOW_FRAME),
        "long_tasks": tasks.count if tasks else 0.0,
        "long_task_p75_ms": _quantile(tasks, SHARE),
        "errors": sum(told["errors"].values()),
        "error_sources": told["errors"],
        "upload_bytes_per_second": _quantile(of("upload_speed"), 0.5),
    }


def _vital(name: str, histogram: Histogram | None) -> dict[str, Any] | None:
    value = _quantile(histogram, SHARE)
    if histogram is None or value is None:
        return None
    good, poor = LIMITS[name]
    rating = "good" if value <= good else "poor" if value > poor else "needs-improvement"
    shares = {"good": _below(histogram, good), "poor": 1 - _below(histogram, poor)}
    return {"p75": value, "rating": rating, "count": histogram.count, **shares}


def _quantile(histogram: Histogram | None, share: float) -> float | None:
    milli = histogram.quantile_ms(share) if histogram is not None else None
    return None if milli is None else milli / 1000  # a Histogram takes its values for seconds


def _below(histogram: Histogram, limit: float) -> float:
    """The share of the values up to a limit that is one of the bounds."""
    until = bisect_right(histogram.bounds or [], limit)
    return sum(count for place, count in histogram.counts.items() if place < until) / (histogram.count or 1.0)
