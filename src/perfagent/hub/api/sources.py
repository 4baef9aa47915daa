"""Sources: who collects for the hub, what, how often and when last; and what its own ones see."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Within
from perfagent.hub.api.seen import processes
from perfagent.hub.sources import addresses
from perfagent.hub.sources.kept import plain
from perfagent.hub.sources.seen import KINDS

if TYPE_CHECKING:
    from perfagent.hub.api.ranges import Range
    from perfagent.hub.hub import Hub
    from perfagent.hub.remote.remote import State as Remote
    from perfagent.hub.sources.seen import Seen
    from perfagent.hub.sources.state import State

router = APIRouter(tags=["sources"])
SOON = 120.0  # seconds: a range that ends this late asks for now

Health = Literal["healthy", "degraded", "failing", "silent", "off"]


class Source(Model):
    """One process that sends telemetry, one remote that the hub reads from, or one source that it collects from."""

    name: str = Field(description="Of a source, service and instance, or the remote.", examples=["postgresql-db"])
    kind: str = Field(
        description="agent, opentelemetry: a program with perfagent or another SDK; prometheus, jaeger: what the hub "
        "reads from; else the kind of the source.",
        examples=["postgresql"],
    )
    service: str = Field(description="Empty for a remote.", examples=["postgresql-db"])
    instance: str = Field(
        description="Of the service; the address of a remote or a source, without secrets.",
        examples=["postgresql://monitor@db/shop"],
    )
    priority: Literal["critical", "high", "normal", "low"] = Field(
        description="What goes on longest and least long while the hub's machine is loaded.", examples=["high"]
    )
    interval_seconds: float | None = Field(
        description="Between two collections, as it is now; of a program as measured.", examples=[15.0]
    )
    health: Health = Field(
        description="degraded: something could not be told, or it was slow or failed once; failing: it fails; silent: "
        "nothing came for long, 90 s of a program; off: it does not collect, see `detail`.",
        examples=["healthy"],
    )
    last_collected: float | None = Field(
        description="Seconds since the epoch; null where nothing ever came.", examples=[1789000000.0]
    )
    duration_ms: float | None = Field(description="Of the last collection; null of programs.", examples=[12.5])
    collections: int | None = Field(description="Since the hub started; null of programs.", examples=[240])
    failures: int | None = Field(description="Those that failed.", examples=[0])
    points: int | None = Field(description="Metric points that they brought.", examples=[8400])
    detail: str = Field(description="What is wrong and what to do; empty where nothing is.", examples=[""])


class Zone(Model):
    """How loaded the hub's machine is, and what is left out because of it."""

    name: Literal["green", "yellow", "orange", "red", "critical"] = Field(
        description="green: all; yellow from 60 %: low priority less often; orange from 75 %: only high and critical "
        "ones, points put together; red from 85 %: only critical ones; critical from 95 %: these seldom.",
        examples=["green"],
    )
    share: float = Field(description="Of the busiest resource that is used, smoothed, 0..1.", examples=[0.31])
    since: float | None = Field(description="When it was entered; null before a reading.", examples=[1789000000.0])
    cpu: float | None = Field(description="Of the machine, 0..1; null where unknown.", examples=[0.12])
    memory: float | None = Field(description="Of the machine, 0..1.", examples=[0.31])
    container_cpu: float | None = Field(description="Of the CPU quota; null without one.", examples=[None])
    container_memory: float | None = Field(description="Of the memory limit; null without one.", examples=[None])


class SourceTotals(Model):
    """How many there are."""

    by_health: dict[str, int] = Field(description="By health.", examples=[{"healthy": 5, "off": 1}])
    by_kind: dict[str, int] = Field(description="By kind.", examples=[{"agent": 2, "system": 1}])


class Sources(Listing[Source]):
    """What collects for the hub."""

    zone: Zone = Field(description="How loaded the hub's machine is.")
    totals: SourceTotals = Field(description="Of all pages.")
    problems: list[str] = Field(
        description="Declarations that are off, and why.",
        examples=[["perfagent.toml: [[source]] kind='postgre' is none of: system, postgresql"]],
    )


class SeenOfKind(Model):
    """What a source saw of one kind when it looked last."""

    kind: str = Field(description=f"One of: {', '.join(KINDS)}.", examples=["Blocked"])
    time: float = Field(description="When, seconds since the epoch.", examples=[1789000000.0])
    items: list[dict[str, Any]] = Field(
        description="What was seen; the fields differ by kind.",
        examples=[[{"blocker": 4711, "blocked": 4712, "seconds": 12.5, "statement": "UPDATE items SET price = ?"}]],
    )


class Change(Model):
    """A moment at which what a source saw became something else."""

    time: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    kind: str = Field(description="Of what it saw.", examples=["Blocked"])
    found: int = Field(description="How many of it.", examples=[2])


class OneSource(Model):
    """One source of the hub's own."""

    source: Source = Field(description="How it is.")
    attributes: dict[str, str] = Field(
        description="What it watches.", examples=[{"db.system.name": "postgresql", "service.version": "16.4"}]
    )
    origin: str = Field(description="What declares it; empty where it is built in.", examples=["/srv/perfagent.toml"])
    seen: list[SeenOfKind] = Field(description="What it saw last, at the end of the range.")
    history: list[Change] = Field(description="When that changed within the range; the latest 1000.")


Name = Annotated[
    str, Path(description="The source's name.", min_length=1, max_length=100, pattern=PLAIN, examples=["system"])
]


@router.get("/sources", response_model=Success[Sources])
def sources(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """What the hub collects from, what it reads from where it does, and the processes that sent something."""
    own = [_own(hub, one) for one in hub.sources.states() if service is None or one.plan.name == service]
    if service is None and hub.remote is not None:
        own = [*(_remote(one) for one in hub.remote.states()), *own]
    items = [*own, *_programs(hub, within, service)]
    listed = page.listing(items[page.offset : page.offset + page.limit + 1], within)
    return success({**listed, "zone": zone(hub), "totals": _totals(items), "problems": hub.sources.problems})


@router.get("/sources/{name}", response_model=Success[OneSource], responses=refuses(404))
def one_source(
    hub: TheHub,
    within: Within,
    name: Name,
    kind: Annotated[
        str | None, Query(description="Only what it saw of this kind.", max_length=40, pattern=PLAIN)
    ] = None,
) -> Answer:
    """One source of the hub's own, and what it saw that is no metric: who blocks whom, slow statements and the like."""
    state = next((one for one in hub.sources.states() if one.plan.name == name), None)
    if state is None:
        known = ", ".join(one.plan.name for one in hub.sources.states()[:20]) or "none yet"
        raise Refused(404, "not_found", f"no source {name[:100]!r}; there are: {known}", "name")
    now = within.end >= time() - SOON
    seen = hub.sources.seen(name) if now else hub.sources.kept.read(name, within.end)
    return success(
        {
            "source": _own(hub, state),
            "attributes": state.attributes,
            "origin": state.plan.origin,
            "seen": [one for one in _by_kind(seen) if kind is None or one["kind"] == kind],
            "history": hub.sources.kept.history(name, within.begin, within.end),
        }
    )


def zone(hub: Hub) -> dict[str, Any]:
    """The zone as the interface gives it."""
    own = hub.sources
    return {"name": own.zone, "share": own.share, "since": own.zone_since, **own.load._asdict()}


def _by_kind(seen: list[Seen]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in seen:
        kind = type(one).__name__
        told = found.setdefault(kind, {"kind": kind, "time": one.time, "items": []})
        told["items"].append(plain(one))
    return [found[kind] for kind in KINDS if kind in found]


def _own(hub: Hub, state: State) -> dict[str, Any]:
    plan, now = state.plan, time()
    return {
        "name": plan.name,
        "kind": plan.kind,
        "service": plan.name,
        "instance": addresses.shown(plan.address) if plan.address else "",
        "priority": plan.priority,
        "interval_seconds": None if state.off or state.paused else hub.sources.interval(state),
        "health": state.health(now),
        "last_collected": state.last_collected,
        "duration_ms": None if state.duration is None else state.duration * 1000,
        "collections": state.collections,
        "failures": state.failures,
        "points": state.points,
        "detail": state.detail(),
    }


def _programs(hub: Hub, within: Range, service: str | None) -> list[dict[str, Any]]:
    begin_ns = max(within.begin_ns, within.end_ns - 900_000_000_000)
    rows = hub.store.rows("vitals/intervals", begin_ns=begin_ns, end_ns=within.end_ns)
    intervals = {row["resource"]: row["seconds"] for row in rows}
    nothing = dict.fromkeys(("duration_ms", "collections", "failures", "points"))
    return [
        {
            "name": f"{one.service}/{one.instance}",
            "kind": "agent" if one.attributes.get("telemetry.distro.name") == "perfagent" else "opentelemetry",
            "service": one.service,
            "instance": one.instance,
            "priority": "normal",
            "interval_seconds": intervals.get(one.id),
            "health": "healthy" if one.alive else "silent",
            "last_collected": one.last_seen,
            "detail": "",
            **nothing,
        }
        for one in processes(hub.store, within, service)
    ]


def _remote(state: Remote) -> dict[str, Any]:
    nothing = dict.fromkeys(("duration_ms", "collections", "failures", "points"))
    return {
        "name": state.name,
        "kind": state.name.lower(),
        "service": "",
        "instance": state.url,
        "priority": "normal",
        "interval_seconds": float(state.interval_seconds),
        "health": "failing" if state.failing else "healthy",
        "last_collected": state.last_success,
        "detail": state.problem,
        **nothing,
    }


def _totals(items: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {"by_health": {}, "by_kind": {}}
    for item in items:
        for key, value in (("by_health", item["health"]), ("by_kind", item["kind"])):
            found[key][value] = found[key].get(value, 0) + 1
    return found
