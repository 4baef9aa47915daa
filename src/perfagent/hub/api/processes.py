"""The processes that send, and their vital signs."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from perfagent.hub.api.calls import seconds
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.points import distributions, merged
from perfagent.hub.api.ranges import Range, Within
from perfagent.hub.api.seen import RECENT, processes
from perfagent.hub.api.snapshot import last
from perfagent.hub.api.vitals import (
    CPU_SHARE,
    CPU_TIME,
    DESCRIPTORS,
    DROPPED,
    GC_PAUSE,
    INTERNAL_ERRORS,
    LAG,
    MEMORY,
    THREADS,
    Histogram,
    Vitals,
    histograms,
    readings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.api.seen import Process as Sender
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["processes"])

EXPORTED, COLLECTIONS = "perfagent.telemetry.exported", "cpython.gc.collections"
READ = (CPU_TIME, CPU_SHARE, MEMORY, THREADS, DESCRIPTORS, DROPPED, EXPORTED, INTERNAL_ERRORS, COLLECTIONS)
Values = list[float | None]


class Process(Model):
    """One process of a service."""

    service: str = Field(description="The service that it is of.", examples=["shop"])
    instance: str = Field(description="`service.instance.id`.", examples=["6f0e5b1c-1f7a-4f1e-9a51-0c3f3f6f0a11"])
    pid: int | None = Field(description="Its number on its host.", examples=[4001])
    host: str = Field(description="`host.name`; may be empty.", examples=["server-1"])
    python: str = Field(description="Version of the interpreter; may be empty.", examples=["3.11.7"])
    version: str = Field(description="Version of the service; may be empty.", examples=["2.4.0"])
    agent_version: str = Field(description="Version of perfagent in it; may be empty.", examples=["0.1.0"])
    started: float = Field(description="When it started, or when the hub first heard of it.", examples=[1788990000.0])
    last_seen: float = Field(description="What it last sent is from then.", examples=[1789000000.0])
    alive: bool = Field(description="Whether it sent something in the last 90 s.", examples=[True])
    cpu_ratio: float | None = Field(description="CPU, 1 for one core; in the last step.", examples=[0.31])
    memory_bytes: float | None = Field(description="Memory, in the last step.", examples=[157286400.0])
    threads: float | None = Field(description="Threads.", examples=[12.0])
    descriptors: float | None = Field(description="Open file descriptors.", examples=[44.0])
    lag_p99_ms: float | None = Field(description="99th percentile of the event loop's lag.", examples=[2.4])
    gc_p99_ms: float | None = Field(description="99th percentile of pauses of the garbage collector.", examples=[4.1])
    gc_collections_per_minute: float | None = Field(description="Garbage collections a minute.", examples=[18.0])
    requests_per_second: float | None = Field(description="Requests a second.", examples=[13.8])
    dropped: float = Field(description="Items of telemetry that it lost in the range.", examples=[0.0])
    exported: float = Field(description="Items of telemetry that it sent in the range.", examples=[91000.0])
    internal_errors: float = Field(description="Failures of perfagent's own code in the range.", examples=[0.0])


class Series(Model):
    """Vital signs over time; each list has a value for each of `time`, null where nothing was told."""

    time: list[int] = Field(description="Starts of the steps.", examples=[[1789000000, 1789000060]])
    cpu_ratio: Values = Field(description="CPU, 1 for one core.", examples=[[0.31, 0.29]])
    memory_bytes: Values = Field(description="Memory.", examples=[[157286400.0, 157286900.0]])
    threads: Values = Field(description="Threads.", examples=[[12.0, 12.0]])
    descriptors: Values = Field(description="Open file descriptors.", examples=[[44.0, 45.0]])
    lag_p99_ms: Values = Field(description="99th percentile of the event loop's lag.", examples=[[2.4, None]])
    gc_p99_ms: Values = Field(description="99th percentile of pauses of the garbage collector.", examples=[[4.1, 3.9]])


class OneProcess(Model):
    """A process and its vital signs."""

    process: Process = Field(description="The process.")
    series: Series = Field(description="Its vital signs.")
    attributes: dict[str, Any] = Field(
        description="What it tells of itself: the attributes of its resource.", examples=[{"host.name": "server-1"}]
    )


@router.get("/processes", response_model=Success[Listing[Process]])
def list_processes(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """The processes that sent something in the range, by service and instance."""
    found = sorted(processes(hub.store, within, service), key=lambda one: (one.service, one.instance, one.id))
    if page.after:
        found = [one for one in found if (one.service, one.instance, one.id) > page.after]
    shown = found[: page.limit + 1]
    pauses = histograms(hub.store, within, service, (LAG, GC_PAUSE), by_process=True)
    items = _shape(hub.store, within, shown, readings(hub.store, within, service, READ), pauses)
    return success(page.listing(items, within, keys=[(one.service, one.instance, one.id) for one in shown]))


@router.get("/processes/{instance:path}", response_model=Success[OneProcess], responses=refuses(404))
def one_process(
    hub: TheHub,
    within: Within,
    instance: Annotated[
        str,
        Path(
            description="`service.instance.id`.",
            max_length=255,
            pattern=PLAIN,
            examples=["6f0e5b1c-1f7a-4f1e-9a51-0c3f3f6f0a11"],
        ),
    ],
) -> Answer:
    """One process and its vital signs over time."""
    known = [one for one in processes(hub.store, within) if one.instance == instance]
    if not known:
        message = (
            f"no process {instance[:100]!r} sent anything in this range; give an earlier `from`, or see GET processes"
        )
        raise Refused(404, "not_found", message, "instance")
    latest = max(known, key=lambda one: one.last_seen)
    found = readings(hub.store, within, latest.service, READ)
    steps = {name: _steps(hub.store, within, latest, name) for name in (LAG, GC_PAUSE)}
    pauses = {(name, latest.id): whole for name, by_time in steps.items() if (whole := merged(by_time.values()))}
    return success(
        {
            "process": _shape(hub.store, within, [latest], found, pauses)[0],
            "series": _series(latest, found, steps),
            "attributes": latest.attributes,
        }
    )


def _shape(
    store: Store,
    within: Range,
    senders: Sequence[Sender],
    found: Vitals,
    pauses: Mapping[tuple[str, int], Histogram],
) -> list[Answer]:
    recent = round((max(time() - 24 * RECENT, within.begin)) * 1e9)
    begun = {
        row["resource"]: row["time"] / 1e9 - row["uptime"] for row in store.rows("processes/uptimes", recent_ns=recent)
    }
    long, cpu = seconds(within), found.cpu()

    def delta(name: str, sender: Sender) -> float:
        return sum(one or 0.0 for one in found.deltas.get(name, {}).get(sender.id, ()))

    def value(name: str, sender: Sender) -> float | None:
        return last(found.values.get(name, {}).get(sender.id, []))

    def p99(name: str, sender: Sender) -> float | None:
        histogram = pauses.get((name, sender.id))
        return histogram.quantile_ms(0.99) if histogram else None

    return [
        {
            "service": one.service,
            "instance": one.instance,
            "pid": one.attributes.get("process.pid"),
            "host": str(one.attributes.get("host.name", "")),
            "python": str(one.attributes.get("process.runtime.version", "")),
            "version": one.version,
            "agent_version": str(one.attributes.get("telemetry.distro.version", "")),
            "started": begun.get(one.id, one.first_seen),
            "last_seen": one.last_seen,
            "alive": one.alive,
            "cpu_ratio": last(cpu.get(one.id, [])),
            "memory_bytes": value(MEMORY, one),
            "threads": value(THREADS, one),
            "descriptors": value(DESCRIPTORS, one),
            "lag_p99_ms": p99(LAG, one),
            "gc_p99_ms": p99(GC_PAUSE, one),
            "gc_collections_per_minute": delta(COLLECTIONS, one) / long * 60,
            "requests_per_second": one.requests / long,
            "dropped": delta(DROPPED, one),
            "exported": delta(EXPORTED, one),
            "internal_errors": delta(INTERNAL_ERRORS, one),
        }
        for one in senders
    ]


def _series(sender: Sender, found: Vitals, pauses: Mapping[str, Mapping[int, Histogram]]) -> Answer:
    unknown: Values = [None] * len(found.times)

    def values(name: str) -> Values:
        return found.values.get(name, {}).get(sender.id, unknown)

    def p99(name: str) -> Values:
        steps = pauses[name]
        return [steps[time].quantile_ms(0.99) if time in steps else None for time in found.times]

    return {
        "time": found.times,
        "cpu_ratio": found.cpu().get(sender.id, unknown),
        "memory_bytes": values(MEMORY),
        "threads": values(THREADS),
        "descriptors": values(DESCRIPTORS),
        "lag_p99_ms": p99(LAG),
        "gc_p99_ms": p99(GC_PAUSE),
    }


def _steps(store: Store, within: Range, sender: Sender, name: str) -> dict[int, Histogram]:
    rows = store.rows("metrics/series", name=name, service=sender.service, resource=sender.id, limit=100)
    return distributions(store, within, {row["id"]: 0 for row in rows}).get(0, {}) if rows else {}
