"""Trends of a service's figures, and the baseline that they are compared with."""

from __future__ import annotations

from dataclasses import asdict
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints

from perfagent.hub.analyse.calls import REQUESTS, requests
from perfagent.hub.analyse.durations import Durations, merged
from perfagent.hub.analyse.trends import against, judge
from perfagent.hub.api import calls as reading
from perfagent.hub.api import vitals
from perfagent.hub.api.audit import record
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.facts import limits
from perfagent.hub.api.ranges import Range, Within

if TYPE_CHECKING:
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["trends"])

Better = Literal["lower", "higher", "neither"]
METRICS: dict[str, tuple[str, Better, str | None]] = {
    "response_time_p95_ms": ("ms", "lower", "response_time_p95_ms"),
    "response_time_p50_ms": ("ms", "lower", None),
    "requests_per_second": ("1/s", "neither", None),
    "error_rate_percent": ("%", "lower", "error_rate_percent"),
    "database_time_average_ms": ("ms", "lower", "database_time_average_ms"),
    "outgoing_time_average_ms": ("ms", "lower", None),
    "cpu_cores": ("", "lower", None),
    "memory_bytes": ("By", "lower", None),
    "event_loop_lag_p99_ms": ("ms", "lower", "event_loop_lag_p99_ms"),
}
"""Each figure's unit, what is better, and the threshold that it may reach."""

LEAST_MINUTES = 60  # of data that a baseline needs
KEPT = 7 * 86_400  # s that a baseline is good for
REGRESSION = 0.15


class TrendItem(Model):
    """The trend of one figure."""

    metric: str = Field(examples=["response_time_p95_ms"])
    unit: str = Field(examples=["ms"])
    direction: Literal["improving", "degrading", "stable", "unknown"] = Field(
        description="unknown: below 10 points. Else stable, unless Mann-Kendall's test rules chance out (p < 0.01) "
        "and the line moves by a tenth at least.",
        examples=["degrading"],
    )
    points: int = Field(examples=[60])
    confidence: float | None = Field(description="1 - p of the test.", examples=[0.9998])
    change: float | None = Field(description="Of the trend line over the range, as a share of its begin.")
    slope_per_hour: float | None
    first: float | None = Field(description="Begin of the trend line (Theil-Sen).")
    last: float | None = Field(description="Its end.")
    reaches_limit_in_hours: float | None = Field(description="To the threshold's warning, if it goes on.")
    time: list[float]
    values: list[float | None]


class Trends(Model):
    """Trends of a service."""

    items: list[TrendItem]


class BaselineFigure(Model):
    """A figure against its baseline."""

    metric: str
    baseline: float | None
    now: float | None = Field(description="In the last hour.")
    change: float | None = Field(description="As a share of the baseline.")
    verdict: Literal["better", "worse", "same", "unknown"] = Field(description="`same` within 15 %.")


class Baseline(Model):
    """What is normal, and how the last hour compares."""

    service: str | None
    established: float = Field(description="When, seconds since the epoch.")
    minutes: int = Field(description="Of data that it was made of.")
    expires: float
    figures: list[BaselineFigure]


class NewBaseline(Model):
    """What a baseline is to be made of."""

    duration_minutes: Annotated[int, Field(ge=LEAST_MINUTES, le=10_080)] = Field(
        default=60, description="The last so many minutes.", examples=[60]
    )
    service: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=PLAIN)] | None = Field(
        default=None, description="Only this service.", examples=["shop"]
    )


@router.get("/trends", response_model=Success[Trends])
def trends(
    hub: TheHub,
    within: Within,
    service: OfService = None,
    metric: Annotated[
        Literal[tuple(METRICS)] | None,  # type: ignore[valid-type]
        Query(description="Only this figure."),
    ] = None,
) -> Answer:
    """Whether figures get better or worse over the range."""
    set_limits = limits(hub.store)
    items = []
    times, series = by_step(hub.store, within, service)
    for name, values in series.items():
        if metric not in (None, name):
            continue
        unit, better, threshold = METRICS[name]
        limit = set_limits[threshold].warning if threshold else None
        found = judge([float(one) for one in times], values, better, limit)
        items.append({"metric": name, "unit": unit, **found.answer(), "time": times, "values": values})
    return success({"items": items})


def by_step(store: Store, within: Range, service: str | None) -> tuple[list[int], dict[str, list[float | None]]]:
    """Every figure by the step of the range; the step that is not over is left out."""
    steps = reading.by_time(store, within, service, REQUESTS)
    queries = reading.by_time(store, within, service, ["db"]).durations
    outgoing = reading.by_time(store, within, service, ["http", "rpc"]).durations
    readings = vitals.readings(store, within, service, [vitals.CPU_TIME, vitals.CPU_SHARE, vitals.MEMORY])
    lags = vitals.all_histograms(store, within, service, [vitals.LAG])
    series = steps.series()
    found: dict[str, list[float | None]] = {
        "response_time_p95_ms": series["p95_ms"],
        "response_time_p50_ms": series["p50_ms"],
        "requests_per_second": series["rate"],
        "error_rate_percent": [_percent(one) for one in steps.durations],
        "database_time_average_ms": [one.mean_ms for one in queries],
        "outgoing_time_average_ms": [one.mean_ms for one in outgoing],
        "cpu_cores": readings.cpu_summed(),
        "memory_bytes": readings.summed(vitals.MEMORY),
        "event_loop_lag_p99_ms": lags.quantiles_ms(vitals.LAG, 0.99, readings.times),
    }
    over = [start + within.step <= within.end for start in steps.times]
    return [start for start, done in zip(steps.times, over, strict=True) if done], {
        name: [value for value, done in zip(values, over, strict=True) if done] for name, values in found.items()
    }


def _percent(one: Durations) -> float | None:
    ratio = one.error_ratio
    return None if ratio is None else ratio * 100


@router.get("/baseline", response_model=Success[Baseline], responses=refuses(404))
def baseline(hub: TheHub, service: OfService = None) -> Answer:
    """The baseline of a service, or of all together, and how the last hour compares."""
    document = hub.store.document(_name(service))
    if not isinstance(document, dict) or document["established"] + KEPT < time():
        message = "there is no baseline, or it is older than 7 days; make one with POST baseline"
        raise Refused(404, "not_found", message, "service")
    return success(_compared(hub.store, service, document))


@router.post("/baseline", response_model=Success[Baseline], responses=refuses(409), status_code=201)
def establish_baseline(hub: TheHub, request: Request, new: NewBaseline) -> Answer:
    """Makes what the last minutes were the baseline; refused below 60 minutes of requests."""
    now = time()
    within = Range(now - new.duration_minutes * 60, now)
    minutes = len(hub.store.rows("calls/minutes", begin=int(within.begin), end=int(now) + 60, service=new.service))
    if minutes < LEAST_MINUTES:
        message = (
            f"a baseline needs {LEAST_MINUTES} minutes with requests; the last {new.duration_minutes} have {minutes}: "
            f"come back in {LEAST_MINUTES - minutes} minutes, or give a longer duration_minutes"
        )
        raise Refused(409, "conflict", message, "duration_minutes")
    before = hub.store.document(_name(new.service))
    document = {"established": now, "minutes": minutes, "figures": _figures(hub.store, within, new.service)}
    hub.store.keep(_name(new.service), document)
    record(request, "baseline.establish", new.service or "all services", before=before, after=document)
    return success(_compared(hub.store, new.service, document))


def _name(service: str | None) -> str:
    return f"baseline/{service}" if service else "baseline"


def _compared(store: Store, service: str | None, document: dict[str, Any]) -> dict[str, Any]:
    now = time()
    figures = _figures(store, Range(now - 3600, now), service)
    return {
        "service": service,
        "established": document["established"],
        "minutes": document["minutes"],
        "expires": document["established"] + KEPT,
        "figures": [
            asdict(against(name, document["figures"].get(name), figures[name], better, REGRESSION))
            for name, (_, better, _) in METRICS.items()
        ],
    }


def _figures(store: Store, within: Range, service: str | None) -> dict[str, float | None]:
    called = reading.by_operation(store, within, service)
    whole = requests(called)
    queries = merged(one.durations for one in called if one.category == "db")
    outgoing = merged(one.durations for one in called if one.category in ("http", "rpc"))
    readings = vitals.readings(store, within, service, [vitals.CPU_TIME, vitals.CPU_SHARE, vitals.MEMORY])
    lags = vitals.all_histograms(store, within, service, [vitals.LAG]).by_process.values()
    p50, p95 = whole.quantiles(0.5, 0.95)
    return {
        "response_time_p95_ms": p95,
        "response_time_p50_ms": p50,
        "requests_per_second": whole.calls / reading.seconds(within),
        "error_rate_percent": _percent(whole),
        "database_time_average_ms": queries.mean_ms,
        "outgoing_time_average_ms": outgoing.mean_ms,
        "cpu_cores": _mean(readings.cpu_summed()),
        "memory_bytes": _mean(readings.summed(vitals.MEMORY)),
        "event_loop_lag_p99_ms": max((one.quantile_ms(0.99) or 0.0 for one in lags), default=None),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
