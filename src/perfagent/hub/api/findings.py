"""Insights, recommendations and correlations: what the stored telemetry means and what to do about it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.analyse import finding
from perfagent.hub.analyse.correlations import correlate
from perfagent.hub.analyse.steps import CATEGORIES
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.insights import found
from perfagent.hub.api.moving import is_trivial, moving
from perfagent.hub.api.ranges import UNITS, Range, Within

router = APIRouter(tags=["findings"])

Severity = Literal["low", "medium", "high", "critical"]


class Finding(Model):
    """One thing that a reader should know, and what to do."""

    kind: str = Field(
        description="n_plus_one, slow_endpoint, errors, slow_query, heavy_query, missing_index, slow_call, retries, "
        "serial_calls, cache, pool, blocked_loop, cpu, gc, memory_growth, slower, release, lock, long_transaction, "
        "unused_index, dead_tuples, connections, deprecation, dropped, internal_errors, missing_timeout, "
        "endless_retries, unclosed, session_per_call, leaked_threads, lost_task, or a kind of likely causes.",
        examples=["n_plus_one"],
    )
    type: Literal["bottleneck", "anomaly", "optimisation"] = Field(examples=["bottleneck"])
    severity: Severity = Field(examples=["high"])
    title: str = Field(examples=["GET /orders runs the same query 8 times a request (N+1)"])
    evidence: str = Field(examples=["SELECT … FROM lines WHERE order_id = ?: 8 times a request, from shop/lines.py:44"])
    impact: str = Field(examples=["43 % of the time of 100 % of its requests"])
    recommendation: str = Field(examples=["load all rows at once: a join, or WHERE … IN (…)"])
    confidence: float = Field(description="0..1: n / (n + 10) for n observations.", examples=[0.97])
    service: str = Field(examples=["shop"])
    link: str = Field(description="Where the page shows it.", examples=["#/endpoints/6917529027641081856"])
    metrics: dict[str, float] = Field(examples=[{"mean_calls": 8.0}])
    subject: str = Field(description="What it is about: an operation, an instance, a cache.", examples=["69175290276"])
    requests_per_day: float = Field(
        description="Requests that it touches, at the rate of the range.", examples=[8640.0]
    )
    seconds_per_day: float = Field(
        description="Waiting that is saved where it is repaired; 0 where that is unknown.", examples=[310.5]
    )
    steps: list[str] = Field(description="What to do, in this order.", examples=[["load all rows at once"]])
    effort: Literal["low", "medium", "high"] = Field(examples=["low"])
    traces: list[str] = Field(description="Requests that show it.", examples=[["4bf92f3577b34da6a3ce929d0e0e4736"]])
    place: str = Field(description="Where in the program; empty where unknown.", examples=["shop/lines.py:44 lines"])
    stack: str = Field(
        description="The stack at that place, without values; empty where unknown.",
        examples=['  File "shop/lines.py", line 44, in lines'],
    )
    first_seen: float | None = Field(description="Within the range.", examples=[1785000000.0])
    last_seen: float | None = Field(examples=[1785003600.0])


class Recommendation(Model):
    """A step to take, from a finding."""

    category: Literal["code", "database", "cache", "network", "capacity", "telemetry"] = Field(examples=["database"])
    priority: Severity = Field(examples=["high"])
    title: str
    impact: str
    effort: Literal["low", "medium", "high"] = Field(examples=["low"])
    implementation: str = Field(description="The first thing to do.")
    steps: list[str] = Field(description="What to do, in this order.")
    seconds_per_day: float = Field(description="Of waiting that it saves; what the list is sorted by.")
    requests_per_day: float = Field(description="That it touches.")
    service: str
    link: str


class Correlation(Model):
    """Two figures that move together from minute to minute; that is no proof that one causes the other."""

    first: str = Field(examples=["p95_ms"])
    second: str = Field(examples=["cpu"])
    coefficient: float = Field(description="Spearman's, -1..1, of the changes from minute to minute.", examples=[0.72])
    p: float = Field(description="Chance of one so far from 0 without a cause, at any lag.", examples=[1e-7])
    q: float = Field(description="The same, adjusted for all pairs (Benjamini and Hochberg).", examples=[1e-5])
    points: int = Field(description="Minutes compared.", examples=[58])
    effective: float = Field(description="What these are worth, as neighbours resemble each other.", examples=[41.5])
    lag_minutes: int = Field(description="By how much the second follows the first.", examples=[0])
    services: list[str] = Field(description="That the two are of.", examples=[["shop"]])
    text: str = Field(examples=["p95_ms rises and falls with cpu"])


class Items(Model):
    """Findings, the most severe first."""

    items: list[Finding]


class Recommendations(Model):
    """Recommendations, the most important first."""

    items: list[Recommendation]


class Correlations(Model):
    """Correlations, the strongest first."""

    items: list[Correlation]


@router.get("/insights", response_model=Success[Items])
def insights(
    hub: TheHub,
    within: Within,
    service: OfService = None,
    severity: Annotated[Severity | None, Query(description="Only this severity and worse.")] = None,
    time_range: Annotated[
        str | None,
        Query(
            alias="timeRange",
            description="Short for `from`: how far back, such as `1h`, `30m` or `7d`.",
            pattern=r"^[1-9][0-9]{0,4}[smhd]$",
            examples=["1h"],
        ),
    ] = None,
) -> Answer:
    """What slows the program down, fails, or could be better, at the end of the range: what is over is gone."""
    if time_range is not None:
        within = Range(max(0.0, within.end - int(time_range[:-1]) * UNITS[time_range[-1]]), within.end)
    least = finding.SEVERITIES.index(severity or "low")
    items = [one for one in found(hub, within, service) if finding.SEVERITIES.index(one.severity) >= least]
    return success({"items": [one.answer() for one in items]})


@router.get("/recommendations", response_model=Success[Recommendations])
def recommendations(
    hub: TheHub,
    within: Within,
    service: OfService = None,
    priority: Annotated[Severity | None, Query(description="Only this priority.")] = None,
) -> Answer:
    """What to do about the insights of the range: what saves most waiting a day first, then by severity."""
    chosen = [one for one in found(hub, within, service) if priority is None or one.severity == priority]
    chosen.sort(key=lambda one: (-round(one.seconds_per_day), -finding.SEVERITIES.index(one.severity)))
    return success({"items": [_recommendation(one) for one in chosen]})


def _recommendation(one: finding.Finding) -> dict[str, Any]:
    return {
        "category": CATEGORIES.get(one.kind, "code"),
        "priority": one.severity,
        "title": one.title,
        "impact": one.impact,
        "effort": one.effort,
        "implementation": one.recommendation,
        "steps": list(one.steps),
        "seconds_per_day": one.seconds_per_day,
        "requests_per_day": one.requests_per_day,
        "service": one.service,
        "link": one.link,
    }


@router.get("/correlations", response_model=Success[Correlations])
def correlations(hub: TheHub, within: Within, service: OfService = None) -> Answer:
    """Figures that move together from minute to minute, across services, in the last four hours of the range at most.

    Of these, one in twenty is false at most, on average. None where ENABLE_INSIGHT_CORRELATION is false.
    """
    if not hub.settings.insight_correlation:
        return success({"items": []})
    series = moving(hub.store, within, service)
    several = len({figure.service for figure in series}) > 1
    figures = {f"{one.service}: {one.name}" if several else one.name: one for one in series}
    found = correlate(
        {name: series[figure] for name, figure in figures.items()},
        lambda first, second: is_trivial(figures[first], figures[second]),
    )
    items = [
        {**one._asdict(), "services": sorted({figures[one.first].service, figures[one.second].service})}
        for one in found[:MOST_CORRELATIONS]
    ]
    return success({"items": items})


MOST_CORRELATIONS = 100
