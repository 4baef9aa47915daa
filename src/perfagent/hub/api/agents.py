"""Agents and their commands: who can be asked, what was asked, and what became of it."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Request
from pydantic import Field

from perfagent.hub.api.audit import record
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import HOUR, Range
from perfagent.hub.api.seen import Process, processes
from perfagent.hub.control.commands import ACCEPTED, Full

if TYPE_CHECKING:
    from perfagent.hub.control.commands import Command as Asked
    from perfagent.hub.hub import Hub

router = APIRouter(tags=["agents"])

ID = "0f8fad5bd9cb469fa16570867728950e"
INSTANCE = "6f0e5b1c-1f7a-4f1e-9a51-0c3f3f6f0a11"
OURS = "perfagent"
State = Literal["waiting", "fetched", "done", "failed"]
Instance = Annotated[
    str,
    Path(
        description="`service.instance.id` of the process.",
        min_length=1,
        max_length=255,
        pattern=PLAIN,
        examples=[INSTANCE],
    ),
]


class Command(Model):
    """A command and what became of it. What is over is remembered until 500 others are."""

    id: str = Field(description="Unlike any other command's.", examples=[ID])
    command: str = Field(description="What was asked.", examples=["sampling_ratio"])
    value: Any = Field(description="With what value.", examples=[0.1])
    state: State = Field(
        description="`waiting` for the process to fetch it, `fetched`, `done` or `failed`; one that is not fetched, or "
        "then not answered, within 5 minutes has failed.",
        examples=["done"],
    )
    asked: float = Field(description="When, seconds since the epoch.", examples=[1789000000.0])
    answered: float | None = Field(description="When it was over.", examples=[1789000001.2])
    result: Any = Field(
        description="What the process answered; the reason where it failed.", examples=[{"before": 1.0, "now": 0.1}]
    )


class Agent(Model):
    """A process that can be commanded."""

    service: str = Field(description="The service that it is of.", examples=["shop"])
    instance: str = Field(description="`service.instance.id`.", examples=[INSTANCE])
    pid: int | None = Field(description="Its number on its host.", examples=[4001])
    alive: bool = Field(description="Whether it sent something in the last 90 s.", examples=[True])
    commands: list[str] = Field(
        description="What it can be asked; nothing where another agent than perfagent serves it.",
        examples=[["sampling_ratio", "profiling", "report"]],
    )
    pending: int = Field(description="Commands that are neither done nor failed.", examples=[0])
    last: Command | None = Field(description="The last command, with its result unless that is a report.")


class Ratio(Model):
    """Keeps another share of the traces from now on."""

    command: Literal["sampling_ratio"]
    value: Annotated[float, Field(strict=True, ge=0, le=1)] | None = Field(
        None, description="From 0 to 1; null for what the process was started with.", examples=[0.1]
    )


class Level(Model):
    """Sends log records from another severity on."""

    command: Literal["log_level"]
    value: Literal["debug", "info", "warning", "error", "critical", "off"] | None = Field(
        None, description="The least severity; null for what the process was started with.", examples=["info"]
    )


class Profiling(Model):
    """Turns the profiling of requests on or off."""

    command: Literal["profiling"]
    value: Annotated[bool, Field(strict=True)] = Field(description="On or off.", examples=[True])


class Looks(Model):
    """How closely the profiler looks."""

    rate: Annotated[float, Field(strict=True, ge=1, le=500, description="Looks a second.", examples=[100])]
    seconds: Annotated[
        float, Field(strict=True, ge=1, le=600, description="For so long; then as before.", examples=[30])
    ]


class Profiler(Model):
    """Has the profiler look more often for a while, or turns it on or off."""

    command: Literal["profiler"]
    value: Looks | Annotated[bool, Field(strict=True)]


class ClearCache(Model):
    """Empties caches of functools and of perfagent."""

    command: Literal["clear_cache"]
    value: Annotated[str, Field(strict=True, min_length=1, max_length=255, pattern=PLAIN)] | None = Field(
        None, description="Module and name of the function; null for all of them.", examples=["shop.prices.of"]
    )


class InvalidateTags(Model):
    """Makes the entries with one of some tags be forgotten, of every cache of perfagent's in the program."""

    command: Literal["invalidate_tags"]
    value: list[Annotated[str, Field(strict=True, min_length=1, max_length=255, pattern=PLAIN)]] = Field(
        min_length=1, max_length=50, description="The tags.", examples=[["products"]]
    )


class Factors(Model):
    """What the ttl of new values is multiplied by."""

    factors: dict[Annotated[str, Field(max_length=255)], Annotated[float, Field(strict=True, ge=0.1, le=100)]] = Field(
        min_length=1, max_length=50, description='By cache; "" for every one that is not named.', examples=[{"": 2.0}]
    )


class CacheTtl(Model):
    """Keeps new values of perfagent's caches for longer or shorter; the answer's `before` puts it back."""

    command: Literal["cache_ttl"]
    value: Factors


class References(Model):
    """Finds what holds objects of a class: the way to some of them, by names of modules, attributes and types alone."""

    command: Literal["references"]
    value: Annotated[str, Field(strict=True, min_length=1, max_length=255, pattern=PLAIN)] = Field(
        description="The class, with its module or without.", examples=["app.Order"]
    )


class Plain(Model):
    """A report of the agent, or a collection of garbage."""

    command: Literal["report", "collect_garbage"]
    value: None = Field(None, description="Nothing.")


Ask = Annotated[
    Ratio | Level | Profiling | Profiler | ClearCache | InvalidateTags | CacheTtl | References | Plain,
    Body(discriminator="command"),
]


class Accepted(Model):
    """A command that now waits for its process."""

    id: str = Field(description="To find it by.", examples=[ID])
    state: State = Field(description="`waiting`, unless the process was faster than this answer.", examples=["waiting"])


@router.get("/agents", response_model=Success[Listing[Agent]])
def agents(hub: TheHub, page: Paging, service: OfService = None) -> Answer:
    """The processes that sent something within the last hour, and what they can be asked."""
    found = sorted(_recent(hub, service), key=lambda one: (one.service, one.instance))
    shown = found[page.offset : page.offset + page.limit + 1]
    return success(page.listing([_agent(hub, one) for one in shown]))


@router.post(
    "/agents/{instance:path}/commands",
    status_code=202,
    response_model=Success[Accepted],
    responses=refuses(404, 409),
)
def ask_agent(request: Request, hub: TheHub, instance: Instance, ask: Ask) -> Answer:
    """Asks a process for something; it fetches the command with its next report, within seconds."""
    process = _find(hub, instance)
    if not _commands(process):
        raise Refused(409, "conflict", f"the process {instance[:100]!r} is served by another agent, which takes none")
    if not process.alive:
        ago = f"{time() - process.last_seen:.0f} s"
        raise Refused(409, "conflict", f"the process {instance[:100]!r} has sent nothing for {ago}; it may have ended")
    try:
        value = ask.value.model_dump() if isinstance(ask.value, Model) else ask.value
        asked = hub.commands.ask(instance, ask.command, value)
    except Full as full:
        raise Refused(429, "too_many_requests", str(full), headers={"Retry-After": "15"}) from full
    record(request, "command.asked", instance, after={"id": asked.id, "command": asked.command, "value": asked.value})
    return success({"id": asked.id, "state": asked.state})


@router.get("/agents/{instance:path}/commands", response_model=Success[Listing[Command]], responses=refuses(404))
def agent_commands(hub: TheHub, page: Paging, instance: Instance) -> Answer:
    """What a process was asked, the last command first, and what became of it."""
    found = hub.commands.of(instance)
    if not found:
        _find(hub, instance)
    shown = found[page.offset : page.offset + page.limit + 1]
    return success(page.listing([_command(one) for one in shown]))


def _recent(hub: Hub, service: str | None = None) -> list[Process]:
    now = time()
    return processes(hub.store, Range(now - HOUR, now), service)


def _find(hub: Hub, instance: str) -> Process:
    found = [one for one in _recent(hub) if one.instance == instance]
    if not found:
        message = f"no process {instance[:100]!r} sent anything within the last hour; GET agents lists those that did"
        raise Refused(404, "not_found", message, "instance")
    return max(found, key=lambda one: one.last_seen)


def _commands(process: Process) -> list[str]:
    """What a process can be asked. The sdk pipeline has the same name and takes none: its SDK does the sending."""
    return list(ACCEPTED) if process.attributes.get("telemetry.sdk.name") == OURS else []


def _agent(hub: Hub, process: Process) -> Answer:
    last, pid = next(iter(hub.commands.of(process.instance)), None), process.attributes.get("process.pid")
    return {
        "service": process.service,
        "instance": process.instance,
        "pid": pid if isinstance(pid, int) else None,
        "alive": process.alive,
        "commands": _commands(process),
        "pending": hub.commands.pending(process.instance),
        "last": None if last is None else _command(last, whole=False),
    }


def _command(asked: Asked, whole: bool = True) -> Answer:
    shown = {name: getattr(asked, name) for name in Command.model_fields}
    if not whole and asked.command == "report" and asked.state == "done":
        shown["result"] = None
    return shown
