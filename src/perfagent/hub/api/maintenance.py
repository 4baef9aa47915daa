"""Maintenance windows: when alerts of some services are kept and not told."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field, StringConstraints

from perfagent.hub.alert import maintenance
from perfagent.hub.alert.mutes import TooMany
from perfagent.hub.api.alerts import WHOLE
from perfagent.hub.api.audit import record
from perfagent.hub.api.context import PLAIN, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.security import caller

if TYPE_CHECKING:
    from perfagent.hub.alert.maintenance import Window

router = APIRouter(tags=["alerts"])

Name = Annotated[str, StringConstraints(max_length=100, min_length=1, pattern=PLAIN)]
MOST_MINUTES = 43_200


class MaintenanceWindow(Model):
    """A time in which nobody wants to hear of some services."""

    name: str = Field(description="One of each.", examples=["nightly"])
    services: list[str] = Field(description="Names, * for any text; none for all.", examples=[["shop"]])
    active: bool = Field(description="Whether it is on.")
    begin: float | None = Field(description="Seconds since the epoch; null for a weekly one.", examples=[1789000000.0])
    end: float | None = Field(
        description="When it ends; of a weekly one that is on, this time. Null for one that has no end, or is not on.",
        examples=[1789003600.0],
    )
    weekly: str = Field(description="When a weekly one is on.", examples=["sun 02:00-04:00 Europe/Berlin"])
    reason: str = Field(examples=["the database is upgraded"])
    origin: str = Field(description="The file that declares it; empty for one that was begun at run time.")
    by: str = Field(description="The role of who began it.", examples=["operator"])


class NewWindow(Model):
    """A window that begins now, or at a moment."""

    name: Name = Field(description="One of this name is replaced.", examples=["upgrade"])
    services: Annotated[list[Name], Field(max_length=50)] = Field(
        default=[], description="Names, * for any text; none for all.", examples=[["shop"]]
    )
    begin: Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False, strict=True)] | None = Field(
        default=None, description="Seconds since the epoch; now when left out.", examples=[1789000000.0]
    )
    duration_minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES), WHOLE] | None = Field(
        default=None, description="How long; until somebody ends it when left out.", examples=[60]
    )
    reason: Annotated[str, StringConstraints(max_length=500, pattern=PLAIN)] = Field(
        default="", description="For the others.", examples=["the database is upgraded"]
    )


@router.get("/maintenance", response_model=Success[Listing[MaintenanceWindow]])
def windows(hub: TheHub, page: Paging) -> Answer:
    """The windows that are declared, and those that were begun at run time, by their name."""
    found = [_window(one) for one in hub.alerts.mutes.windows()]
    return success(page.listing(found[page.offset : page.offset + page.limit + 1]))


@router.post("/maintenance", response_model=Success[MaintenanceWindow], responses=refuses(409))
def begin_window(hub: TheHub, request: Request, new: NewWindow) -> Answer:
    """Begins a window; alerts of its services are kept, and told at its end where they still fire."""
    begin = time() if new.begin is None else new.begin
    end = None if new.duration_minutes is None else begin + new.duration_minutes * 60
    window = maintenance.Window(
        new.name, tuple(new.services), begin=begin, end=end, reason=new.reason, by=caller(request).role
    )
    try:
        hub.alerts.mutes.begin(window)
    except TooMany as error:
        raise Refused(409, "conflict", str(error), "name") from None
    record(request, "maintenance.begin", new.name, after={"services": new.services, "begin": begin, "end": end})
    hub.alerts.heed()
    return success(_window(window))


@router.delete("/maintenance/{name:path}", response_model=Success[MaintenanceWindow], responses=refuses(404))
def end_window(
    hub: TheHub,
    request: Request,
    name: Annotated[str, Path(description="Of the window.", max_length=100, pattern=PLAIN, examples=["upgrade"])],
) -> Answer:
    """Ends a window that is on or to come; a weekly one for this time alone. What still fires is told."""
    ended = hub.alerts.mutes.end(name)
    if ended is None:
        raise Refused(404, "not_found", f"no window {name!r} is on or to come; GET maintenance tells which are", "name")
    record(request, "maintenance.end", name)
    hub.alerts.heed()
    now = {one.name: one for one in hub.alerts.mutes.windows()}.get(name, ended)
    return success(_window(now))


def _window(one: Window) -> dict[str, Any]:
    now = time()
    return {
        "name": one.name, "services": list(one.services), "active": one.lasts(now), "begin": one.begin,
        "end": one.end if one.begin is not None else maintenance.next_change(one, now), "weekly": one.when(),
        "reason": one.reason, "origin": one.origin, "by": one.by,
    }  # fmt: skip
