"""Likely causes of what is wrong now: ranked, each with its evidence and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter
from pydantic import Field

from perfagent.hub.analyse.causes import Cause, rank
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.evidence import gather
from perfagent.hub.api.ranges import Within

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub

router = APIRouter(tags=["findings"])


class LikelyCause(Model):
    """One likely cause."""

    kind: Literal[
        "slow_query", "lock", "n_plus_one", "cache", "slow_dependency", "failing_dependency", "pool", "blocked_loop",
        "cpu", "gc", "memory_leak", "errors", "slow_code",
    ] = Field(examples=["slow_query"])  # fmt: skip
    service: str = Field(description="In which it is.", examples=["shop"])
    subject: str = Field(
        description="A statement, a dependency, an endpoint, a pool, a cache, a process or an exception.",
        examples=["SELECT orders"],
    )
    title: str = Field(examples=["SELECT orders became 14.0 times slower"])
    score: float = Field(description="0..1, how likely it is behind what is seen.", examples=[0.93])
    evidence: list[str] = Field(examples=[["96 % of the time that GET /orders takes more is in it"]])
    steps: list[str] = Field(description="What to do, in this order.", examples=[["run EXPLAIN on the statement"]])
    effort: Literal["low", "medium", "high"]
    link: str = Field(description="Where the page shows it.", examples=["#/queries/6917529027641081856"])
    traces: list[str] = Field(description="Requests that show it.", examples=[["4bf92f3577b34da6a3ce929d0e0e4736"]])
    place: str = Field(description="Where it is called from.", examples=["/srv/shop/orders.py:35 list_orders"])
    services: list[str] = Field(description="That feel it.", examples=[["shop"]])
    endpoints: list[str] = Field(description="That feel it.", examples=[["GET /orders"]])
    requests_per_day: float = Field(description="That it touches, at the rate of now.", examples=[172800.0])
    seconds_per_day: float = Field(description="That these take longer.", examples=[15552.0])
    failures_per_day: float = Field(description="Of them that fail by it.", examples=[0.0])
    since: float | None = Field(description="When it began; null where it may have been so all along.")
    effect_of: str = Field(description="The title of the cause that explains this one; empty where none does.")


class Causes(Model):
    """Likely causes, the likeliest first."""

    items: list[LikelyCause]


@router.get("/causes", response_model=Success[Causes])
def causes(hub: TheHub, within: Within, service: OfService = None) -> Answer:
    """What is likely behind what is wrong in the last minute of the range, beside the hour before it."""
    return success({"items": [one.answer() for one in likely(hub, within.end, service=service)]})


def likely(hub: Hub, end: float, since: float | None = None, service: str | None = None) -> list[Cause]:
    """The likely causes of what is wrong at a moment, the likeliest first; none where nothing is.

    Args:
        end: the moment, seconds since the epoch.
        since: when it began to be wrong, where that is known: what it is compared with is before.
        service: only its calls; all of them when left out, for a cause may be in another service.
    """
    return rank(gather(hub, end, since, service))
