"""Who changed what: written by every route that changes something, read by admins."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request
from pydantic import Field

from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Within
from perfagent.hub.api.security import ADMIN, caller

router = APIRouter(tags=["hub"])


class Entry(Model):
    """One change."""

    time: float = Field(description="When, seconds since the epoch.", examples=[1789000000.0])
    role: str = Field(description="Whose token it was done with.", examples=["operator"])
    client: str = Field(description="The address that asked.", examples=["127.0.0.1"])
    action: str = Field(description="What was done.", examples=["thresholds.set"])
    subject: str = Field(description="To what.", examples=["http.server.p95"])
    before: Any = Field(description="What it was before; null where that says nothing.", examples=[{"warning": 2.0}])
    after: Any = Field(description="What it is now.", examples=[{"warning": 1.0}])


def record(request: Request, action: str, subject: str, before: object = None, after: object = None) -> None:
    """Writes a change into the audit log; to be called before the change is answered.

    Args:
        action: what is done, such as "thresholds.set".
        subject: to what, by its name or identity.
        before: what it was, as plain data.
        after: what it is now.
    """
    who = caller(request)
    request.app.state.hub.store.audit(who.role, who.client, action, subject, before, after)


@router.get("/audit", response_model=Success[Listing[Entry]], dependencies=[ADMIN])
def audit(hub: TheHub, within: Within, page: Paging) -> Answer:
    """Who changed what, the latest first; for admins."""
    time, position = page.after or (None, None)
    rows = hub.store.rows(
        "hub/audit",
        begin=within.begin_ns,
        end=within.end_ns,
        before=time,
        position=position,
        limit=page.limit + 1,
    )
    return success(
        page.listing([_entry(row) for row in rows], within, keys=[(row["time"], row["position"]) for row in rows])
    )


def _entry(row: dict[str, Any]) -> Answer:
    shown = {name: row[name] for name in ("role", "client", "action", "subject")}
    values = {name: orjson.loads(row[name]) if row[name] else None for name in ("before", "after")}
    return {"time": row["time"] / 1e9, **shown, **values}
