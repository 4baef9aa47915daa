"""The overview: is it healthy, what got slower, and why, in one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from perfagent.hub.analyse.calls import REQUESTS, Calls, requests
from perfagent.hub.analyse.durations import Durations
from perfagent.hub.api import calls as reading
from perfagent.hub.api import endpoints, facts, insights, queries, samples, vitals
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.endpoints import Between, Endpoint
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.findings import Finding
from perfagent.hub.api.queries import Statement
from perfagent.hub.api.ranges import Range, Within

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["overview"])

TOP = 5
MOST_FINDINGS = 10
MOST_CHANGES = 20
UNKNOWN = dict.fromkeys(("requests", "requests_per_second", "errors", "error_ratio", "p50_ms", "p95_ms", "p99_ms"))
MISSING = 0.05  # the share of a range that may be older than the store


class HealthScore(Model):
    """How healthy the program is."""

    score: int | None = Field(description="0..100; null where nothing happened.", examples=[92])
    state: Literal["healthy", "degraded", "unhealthy", "idle"] = Field(examples=["healthy"])
    reasons: list[str] = Field(description="What the score lacks, the heaviest first.")


class Totals(Model):
    """The requests of a range; all null where the store does not reach back to its beginning."""

    requests: float | None
    requests_per_second: float | None
    errors: float | None
    error_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class OverviewSeries(Model):
    """Requests and vital signs over time."""

    time: list[float] = Field(description="Begin of each step.")
    rate: list[float] = Field(description="Requests a second.")
    errors: list[float] = Field(description="Failed requests a second.")
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]
    cpu: list[float | None] = Field(description="Of all processes, 1 for one core.")
    memory_bytes: list[float | None] = Field(description="Of all processes.")
    lag_p99_ms: list[float | None] = Field(description="How late event loops ran what was ready.")


class Saturation(Model):
    """What may run out, at the end of the range."""

    cpu_ratio: float | None = Field(description="The busiest process, 1 for one core.")
    memory_bytes: float | None = Field(description="All processes.")
    memory_limit_bytes: float | None = Field(description="The lowest limit that a process tells.")
    lag_p99_ms: float | None
    gc_p99_ms: float | None
    threads: float | None = Field(description="All processes.")
    descriptors: float | None = Field(description="All processes.")


class Change(Model):
    """One thing that is different."""

    kind: Literal["slower", "faster", "errors", "new", "gone", "version", "restart"]
    service: str
    subject: str
    link: str
    before: float | str | None
    after: float | str | None
    unit: str = Field(description="ms, ratio, calls/s or empty.")
    text: str = Field(examples=["GET /search: p95 122 ms → 361 ms, 3.0 times slower"])
    test: str = Field(description="How chance was ruled out.", examples=["Mann-Whitney"])
    p: float | None = Field(description="What is left of chance.")


class Changes(Model):
    """What is different."""

    hour: list[Change] = Field(description="In the last hour of the range, from the hour before.")
    start: list[Change] = Field(description="Since the last start of a process, from as long before it.")


class Overview(Model):
    """Everything that a first look needs."""

    range: Between
    services: list[str]
    health: HealthScore
    totals: Totals
    before: Totals
    series: OverviewSeries
    saturation: Saturation
    changes: Changes
    slowest: list[Endpoint] = Field(description="The endpoints with the highest p95.")
    queries: list[Statement] = Field(description="The statements that take most time in all.")
    findings: list[Finding] = Field(description="The ten most severe; `/insights` has them all.")
    findings_total: int = Field(description="How many there are.", examples=[12])


@router.get("/overview", response_model=Success[Overview])
def overview(hub: TheHub, within: Within, service: OfService = None) -> Answer:
    """Rate, errors, duration and saturation of the range, what changed, and what was found."""
    return success(look(hub, within, service))


@dataclass(slots=True)
class Seen:
    """What a look at a range begins with: its calls and its vital signs."""

    called: list[Calls]
    earlier: list[Calls]
    readings: vitals.Vitals
    histograms: vitals.Histograms
    answer: dict[str, Any]


def _reaches(store: Store, within: Range) -> bool:
    """Whether the store knows the range: a comparison with the hours before its first span would tell of a rise."""
    first = store.rows("calls/first")[0]["first"]
    return first is not None and first <= within.begin + MISSING * within.seconds


def see(store: Store, within: Range, service: str | None) -> Seen:
    """Rate, errors, duration, saturation and health of a range, all from roll-ups."""
    called = reading.by_operation(store, within, service)
    earlier = reading.by_operation(store, within.before, service, REQUESTS)
    readings = vitals.readings(store, within, service)
    histograms = vitals.all_histograms(store, within, service)
    lags = histograms.quantiles_ms(vitals.LAG, 0.99, readings.times)
    lag = _lately(lags)
    limits = facts.limits(store)
    figures = facts.lately(store, within.end, service, limits)
    answer = {
        "range": endpoints.between(within),
        "health": facts.health(called, readings, lag, limits, figures).answer(),
        "totals": totals(requests(called), reading.seconds(within)),
        "before": totals(requests(earlier), reading.seconds(within.before))
        if _reaches(store, within.before)
        else UNKNOWN,
        "series": {
            **reading.by_time(store, within, service, REQUESTS).series(),
            "cpu": readings.cpu_summed(),
            "memory_bytes": readings.summed(vitals.MEMORY),
            "lag_p99_ms": lags,
        },
        "saturation": {
            "cpu_ratio": facts.busiest(readings),
            "memory_bytes": _lately(readings.summed(vitals.MEMORY)),
            "memory_limit_bytes": facts.memory_limit(readings),
            "lag_p99_ms": lag,
            "gc_p99_ms": _lately(histograms.quantiles_ms(vitals.GC_PAUSE, 0.99, readings.times)),
            "threads": _lately(readings.summed(vitals.THREADS)),
            "descriptors": _lately(readings.summed(vitals.DESCRIPTORS)),
        },
    }
    return Seen(called, earlier, readings, histograms, answer)


def score(store: Store, read: facts.Read) -> int | None:
    """The health score of a range that was read, as the overview tells it; None where nothing happened."""
    lags = read.histograms.quantiles_ms(vitals.LAG, 0.99, read.readings.times)
    limits = facts.limits(store)
    figures = facts.lately(store, read.within.end, read.service, limits)
    return facts.health(read.called, read.readings, _lately(lags), limits, figures).score


def look(hub: Hub, within: Range, service: str | None) -> dict[str, Any]:
    """The overview of a range; what roll-ups do not tell is sampled from its end."""
    store = hub.store
    seen = see(store, within, service)
    known = facts.processes(store, service)
    hour = facts.since_hour(store, within.end, service, (within, seen.called))
    sampled = samples.recent(store, within)
    read = facts.Read(within, service, seen.called, seen.readings, seen.histograms, known, hour, sampled)
    found = insights.found(hub, within, service, read)
    released = facts.releases(known, within.end - facts.HOUR, within.end)
    return {
        **seen.answer,
        "services": sorted({one.service for one in seen.called} | {row["service"] for row in known if row["service"]}),
        "changes": {
            "hour": [one.answer() for one in [*released, *hour]][:MOST_CHANGES],
            "start": [one.answer() for one in facts.since_start(store, within.end, service, known)][:MOST_CHANGES],
        },
        "slowest": slowest(store, within, seen.called),
        "queries": heaviest(store, within, sampled, seen.called),
        "findings": [one.answer() for one in found[:MOST_FINDINGS]],
        "findings_total": len(found),
    }


def _lately(values: list[float | None]) -> float | None:
    """The last value of a series that has one within the last steps."""
    return next((value for value in reversed(values[-facts.LATELY :]) if value is not None), None)


def totals(durations: Durations, long: float) -> dict[str, Any]:
    """The requests of a range of `long` seconds."""
    p50, p95, p99 = durations.quantiles(0.5, 0.95, 0.99)
    return {
        "requests": durations.calls,
        "requests_per_second": durations.calls / long,
        "errors": durations.errors,
        "error_ratio": durations.error_ratio,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
    }


def slowest(store: Store, within: Range, called: list[Calls]) -> list[dict[str, Any]]:
    """The endpoints with the highest 95th percentile."""
    chosen = [one for one in called if one.category in REQUESTS]
    whole = sum(one.durations.total for one in chosen)
    chosen.sort(key=lambda one: -(one.durations.quantile(0.95) or 0.0))
    return endpoints.listed(store, within, chosen[:TOP], whole)


def heaviest(store: Store, within: Range, sampled: Range, called: list[Calls]) -> list[dict[str, Any]]:
    """The statements that take most time in all, with their callers of late."""
    chosen = [one for one in called if one.category == "db"]  # by their total already
    whole = sum(one.durations.total for one in chosen)
    return queries.listed(store, sampled, chosen[:TOP], whole)
