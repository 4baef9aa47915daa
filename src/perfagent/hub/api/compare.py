"""What got slower, larger or worse between two versions, starts or ranges of time, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from perfagent.hub.analyse.comparison import GATED, TOLERANCE, answer, compare
from perfagent.hub.analyse.side import Side
from perfagent.hub.api import sides
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.ranges import tell

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub

router = APIRouter(tags=["trends"])

BASELINE = sides.BASELINE

Aspect = Literal["latency", "memory", "cpu", "errors", "cache", "queries"]
Of = Annotated[
    str,
    Query(description=f"One side: {sides.FORMS}.", min_length=1, max_length=300, pattern=PLAIN),
]
WarmUp = Annotated[float, Query(description="Seconds at the begin of each side that are left out.", ge=0, le=86_400)]


class ComparedSide(Model):
    """One side of a comparison."""

    label: str = Field(examples=["2.4.0"])
    begin: float = Field(description="Seconds since the epoch.", examples=[1789000000.0])
    end: float = Field(examples=[1789003600.0])
    requests: float = Field(examples=[14400.0])
    services: list[str] = Field(examples=[["shop"]])


class DifferenceItem(Model):
    """One figure on both sides."""

    service: str = Field(examples=["shop"])
    kind: str = Field(description="endpoint, query, dependency, cache or process.", examples=["endpoint"])
    name: str = Field(examples=["GET /orders"])
    aspect: Aspect = Field(examples=["latency"])
    figure: str = Field(examples=["p95"])
    unit: str = Field(examples=["ms"])
    before: float | None = Field(examples=[40.2])
    after: float | None = Field(examples=[52.9])
    change: float | None = Field(
        description="A share of `before`; in points (0..1) where the unit is `ratio`; null for too little data.",
        examples=[0.316],
    )
    low: float | None = Field(description="The true change is between this …", examples=[0.25])
    high: float | None = Field(description="… and this, 19 of 20 times.", examples=[0.39])
    p: float | None = Field(description="The chance of so large a difference without a cause.", examples=[1e-9])
    certainty: float | None = Field(
        description="1 less the false discovery rate over all figures that were tested.", examples=[0.9999]
    )
    verdict: Literal["worse", "better", "same", "unclear", "few"] = Field(
        description="unclear: large, and not certain. few: too few calls, or too short a time.", examples=["worse"]
    )
    link: str = Field(examples=["#/endpoints/42"])


class ComparedSubject(Model):
    """What only one side has."""

    service: str
    kind: str
    name: str


class ComparisonAnswer(Model):
    """A comparison."""

    verdict: Literal["worse", "better", "same", "nothing"] = Field(
        description="worse: a figure of `fail_on` is. nothing: no figure could be compared.", examples=["worse"]
    )
    before: ComparedSide
    after: ComparedSide
    tested: int = Field(description="Figures that were tested.", examples=[38])
    tolerance: float = Field(examples=[0.1])
    false_discovery_rate: float = Field(examples=[0.02])
    failing: int = Field(description="Figures of `fail_on` that are worse.", examples=[2])
    differences: list[DifferenceItem] = Field(description="The worst first; 200 at most.")
    new: list[ComparedSubject] = Field(description="What only the later side has.")
    gone: list[ComparedSubject] = Field(description="What only the earlier side has.")
    notes: list[str]


async def fetched(request: Request, response: Response, before: Of, after: Of, service: OfService = None) -> None:
    """Has both ranges fetched, where the hub reads from elsewhere."""
    hub: Hub = request.app.state.hub
    if hub.remote is None:
        return
    for field, text in (("before", before), ("after", after)):
        if not text.startswith(BASELINE):
            chosen = await run_in_threadpool(sides.choose, hub, text, service, field)
            within = chosen.within
            tell(response, await hub.remote.ready(within.begin, within.end, within.step))


@router.get(
    "/compare", response_model=Success[ComparisonAnswer], responses=refuses(404), dependencies=[Depends(fetched)]
)
def compare_sides(
    hub: TheHub,
    before: Of,
    after: Of,
    service: OfService = None,
    tolerance: Annotated[
        float, Query(description="The share by which a figure must differ to be worse or better.", ge=0, le=10)
    ] = TOLERANCE,
    fail_on: Annotated[
        list[Aspect] | None, Query(description="What makes the verdict `worse`: latency and memory when left out.")
    ] = None,
    warm_up: WarmUp = 0,
) -> Answer:
    """Compares two sides: latencies, memory, CPU, errors, caches, and how often statements run in a request."""
    one = side_of(hub, before, service, "before").without_first(warm_up)
    two = side_of(hub, after, service, "after").without_first(warm_up)
    return success(answer(one, two, compare(one, two, tolerance), tolerance, fail_on or GATED))


@router.get("/compare/side", response_model=Success[dict[str, Any]], responses=refuses(404))
def one_side(hub: TheHub, of: Of, service: OfService = None) -> Answer:
    """One side of a comparison as a document, to keep it or to compare it with what another hub has."""
    return success(side_of(hub, of, service, "of").document())


def side_of(hub: Hub, text: str, service: str | None, field: str) -> Side:
    """The side that a text stands for; raises Refused where there is none."""
    if text.startswith(BASELINE):
        from perfagent.hub.api.baseline import find  # it compares, too

        kept = find(hub.store, service, text.removeprefix(BASELINE))
        if kept is None:
            message = f"there is no baseline {text.removeprefix(BASELINE)!r}, or it is older than 7 days; GET baselines"
            raise Refused(404, "not_found", message, field)
        return Side.of_document(kept["side"])
    return sides.read(hub.store, sides.choose(hub, text, service, field), spans_are_sampled=hub.remote is not None)
