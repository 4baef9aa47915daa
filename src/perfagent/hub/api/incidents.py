"""Incidents: alerts that belong together, what is likely behind them, and what happened when."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Path
from pydantic import Field

from perfagent.hub.alert.violation import Severity
from perfagent.hub.api import facts
from perfagent.hub.api.alerts import HOUR, NO_FILTER, Active, Alert, Hours, OfSeverity, State, listed
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.rows import Row

router = APIRouter(tags=["alerts"])

BEFORE, AFTER = 1800.0, 300.0  # s around its begin in which releases and restarts may have to do with an incident


class IncidentSummary(Model):
    """Alerts that belong together."""

    id: str = Field(description="One of each incident.", examples=["9c1d0e0e47365f2b"])
    title: str = Field(description="Of the alert that explains the others best.", examples=["Slow database in shop"])
    cause: str = Field(description="Why, in a sentence; empty where it is unknown.", examples=[""])
    severity: Severity = Field(description="The worst of its alerts.", examples=["critical"])
    state: State = Field(examples=["firing"])
    services: list[str] = Field(description="That it is about, the one with the cause first.", examples=[["shop"]])
    since: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    until: float | None = Field(description="When the last alert was over; null while one lasts.", examples=[None])
    closed: bool = Field(description="Whether it is over for good: what comes back now is another incident.")
    alerts: int = Field(description="How many.", examples=[2])
    muted: bool = Field(description="Whether silences or windows keep quiet all of it that lasts.", examples=[False])


class Happened(Model):
    """One line of a timeline."""

    time: float = Field(description="Seconds since the epoch.", examples=[1789000012.0])
    what: str = Field(description="What sort of thing.", examples=["began"])
    text: str = Field(examples=["Failing requests: at worst 9.1 % in shop, the limit is 5 %"])
    alert: str | None = Field(description="Which one it is about.", examples=["5f2b9c1d0e0e4736"])
    by: str | None = Field(description="The role of who did it.", examples=[None])
    note: str | None = Field(description="What they said.", examples=[None])


class IncidentDetail(IncidentSummary):
    """An incident with all that belongs to it."""

    items: list[Alert] = Field(description="Its alerts, the one that explains the others first.")
    timeline: list[Happened] = Field(description="What happened when, releases and restarts near its begin included.")


@router.get("/incidents", response_model=Success[Listing[IncidentSummary]])
def incidents(
    hub: TheHub,
    page: Paging,
    service: OfService = None,
    severity: OfSeverity = None,
    hours: Hours = 24,
    active_only: Active = False,
) -> Answer:
    """Alerts that belong together, the active ones first, then the latest."""
    rows = hub.alerts.kept.rows(
        "alerts/incidents", id=None, service=service, severity=severity, since=time() - hours * HOUR,
        active_only=active_only, offset=page.offset, limit=page.limit + 1,
    )  # fmt: skip
    return success(page.listing([_incident(row) for row in rows]))


@router.get("/incidents/{incident}", response_model=Success[IncidentDetail], responses=refuses(404))
def incident(
    hub: TheHub,
    incident: Annotated[str, Path(description="Its id.", pattern=r"^[0-9a-f]{16}$", examples=["9c1d0e0e47365f2b"])],
) -> Answer:
    """One incident: its alerts and its timeline."""
    rows = hub.alerts.kept.rows("alerts/incidents", **{**NO_FILTER, "id": incident})
    if not rows:
        raise Refused(404, "not_found", f"no incident {incident}; GET incidents tells which there are", "incident")
    found = _incident(rows[0])
    order = {one: place for place, one in enumerate(orjson.loads(rows[0]["content"])["alerts"])}
    items = sorted(listed(hub, incident=incident), key=lambda one: order.get(one["id"], len(order)))
    return success({**found, "items": items, "timeline": _timeline(hub, found)})


def _incident(row: Row) -> dict[str, Any]:
    shown = ("id", "title", "severity", "state", "services", "since", "until", "closed", "alerts", "muted")
    return {**{key: row[key] for key in shown}, "cause": orjson.loads(row["content"])["cause"]}


def _timeline(hub: Hub, found: dict[str, Any]) -> list[dict[str, Any]]:
    entries = [
        {
            "time": row["time"], "what": row["what"], "text": row["text"], "alert": row["alert"] or None,
            "by": row["role"] or None, "note": row["note"] or None,
        }
        for row in hub.alerts.kept.rows("alerts/entries", incident=found["id"])
    ]  # fmt: skip
    return sorted([*entries, *_releases(hub, found), *_deliveries(hub, found)], key=lambda one: one["time"])


DELIVERED = {"delivered": "{channel} was told: {happening}", "failed": "{channel} could not be told: {happening}"}


def _deliveries(hub: Hub, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Who was told of an incident by which channel, and who could not be."""
    return [
        {
            "time": row["ended"], "what": row["state"], "text": DELIVERED[row["state"]].format(**row), "alert": None,
            "by": None, "note": row["error"] or None,
        }
        for row in hub.alerts.kept.rows("alerts/deliveries", incident=found["id"])
    ]  # fmt: skip


def _releases(hub: Hub, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Versions and restarts of its services shortly before an incident began, or shortly after."""
    begin, services = found["since"], set(found["services"])
    known = [row for row in facts.processes(hub.store, None) if row["service"] in services]
    near = [row for row in known if begin - BEFORE <= row["first_seen"] / 1e9 <= begin + AFTER]
    told = facts.releases(known, begin - BEFORE, begin + AFTER)
    return [
        {
            "time": max((row["first_seen"] / 1e9 for row in near if row["service"] == one.service), default=begin),
            "what": one.kind, "text": one.text, "alert": None, "by": None, "note": None,
        }
        for one in told
    ]  # fmt: skip
