"""Deliveries: who was told of what and when, and what could not be delivered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.api.context import PLAIN, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging

router = APIRouter(tags=["alerts"])

State = Literal["waiting", "delivered", "folded", "failed", "quiet"]


class Told(Model):
    """What one channel was told, or is to be told."""

    channel: str = Field(examples=["ops"])
    event: str = Field(description="With the channel the identity.", examples=["5f2b9c1d0e0e4736-1"])
    incident: str = Field(description="Empty for a test.", examples=["5f2b9c1d0e0e4736"])
    happening: str = Field(description="What happened to the incident, or `test`.", examples=["fired"])
    severity: str = Field(examples=["critical"])
    title: str = Field(examples=["Critical: Failing requests (shop)"])
    happened: float = Field(description="When the hub noticed, seconds since the epoch.", examples=[1789000000.0])
    state: State = Field(
        description="Waiting: for its first or its next attempt. Folded: told together with others, because they were "
        "too many. Failed: given up. Quiet: not told again, because it had been told a moment ago.",
        examples=["delivered"],
    )
    attempts: int = Field(description="How often it was sent.", examples=[1])
    due: float | None = Field(description="When it is sent next; null where it is over.", examples=[None])
    ended: float | None = Field(description="When it was delivered or given up.", examples=[1789000001.2])
    latency_seconds: float | None = Field(description="From the event to its delivery.", examples=[1.2])
    error: str = Field(description="Of the last attempt; empty where it went well.", examples=[""])


@router.get("/deliveries", response_model=Success[Listing[Told]])
def deliveries(
    hub: TheHub,
    page: Paging,
    channel: Annotated[
        str | None, Query(description="Only this channel.", max_length=63, pattern=PLAIN, examples=["ops"])
    ] = None,
    state: Annotated[State | None, Query(description="Only these.", examples=["failed"])] = None,
    incident: Annotated[
        str | None, Query(description="Only of this incident.", max_length=64, pattern=r"^[0-9a-f-]*$")
    ] = None,
) -> Answer:
    """The delivery log, the latest first; 10,000 are kept."""
    before, event, of = page.after or (None, None, None)
    rows = hub.notifier.outbox.rows(
        "list",
        channel=channel,
        state=state,
        incident=incident,
        before=before,
        event=event,
        of=of,
        limit=page.limit + 1,
    )
    keys = [(row["taken"], row["event"], row["channel"]) for row in rows]
    return success(page.listing([_told(row) for row in rows], keys=keys))


def _told(row: dict[str, Any]) -> Answer:
    shown = {name: row[name] for name in Told.model_fields if name in row and name != "due"}
    delivered = row["ended"] is not None and row["state"] in ("delivered", "folded")
    return {
        **shown,
        "due": row["due"] if row["state"] == "waiting" else None,
        "latency_seconds": max(0.0, row["ended"] - row["happened"]) if delivered else None,
    }
