"""The services that send, and how each of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter
from pydantic import Field

from perfagent.hub.analyse.durations import Durations
from perfagent.hub.api.calls import bounds, durations, seconds
from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Within
from perfagent.hub.api.seen import processes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.api.seen import Process

router = APIRouter(tags=["services"])

# The default thresholds for the share of failed requests and the 95th percentile in ms.
UNHEALTHY, DEGRADED = (0.10, 5000.0), (0.05, 2000.0)


class Service(Model):
    """One service that sends, or did."""

    service: str = Field(description="Its name.", examples=["shop"])
    version: str = Field(description="Of the process that sent last; may be empty.", examples=["2.4.0"])
    environment: str = Field(description="Where that process runs; may be empty.", examples=["production"])
    instances: int = Field(description="Processes that sent something in the range.", examples=[3])
    alive: int = Field(description="Those of them that sent something in the last 90 s.", examples=[3])
    requests_per_second: float = Field(description="Requests a second.", examples=[41.5])
    error_ratio: float | None = Field(description="Share of them that failed.", examples=[0.002])
    p95_ms: float | None = Field(description="95th percentile of their duration.", examples=[38.4])
    first_seen: float = Field(description="When the hub first heard of it.", examples=[1788990000.0])
    last_seen: float = Field(description="What it last sent is from then.", examples=[1789000000.0])
    health: Literal["healthy", "degraded", "unhealthy", "idle"] = Field(
        description="Unhealthy: 10 % fail or p95 is 5 s; degraded: 5 % or 2 s; idle: no requests.", examples=["healthy"]
    )


@router.get("/services", response_model=Success[Listing[Service]])
def services(hub: TheHub, within: Within, page: Paging) -> Answer:
    """The services that sent something in the range, by name."""
    rows = hub.store.rows("services/requests", **bounds(hub.store, within.begin, within.end))
    requests = {row["service"]: durations(row) for row in rows}
    senders: dict[str, list[Process]] = {}
    for process in processes(hub.store, within):
        senders.setdefault(process.service, []).append(process)
    names = sorted(senders)
    if page.after:
        names = [name for name in names if name > page.after[0]]
    long = seconds(within)
    items = [_service(name, senders[name], requests.get(name, Durations()), long) for name in names]
    return success(page.listing(items[: page.limit + 1], within, key=lambda item: (item["service"],)))


def _service(name: str, senders: Iterable[Process], requests: Durations, long: float) -> Answer:
    latest, *_ = known = sorted(senders, key=lambda process: -process.last_seen)
    p95 = requests.quantile(0.95)
    return {
        "service": name,
        "version": latest.version,
        "environment": latest.environment,
        "instances": len({process.instance for process in known}),
        "alive": len({process.instance for process in known if process.alive}),
        "requests_per_second": requests.calls / long,
        "error_ratio": requests.error_ratio,
        "p95_ms": p95,
        "first_seen": min(process.first_seen for process in known),
        "last_seen": latest.last_seen,
        "health": _health(requests.error_ratio, p95),
    }


def _health(error_ratio: float | None, p95: float | None) -> str:
    if error_ratio is None or p95 is None:
        return "idle"
    for state, (ratio, slow) in (("unhealthy", UNHEALTHY), ("degraded", DEGRADED)):
        if error_ratio >= ratio or p95 >= slow:
            return state
    return "healthy"
