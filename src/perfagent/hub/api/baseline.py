"""Baselines: what was normal for a while, kept under a name, and how the last hour compares."""

from __future__ import annotations

from dataclasses import asdict
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints

from perfagent.hub.analyse import comparison
from perfagent.hub.analyse.baselines import REGRESSION, by_hour, normal, regressions
from perfagent.hub.analyse.side import Side
from perfagent.hub.api import sides
from perfagent.hub.api.audit import record
from perfagent.hub.api.compare import DifferenceItem
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.ranges import Range
from perfagent.hub.api.trends import METRICS, by_step

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["trends"])

LEAST_MINUTES = 60  # with requests
KEPT = 7 * 86_400  # s that a baseline is good for
HOUR = 3600.0
INDEX = "baselines"  # the document that lists them; each has one of its own
MOST = 50  # baselines that are kept at once
LISTED = 100  # differences of an answer

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
OfName = Annotated[
    str | None,
    Query(
        description="Which one; the newest of the service when left out.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        examples=["before-release"],
    ),
]


class BaselineFigure(Model):
    """A figure of the whole service against its baseline."""

    metric: str = Field(examples=["response_time_p95_ms"])
    unit: str = Field(examples=["ms"])
    baseline: float | None = Field(
        description="The median, of the same hours of the day where the baseline knows them.", examples=[41.0]
    )
    now: float | None = Field(description="The median of the last hour.", examples=[58.0])
    change: float | None = Field(description="As a share of the baseline; null from 0.", examples=[0.41])
    verdict: Literal["better", "worse", "same", "unclear", "unknown"] = Field(
        description="`same` within the tolerance; `unclear`: beyond it, and not certain."
    )
    low: float | None = Field(description="Nine of ten values of the baseline lie between this …")
    high: float | None = Field(description="… and this.")
    spread: float | None = Field(description="Their standard deviation, by the median distance from the median.")
    n: int = Field(description="Values of the baseline that this is compared with.")
    p: float | None = Field(description="The chance of so large a difference without a cause.")
    certainty: float | None = Field(description="1 less the false discovery rate over the figures.")
    seasonal: bool = Field(description="Whether it is compared with the same hours of the day.")


class HourOfDay(Model):
    """What is normal in one hour of the day."""

    hour: int = Field(description="UTC.", examples=[14])
    n: int
    median: float
    low: float
    high: float


class BaselineSummary(Model):
    """One baseline in the list."""

    name: str = Field(examples=["before-release"])
    service: str | None = Field(description="null for all together.", examples=["shop"])
    established: float = Field(description="When, seconds since the epoch.")
    minutes: int = Field(description="With requests, that it was made of.")
    expires: float


class Baselines(Model):
    """The baselines that there are."""

    items: list[BaselineSummary] = Field(description="The newest first.")


class Baseline(BaselineSummary):
    """What is normal, and how the last hour compares."""

    seasonal: bool = Field(description="Whether it is long enough to tell hours of the day apart.")
    tolerance: float
    figures: list[BaselineFigure]
    hours: dict[str, list[HourOfDay]] = Field(description="By figure, where the baseline is seasonal.")
    tested: int = Field(description="Figures of endpoints, statements and the like that were tested.")
    differences: list[DifferenceItem] = Field(
        description="Endpoints, statements, dependencies, caches and processes against the baseline; the worst first."
    )


class NewBaseline(Model):
    """What a baseline is to be made of."""

    duration_minutes: Annotated[int, Field(ge=LEAST_MINUTES, le=30 * 1440)] = Field(
        default=60, description="The last so many minutes.", examples=[60]
    )
    service: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=PLAIN)] | None = Field(
        default=None, description="Only this service.", examples=["shop"]
    )
    name: Name = Field(default="baseline", description="One of that name is replaced.", examples=["before-release"])


Tolerance = Annotated[
    float, Query(description="The share by which a figure must differ to be worse or better.", ge=0, le=10)
]


@router.get("/baselines", response_model=Success[Baselines])
def baselines(hub: TheHub) -> Answer:
    """The baselines of the last 7 days, the newest first."""
    return success({"items": [_summary(entry) for entry in _known(hub.store)]})


@router.get("/baseline", response_model=Success[Baseline], responses=refuses(404))
def baseline(hub: TheHub, service: OfService = None, name: OfName = None, tolerance: Tolerance = REGRESSION) -> Answer:
    """A baseline of a service, or of all together, and how the last hour compares."""
    kept = find(hub.store, service, name)
    if kept is None:
        which = f"no baseline {name!r}" if name else "no baseline"
        message = f"there is {which}, or it is older than 7 days; make one with POST baseline"
        raise Refused(404, "not_found", message, "service" if name is None else "name")
    return success(_compared(hub, kept, tolerance))


@router.post("/baseline", response_model=Success[Baseline], responses=refuses(409), status_code=201)
def establish_baseline(hub: TheHub, request: Request, new: NewBaseline) -> Answer:
    """Makes what the last minutes were the baseline; refused below 60 minutes of requests."""
    now = time()
    within = Range(now - new.duration_minutes * 60, now)
    rows = hub.store.rows("calls/minutes", begin=int(within.begin), end=int(now) + 60, service=new.service)
    minutes = len(rows)
    if minutes < LEAST_MINUTES:
        message = (
            f"a baseline needs {LEAST_MINUTES} minutes with requests; the last {new.duration_minutes} have {minutes}: "
            f"come back when there are {LEAST_MINUTES - minutes} more, or look further back"
        )
        raise Refused(409, "conflict", message, "duration_minutes")
    times, series = by_step(hub.store, within, new.service)
    label = f"baseline {new.name}"
    side = sides.read(
        hub.store, sides.Chosen(label, within, None, new.service), spans_are_sampled=hub.remote is not None
    )
    entry = {"name": new.name, "service": new.service, "established": now, "minutes": minutes}
    document = {**entry, "times": times, "series": series, "side": side.document()}
    others = [one for one in _known(hub.store) if (one["name"], one["service"]) != (new.name, new.service)]
    if len(others) >= MOST:
        message = f"there are {MOST} baselines, which is the most; give the `name` of one to replace it"
        raise Refused(409, "conflict", message, "name")
    hub.store.keep(_key(new.name, new.service), document)
    hub.store.keep(INDEX, [entry, *others])
    record(request, "baseline.establish", new.service or "all services", after=entry)
    return success(_compared(hub, document, REGRESSION))


def find(store: Store, service: str | None, name: str | None) -> dict[str, Any] | None:
    """A baseline that is not too old; the newest of the service where no name is given."""
    for entry in _known(store):
        if entry["service"] == service and name in (None, entry["name"]):
            document = store.document(_key(entry["name"], service))
            return document if isinstance(document, dict) else None
    return None


def _known(store: Store) -> list[dict[str, Any]]:
    listed = store.document(INDEX)
    found = listed if isinstance(listed, list) else []
    return sorted(
        (entry for entry in found if entry["established"] + KEPT >= time()), key=lambda entry: -entry["established"]
    )


def _key(name: str, service: str | None) -> str:
    return f"baseline/{name}/{service}" if service else f"baseline/{name}"


def _summary(entry: dict[str, Any]) -> dict[str, Any]:
    fields = {field: entry[field] for field in ("name", "service", "established", "minutes")}
    return {**fields, "expires": entry["established"] + KEPT}


def _compared(hub: Hub, kept: dict[str, Any], tolerance: float) -> dict[str, Any]:
    now = hub.remote.present() if hub.remote is not None else time()
    lately, service = Range(now - HOUR, now), kept["service"]
    now_times, figures = by_step(hub.store, lately, service)
    better = {name: better for name, (_, better, _) in METRICS.items()}
    found = regressions(kept["times"], kept["series"], now_times, figures, better, tolerance)
    side = sides.read(
        hub.store, sides.Chosen("the last hour", lately, None, service), spans_are_sampled=hub.remote is not None
    )
    whole = comparison.compare(Side.of_document(kept["side"]), side, tolerance)
    seasonal = any(one.seasonal for one in found)
    return {
        **_summary(kept),
        "seasonal": seasonal,
        "tolerance": tolerance,
        "figures": [{**asdict(one), "unit": METRICS[one.metric][0]} for one in found],
        "hours": {
            name: by_hour(kept["times"], values)
            for name, values in kept["series"].items()
            if normal(values) is not None
        }
        if seasonal
        else {},
        "tested": whole.tested,
        "differences": [one.answer() for one in whole.differences[:LISTED]],
    }
