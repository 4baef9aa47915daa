"""The values of this moment, as those who watch get them every 2 s."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from pydantic import Field

from perfagent.hub.analyse.durations import Durations, merged
from perfagent.hub.api.envelope import Model
from perfagent.hub.api.ranges import Range
from perfagent.hub.api.vitals import CPU_SHARE, CPU_TIME, LAG, MEMORY, histograms, readings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.hub import Hub
    from perfagent.hub.store.rows import Row

SECONDS = 30  # that requests are counted over: enough of them for a percentile
DELAY = 1.0  # seconds: agents send what is finished once a second
VITALS_SECONDS = 180  # vital signs come every 15 s, those of other senders every 60


class LiveService(Model):
    """One service at this moment."""

    service: str = Field(description="Its name.", examples=["shop"])
    requests_per_second: float = Field(description="Requests a second.", examples=[41.5])
    error_ratio: float | None = Field(description="Share of them that failed.", examples=[0.002])
    p95_ms: float | None = Field(description="95th percentile of their duration.", examples=[38.4])


class Snapshot(Model):
    """The last half minute."""

    time: float = Field(description="When it was made, seconds since the epoch.", examples=[1789000000.0])
    requests_per_second: float = Field(description="Requests a second, of all services.", examples=[41.5])
    error_ratio: float | None = Field(description="Share of them that failed.", examples=[0.002])
    p50_ms: float | None = Field(description="Median of their duration.", examples=[6.1])
    p95_ms: float | None = Field(description="95th percentile.", examples=[38.4])
    cpu_ratio: float | None = Field(description="CPU of all processes, 1 for one core.", examples=[0.82])
    memory_bytes: float | None = Field(description="Memory of all processes.", examples=[312475648.0])
    lag_p99_ms: float | None = Field(description="99th percentile of how long event loops lagged.", examples=[2.1])
    spans_per_second: float = Field(description="Spans that the hub stores a second.", examples=[310.0])
    services: list[LiveService] = Field(description="The same by service.")


def snapshot(hub: Hub) -> dict[str, Any]:
    """Reads the values; on a thread of the pool."""
    now = time()
    seconds, rows = _requests(hub, now)
    services = {row["service"]: _durations(row) for row in rows if row["request"]}
    whole = merged(services.values())
    p50, p95 = whole.quantiles(0.5, 0.95)
    return {
        "time": now,
        "requests_per_second": whole.calls / seconds,
        "error_ratio": whole.error_ratio,
        "p50_ms": p50,
        "p95_ms": p95,
        **_vitals(hub, Range(now - VITALS_SECONDS, now)),
        "spans_per_second": sum(row["spans"] for row in rows) / seconds,
        "services": [
            {
                "service": service,
                "requests_per_second": calls.calls / seconds,
                "error_ratio": calls.error_ratio,
                "p95_ms": calls.quantile(0.95),
            }
            for service, calls in sorted(services.items())
        ],
    }


def _requests(hub: Hub, now: float) -> tuple[float, list[Row]]:
    """The rows of the last half minute, and how many seconds they are about.

    Where the hub reads from elsewhere, spans are a sample, and counts come by the minute: the last one or two then.
    """
    if hub.remote is None:
        end = now - DELAY
        rows = hub.store.rows("live/requests", begin=round((end - SECONDS) * 1e9), end=round(end * 1e9))
        return float(SECONDS), rows
    end = hub.remote.present()
    since = int(end - SECONDS) // 60 * 60
    return max(end - since, 1.0), hub.store.rows("live/counted", since=since)


def _durations(row: Row) -> Durations:
    counts = dict(zip(row["buckets"], row["counts"], strict=True))
    return Durations(row["calls"], row["errors"], row["total"], row["longest"], 0.0, counts)


def _vitals(hub: Hub, within: Range) -> dict[str, float | None]:
    found = readings(hub.store, within, None, (CPU_TIME, CPU_SHARE, MEMORY))
    lags = histograms(hub.store, within, None, (LAG,), by_process=False)
    latest = max(lags.items(), key=lambda item: item[0][1], default=(None, None))[1]
    return {
        "cpu_ratio": last(found.cpu_summed()),
        "memory_bytes": last(found.summed(MEMORY)),
        "lag_p99_ms": latest.quantile_ms(0.99) if latest else None,
    }


def last(values: Sequence[float | None]) -> float | None:
    """The last value that is known."""
    return next((value for value in reversed(values) if value is not None), None)
