"""Rules of one's own: what there is, changes, and how often they would have fired."""

from __future__ import annotations

from threading import BoundedSemaphore
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import Field, StringConstraints, field_validator

from perfagent.hub.analyse.thresholds import changed
from perfagent.hub.api.audit import record
from perfagent.hub.api.context import PLAIN, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.ranges import MINUTES_KEPT
from perfagent.hub.api.security import ADMIN
from perfagent.hub.api.thresholds import NewLimit
from perfagent.hub.conditions.fetching import fetch
from perfagent.hub.conditions.limits import Limits
from perfagent.hub.conditions.replay import SHOWN, Outcome, Replay, TooLong
from perfagent.hub.conditions.rule import MOST, NAME, BadRule, Rule, read
from perfagent.hub.conditions.rules import AT_RUN_TIME, Kept, Rules

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub

router = APIRouter(tags=["alerts"])

LONGEST = 20.0  # s that a replay may take
AT_ONCE = BoundedSemaphore(2)  # replays; what else is asked needs threads, too
SETTLED = 20  # s after its end that a minute is judged
Severity = Literal["low", "medium", "warning", "high", "critical"]
Text = Annotated[str, StringConstraints(max_length=500, pattern=PLAIN)]
Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,6}[smhd]|0)$")]
Name = Annotated[str, StringConstraints(pattern=rf"^{NAME.pattern}$")]
Names = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=PLAIN)]], Field(max_length=20)
]
OfRule = Annotated[str, Path(description="Of the rule.", pattern=rf"^{NAME.pattern}$", examples=["slow-payments"])]


class MetricOf(Model):
    """What a metric is, for the export to Prometheus, which knows those of perfagent alone."""

    kind: Literal["gauge", "updown", "counter", "histogram", "summary"] = Field(description="Its kind.")
    unit: Annotated[str, StringConstraints(max_length=63, pattern=PLAIN)] = Field(
        default="", description="Its unit, by UCUM.", examples=["{order}"]
    )


class RuleFields(Model):
    """What a rule is, without its name."""

    when: Annotated[str, StringConstraints(min_length=1, max_length=2000)] = Field(
        description="The condition.", examples=["p95(http.server.request.duration, route == '/pay') > 1s"]
    )
    for_: Duration = Field(
        default="0m", alias="for", description="For how long it must hold: minutes, as in Prometheus.", examples=["3m"]
    )
    severity: Severity = Field(default="warning", description="Of the alert.", examples=["high"])
    services: Names = Field(
        default=[], description="Whom it is about, patterns too; all when empty.", examples=[["shop*"]]
    )
    message: Text = Field(
        default="",
        description="With {value}, {worst}, {limit}, {service}, {subject}, {severity} and the labels of `by`.",
        examples=["payments take {value} in {service}"],
    )
    cooldown: Duration = Field(
        default="15m", description="What returns within so long is the same alert.", examples=["15m"]
    )
    advice: Text = Field(default="", description="The next step.", examples=["Ask the payment provider's status page."])
    runbook: Text = Field(default="", description="Where more is written.", examples=["https://wiki.example/pay"])
    channels: Names = Field(
        default=[], description="Who is told; all that want to know when empty.", examples=[["ops"]]
    )
    enabled: Annotated[bool, Field(strict=True)] = Field(default=True, description="Whether it is looked at.")
    metrics: Annotated[dict[str, MetricOf], Field(max_length=20)] = Field(
        default={}, description="What its metrics are, for the export.", examples=[{"orders": {"kind": "counter"}}]
    )


class OwnRule(RuleFields):
    """A rule."""

    name: str = Field(description="Of the rule.", examples=["slow-payments"])
    origin: str = Field(
        description="The file that declares it, or `api` where it was set at run time.", examples=["api"]
    )


class OwnRules(Model):
    """All rules."""

    items: list[OwnRule] = Field(description="By name.")
    problems: list[str] = Field(description="What is wrong with some; the others serve.", examples=[[]])


class Proposed(RuleFields):
    """A rule to try."""

    name: Name = Field(description="Of the rule; of one that there is, to compare it with that.", examples=["slower"])


class Trial(Model):
    """What to replay: rules, thresholds or both; every rule that there is where nothing is named."""

    hours: Annotated[int, Field(ge=1, le=168)] = Field(
        default=168, description="How far back; minutes are kept for 7 days.", examples=[24]
    )
    names: Annotated[list[Name], Field(max_length=MOST)] = Field(
        default=[], description="Rules that there are.", examples=[[]]
    )
    rules: Annotated[list[Proposed], Field(max_length=20)] = Field(default=[], description="Rules to try.")
    thresholds: Annotated[list[NewLimit], Field(max_length=30)] = Field(
        default=[], description="Thresholds with changed limits.", examples=[[]]
    )

    @field_validator("hours", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """What JSON calls a number: 3 and 3.0, and neither "3" nor true, which pydantic would take as well."""
        if isinstance(value, (str, bool)):
            raise ValueError("a whole number is wanted")
        return value


class Fired(Model):
    """One time that a rule would have fired."""

    service: str = Field(description="For whom.", examples=["shop"])
    subject: str = Field(description="Which part of it.", examples=["route=/pay"])
    severity: str = Field(description="The worst that it would have reached.", examples=["warning"])
    since: float = Field(description="When it began, seconds since the epoch.", examples=[1789000000.0])
    until: float | None = Field(description="When it was over; null where it lasts.", examples=[1789000600.0])
    minutes: int = Field(description="In how many it would have fired.", examples=[10])
    worst: float | None = Field(description="The worst value.", examples=[1.8])
    limit: float | None = Field(description="What it is compared with.", examples=[1.0])


class WouldHave(Model):
    """What a rule would have done."""

    fired: int = Field(description="How often it would have fired.", examples=[3])
    per_day: float = Field(description="How often a day: as many pages, before they are put together.", examples=[0.4])
    minutes: int = Field(description="In how many minutes, for each of whom it is about.", examples=[42])
    longest: int = Field(description="Minutes of the longest.", examples=[20])
    worst: float | None = Field(description="The worst value.", examples=[1.8])
    unit: str = Field(description="Of the values, such as ms, s, % or B; or empty.", examples=["s"])
    services: dict[str, int] = Field(description="How often for whom.", examples=[{"shop": 3}])
    firings: list[Fired] = Field(description=f"Each time, the newest first; at most {SHOWN}.")
    note: str = Field(description="What was not judged, and why; empty where all was.", examples=[""])


class Result(Model):
    """What a rule or a threshold would have done, and what it does as it is."""

    name: str = Field(description="Of the rule or the threshold.", examples=["slow-payments"])
    kind: Literal["rule", "threshold"] = Field(description="Which of both.", examples=["rule"])
    tried: WouldHave = Field(description="As it is asked about.")
    now: WouldHave | None = Field(description="As it is; null where it is the same, or there is none of that name.")


class Tested(Model):
    """What came of a replay."""

    begin: float = Field(description="Of what was replayed, seconds since the epoch.", examples=[1789000000.0])
    end: float = Field(description="Of the same.", examples=[1789600000.0])
    days: float = Field(description="How long that is.", examples=[6.94])
    results: list[Result] = Field(description="In the order that they were asked for.")


def rules_of(hub: Hub) -> Rules:
    """The rules of a hub."""
    return Rules(hub)


@router.get("/rules", response_model=Success[OwnRules])
def rules(hub: TheHub) -> Answer:
    """The rules that files declare, and those that were set at run time."""
    known = rules_of(hub)
    items = [_answer(kept) for kept in known.all().values()]
    return success({"items": items, "problems": known.problems})


@router.post("/rules/test", response_model=Success[Tested], responses=refuses(404, 409))
def test_rules(hub: TheHub, trial: Trial) -> Answer:
    """Replays the stored past: how often rules and thresholds would have fired, next to how often as they are.

    Changes nothing, so that a viewer may ask. What takes longer than 20 s is refused; ask for less at once then.
    """
    if not AT_ONCE.acquire(blocking=False):
        raise Refused(409, "conflict", "two replays are under way already; ask again when one has ended")
    try:
        return _replayed(hub, trial)
    finally:
        AT_ONCE.release()


def _replayed(hub: Hub, trial: Trial) -> Answer:
    known = rules_of(hub).all()
    names = trial.names or ([] if trial.rules or trial.thresholds else list(known))
    existing = [_known(known, name).rule for name in names]
    proposed = [_read(one.name, one) for one in trial.rules]
    limits = Limits(hub.store)
    try:
        thresholds = changed(limits.all(), {one.name: one.changes() for one in trial.thresholds})
    except ValueError as error:
        raise Refused(409, "conflict", str(error), "thresholds") from None
    now = hub.remote.present() if hub.remote is not None else time()
    end = int(now - SETTLED) // 60 * 60
    begin = max(end - trial.hours * 3600, _oldest(hub, end - MINUTES_KEPT))
    replay = Replay(hub.store, limits, begin, end, LONGEST)
    fetch(hub, sorted({name for one in [*existing, *proposed] for name in one.needs}), begin, end)
    results: list[dict[str, Any]] = []
    try:
        for one in existing:
            results.append(_result(one.name, "rule", replay.rule(one), None))
        for one in proposed:
            same = known.get(one.name)
            results.append(_result(one.name, "rule", replay.rule(one), replay.rule(same.rule) if same else None))
        if trial.thresholds:
            wanted = list(dict.fromkeys(one.name for one in trial.thresholds))
            tried, as_they_are = replay.thresholds(wanted, thresholds), replay.thresholds(wanted)
            results += [_result(name, "threshold", tried[name], as_they_are[name]) for name in wanted]
    except TooLong:
        message = f"a replay of {trial.hours} h takes longer than {LONGEST:g} s: ask for fewer rules at once, or hours"
        raise Refused(409, "too_much", message, "hours") from None
    return success({"begin": begin, "end": end, "days": replay.days, "results": results})


@router.get("/rules/{name}", response_model=Success[OwnRule], responses=refuses(404))
def rule(hub: TheHub, name: OfRule) -> Answer:
    """One rule."""
    return success(_answer(_known(rules_of(hub).all(), name)))


@router.put("/rules/{name}", response_model=Success[OwnRule], responses=refuses(409), dependencies=[ADMIN])
def set_rule(hub: TheHub, request: Request, name: OfRule, new: RuleFields) -> Answer:
    """Makes a rule, or puts it in the place of the one of that name. For admins."""
    known = rules_of(hub)
    made = _read(name, new)
    if name not in known.all() and len(known.all()) >= MOST:
        raise Refused(409, "conflict", f"there are {MOST} rules already; delete one first", "name")
    before = known.set(made)
    record(request, "rules.set", name, before=before.document() if before else None, after=made.document())
    return success(_answer(Kept(made, AT_RUN_TIME)))


@router.delete("/rules/{name}", response_model=Success[OwnRules], responses=refuses(404, 409), dependencies=[ADMIN])
def delete_rule(hub: TheHub, request: Request, name: OfRule) -> Answer:
    """Forgets what was set at run time; where a file declares the rule, that serves again. For admins."""
    known = rules_of(hub)
    kept = _known(known.all(), name)
    if kept.origin != AT_RUN_TIME:
        message = f"{name} is declared in {kept.origin}: take it out there, or set it with enabled=false"
        raise Refused(409, "conflict", message, "name")
    known.drop(name)
    record(request, "rules.deleted", name, before=kept.rule.document())
    return success({"items": [_answer(one) for one in known.all().values()], "problems": known.problems})


def _oldest(hub: Hub, least: float) -> int:
    """The first minute that there is anything of."""
    (row,) = hub.store.rows("store/oldest")
    oldest = row["oldest_ns"]
    return int(max(oldest / 1e9 if oldest is not None else least, least)) // 60 * 60


def _known(known: dict[str, Kept], name: str) -> Kept:
    if name not in known:
        raise Refused(404, "not_found", f"no rule {name}; GET rules lists those that there are", "name")
    return known[name]


def _read(name: str, new: RuleFields) -> Rule:
    fields = new.model_dump(by_alias=True, exclude={"origin"})
    try:
        return read({**fields, "name": name})
    except BadRule as error:
        raise Refused(409, "not_accepted", str(error), error.key) from None


def _answer(kept: Kept) -> dict[str, Any]:
    document = kept.rule.document()
    return {**document, "for": f"{kept.rule.minutes}m", "origin": kept.origin}


def _result(name: str, kind: str, tried: Outcome, now: Outcome | None) -> dict[str, Any]:
    return {"name": name, "kind": kind, "tried": _outcome(tried), "now": _outcome(now) if now is not None else None}


def _outcome(one: Outcome) -> dict[str, Any]:
    return {
        "fired": len(one.firings),
        "per_day": round(one.per_day, 3),
        "minutes": one.minutes,
        "longest": one.longest,
        "worst": one.worst,
        "unit": one.unit,
        "services": one.services,
        "firings": [
            {
                "service": firing.service,
                "subject": firing.subject,
                "severity": firing.severity,
                "since": firing.since,
                "until": firing.until,
                "minutes": firing.minutes,
                "worst": firing.worst,
                "limit": firing.limit,
            }
            for firing in one.firings[:SHOWN]
        ],
        "note": one.note,
    }
