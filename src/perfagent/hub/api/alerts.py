"""Alerts and thresholds: what was violated when, what is now, what people did about it, and the limits themselves."""

from __future__ import annotations

from hashlib import blake2b
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints, field_validator

from perfagent.hub.analyse import words
from perfagent.hub.analyse.thresholds import DEFAULTS, Episode, Threshold, changed, episodes
from perfagent.hub.api.audit import record
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.facts import limits, set_limits
from perfagent.hub.api.minutes import measured
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Range
from perfagent.hub.api.security import ADMIN, caller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.store.store import Store

router = APIRouter(tags=["alerts"])

MOST_ACTIONS = 10_000  # that are remembered
QUIET = 600  # s without a figure after which a violation counts as over: the service has stopped
State = Literal["firing", "acknowledged", "dismissed", "escalated", "resolved"]
STATES: dict[str, State] = {"acknowledge": "acknowledged", "dismiss": "dismissed", "escalate": "escalated"}


class Alert(Model):
    """A threshold that a service violates, or did."""

    id: str = Field(
        description="The same for each violation of a threshold by a service.", examples=["5f2b9c1d0e0e4736"]
    )
    threshold: str = Field(examples=["error_rate_percent"])
    title: str = Field(examples=["Failing requests"])
    service: str = Field(examples=["shop"])
    severity: Literal["warning", "high", "critical"] = Field(description="`high`: a warning that somebody escalated.")
    state: State = Field(examples=["firing"])
    value: float = Field(description="The last one.", examples=[7.5])
    worst: float = Field(examples=[9.1])
    limit: float = Field(description="That is violated.", examples=[5.0])
    unit: str = Field(description="ms, % or empty.", examples=["%"])
    since: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    until: float | None = Field(description="Null while it lasts.", examples=[None])
    text: str = Field(examples=["Failing requests: at worst 9.1 % in shop, the limit is 5 %"])
    link: str = Field(examples=["#/endpoints?service=shop&sort=errors"])
    by: str | None = Field(description="The role of who acted on it.", examples=[None])
    note: str | None = Field(description="What they said.", examples=[None])


Severity = Literal["low", "medium", "warning", "high", "critical"]
"""Thresholds make `warning`, `high` (escalated) and `critical`; the rest is for rules of other kinds."""


class Action(Model):
    """What somebody does about an alert."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] = Field(
        description="Of the alert.", examples=["5f2b9c1d0e0e4736"]
    )
    action: Literal["acknowledge", "dismiss", "escalate", "reopen"] = Field(
        description="What to do; `reopen` takes the last one back.", examples=["acknowledge"]
    )
    note: Annotated[str, StringConstraints(max_length=500, pattern=PLAIN)] | None = Field(
        default=None, description="Why, for the others.", examples=["the report runs until noon"]
    )


class Acted(Model):
    """What became of an alert."""

    id: str = Field(description="Of the alert.", examples=["5f2b9c1d0e0e4736"])
    state: State = Field(description="What it is now.", examples=["acknowledged"])


class Limit(Model):
    """One threshold."""

    name: str = Field(description="Of the threshold.", examples=["error_rate_percent"])
    title: str = Field(description="For people.", examples=["Error rate"])
    unit: str = Field(description="Of the limits.", examples=["%"])
    warning: float | None = Field(description="From where it warns; null for nowhere.", examples=[5.0])
    critical: float | None = Field(description="From where it is critical; null for nowhere.", examples=[10.0])
    measure: str = Field(description="What is measured, each minute and for each service.")
    comparison: Literal["greater", "less", "equal"] = Field(description="Which side of a limit violates it.")
    violations: int = Field(description="Minutes in a row that must violate it; 0 is as good as 1.")
    cooldown_minutes: int = Field(description="What returns within so long is the same alert.")
    enabled: bool = Field(description="Whether it is looked at.", examples=[True])
    changed: bool = Field(description="Whether it differs from the default.")


class Limits(Model):
    """All thresholds."""

    items: list[Limit]


Number = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False, strict=True)]


class NewLimit(Model):
    """What to change of one threshold; what is left out stays."""

    name: Literal[tuple(DEFAULTS)] = Field(examples=["error_rate_percent"])  # type: ignore[valid-type]
    warning: Number | None = Field(default=None, description="Null for none.", examples=[2.0])
    critical: Number | None = Field(default=None, description="Null for none.", examples=[5.0])
    violations: Annotated[int, Field(ge=0, le=1440)] | None = Field(default=None, examples=[3])
    cooldown_minutes: Annotated[int, Field(ge=0, le=10_080)] | None = Field(default=None, examples=[15])
    enabled: Annotated[bool, Field(strict=True)] | None = Field(default=None, examples=[True])

    @field_validator("violations", "cooldown_minutes", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """What JSON calls a number: 3 and 3.0, and neither "3" nor true, which pydantic would take as well."""
        if isinstance(value, (str, bool)):
            raise ValueError("a whole number is wanted")
        return value


class NewLimits(Model):
    """Thresholds to change."""

    items: Annotated[list[NewLimit], Field(min_length=1, max_length=100)]


@router.get("/alerts", response_model=Success[Listing[Alert]])
def alerts(
    hub: TheHub,
    page: Paging,
    service: OfService = None,
    severity: Annotated[Severity | None, Query(description="Only this severity.", examples=["high"])] = None,
    hours: Annotated[
        int, Query(description="How far back; minutes are kept for 7 days.", ge=1, le=168, examples=[24])
    ] = 24,
    active_only: Annotated[bool, Query(description="Only those that last, and that nobody dismissed.")] = False,
) -> Answer:
    """The violations of thresholds, the active ones and then the latest first."""
    now = time()
    found = [
        one
        for one in current(hub.store, Range(now - hours * 3600, now), service)
        if (severity is None or one["severity"] == severity)
        and (not active_only or one["state"] in ("firing", "acknowledged", "escalated"))
    ]
    return success(page.listing(found[page.offset : page.offset + page.limit + 1]))


@router.post("/alerts", response_model=Success[Acted], responses=refuses(404))
def act_on_alert(hub: TheHub, request: Request, action: Action) -> Answer:
    """Acknowledges, dismisses, escalates or reopens an alert that is active."""
    now = time()
    active = {one["id"]: one for one in current(hub.store, Range(now - 86_400, now), None) if one["until"] is None}
    alert = active.get(action.id)
    if alert is None:
        raise Refused(
            404, "not_found", f"no active alert {action.id}; GET alerts?active_only=true tells which are", "id"
        )
    document = hub.store.document("alerts")
    actions = dict(document) if isinstance(document, dict) else {}
    if action.action == "reopen":
        actions.pop(action.id, None)
    else:
        who = caller(request).role
        actions[action.id] = {"state": STATES[action.action], "time": now, "by": who, "note": action.note}
    if len(actions) > MOST_ACTIONS:
        del actions[min(actions, key=lambda one: actions[one]["time"])]
    hub.store.keep("alerts", actions)
    state: State = STATES.get(action.action, "firing")
    record(request, f"alerts.{action.action}", action.id, before={"state": alert["state"]}, after={"state": state})
    return success({"id": action.id, "state": state})


def current(store: Store, within: Range, service: str | None) -> list[dict[str, Any]]:
    """The violations in a range, as the interface gives them."""
    thresholds = {name: one for name, one in limits(store).items() if one.enabled}
    document = store.document("alerts")
    actions: Mapping[str, Any] = document if isinstance(document, dict) else {}
    found = []
    for (name, of_service), (times, values) in measured(store, within, service, thresholds).items():
        for episode in episodes(thresholds[name], times, values):
            if episode.until is None and times[-1] - _last_value(times, values) > QUIET:
                episode.until = _last_value(times, values) + 60
            found.append(_alert(thresholds[name], of_service, episode, actions, times[0]))
    return sorted(found, key=lambda one: (one["until"] is not None, one["severity"] == "warning", -one["since"]))


def _last_value(times: list[int], values: list[float | None]) -> int:
    return next(time for time, value in zip(reversed(times), reversed(values), strict=True) if value is not None)


LINKS = {
    "response_time_p95_ms": "#/endpoints?sort=p95&service=",
    "error_rate_percent": "#/endpoints?sort=errors&service=",
    "database_time_average_ms": "#/queries?service=",
    "slow_query_ms": "#/queries?sort=p95&service=",
    "cache_hit_rate_percent": "#/caches?service=",
}


def _alert(
    threshold: Threshold, service: str, episode: Episode, actions: Mapping[str, Any], first: int
) -> dict[str, Any]:
    identity = blake2b(f"{threshold.name}\0{service}".encode(), digest_size=8).hexdigest()
    action = actions.get(identity)
    # A violation that lasts since before the range began may have been acted on before that, too.
    since = episode.since if episode.since > first + threshold.violations * 60 else 0
    if action and not since <= action["time"] <= (episode.until or action["time"]):
        action = None  # that was about another violation
    state = "resolved" if episode.until is not None else action["state"] if action else "firing"
    severity = episode.severity
    if action and action["state"] == "escalated" and severity == "warning":
        severity = "high"

    def shown(value: float) -> str:
        if threshold.unit == "ms":
            return words.milliseconds(value)
        return words.percent(value / 100) if threshold.unit == "%" else f"{value:g}"

    return {
        "id": identity,
        "threshold": threshold.name,
        "title": threshold.title,
        "service": service,
        "severity": severity,
        "state": state,
        "value": episode.last,
        "worst": episode.worst,
        "limit": episode.limit,
        "unit": threshold.unit,
        "since": episode.since,
        "until": episode.until,
        "text": f"{threshold.title}: at worst {shown(episode.worst)} in {service}, the limit is {shown(episode.limit)}",
        "link": LINKS.get(threshold.name, "#/processes?service=") + service,
        "by": action["by"] if action else None,
        "note": action["note"] if action else None,
    }


@router.get("/thresholds", response_model=Success[Limits])
def thresholds(hub: TheHub) -> Answer:
    """The limits as they are set."""
    return success({"items": [_limit(one) for one in limits(hub.store).values()]})


def _limit(one: Threshold) -> dict[str, Any]:
    return {**one.answer(), "changed": one != DEFAULTS[one.name]}


@router.put("/thresholds", response_model=Success[Limits], responses=refuses(409), dependencies=[ADMIN])
def set_thresholds(hub: TheHub, request: Request, new: NewLimits) -> Answer:
    """Changes thresholds; what is left out of one stays. For admins."""
    before = limits(hub.store)
    document = hub.store.document("thresholds")
    changes: dict[str, dict[str, Any]] = dict(document) if isinstance(document, dict) else {}
    for one in new.items:
        fields = {key: value for key, value in one.model_dump(exclude_unset=True).items() if key != "name"}
        required = ("violations", "cooldown_minutes", "enabled")
        fields = {key: value for key, value in fields.items() if value is not None or key not in required}
        changes[one.name] = {**changes.get(one.name, {}), **fields}
    try:
        after = changed(set_limits(hub.store), changes)
    except ValueError as error:
        raise Refused(409, "conflict", str(error), "items") from None
    hub.store.keep("thresholds", changes)
    for name in {one.name for one in new.items}:
        record(request, "thresholds.set", name, before=before[name].answer(), after=after[name].answer())
    return success({"items": [_limit(one) for one in after.values()]})
