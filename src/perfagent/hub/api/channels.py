"""Channels: who is told of alerts, how well they are, and a message that says that it is a test."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints

from perfagent.hub.api.audit import record
from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.security import ADMIN, caller

if TYPE_CHECKING:
    from perfagent.hub.notify.channel import Channel
    from perfagent.hub.notify.line import Line

router = APIRouter(tags=["alerts"])

Severity = Literal["low", "medium", "warning", "high", "critical"]


class ToldChannel(Model):
    """Somebody who is told of what happens to incidents; its secrets are not shown."""

    name: str = Field(examples=["ops"])
    kind: str = Field(
        description="email, slack, teams, pagerduty, webhook, file, or apprise for another URL.", examples=["email"]
    )
    target: str = Field(description="Where it goes.", examples=["ops@example.com by smtp.example.com"])
    health: Literal["healthy", "failing", "idle", "off"] = Field(
        description="Idle: nothing was sent yet; off: its declaration cannot be used, `error` says why.",
        examples=["healthy"],
    )
    severity: Severity | None = Field(description="The least severe incident that it is told of.", examples=["warning"])
    services: list[str] = Field(description="Patterns; none for all services.", examples=[["shop*"]])
    happenings: list[str] = Field(description="What it is told of.", examples=[["fired", "resolved"]])
    rate_per_hour: int | None = Field(
        description="Messages; what comes beyond is told in digests; 0 for no limit.", examples=[20]
    )
    sent_last_hour: int = Field(description="Messages.", examples=[3])
    waiting: int = Field(description="Events that it is still to be told of.", examples=[0])
    last_delivered: float | None = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    last_failed: float | None = Field(description="When a message was last not taken.", examples=[None])
    error: str = Field(description="What is wrong now; empty where all is well.", examples=[""])
    origin: str = Field(description="The file or the variable that declares it.", examples=["/srv/perfagent.toml"])


class WantedTest(Model):
    """Which channel to test."""

    channel: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = Field(
        description="Its name, as GET channels tells.", examples=["ops"]
    )


class Tested(Model):
    """What became of the message."""

    channel: str = Field(examples=["ops"])
    delivered: bool = Field(description="Whether the receiver has taken it.", examples=[True])
    error: str = Field(description="Why not; empty where it has.", examples=[""])
    seconds: float = Field(description="How long that took.", examples=[0.4])


@router.get("/channels", response_model=Success[Listing[ToldChannel]])
def channels(hub: TheHub, page: Paging) -> Answer:
    """Who is told of alerts, and how well that works."""
    hub.declared.refresh()
    now = time.time()
    items = [_channel(channel, line, now) for channel, line in hub.notifier.channels()]
    items += [
        {
            "name": problem.name, "kind": "", "target": "", "health": "off", "severity": None, "services": [],
            "happenings": [], "rate_per_hour": None, "sent_last_hour": 0, "waiting": 0, "last_delivered": None,
            "last_failed": None, "error": problem.text, "origin": problem.origin,
        }
        for problem in hub.notifier.problems
    ]  # fmt: skip
    return success(page.listing(items[page.offset : page.offset + page.limit + 1]))


@router.post("/channels/test", response_model=Success[Tested], dependencies=[ADMIN], responses=refuses(404, 409))
def test_channel(hub: TheHub, request: Request, wanted: WantedTest) -> Answer:
    """Sends a message that says that it is a test, and waits for the result; for admins."""
    hub.declared.refresh()
    try:
        found = hub.notifier.test(wanted.channel, caller(request).role)
    except BlockingIOError:
        raise Refused(409, "conflict", "another test is under way; ask again when it has ended", "channel") from None
    if found is None:
        there = ", ".join(channel.name for channel, _line in hub.notifier.channels()) or "none"
        problem = next((one.text for one in hub.notifier.problems if one.name == wanted.channel), "")
        reason = problem or f"no channel {wanted.channel} is declared; there are: {there}"
        raise Refused(404, "not_found", reason, "channel")
    record(request, "channels.test", wanted.channel, after={"delivered": found["delivered"]})
    return success({"channel": wanted.channel, **found})


def _channel(channel: Channel, line: Line, now: float) -> Answer:
    return {
        "name": channel.name,
        "kind": channel.kind,
        "target": channel.shown,
        "health": line.health,
        "severity": channel.severity,
        "services": list(channel.services),
        "happenings": list(channel.happenings),
        "rate_per_hour": channel.rate_per_hour,
        "sent_last_hour": line.pace.sent(now),
        "waiting": len(line.waiting),
        "last_delivered": line.last_delivered,
        "last_failed": line.last_failed,
        "error": line.last_error,
        "origin": channel.origin,
    }
