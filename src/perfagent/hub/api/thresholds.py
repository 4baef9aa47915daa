"""The limits themselves: read by everybody, changed by admins; and what limits the past suggests."""

from __future__ import annotations

from threading import Lock
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints, field_validator

from perfagent.hub.analyse.thresholds import CHANGEABLE, DEFAULTS, SERVICES, Threshold, changed, for_services
from perfagent.hub.api.audit import record
from perfagent.hub.api.context import PLAIN, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.facts import limits, set_limits
from perfagent.hub.api.security import ADMIN
from perfagent.hub.conditions import usual
from perfagent.hub.conditions.limits import Limits as InForce
from perfagent.hub.conditions.replay import Replay
from perfagent.hub.conditions.suggesting import Suggestion, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.store.store import Store

router = APIRouter(tags=["alerts"])

DOCUMENT = "thresholds"
REQUIRED = ("violations", "cooldown_minutes", "enabled", "dynamic", "quantile", "factor")
"""Fields that cannot be none."""
MOST_SERVICES = 100  # with limits of their own, of one threshold
LONGEST = 20.0  # s that suggestions may take
CHANGING = Lock()  # one change at a time, whoever asks: each reads all of the document and writes it again
ServiceName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=PLAIN)]


class LimitOfService(Model):
    """A threshold that differs for one service."""

    service: str = Field(description="Whose.", examples=["shop"])
    warning: float | None = Field(description="From where it warns; null for nowhere.", examples=[8.0])
    critical: float | None = Field(description="From where it is critical; null for nowhere.", examples=[20.0])
    violations: int = Field(description="Minutes in a row that must violate it.", examples=[3])
    cooldown_minutes: int = Field(description="What returns within so long is the same alert.", examples=[15])
    enabled: bool = Field(description="Whether it is looked at.", examples=[True])
    dynamic: bool = Field(description="Whether it follows what is usual.", examples=[False])
    quantile: float = Field(description="What of the past is usual.", examples=[0.99])
    factor: float = Field(description="How many times that is too much.", examples=[1.5])


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
    severity: Literal["warning", "low"] = Field(
        description="Of what violates `warning`; nobody is paged for `low`.", examples=["warning"]
    )
    dynamic: bool = Field(
        description="Whether `warning` follows what is usual at that hour of the day, within `bounds`.",
        examples=[False],
    )
    quantile: float = Field(description="What of the week before is usual, 0.5 to 1.", examples=[0.99])
    factor: float = Field(description="How many times that is too much.", examples=[1.5])
    bounds: list[float] | None = Field(
        description="The least and the largest `warning` that the past may bring about; null where there is none.",
        examples=[[2.5, 10.0]],
    )
    services: list[LimitOfService] = Field(description="Services for which it differs.", examples=[[]])
    changed: bool = Field(description="Whether it differs from the default.")


class Limits(Model):
    """All thresholds."""

    items: list[Limit]


Number = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False, strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class NewLimit(Model):
    """What to change of one threshold; what is left out stays."""

    name: Literal[tuple(DEFAULTS)] = Field(examples=["error_rate_percent"])  # type: ignore[valid-type]
    service: ServiceName | None = Field(
        default=None, description="Only for this service; for all when null.", examples=[None]
    )
    reset: Flag = Field(
        default=False,
        description="Forgets first what was changed at run time: of the service, or of the whole threshold.",
        examples=[False],
    )
    warning: Number | None = Field(default=None, description="Null for none.", examples=[2.0])
    critical: Number | None = Field(default=None, description="Null for none.", examples=[5.0])
    violations: Annotated[int, Field(ge=0, le=1440)] | None = Field(default=None, examples=[3])
    cooldown_minutes: Annotated[int, Field(ge=0, le=10_080)] | None = Field(default=None, examples=[15])
    enabled: Flag | None = Field(default=None, examples=[True])
    dynamic: Flag | None = Field(default=None, description="Follow what is usual.", examples=[True])
    quantile: Annotated[float, Field(ge=0.5, le=0.9999, strict=True)] | None = Field(default=None, examples=[0.99])
    factor: Annotated[float, Field(ge=1, le=100, strict=True)] | None = Field(default=None, examples=[1.5])

    @field_validator("violations", "cooldown_minutes", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """What JSON calls a number: 3 and 3.0, and neither "3" nor true, which pydantic would take as well."""
        if isinstance(value, (str, bool)):
            raise ValueError("a whole number is wanted")
        return value

    def changes(self) -> dict[str, Any]:
        """The fields to change."""
        fields = {key: value for key, value in self.model_dump(exclude_unset=True).items() if key in CHANGEABLE}
        return {key: value for key, value in fields.items() if value is not None or key not in REQUIRED}


class NewLimits(Model):
    """Thresholds to change."""

    items: Annotated[list[NewLimit], Field(min_length=1, max_length=100)]


class Suggested(Model):
    """Limits that the past suggests for a threshold."""

    name: str = Field(description="Of the threshold.", examples=["response_time_p95_ms"])
    unit: str = Field(description="Of the limits.", examples=["ms"])
    warning: float | None = Field(description="As it is.", examples=[2000.0])
    critical: float | None = Field(description="As it is.", examples=[5000.0])
    fired: int = Field(description="How often it would have fired as it is.", examples=[0])
    suggested_warning: float | None = Field(description="As the past suggests.", examples=[480.0])
    suggested_critical: float | None = Field(description="As the past suggests.", examples=[1200.0])
    suggested_fired: int = Field(description="How often it would have fired with these.", examples=[1])
    minutes: int = Field(description="That have a value, of all services.", examples=[9800])
    services: int = Field(description="That have values.", examples=[2])


class Suggestions(Model):
    """What the past suggests."""

    begin: float = Field(description="Of the past, seconds since the epoch.", examples=[1789000000.0])
    end: float = Field(description="Of the same.", examples=[1789600000.0])
    items: list[Suggested] = Field(description="Thresholds with at least an hour of values.")


@router.get("/thresholds", response_model=Success[Limits])
def thresholds(hub: TheHub) -> Answer:
    """The limits as they are set."""
    return success({"items": _limits(hub.store, limits(hub.store))})


def _limits(store: Store, known: Mapping[str, Threshold]) -> list[dict[str, Any]]:
    own = InForce(store).of_services(dict(known))
    return [_limit(one, {service: each for (name, service), each in own.items() if name == one.name})
            for one in known.values()]  # fmt: skip


def _limit(one: Threshold, services: Mapping[str, Threshold]) -> dict[str, Any]:
    bounds = usual.bounds(one)
    return {
        **one.answer(),
        "bounds": list(bounds) if bounds else None,
        "services": [
            {"service": service, **{key: getattr(each, key) for key in CHANGEABLE}}
            for service, each in sorted(services.items())
        ],
        "changed": one != DEFAULTS[one.name] or bool(services),
    }


@router.put("/thresholds", response_model=Success[Limits], responses=refuses(409), dependencies=[ADMIN])
def set_thresholds(hub: TheHub, request: Request, new: NewLimits) -> Answer:
    """Changes thresholds; what is left out of one stays. For admins."""
    with CHANGING:
        before = limits(hub.store)
        before_own = InForce(hub.store).of_services(before)
        document = hub.store.document(DOCUMENT)
        changes: dict[str, dict[str, Any]] = dict(document) if isinstance(document, dict) else {}
        for one in new.items:
            changes[one.name] = _changed(changes.get(one.name, {}), one)
        try:
            after = changed(set_limits(hub.store), changes)
            own = for_services(after, changes)
        except ValueError as error:
            raise Refused(409, "conflict", str(error), "items") from None
        hub.store.keep(DOCUMENT, {name: fields for name, fields in changes.items() if fields})
    for name, service in {(one.name, one.service): None for one in new.items}:
        was = before_own.get((name, service), before[name]) if service else before[name]
        now = own.get((name, service), after[name]) if service else after[name]
        subject = f"{name} of {service}" if service else name
        record(request, "thresholds.set", subject, before=was.answer(), after=now.answer())
    return success({"items": _limits(hub.store, after)})


def _changed(fields: Mapping[str, Any], one: NewLimit) -> dict[str, Any]:
    """The changes of a threshold after one more."""
    services: dict[str, Any] = dict(fields.get(SERVICES, {}))
    if one.service is None:
        return {**({} if one.reset else fields), **one.changes()}
    known = {**({} if one.reset else services.get(one.service, {})), **one.changes()}
    services.pop(one.service, None)
    if known:
        services[one.service] = known
    if len(services) > MOST_SERVICES:
        message = f"{one.name} has limits for {MOST_SERVICES} services already; reset one first"
        raise Refused(409, "conflict", message, "items")
    rest = {key: value for key, value in fields.items() if key != SERVICES}
    return {**rest, SERVICES: services} if services else rest


@router.get("/thresholds/suggested", response_model=Success[Suggestions])
def suggest_thresholds(
    hub: TheHub,
    hours: Annotated[
        int, Query(description="How far back; minutes are kept for 7 days.", ge=1, le=168, examples=[168])
    ] = 168,
    service: Annotated[ServiceName | None, Query(description="Of this service alone.", examples=["shop"])] = None,
) -> Answer:
    """What limits the past suggests, and how often they would have fired, next to how often as they are."""
    end = int(hub.remote.present() if hub.remote is not None else time()) // 60 * 60
    begin = end - hours * 3600
    in_force = InForce(hub.store)
    known = {name: one for name, one in in_force.all().items() if one.enabled}
    found: dict[str, Suggestion] = {}
    for name, values in in_force.history(begin, end, known, service).items():
        suggestion = suggest(known[name], values)
        if suggestion is not None:
            found[name] = suggestion
    proposed = changed(known, {name: {"warning": one.warning, "critical": one.critical} for name, one in found.items()})
    replay = Replay(hub.store, in_force, begin, end, LONGEST)
    now, then = replay.thresholds(found, known), replay.thresholds(found, proposed)

    def fired(outcome: Any) -> int:
        return sum(1 for one in outcome.firings if service is None or one.service == service)

    items = [
        {
            "name": name,
            "unit": known[name].unit,
            "warning": known[name].warning,
            "critical": known[name].critical,
            "fired": fired(now[name]),
            "suggested_warning": one.warning,
            "suggested_critical": one.critical,
            "suggested_fired": fired(then[name]),
            "minutes": one.minutes,
            "services": one.services,
        }
        for name, one in found.items()
    ]
    return success({"begin": begin, "end": end, "items": items})
