"""Optimisation rules: what the hub advises or does where a condition holds, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from perfagent.hub.api.audit import record
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import WHOLE, Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.security import ADMIN, caller
from perfagent.hub.optimise.actions import ACTIONS

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.optimise.journal import Taken
    from perfagent.hub.optimise.rule import Optimisation

router = APIRouter(tags=["optimisations"])

Mode = Literal["advise", "act", "off"]
State = Literal["advised", "acting", "acted", "undoing", "done", "undone", "failed"]
Effect = Literal["helped", "no_effect", "harmed", "unknown"]
RULE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
ID = "5f2b9c1d0e0e4736"


class Hold(Model):
    """A rule that does nothing for a service, because it has made things worse."""

    service: str = Field(examples=["shop"])
    until: float = Field(description="Seconds since the epoch.", examples=[1789086400.0])
    reason: str = Field(examples=["lower_sampling made it worse: …"])


class Rule(Model):
    """An optimisation rule."""

    name: str = Field(examples=["high-memory"])
    when: str = Field(description="The condition.", examples=["name == 'memory_usage_percent' and value > 80"])
    actions: list[str] = Field(
        description="In the order in which they are tried: the next one's turn comes where one has not helped.",
        examples=[["collect_garbage", "clear_caches"]],
    )
    services: list[str] = Field(description="Whom it is about; nothing for all.", examples=[[]])
    priority: int = Field(description="Of several that hold, the one with the highest is first.", examples=[90])
    cooldown_minutes: int = Field(description="Between two actions for a service.", examples=[5])
    undo_minutes: int = Field(description="After which what can be put back is put back.", examples=[30])
    mode: Mode = Field(description="What is done where it holds.", examples=["advise"])
    enabled: bool = Field(examples=[True])
    origin: str = Field(description="`built in`, or a file.", examples=["built in"])
    holds: list[Hold] = Field(description="Where it is on hold.")


class Known(Model):
    """An action that rules may have."""

    name: str = Field(examples=["lower_sampling"])
    title: str = Field(examples=["keep 10% of the traces"])
    acts: bool = Field(description="Whether it does anything; the others advise.", examples=[True])
    reversible: bool = Field(description="Whether it can be put back.", examples=[True])
    harmless: str = Field(description="For what cannot be put back, why that does no harm.", examples=[""])


class Optimisations(Model):
    """The rules."""

    mode: Mode = Field(description="Of the rules that say nothing of their own.", examples=["advise"])
    zone: str = Field(description="How loaded the machine is.", examples=["green"])
    items: list[Rule] = Field(description="Those with the highest priority first.")
    actions: list[Known] = Field(description="All that a rule may do.")
    problems: list[str] = Field(description="Declarations that are off; the others serve.", examples=[[]])


class Process(Model):
    """What one process was asked for."""

    instance: str = Field(examples=["6f0e5b1c-1f7a-4f1e-9a51-0c3f3f6f0a11"])
    state: Literal["waiting", "done", "failed", "lost"] = Field(
        description="`lost`: the hub ended before the answer came.", examples=["done"]
    )
    result: Any = Field(description="What it answered.", examples=[{"unreachable": 1200, "seconds": 0.04}])
    undone: bool = Field(description="Whether it was put back, or need not be.", examples=[False])


class Action(Model):
    """Advice that was given, or what was done."""

    id: str = Field(examples=[ID])
    time: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    rule: str = Field(examples=["high-memory"])
    service: str = Field(examples=["shop"])
    action: str = Field(examples=["collect_garbage"])
    state: State = Field(
        description="`advised`; or `acting` until processes answer, `acted` until it is measured and put back, "
        "`undoing`, and at last `done`, `undone` or `failed`.",
        examples=["done"],
    )
    text: str = Field(description="What is wrong, and what was or should be done.", examples=["Memory …"])
    value: float | None = Field(description="What the condition saw.", examples=[86.0])
    limit: float | None = Field(examples=[80.0])
    unit: str = Field(examples=["%"])
    reversible: bool = Field(examples=[False])
    undo_at: float | None = Field(description="When it is put back by itself.", examples=[None])
    effect: Effect | None = Field(description="Null while it is not measured, and for advice.", examples=["helped"])
    before: float | None = Field(description="The figure before.", examples=[4.2e8])
    after: float | None = Field(description="The figure after.", examples=[3.1e8])
    p: float | None = Field(description="The chance of such a difference without a cause.", examples=[0.0004])
    basis: str = Field(description="How the effect was told, or why it could not be.", examples=["medians of …"])
    reason: str = Field(description="Why it failed or was put back.", examples=[""])
    ended: float | None = Field(description="When nothing was left to be done.", examples=[1789000150.0])
    processes: list[Process]


class Change(Model):
    """What to change of one rule; what is left out stays."""

    name: Annotated[str, Field(pattern=RULE)] = Field(examples=["high-memory"])
    mode: Mode | None = Field(None, description="Null takes its own mode back.", examples=["act"])
    enabled: Annotated[bool, Field(strict=True)] | None = Field(None, examples=[True])
    priority: Annotated[int, Field(ge=0, le=100), WHOLE] | None = Field(None, examples=[90])
    cooldown_minutes: Annotated[int, Field(ge=1, le=10_080), WHOLE] | None = Field(None, examples=[5])
    release: Annotated[bool, Field(strict=True)] = Field(
        False, description="Ends what holds it, so that it is tried again.", examples=[False]
    )


class Changes(Model):
    """What to change; what is left out stays."""

    mode: Mode | None = Field(None, description="Of the rules that say nothing of their own.", examples=["act"])
    items: Annotated[list[Change], Field(max_length=100)] = Field(default_factory=list)


@router.get("/optimisations", response_model=Success[Optimisations])
def optimisations(hub: TheHub) -> Answer:
    """The rules, what each may do, and whether the hub acts or advises."""
    return success(_all(hub))


@router.put("/optimisations", response_model=Success[Optimisations], responses=refuses(404), dependencies=[ADMIN])
def set_optimisations(hub: TheHub, request: Request, new: Changes) -> Answer:
    """Changes rules at run time, or whether the hub acts. For admins."""
    rules = hub.optimiser.rules
    known = rules.all()
    for one in new.items:
        if one.name not in known:
            raise Refused(404, "not_found", f"no rule {one.name}; there are: {', '.join(known)}", "name")
    if new.mode is not None:
        before = rules.mode
        rules.set_mode(new.mode)
        record(request, "optimisations.mode", "all rules", before=before, after=new.mode)
    for one in new.items:
        fields = {key: value for key, value in one.model_dump(exclude_unset=True).items() if key != "name"}
        if fields.pop("release", False):
            rules.release(one.name)
            record(request, "optimisations.release", one.name)
        shown = _rule(hub, known[one.name])
        rules.change(one.name, fields)
        after = _rule(hub, rules.all()[one.name])
        told = ("mode", "enabled", "priority", "cooldown_minutes")
        record(
            request,
            "optimisations.set",
            one.name,
            before={key: shown[key] for key in told},
            after={key: after[key] for key in told},
        )
    return success(_all(hub))


@router.get("/optimisations/actions", response_model=Success[Listing[Action]])
def optimisation_actions(
    hub: TheHub,
    page: Paging,
    service: OfService = None,
    rule: Annotated[str | None, Query(description="Only of this rule.", pattern=PLAIN, max_length=63)] = None,
    state: Annotated[State | None, Query(description="Only in this state.", examples=["acted"])] = None,
) -> Answer:
    """What was advised and done, the newest first, with what came of it."""
    after = (float(page.after[0]), str(page.after[1])) if page.after else None
    found = hub.optimiser.journal.list(page.limit + 1, after, rule=rule, service=service, state=state)
    return success(page.listing([_action(one) for one in found], key=lambda one: (one["time"], one["id"])))


@router.post(
    "/optimisations/actions/{identity}/undo",
    response_model=Success[Action],
    responses=refuses(404, 409),
)
def undo_action(
    hub: TheHub,
    request: Request,
    identity: Annotated[str, Path(description="Of the action.", pattern=r"^[0-9a-f]{16}$", examples=[ID])],
) -> Answer:
    """Puts back what an action has done; processes do so when they report next."""
    try:
        taken = hub.optimiser.undo(identity, caller(request).role)
    except ValueError as error:
        raise Refused(409, "conflict", str(error), "identity") from None
    if taken is None:
        raise Refused(404, "not_found", f"no action {identity}; GET optimisations/actions lists them", "identity")
    record(request, "optimisations.undo", identity, after={"rule": taken.rule, "action": taken.action})
    return success(_action(taken))


def _all(hub: Hub) -> dict[str, Any]:
    rules = hub.optimiser.rules
    return {
        "mode": rules.mode,
        "zone": hub.zone,
        "items": [_rule(hub, one) for one in rules.all().values()],
        "actions": [
            {
                "name": one.name,
                "title": one.title,
                "acts": not one.advises,
                "reversible": one.reversible,
                "harmless": one.harmless,
            }
            for one in ACTIONS.values()
        ],
        "problems": rules.problems,
    }


def _rule(hub: Hub, one: Optimisation) -> dict[str, Any]:
    rules = hub.optimiser.rules
    told = ("name", "when", "priority", "cooldown_minutes", "undo_minutes", "enabled", "origin")
    holds = [each for each in rules.holds().values() if each["rule"] == one.name]
    return {
        **{name: getattr(one, name) for name in told},
        "actions": list(one.actions),
        "services": list(one.services),
        "mode": rules.mode_of(one),
        "holds": [{key: each[key] for key in ("service", "until", "reason")} for each in holds],
    }


def _action(one: Taken) -> dict[str, Any]:
    told = (
        "id", "time", "rule", "service", "action", "state", "text", "value", "limit", "unit", "undo_at", "before",
        "after", "p", "basis", "reason", "ended",
    )  # fmt: skip
    return {
        **{name: getattr(one, name) for name in told},
        "reversible": ACTIONS[one.action].reversible,
        "effect": one.effect or None,
        "processes": [
            {"instance": part.instance, "state": part.state, "result": part.result, "undone": part.undone}
            for part in one.parts
        ],
    }
