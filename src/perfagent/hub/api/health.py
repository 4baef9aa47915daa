"""Whether the hub works: for people, for probes, and for the page."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import JSONResponse, Response

from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.hub import Hub

if TYPE_CHECKING:
    from perfagent.hub.remote.remote import State as RemoteState

State = Literal["healthy", "degraded", "unhealthy"]
STATES = ("healthy", "degraded", "unhealthy")
DISK_LOW, DISK_FULL = 512, 32  # MiB; a checkpoint writes as much as waits in the log, 16 MiB
QUEUE_LONG = 0.8  # of what may wait

router = APIRouter(tags=["health"])
outside = APIRouter(tags=["health"])


class Check(Model):
    """One thing that was looked at."""

    status: State = Field(description="How it is.", examples=["healthy"])
    detail: str = Field(description="What was found.", examples=["12 MiB in the database"])


class Health(Model):
    """How the hub is: as bad as the worst of its checks."""

    status: State = Field(description="The worst of the checks.", examples=["healthy"])
    checks: dict[str, Check] = Field(description="What was looked at, by name.")


def health_of(hub: Hub) -> dict[str, object]:
    """Looks at the store, the disk and the queue, and at what the hub reads from."""
    checks = {"store": _store(hub), "disk": _disk(hub), "queue": _queue(hub)}
    if hub.remote is not None:
        checks |= {state.name.lower(): _remote(state) for state in hub.remote.states()}
    return {"status": max((check["status"] for check in checks.values()), key=STATES.index), "checks": checks}


def _store(hub: Hub) -> dict[str, str]:
    try:
        sizes = hub.store.sizes()
    except Exception as error:
        return {"status": "unhealthy", "detail": f"the database cannot be read: {error}"[:300]}
    if hub.intake.failing:
        return {"status": "unhealthy", "detail": f"telemetry is not stored: {hub.intake.failing}"[:300]}
    return {"status": "healthy", "detail": f"{sizes.get('bytes', 0) / 2**20:.0f} MiB in the database"}


def _remote(state: RemoteState) -> dict[str, str]:
    """A remote; one that does not answer leaves the page what it read before, so it is never worse than degraded."""
    answered = f"answered {max(0.0, time.time() - state.last_success):.0f} s ago" if state.last_success else "no answer"
    lag = f", the newest is {state.lag_seconds:.0f} s old" if state.lag_seconds is not None else ""
    problem = f": {state.problem}" if state.problem else ""
    return {
        "status": "degraded" if state.problem else "healthy",
        "detail": f"{state.url}, {answered}{lag}{problem}"[:600],
    }


def _disk(hub: Hub) -> dict[str, str]:
    free = shutil.disk_usage(hub.directory).free / 2**20
    state = "unhealthy" if free < DISK_FULL else "degraded" if free < DISK_LOW else "healthy"
    return {"status": state, "detail": f"{free:.0f} MiB free"}


def _queue(hub: Hub) -> dict[str, str]:
    waiting = hub.intake.waiting
    state = "degraded" if waiting > QUEUE_LONG * hub.settings.hub_queue else "healthy"
    return {"status": state, "detail": f"{waiting / 2**20:.1f} of {hub.settings.hub_queue / 2**20:.0f} MiB wait"}


@router.get("/health", response_model=Success[Health])
def health_in_envelope(hub: TheHub) -> Answer:
    """How the hub is."""
    return success(health_of(hub))


@outside.get("/health", response_model=Health)
def health(hub: TheHub) -> Answer:
    """How the hub is, without the envelope; open to anybody."""
    return health_of(hub)


@outside.get("/health/live", response_model=Health)
async def live() -> Answer:
    """Answers as long as the process does: what restarts a container when it stops answering."""
    return {"status": "healthy", "checks": {}}


@outside.get("/health/ready", response_model=Health, responses={503: {"model": Health, "description": "Not ready."}})
def ready(hub: TheHub) -> Response:
    """Whether telemetry that is sent now would be stored; 503 where it would not."""
    found = health_of(hub)
    return JSONResponse(found, 503 if found["status"] == "unhealthy" else 200)
