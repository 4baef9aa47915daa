"""Sources: who collects for the hub, what, how often and when last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter
from pydantic import Field

from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Within
from perfagent.hub.api.seen import processes

if TYPE_CHECKING:
    from perfagent.hub.remote.remote import State

router = APIRouter(tags=["sources"])


class Source(Model):
    """One process that sends telemetry, or one remote that the hub reads from."""

    name: str = Field(description="Service and instance, or the remote.", examples=["shop/shop-1"])
    kind: Literal["agent", "opentelemetry", "prometheus", "jaeger"] = Field(
        description="perfagent's agent, another SDK, or what the hub reads from.", examples=["agent"]
    )
    service: str = Field(description="Empty for a remote.", examples=["shop"])
    instance: str = Field(description="Of the service; a remote's address.", examples=["shop-1"])
    priority: Literal["normal"] = Field(description="All are alike.", examples=["normal"])
    interval_seconds: float | None = Field(
        description="Between its metric points, as measured; between two readings of a remote.", examples=[15.0]
    )
    health: Literal["healthy", "silent", "failing"] = Field(
        description="Silent: nothing came for 90 s; failing: a remote did not answer.", examples=["healthy"]
    )
    last_collected: float | None = Field(
        description="Seconds since the epoch; null for a remote that never answered.", examples=[1789000000.0]
    )
    detail: str = Field(description="What is wrong with a remote and what to do.", examples=[""])


@router.get("/sources", response_model=Success[Listing[Source]])
def sources(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """What the hub reads from, where it does; the processes that sent telemetry in the range, and how regularly."""
    remotes = [] if service is not None or hub.remote is None else [_remote(one) for one in hub.remote.states()]
    begin = max(0, page.offset - len(remotes))
    found = processes(hub.store, within, service)[begin : page.offset + page.limit + 1]
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
            "detail": "",
        }
        for one in found
    ]
    return success(page.listing([*remotes[page.offset :], *items], within))


def _remote(state: State) -> dict[str, object]:
    return {
        "name": state.name,
        "kind": state.name.lower(),
        "service": "",
        "instance": state.url,
        "priority": "normal",
        "interval_seconds": float(state.interval_seconds),
        "health": "failing" if state.failing else "healthy",
        "last_collected": state.last_success,
        "detail": state.problem,
    }
