"""Alerts: what is wrong, what was, what people did about it, and what they want kept quiet."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request
from pydantic import BeforeValidator, Field, StringConstraints

from perfagent.hub.alert.mutes import MATCHED, TooMany
from perfagent.hub.alert.violation import Kind, Severity
from perfagent.hub.api.audit import record
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.security import caller

if TYPE_CHECKING:
    from perfagent.hub.alert.mutes import Silence
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.rows import Row

router = APIRouter(tags=["alerts"])

State = Literal["firing", "acknowledged", "dismissed", "escalated", "resolved"]
MOST_MINUTES = 10_080
HOUR = 3600


class Alert(Model):
    """Something that is wrong, or was."""

    id: str = Field(description="One of each alert.", examples=["5f2b9c1d0e0e4736"])
    identity: str = Field(
        description="The same each time that this is wrong: of rule, service and subject.",
        examples=["0e0e47365f2b9c1d"],
    )
    incident: str = Field(description="That it is part of.", examples=["9c1d0e0e47365f2b"])
    kind: Kind = Field(description="Which sort of watcher says so.", examples=["threshold"])
    rule: str = Field(description="The threshold, rule or objective.", examples=["error_rate_percent"])
    title: str = Field(examples=["Failing requests"])
    service: str = Field(description="Of whom; empty for the machine or the hub.", examples=["shop"])
    subject: str = Field(description="Which part of the service; empty for the whole of it.", examples=[""])
    severity: Severity = Field(description="The worst that it reached, or what it was escalated to.")
    state: State = Field(examples=["firing"])
    value: float | None = Field(description="The last one.", examples=[7.5])
    worst: float | None = Field(examples=[9.1])
    limit: float | None = Field(description="That is violated.", examples=[5.0])
    unit: str = Field(description="ms, % or empty.", examples=["%"])
    since: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    until: float | None = Field(description="Null while it lasts.", examples=[None])
    noticed: float = Field(description="When the hub saw it first.", examples=[1789000012.0])
    text: str = Field(examples=["Failing requests: at worst 9.1 % in shop, the limit is 5 %"])
    advice: str = Field(description="The next step.", examples=["Open the endpoint that fails."])
    link: str = Field(examples=["#/endpoints?service=shop&sort=errors"])
    traces: list[str] = Field(description="Requests that show it.", examples=[[]])
    returned: int = Field(description="Times that it came back within its cooldown.", examples=[0])
    muted: str = Field(description="The silence or window that keeps it quiet; empty for none.", examples=[""])
    by: str | None = Field(description="The role of who acted on it.", examples=[None])
    note: str | None = Field(description="What they said.", examples=[None])


def _number(value: object) -> object:
    """What JSON calls a number: 3 and 3.0, and neither "3" nor true, which pydantic would take as well."""
    if isinstance(value, (str, bool)):
        raise ValueError("a whole number is wanted")
    return value


WHOLE = BeforeValidator(_number)
Identity = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Note = Annotated[str, StringConstraints(max_length=500, pattern=PLAIN)]
Pattern = Annotated[str, StringConstraints(max_length=255, pattern=PLAIN, min_length=1)]


class Action(Model):
    """What somebody does about an alert, or about all of an incident."""

    id: Identity | None = Field(
        default=None,
        description="Of the alert, or of the incident; may be left out for a silence with matchers.",
        examples=["5f2b9c1d0e0e4736"],
    )
    action: Literal["acknowledge", "dismiss", "escalate", "reopen", "resolve", "silence"] = Field(
        description="What to do. `reopen` takes the last one back; `resolve` says that it is over; `silence` keeps "
        "quiet what matches, for `duration_minutes`.",
        examples=["acknowledge"],
    )
    note: Note | None = Field(default=None, description="Why, for the others.", examples=["the report runs until noon"])
    duration_minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES), WHOLE] | None = Field(
        default=None, description="How long a silence lasts; 60 when left out.", examples=[60]
    )
    matchers: Annotated[dict[Literal[MATCHED], Pattern], Field(max_length=len(MATCHED))] | None = Field(  # type: ignore[valid-type]
        default=None,
        description="What a silence is about, * for any text; the alert's identity when left out.",
        examples=[{"service": "shop", "rule": "slow_*"}],
    )


class Acted(Model):
    """What became of an alert."""

    id: str | None = Field(description="Of the alert or incident.", examples=["5f2b9c1d0e0e4736"])
    state: State | None = Field(description="What it is now.", examples=["acknowledged"])
    silence: str | None = Field(default=None, description="The silence that was begun.", examples=["47365f2b9c1d0e0e"])


class Silenced(Model):
    """A time in which what matches is kept and not told."""

    id: str = Field(examples=["47365f2b9c1d0e0e"])
    matchers: dict[str, str] = Field(examples=[{"service": "shop"}])
    begin: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    end: float = Field(examples=[1789003600.0])
    active: bool
    by: str = Field(description="The role of who asked for it.", examples=["operator"])
    note: str = Field(examples=["the report runs until noon"])


Hours = Annotated[int, Query(description="How far back.", ge=1, le=8760, examples=[24])]
OfSeverity = Annotated[Severity | None, Query(description="Only this severity.", examples=["high"])]
Active = Annotated[bool, Query(description="Only those that last, and that nobody dismissed.")]


@router.get("/alerts", response_model=Success[Listing[Alert]])
def alerts(
    hub: TheHub,
    page: Paging,
    service: OfService = None,
    severity: OfSeverity = None,
    kind: Annotated[Kind | None, Query(description="Only of this sort.", examples=["threshold"])] = None,
    hours: Hours = 24,
    active_only: Active = False,
) -> Answer:
    """What is wrong and was, the active ones first, then the latest."""
    found = listed(
        hub, service=service, severity=severity, kind=kind, since=time() - hours * HOUR, active_only=active_only,
        offset=page.offset, limit=page.limit + 1,
    )  # fmt: skip
    return success(page.listing(found))


@router.post("/alerts", response_model=Success[Acted], responses=refuses(404, 409))
def act_on_alert(hub: TheHub, request: Request, action: Action) -> Answer:
    """Acknowledges, dismisses, escalates, reopens, resolves or silences what is active."""
    who, note = caller(request).role, action.note or ""
    target = action.id
    before = _known(hub, target) if target is not None else None
    if action.action == "silence":
        silence = _silence(hub, action, before, who)
        record(request, "alerts.silence", target or silence.id, after={**silence.matchers, "end": silence.end})
        hub.alerts.heed()
        return success({"id": target, "state": _known(hub, target)[1] if target else None, "silence": silence.id})
    if target is None:
        raise Refused(409, "conflict", f"id: {action.action} needs the id of an alert or an incident", "id")
    if action.duration_minutes is not None or action.matchers is not None:
        field = "matchers" if action.matchers is not None else "duration_minutes"
        raise Refused(409, "conflict", f"{field}: is for action=silence alone", field)
    if before is None or not hub.alerts.act(target, action.action, who, note):
        raise Refused(404, "not_found", f"no active alert {target}; GET alerts?active_only=true tells which are", "id")
    state = _known(hub, target)[1]
    record(request, f"alerts.{action.action}", target, before={"state": before[1]}, after={"state": state})
    return success({"id": target, "state": state})


def _known(hub: Hub, target: str | None) -> tuple[str, State]:
    """The identity and the state of an alert, or "" and that of an incident; raises Refused where there is none."""
    for row in listed(hub, id=target):
        return row["identity"], row["state"]
    for row in hub.alerts.kept.rows("alerts/incidents", **{**NO_FILTER, "id": target}):
        return "", row["state"]
    raise Refused(404, "not_found", f"no alert {target}; GET alerts tells which there are", "id")


def _silence(hub: Hub, action: Action, known: tuple[str, State] | None, who: str) -> Silence:
    matchers: dict[str, str] = dict(action.matchers or {})
    if known is not None and known[0]:
        matchers.setdefault("alert", known[0])
    elif known is not None and not matchers:
        raise Refused(
            400, "bad_request", "matchers: a silence of an incident needs them, or name one alert", "matchers"
        )
    if not matchers:
        raise Refused(409, "conflict", "matchers: give them, or the id of an alert to silence", "matchers")
    try:
        return hub.alerts.mutes.silence(matchers, (action.duration_minutes or 60) * 60.0, who, action.note or "")
    except TooMany as error:
        raise Refused(409, "conflict", str(error), "action") from None


@router.get("/alerts/silences", response_model=Success[Listing[Silenced]])
def silences(hub: TheHub, page: Paging) -> Answer:
    """What people want kept quiet and wanted, the latest first."""
    now = time()
    found = [
        {
            "id": one.id, "matchers": one.matchers, "begin": one.begin, "end": one.end,
            "active": one.begin <= now < one.end, "by": one.by, "note": one.note,
        }
        for one in hub.alerts.mutes.silences()
    ]  # fmt: skip
    return success(page.listing(found[page.offset : page.offset + page.limit + 1]))


@router.delete("/alerts/silences/{silence}", response_model=Success[Acted], responses=refuses(404))
def end_silence(
    hub: TheHub,
    request: Request,
    silence: Annotated[str, Path(description="Its id.", pattern=r"^[0-9a-f]{16}$", examples=["47365f2b9c1d0e0e"])],
) -> Answer:
    """Ends a silence; what it kept quiet and still fires is told."""
    if not hub.alerts.mutes.end_silence(silence):
        raise Refused(404, "not_found", f"no silence {silence} is on; GET alerts/silences tells which are", "silence")
    record(request, "alerts.unsilence", silence)
    hub.alerts.heed()
    return success({"id": None, "state": None, "silence": silence})


NO_FILTER: dict[str, Any] = {
    "id": None, "incident": None, "service": None, "severity": None, "kind": None, "since": 0.0, "active_only": False,
    "limit": 1000, "offset": 0,
}  # fmt: skip


def listed(hub: Hub, **filters: object) -> list[dict[str, Any]]:
    """Alerts as the interface gives them; `filters` in place of those of NO_FILTER."""
    return [_alert(row) for row in hub.alerts.kept.rows("alerts/list", **{**NO_FILTER, **filters})]


SHOWN = ("kind", "rule", "title", "service", "subject", "value", "worst", "limit", "unit", "since", "until", "text",
         "advice", "link", "traces")  # fmt: skip


def _alert(row: Row) -> dict[str, Any]:
    known = orjson.loads(row["content"])
    violation = known["violation"]
    return {
        "id": row["id"],
        "identity": row["identity"],
        "incident": row["incident"],
        "severity": known["severity"],
        "state": row["state"],
        "noticed": known["noticed"],
        "returned": known["returned"],
        "muted": known["muted"],
        "by": known["by"] or None,
        "note": known["note"] or None,
        **{key: violation[key] for key in SHOWN},
    }
