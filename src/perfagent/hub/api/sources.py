"""Sources: who collects for the hub, what, how often and when last."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Within
from perfagent.hub.api.seen import processes

router = APIRouter(tags=["sources"])


class Source(Model):
    """One process that sends telemetry."""

    name: str = Field(description="Service and instance.", examples=["shop/shop-1"])
    kind: Literal["agent", "opentelemetry"] = Field(
        description="perfagent's agent, or another SDK.", examples=["agent"]
    )
    service: str = Field(examples=["shop"])
    instance: str = Field(examples=["shop-1"])
    priority: Literal["normal"] = Field(description="All are alike.", examples=["normal"])
    interval_seconds: float | None = Field(description="Between its metric points, as measured.", examples=[15.0])
    health: Literal["healthy", "silent"] = Field(description="Silent: nothing came for 90 s.", examples=["healthy"])
    last_collected: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])


@router.get("/sources", response_model=Success[Listing[Source]])
def sources(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """The processes that sent telemetry in the range, and how regularly."""
    found = processes(hub.store, within, service)[page.offset : page.offset + page.limit + 1]
    rows = hub.store.rows(
        "vitals/intervals", begin_ns=max(within.begin_ns, within.end_ns - 900_000_000_000), end_ns=within.end_ns
    )
    intervals = {row["resource"]: row["seconds"] for row in rows}
    items = [
        {
            "name": f"{one.service}/{one.instance}",
            "kind": "agent" if one.attributes.get("telemetry.distro.name") == "perfagent" else "opentelemetry",
            "service": one.service,
            "instance": one.instance,
            "priority": "normal",
            "interval_seconds": intervals.get(one.id),
            "health": "healthy" if one.alive else "silent",
            "last_collected": one.last_seen,
        }
        for one in found
    ]
    return success(page.listing(items, within))
