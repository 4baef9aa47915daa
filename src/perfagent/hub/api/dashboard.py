"""The dashboard: the overview, the endpoints and the alerts in one answer."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from perfagent.hub.analyse.calls import REQUESTS
from perfagent.hub.api import alerts, overview
from perfagent.hub.api.alerts import Alert
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.endpoints import Between, Endpoint, listed
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.overview import HealthScore, OverviewSeries, Saturation, Totals
from perfagent.hub.api.ranges import Within

router = APIRouter(tags=["overview"])

MOST = 20  # endpoints, and alerts


class Dashboard(Model):
    """The overview in one."""

    range: Between
    summary: Totals
    before: Totals
    saturation: Saturation
    series: OverviewSeries
    endpoints: list[Endpoint] = Field(description="Those that take most time in all, at most 20.")
    alerts: list[Alert] = Field(description="Those that are active now, at most 20.")
    health: HealthScore


@router.get("/dashboard", response_model=Success[Dashboard])
def dashboard(hub: TheHub, within: Within, service: OfService = None) -> Answer:
    """Summary, series, endpoints, active alerts and health of the range."""
    seen = overview.see(hub.store, within, service)
    called = [one for one in seen.called if one.category in REQUESTS]
    whole = sum(one.durations.total for one in called)
    return success(
        {
            **{key: seen.answer[key] for key in ("range", "before", "saturation", "series", "health")},
            "summary": seen.answer["totals"],
            "endpoints": listed(hub.store, within, called[:MOST], whole),
            "alerts": alerts.listed(hub, service=service, active_only=True, limit=MOST),
        }
    )
