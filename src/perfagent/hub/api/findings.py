"""Insights, recommendations and correlations: what the stored telemetry means and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.analyse import finding, findings
from perfagent.hub.analyse.calls import OUTGOING, REQUESTS
from perfagent.hub.analyse.correlations import correlate
from perfagent.hub.api import calls as reading
from perfagent.hub.api import facts, samples, vitals
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.ranges import UNITS, Range, Within

if TYPE_CHECKING:
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["findings"])

Severity = Literal["low", "medium", "high", "critical"]


class Finding(Model):
    """One thing that a reader should know, and what to do."""

    kind: str = Field(
        description="n_plus_one, slow_endpoint, errors, slow_query, slow_call, blocked_loop, cpu, gc, memory_growth, "
        "cache, deprecation, dropped, internal_errors or slower.",
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


class Recommendation(Model):
    """A step to take, from a finding."""

    category: Literal["code", "database", "cache", "network", "capacity", "telemetry"] = Field(examples=["database"])
    priority: Severity = Field(examples=["high"])
    title: str
    impact: str
    effort: Literal["low", "medium", "high"] = Field(examples=["low"])
    implementation: str
    service: str
    link: str


class Correlation(Model):
    """Two figures that move together from minute to minute; that is no proof that one causes the other."""

    first: str = Field(examples=["p95_ms"])
    second: str = Field(examples=["cpu"])
    coefficient: float = Field(description="Spearman's, -1..1, of the changes from minute to minute.", examples=[0.72])
    p: float = Field(description="Chance of one so far from 0 without a cause.", examples=[1e-7])
    points: int = Field(description="Minutes compared.", examples=[58])
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


def found(store: Store, within: Range, service: str | None) -> list[finding.Finding]:
    """The findings of a range; what roll-ups do not tell is sampled from its end."""
    changed = facts.since_hour(store, within.end, service)
    readings = vitals.readings(store, within, service)
    histograms = vitals.all_histograms(store, within, service)
    read = facts.Read(
        within=within,
        service=service,
        called=reading.by_operation(store, within, service),
        readings=readings,
        histograms=histograms,
        known=facts.processes(store, service),
        changed=changed,
        sampled=samples.recent(store, within),
    )
    return findings.find(facts.gather(store, read))


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
    """What slows the program down, fails, or could be better in the range: never for fewer than some observations."""
    if time_range is not None:
        within = Range(max(0.0, within.end - int(time_range[:-1]) * UNITS[time_range[-1]]), within.end)
    least = finding.SEVERITIES.index(severity or "low")
    items = [one for one in found(hub.store, within, service) if finding.SEVERITIES.index(one.severity) >= least]
    return success({"items": [one.answer() for one in items]})


CATEGORIES = {
    "n_plus_one": ("database", "low"),
    "slow_query": ("database", "medium"),
    "slow_endpoint": ("code", "medium"),
    "slower": ("code", "medium"),
    "errors": ("code", "medium"),
    "slow_call": ("network", "medium"),
    "blocked_loop": ("code", "medium"),
    "cpu": ("capacity", "medium"),
    "gc": ("capacity", "low"),
    "memory_growth": ("code", "high"),
    "cache": ("cache", "low"),
    "deprecation": ("code", "low"),
    "dropped": ("telemetry", "low"),
    "internal_errors": ("telemetry", "low"),
}


@router.get("/recommendations", response_model=Success[Recommendations])
def recommendations(
    hub: TheHub,
    within: Within,
    service: OfService = None,
    priority: Annotated[Severity | None, Query(description="Only this priority.")] = None,
) -> Answer:
    """What to do about the findings of the range."""
    items = [
        _recommendation(one)
        for one in found(hub.store, within, service)
        if priority is None or one.severity == priority
    ]
    return success({"items": items})


def _recommendation(one: finding.Finding) -> dict[str, Any]:
    category, effort = CATEGORIES[one.kind]
    return {
        "category": category,
        "priority": one.severity,
        "title": one.title,
        "impact": one.impact,
        "effort": effort,
        "implementation": one.recommendation,
        "service": one.service,
        "link": one.link,
    }


MINUTES = 240  # of which correlations are told, at most: the last four hours of the range


@router.get("/correlations", response_model=Success[Correlations])
def correlations(hub: TheHub, within: Within, service: OfService = None) -> Answer:
    """Figures that move together from minute to minute, in the last four hours of the range at most."""
    return success({"items": [one._asdict() for one in correlate(minutes(hub.store, within, service))]})


def minutes(store: Store, within: Range, service: str | None) -> dict[str, list[float | None]]:
    """The figures of a service by the minute."""
    lately = Minutes(max(within.begin, within.end - 60 * MINUTES), within.end)
    requests = reading.by_time(store, lately, service, REQUESTS).series()
    queries = reading.by_time(store, lately, service, ["db"])
    outgoing = reading.by_time(store, lately, service, OUTGOING)
    readings = vitals.readings(store, lately, service, [vitals.CPU_TIME, vitals.CPU_SHARE, vitals.MEMORY])
    lags = vitals.all_histograms(store, lately, service, [vitals.LAG])
    found: dict[str, list[float | None]] = {
        "rate": requests["rate"],
        "errors": requests["errors"],
        "p95_ms": requests["p95_ms"],
        "query_mean_ms": [one.mean_ms for one in queries.durations],
        "queries": [one.calls or None for one in queries.durations],
        "outgoing_mean_ms": [one.mean_ms for one in outgoing.durations],
        "cpu": readings.cpu_summed(),
        "memory_bytes": readings.summed(vitals.MEMORY),
        "lag_p99_ms": lags.quantiles_ms(vitals.LAG, 0.99, readings.times),
    }
    return {name: values[:-1] for name, values in found.items()}  # the last minute is not over


class Minutes(Range):
    """A range in steps of one minute, however long it is."""

    __slots__ = ()

    @property
    def step(self) -> int:
        """Always a minute."""
        return 60
