"""Objectives: what share of the requests shall be good, what is left of each error budget, and what spent it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, Path, Request
from pydantic import Field

from perfagent.hub.analyse.errors import causes, failure
from perfagent.hub.api import facts
from perfagent.hub.api.audit import record
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import WHOLE, Answer, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.security import ADMIN
from perfagent.hub.objectives.declared import table_of
from perfagent.hub.remote.errors import RemoteError
from perfagent.hub.rules.burn import BURNS
from perfagent.hub.rules.objectives import BOUNDS, BadObjective

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.objectives.counts import Spender
    from perfagent.hub.objectives.declared import Declared
    from perfagent.hub.objectives.status import Period, Status

router = APIRouter(tags=["objectives"])

ERRORS_READ = 1000  # failed spans, the newest, that tell what the failures are
CAUSES = 10
SELECTABLE = r'^[^\x00-\x1f\x7f"\\]+$'  # what ends no selector of PromQL
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
THRESHOLDS = tuple(round(bound * 1000) for bound in BOUNDS)
Indicator = Literal["availability", "latency"]
Name = Annotated[str, Path(description="Of the objective.", pattern=NAME, examples=["shop-availability"])]


class Burning(Model):
    """A line of the table of burn rates that holds."""

    alert: str = Field(description="As Prometheus' rules call it.", examples=["SloBurnsFast"])
    severity: Literal["warning", "critical"] = Field(examples=["critical"])
    window: str = Field(description="The long window.", examples=["1h"])
    burn_rate: float = Field(description="In the long window.", examples=[20.5])
    limit: float = Field(description="The burn rate from which it fires.", examples=[14.4])


class Forecast(Model):
    """When the budget is gone."""

    at: float | None = Field(description="Seconds since the epoch; null where it lasts.", examples=[1789400000.0])
    basis: str = Field(
        description="What that rests on.", examples=["burnt 3 times as fast as allowed in the last 24 hours …"]
    )


class Stretch(Model):
    """Requests between two moments."""

    since: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    until: float = Field(examples=[1789086400.0])
    requests: float = Field(examples=[120000.0])
    bad: float = Field(examples=[90.0])
    spent_percent: float = Field(description="Of the whole window's budget.", examples=[12.5])


class Objective(Model):
    """An objective and how it stands."""

    name: str = Field(examples=["shop-availability"])
    service: str = Field(examples=["shop"])
    route: str = Field(description="Of the requests; empty for all of the service.", examples=[""])
    indicator: Indicator = Field(
        description="What makes a request good: that it does not fail with 5xx, or that it takes at most "
        "`threshold_ms`.",
        examples=["availability"],
    )
    threshold_ms: float | None = Field(examples=[None])
    objective: float = Field(description="The share that shall be good, in percent.", examples=[99.9])
    window_days: int = Field(description="Over which it holds, up to now.", examples=[30])
    origin: str = Field(description="A file, PERFAGENT_SLO or `run time`.", examples=["/srv/shop/perfagent.toml"])
    basis: str = Field(
        description="What is counted: `histogram`, every request; `spans`, those that were kept, each for several.",
        examples=["histogram"],
    )
    state: Literal["ok", "burning", "spent", "idle"] = Field(
        description="`idle`: there were no requests; `burning`: an alert fires; `spent`: no budget is left.",
        examples=["ok"],
    )
    requests: float = Field(description="Of the window.", examples=[3_600_000.0])
    bad: float = Field(description="Of these.", examples=[1200.0])
    error_ratio: float | None = Field(description="Bad of all, 0 to 1.", examples=[0.00033])
    attained_percent: float | None = Field(description="The share that was good.", examples=[99.967])
    budget_remaining_percent: float | None = Field(
        description="Of the budget; negative where more was spent than there was.", examples=[66.7]
    )
    budget_requests: float = Field(description="How many requests of the window may be bad.", examples=[3600.0])
    budget_requests_left: float = Field(examples=[2400.0])
    budget_minutes: float = Field(description="The budget, were all requests bad at a time.", examples=[43.2])
    budget_minutes_left: float | None = Field(examples=[28.8])
    known_days: float = Field(description="How much of the window anything is known of.", examples=[12.5])
    burn_rates: dict[str, float | None] = Field(
        description="How many times faster than allowed the budget burns, by window; 1 spends it exactly.",
        examples=[{"5m": 0.0, "1h": 0.4, "6h": 0.3}],
    )
    firing: list[Burning] = Field(description="What burns too fast.")
    forecast: Forecast
    days: list[Stretch] = Field(description="The window by the day (UTC).")
    events: list[Stretch] = Field(description="The hours that spent most of it, put together, the latest first.")


class Objectives(Model):
    """One page of the objectives."""

    items: list[Objective]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.", examples=[None])
    problems: list[str] = Field(description="Declarations that are off; the others serve.", examples=[[]])


class Code(Model):
    """Bad requests of one status."""

    code: str = Field(examples=["503"])
    bad: float = Field(examples=[80.0])


class Endpoint(Model):
    """An endpoint that spent of the budget."""

    method: str = Field(examples=["GET"])
    route: str = Field(examples=["/items/{id}"])
    requests: float = Field(examples=[120000.0])
    bad: float = Field(examples=[90.0])
    spent_percent: float = Field(description="Of the budget.", examples=[10.0])
    codes: list[Code] = Field(description="What they were answered with; nothing for latency.")
    link: str = Field(examples=["#/traces?service=shop&route=%2Fitems"])


class Cause(Model):
    """Failures that are alike, from the spans that are still kept."""

    error: str = Field(description="What was raised, or the status.", examples=["OperationalError"])
    message: str = Field(description="Of the newest one.", examples=["database is locked"])
    place: str = Field(description="The span that failed first; empty for the request itself.", examples=["INSERT …"])
    endpoint: str = Field(examples=["POST /orders"])
    requests: float = Field(examples=[42.0])
    last: float = Field(description="The newest, seconds since the epoch.", examples=[1789000000.0])
    trace_id: str = Field(description="Of the newest.", examples=["4bf92f3577b34da6a3ce929d0e0e4736"])


class Release(Model):
    """A version that began to run."""

    time: float = Field(examples=[1789000000.0])
    version: str = Field(examples=["1.5.0"])


class Line(Model):
    """A line of the table of burn rates."""

    alert: str = Field(examples=["SloBurnsFast"])
    severity: Literal["warning", "critical"] = Field(examples=["critical"])
    long: str = Field(description="Tells that a good part of the budget is gone.", examples=["1h"])
    short: str = Field(description="Tells that it still burns.", examples=["5m"])
    limit: float = Field(description="The burn rate that both must be beyond.", examples=[14.4])
    possible: bool = Field(description="Whether bad requests can ever be so many.", examples=[True])


class Whole(Objective):
    """An objective with what its page shows."""

    left: list[tuple[float, float | None]] = Field(
        description="Moments, and the share of the budget in percent that was left then.",
        examples=[[[1789000000.0, 98.5]]],
    )
    endpoints: list[Endpoint] = Field(description="What spent the budget, the most first; 50 at most.")
    causes: list[Cause] = Field(description="What the failures were, the most frequent first; for availability.")
    releases: list[Release] = Field(description="Versions of the service that began in the window, the latest first.")
    lines: list[Line] = Field(description="From when on it alerts.")


Percent = Annotated[float, Field(ge=50, lt=100, strict=True, allow_inf_nan=False, examples=[99.9])]
Text = Annotated[str, Field(min_length=1, max_length=255, pattern=SELECTABLE)]


class _New(Model):
    service: Text = Field(description="`service.name`.", examples=["shop"])
    objective: Percent = Field(description="The share that shall be good, in percent.")
    route: Text | None = Field(None, description="`http.route`; all of the service without.", examples=["/items/{id}"])
    window_days: Annotated[int, Field(ge=1, le=90), WHOLE] = Field(30, description="Over which it holds.")


class NewAvailability(_New):
    """Requests are good that do not fail with 5xx."""

    indicator: Literal["availability"]


class NewLatency(_New):
    """Requests are good that take at most so long."""

    indicator: Literal["latency"]
    threshold_ms: Annotated[Literal[THRESHOLDS], WHOLE] = Field(  # type: ignore[valid-type]
        description="A bound of the buckets of `http.server.request.duration`, so that the share is exact.",
        examples=[250],
    )


New = Annotated[NewAvailability | NewLatency, Body(discriminator="indicator")]


class Deleted(Model):
    """What was taken back."""

    name: str = Field(examples=["shop-availability"])
    serves: bool = Field(description="Whether one of a file or of PERFAGENT_SLO serves again.", examples=[False])


@router.get("/objectives", response_model=Success[Objectives])
def objectives(hub: TheHub, page: Paging, service: OfService = None) -> Answer:
    """Every objective and how it stands, those with the least budget left first."""
    declared = _declared(hub)
    chosen = [one for one in declared.values() if service in (None, one.objective.service)]
    found = [(one, _status(hub, one)) for one in chosen]
    found.sort(key=lambda pair: (2.0 if pair[1].remaining is None else pair[1].remaining, pair[1].objective.name))
    items = [_answer(one, status) for one, status in found[page.offset : page.offset + page.limit + 1]]
    return success({**page.listing(items), "problems": hub.objectives.declarations.problems})


@router.get("/objectives/{name}", response_model=Success[Whole], responses=refuses(404))
def objective(hub: TheHub, name: Name) -> Answer:
    """One objective, with its burn-down and what spent the budget."""
    one = _find(hub, name)
    status, declared = _status(hub, one), one.objective
    try:
        spenders = hub.objectives.reader.spenders(declared, status.basis, status.since, status.now)
    except RemoteError as error:
        raise _silent(error) from None
    return success(
        {
            **_answer(one, status),
            "left": [(float(moment), None if left is None else left * 100) for moment, left in status.left()],
            "endpoints": [_endpoint(status, spender) for spender in spenders],
            "causes": _causes(hub, status) if declared.indicator == "availability" else [],
            "releases": _releases(hub, status),
            "lines": [
                {
                    "alert": burn.alert,
                    "severity": burn.severity,
                    "long": burn.long,
                    "short": burn.short,
                    "limit": burn.factor(declared),
                    "possible": burn.factor(declared) * declared.budget < 1,
                }
                for burn in BURNS
            ],
        }
    )


@router.put("/objectives/{name}", response_model=Success[Objective], responses=refuses(404, 409), dependencies=[ADMIN])
def set_objective(hub: TheHub, request: Request, name: Name, new: New) -> Answer:
    """Sets an objective; it wins over one of the same name in a file. For admins."""
    before = _declared(hub).get(name)
    table = {"name": name, **{key: value for key, value in new.model_dump().items() if value is not None}}
    try:
        made = hub.objectives.declarations.put(table)
    except BadObjective as error:
        raise Refused(409, "conflict", str(error)) from None
    shown = None if before is None else table_of(before.objective)
    record(request, "objectives.set", name, before=shown, after=table_of(made))
    one = _find(hub, name)
    return success(_answer(one, _status(hub, one)))


@router.delete("/objectives/{name}", response_model=Success[Deleted], responses=refuses(404, 409), dependencies=[ADMIN])
def delete_objective(hub: TheHub, request: Request, name: Name) -> Answer:
    """Takes back what was set at run time; one of the same name in a file serves again. For admins."""
    one = _find(hub, name)
    if not hub.objectives.declarations.delete(name):
        raise Refused(409, "conflict", f"{name} is declared in {one.origin}: take it out there", "name")
    left = _declared(hub).get(name)
    after = None if left is None else table_of(left.objective)
    record(request, "objectives.deleted", name, before=table_of(one.objective), after=after)
    return success({"name": name, "serves": left is not None})


def _declared(hub: Hub) -> dict[str, Declared]:
    return hub.objectives.declarations.all()


def _find(hub: Hub, name: str) -> Declared:
    declared = _declared(hub)
    if name not in declared:
        there = ", ".join(sorted(declared)[:20]) or "none; declare one as [[slo]] in perfagent.toml"
        raise Refused(404, "not_found", f"no objective {name}; there are: {there}", "name")
    return declared[name]


def _status(hub: Hub, one: Declared) -> Status:
    try:
        return hub.objectives.status(one.objective)
    except RemoteError as error:
        raise _silent(error) from None


def _silent(error: RemoteError) -> Refused:
    return Refused(503, "unavailable", f"objectives are counted by Prometheus, which does not answer: {error}")


def _answer(one: Declared, status: Status) -> dict[str, Any]:
    declared, whole, remaining = one.objective, status.whole, status.remaining
    firing = status.firing()
    state = "idle" if remaining is None else "spent" if remaining <= 0 else "burning" if firing else "ok"
    forecast = status.forecast()
    return {
        **{name: getattr(declared, name) for name in ("name", "service", "route", "indicator", "threshold_ms")},
        "objective": declared.objective,
        "window_days": declared.window_days,
        "origin": one.origin,
        "basis": status.basis,
        "state": state,
        "requests": whole.requests,
        "bad": whole.bad,
        "error_ratio": whole.ratio,
        "attained_percent": None if whole.ratio is None else (1 - whole.ratio) * 100,
        "budget_remaining_percent": None if remaining is None else remaining * 100,
        "budget_requests": status.allowed,
        "budget_requests_left": status.allowed - whole.bad,
        "budget_minutes": status.budget_minutes,
        "budget_minutes_left": None if remaining is None else remaining * status.budget_minutes,
        "known_days": status.known_days,
        "burn_rates": {name: status.burn(name) for name in status.windows},
        "firing": [
            {
                "alert": each.burn.alert,
                "severity": each.burn.severity,
                "window": each.burn.long,
                "burn_rate": (each.long.ratio or 0.0) / declared.budget,
                "limit": each.burn.factor(declared),
            }
            for each in firing
        ],
        "forecast": {"at": forecast.at, "basis": forecast.basis},
        "days": [_period(day) for day in status.days()],
        "events": [_period(event) for event in status.events()],
    }


def _period(one: Period) -> dict[str, float]:
    return {
        "since": one.since,
        "until": one.until,
        "requests": one.counted.requests,
        "bad": one.counted.bad,
        "spent_percent": one.spent * 100,
    }


def _endpoint(status: Status, spender: Spender) -> dict[str, Any]:
    one = status.objective
    sort = "errors" if one.threshold_ms is None else "p95"
    return {
        "method": spender.method,
        "route": spender.route,
        "requests": spender.counted.requests,
        "bad": spender.counted.bad,
        "spent_percent": status.spent(spender.counted) * 100,
        "codes": [{"code": code, "bad": bad} for code, bad in spender.codes.items()],
        "link": f"#/endpoints?service={quote(one.service, safe='')}&sort={sort}",
    }


def _causes(hub: Hub, status: Status) -> list[dict[str, Any]]:
    one = status.objective
    rows = hub.store.rows(
        "samples/errors",
        begin_ns=round(status.since * 1e9),
        end_ns=round(status.now * 1e9),
        service=one.service,
        most=ERRORS_READ,
    )
    found = [cause for cause in causes(map(failure, rows)) if not one.route or _is_at(cause.endpoint, one.route)]
    return [
        {
            "error": cause.error,
            "message": cause.message,
            "place": cause.place,
            "endpoint": cause.endpoint,
            "requests": cause.requests,
            "last": cause.last / 1e9,
            "trace_id": cause.trace_id.hex(),
        }
        for cause in found[:CAUSES]
    ]


def _is_at(endpoint: str, route: str) -> bool:
    """Whether an endpoint such as "GET /items" is at a route, as the counts are chosen."""
    return endpoint == route or endpoint.endswith(f" {route}")


def _releases(hub: Hub, status: Status) -> list[dict[str, Any]]:
    """When each version of the service began, but for the first one: that is no change."""
    begun: dict[str, float] = {}
    for row in facts.processes(hub.store, status.objective.service):
        if row["version"]:
            begun[row["version"]] = min(row["first_seen"] / 1e9, begun.get(row["version"], float("inf")))
    first = min(begun.values(), default=0.0)
    found = [(time, version) for version, time in begun.items() if time > max(first, status.since)]
    return [{"time": time, "version": version} for time, version in sorted(found, reverse=True)]
