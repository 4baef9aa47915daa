"""Trends of a service's figures, and when they reach their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.analyse.durations import Durations
from perfagent.hub.analyse.trends import judge
from perfagent.hub.api import calls as reading
from perfagent.hub.api import vitals
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused
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


class ForecastOfLimit(Model):
    """When a figure reaches a limit, if it goes on as it did in the range."""

    limit: float = Field(examples=[85.0])
    reached: Literal["already", "expected", "not"] = Field(
        description="not: less than half of the futures reach it within `within_hours`.", examples=["expected"]
    )
    chance: float = Field(description="The share of the futures that do.", examples=[0.98])
    hours: float | None = Field(description="From the last point on; the middle of the futures.", examples=[6.2])
    earliest_hours: float | None = Field(description="Four of five futures lie between this …", examples=[5.1])
    latest_hours: float | None = Field(description="… and this; null for later than `within_hours`.", examples=[7.9])
    within_hours: float = Field(description="How far ahead it was looked.", examples=[10.0])


class TrendItem(Model):
    """The trend of one figure."""

    metric: str = Field(examples=["response_time_p95_ms"])
    unit: str = Field(examples=["ms"])
    direction: Literal["improving", "degrading", "rising", "falling", "stable", "unknown"] = Field(
        description="unknown: below 10 points. stable: the level moves by less than a tenth. rising and falling are of "
        "figures of which neither more nor less is better.",
        examples=["degrading"],
    )
    points: int = Field(examples=[60])
    confidence: float | None = Field(
        description="How likely the direction is right: of those told with 0.9, nine of ten are.", examples=[0.97]
    )
    change: float | None = Field(description="Over the range, as a share of its begin.", examples=[0.34])
    change_low: float | None = Field(description="The change is between this …", examples=[0.21])
    change_high: float | None = Field(description="… and this, nine times of ten.", examples=[0.47])
    slope_per_hour: float | None
    first: float | None = Field(description="The level at the begin.")
    last: float | None = Field(description="The level at the end.")
    reaches_limit_in_hours: float | None = Field(
        description="When the limit is expected to be reached, if it goes on; that of `forecast`."
    )
    forecast: ForecastOfLimit | None = Field(
        description="Of `limit`, or of the threshold's warning; null where there is no limit."
    )
    time: list[float]
    values: list[float | None]


class Trends(Model):
    """Trends of a service."""

    items: list[TrendItem]


@router.get("/trends", response_model=Success[Trends])
def trends(
    hub: TheHub,
    within: Within,
    service: OfService = None,
    metric: Annotated[
        Literal[tuple(METRICS)] | None,  # type: ignore[valid-type]
        Query(description="Only this figure."),
    ] = None,
    limit: Annotated[
        float | None,
        Query(
            description="When will `metric` reach this? From above where it is less than the last value.",
            ge=-1e15,
            le=1e15,
            allow_inf_nan=False,
        ),
    ] = None,
) -> Answer:
    """Whether figures get better or worse over the range, how sure that is, and when they reach a limit."""
    if limit is not None and metric is None:
        raise Refused(400, "bad_request", f"limit={limit:g} of which figure? Give `metric`, too", "limit")
    set_limits = limits(hub.store)
    items = []
    times, series = by_step(hub.store, within, service)
    for name, values in series.items():
        if metric not in (None, name):
            continue
        unit, better, threshold = METRICS[name]
        known = [value for value in values if value is not None]
        least = set_limits[threshold].warning if threshold and limit is None else limit
        from_above = limit is not None and bool(known) and known[-1] > limit
        found = judge([float(one) for one in times], values, better, least, reached_from_above=from_above)
        items.append({"metric": name, "unit": unit, **found.answer(), "time": times, "values": values})
    return success({"items": items})


def by_step(store: Store, within: Range, service: str | None) -> tuple[list[int], dict[str, list[float | None]]]:
    """Every figure by the step of the range; the step that is not over is left out."""
    called = reading.by_kind(store, within, service, ["http", "rpc"])
    steps, queries, outgoing = called["requests"], called["queries"].durations, called["outgoing"].durations
    readings = vitals.readings(store, within, service, [vitals.CPU_TIME, vitals.CPU_SHARE, vitals.MEMORY])
    lags = vitals.all_histograms(store, within, service, [vitals.LAG])
    series = steps.series()
    found: dict[str, list[float | None]] = {
        "response_time_p95_ms": series["p95_ms"],
        "response_time_p50_ms": series["p50_ms"],
        "requests_per_second": _since_begin(store, within, service, steps.times, series["rate"]),
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


def _since_begin(
    store: Store, within: Range, service: str | None, times: list[int], rates: list[float | None]
) -> list[float | None]:
    """Rates without those of before a program was there, which are no zeros that it rose from."""
    known = store.rows("vitals/resources", service=service)
    begun = min((row["first_seen"] / 1e9 for row in known), default=0.0)
    first = next((at for at, rate in enumerate(rates) if rate), len(rates))
    return [None if at < first and times[at] + within.step <= begun else rate for at, rate in enumerate(rates)]


def _percent(one: Durations) -> float | None:
    ratio = one.error_ratio
    return None if ratio is None else ratio * 100
