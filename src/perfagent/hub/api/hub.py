"""What the hub tells of itself."""

from __future__ import annotations

import resource
import time
from threading import Lock
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from pydantic import Field

import perfagent
from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.conditions.rules import Rules

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.intake import Counts

router = APIRouter(tags=["hub"])


class Stored(Model):
    """How much there is."""

    spans: int = Field(description="Spans.", examples=[1000000])
    logs: int = Field(description="Log records.", examples=[1200])
    points: int = Field(description="Metric points.", examples=[180000])
    series: int = Field(description="Metrics times their attribute sets.", examples=[480])
    operations: int = Field(description="Routes, statements and calls.", examples=[42])


class Received(Model):
    """What came since the start of the hub."""

    spans: int = Field(description="Spans that were stored.", examples=[51200])
    logs: int = Field(description="Log records that were stored.", examples=[40])
    points: int = Field(description="Metric points that were stored.", examples=[9100])
    batches: int = Field(description="Requests that they came in.", examples=[640])
    refused: int = Field(description="Items refused because of a limit or their form.", examples=[0])
    failed: int = Field(description="Items that could not be written.", examples=[0])


class Rates(Model):
    """The same a second, over the last seconds."""

    spans: float = Field(description="Spans a second.", examples=[310.0])
    logs: float = Field(description="Log records a second.", examples=[0.2])
    points: float = Field(description="Metric points a second.", examples=[27.5])
    batches: float = Field(description="Requests a second.", examples=[3.0])


class Retention(Model):
    """How long things are kept."""

    hours: int = Field(description="Spans, logs and points, in hours.", examples=[48])
    days: int = Field(description="Hourly roll-ups, in days.", examples=[90])
    bytes: int = Field(description="Largest database; the oldest hours go first.", examples=[4294967296])


class RemoteState(Model):
    """What the hub reads from, in place of taking telemetry in."""

    name: str = Field(description="Prometheus or Jaeger.", examples=["Prometheus"])
    url: str = Field(description="Its address, without credentials.", examples=["http://prometheus:9090"])
    problem: str = Field(description="What is wrong, and what to do; empty where all is well.", examples=[""])
    last_success: float | None = Field(description="When it last answered.", examples=[1789000000.0])
    lag_seconds: float | None = Field(description="How old the newest is that was read.", examples=[12.0])
    left_out: int = Field(description="Series that were not read, because there are too many.", examples=[0])
    interval_seconds: int = Field(description="Between two readings.", examples=[30])


class About(Model):
    """The hub."""

    version: str = Field(description="Of perfagent.", examples=["0.1.0"])
    address: str = Field(description="Where it listens.", examples=["http://127.0.0.1:4318"])
    started: float = Field(description="When, seconds since the epoch.", examples=[1789000000.0])
    uptime_seconds: float = Field(description="Time since then.", examples=[3600.5])
    directory: str = Field(description="Where its files are.", examples=["/home/ada/.local/state/perfagent"])
    database_bytes: int = Field(description="Size of the database.", examples=[184549376])
    counts: Stored = Field(description="What is in it.")
    oldest: float | None = Field(description="The oldest span that is kept.", examples=[1788900000.0])
    received: Received = Field(description="Since the start.")
    per_second: Rates = Field(description="Now.")
    queue_bytes: int = Field(description="Requests that wait to be stored.", examples=[0])
    memory_bytes: int | None = Field(description="Memory of the hub's process.", examples=[210763776])
    cpu_ratio: float | None = Field(description="CPU of the hub's process, 1 for one core.", examples=[0.04])
    retention: Retention = Field(description="How long things are kept.")
    remotes: list[RemoteState] = Field(description="What the hub reads from; empty where programs send to it.")
    zone: str = Field(description="How loaded the machine is; GET sources tells more.", examples=["green"])
    programs: int = Field(description="Processes that ever sent something.", examples=[3])
    notes: list[str] = Field(description="What a user should know, such as a corrupt file that was set aside.")
    subscribers: int = Field(description="Open streams of live values.", examples=[1])
    schema_: int = Field(alias="schema", description="Version of the database's schema.", examples=[2])


class Meter:
    """Rates of the intake's counts and of the CPU time, between calls that are some seconds apart.

    Args:
        hub: whose they are.
    """

    LEAST = 2.0  # seconds between two readings

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = Lock()
        self._marks: list[tuple[float, float, Counts]] = [self._mark()]

    def _mark(self) -> tuple[float, float, Counts]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return time.monotonic(), usage.ru_utime + usage.ru_stime, self._hub.intake.stored()

    def read(self) -> tuple[dict[str, float], float]:
        """Items a second by name, and CPU seconds a second, since some call at least 2 s ago, else since the start."""
        with self._lock:
            now = self._mark()
            while len(self._marks) > 1 and self._marks[1][0] <= now[0] - self.LEAST:
                self._marks.pop(0)
            since = self._marks[0]
            if now[0] - self._marks[-1][0] >= self.LEAST / 4:
                self._marks.append(now)
        seconds = max(now[0] - since[0], 0.1)
        names = ("spans", "logs", "points", "batches")
        rates = {name: (getattr(now[2], name) - getattr(since[2], name)) / seconds for name in names}
        return rates, (now[1] - since[1]) / seconds


def memory() -> int | None:
    """Resident memory of this process, in bytes; None where it cannot be told."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None


@router.get("/hub", response_model=Success[About])
def hub(hub: TheHub, request: Request) -> Answer:
    """The hub itself: what it has received, how much it keeps, and for how long."""
    counts, sizes = hub.intake.stored(), hub.store.sizes()
    rates, cpu = request.app.state.meter.read()
    rows = hub.store.rows("hub/about")[0]
    settings = hub.settings
    return success(
        {
            "version": perfagent.__version__,
            "address": hub.address,
            "started": hub.started,
            "uptime_seconds": time.time() - hub.started,
            "directory": str(hub.directory),
            "database_bytes": sizes["bytes"],
            "counts": {name: sizes.get(name, 0) for name in Stored.model_fields},
            "oldest": rows["oldest"] / 1e9 if rows["oldest"] else None,
            "received": {name: getattr(counts, name) for name in Received.model_fields},
            "per_second": rates,
            "queue_bytes": hub.intake.waiting,
            "memory_bytes": memory(),
            "cpu_ratio": cpu,
            "retention": {
                "hours": settings.retention_hours,
                "days": settings.retention_days,
                "bytes": settings.retention_size * 2**20,
            },
            "zone": hub.zone,
            "programs": rows["programs"],
            "remotes": [] if hub.remote is None else [one.answer() for one in hub.remote.states()],
            "notes": [
                *hub.store.notes,
                *(hub.remote.problems() if hub.remote is not None else ()),
                *hub.declared.problems,
                *(problem.text for problem in hub.notifier.problems),
                *hub.alerts.problems,
                *_off(hub),
            ],
            "subscribers": request.app.state.live.subscribers,
            "schema": rows["schema"],
        }
    )


def _off(hub: Hub) -> list[str]:
    """What is wrong with rules, objectives, sources and optimisation rules that are off, a line each."""
    rules = Rules(hub)
    rules.all()
    problems = [*rules.problems, *hub.objectives.declarations.problems, *hub.sources.problems]
    # Without the picture of an expression, which needs lines of its own.
    return [one.partition("\n")[0] for one in [*problems, *hub.optimiser.rules.problems]]
