"""The samples of one trace over time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.api import profiled
from perfagent.hub.api.context import TheHub, TraceId
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import refuses
from perfagent.hub.api.profile_answers import MS, Function
from perfagent.hub.api.profile_question import KIND
from perfagent.hub.flame.stacks import origin

router = APIRouter(tags=["profiles"])

MOST_SAMPLES = 20_000


class Moment(Model):
    """Samples of one stack at one time."""

    offset_ms: float = Field(description="After the begin.", examples=[3.2])
    duration_ms: float = Field(description="What the sample stands for.", examples=[10.0])
    stack: int = Field(description="Its place in `stacks`.", examples=[0])
    thread: str = Field(examples=["MainThread"])
    task: str = Field(examples=["handle"])
    state: str = Field(examples=["running"])
    span_id: str | None = Field(examples=["00f067aa0ba902b7"])


class Chart(Model):
    """The samples of one trace over time."""

    type: str = Field(examples=["wall"])
    started: float = Field(description="Of the trace.", examples=[1789000000.25])
    duration_ms: float = Field(examples=[84.2])
    functions: list[Function]
    stacks: list[list[int]] = Field(description="From the first call on: places in `functions`.", examples=[[[0, 1]]])
    lines: list[list[int]] = Field(description="The lines that these were at.", examples=[[[12, 31]]])
    moments: list[Moment]


@router.get("/profiles/traces/{trace_id}", response_model=Success[Chart], responses=refuses(404))
def profile_chart(
    hub: TheHub,
    trace_id: TraceId,
    type: Annotated[str, Query(pattern=KIND, description="wall or cpu.", examples=["wall"])] = "wall",  # noqa: A002
) -> Answer:
    """The samples of one trace over time: a flame chart; empty where none was taken in it."""
    wanted = bytes.fromhex(trace_id)
    rows = hub.store.rows("profiles/trace", trace_id=wanted, kind=type, most=MOST_SAMPLES)
    stacks: dict[tuple[Any, ...], int] = {}
    moments: list[Answer] = []
    for row in rows:
        key = (tuple(row["frames"]), tuple(row["lines"]))
        place = stacks.setdefault(key, len(stacks))
        times = row["times"] or [row["time"]]
        each = row["value"] / len(times)
        for at in times:
            moments.append({
                "at": at, "for": each, "stack": place, "thread": row["thread"], "task": row["task"],
                "state": row["state"], "span_id": row["span_id"].hex() if row["span_id"] else None,
            })  # fmt: skip
    moments.sort(key=lambda one: one["at"])
    spans = hub.store.rows("traces/spans", trace_id=wanted, most=2000)
    first = min([row["started"] for row in spans] + [one["at"] for one in moments[:1]], default=0)
    last = max(
        [row["started"] + row["duration"] for row in spans] + [one["at"] + one["for"] for one in moments], default=first
    )
    functions: dict[tuple[str, str, int], int] = {}
    told: list[list[int]] = []
    for calls in profiled.calls_of(hub.store, stacks):
        told.append([functions.setdefault(call[:3], len(functions)) for call in calls])
    return success(
        {
            "type": type,
            "started": first / 1e9,
            "duration_ms": (last - first) / MS,
            "functions": [
                {"name": name, "file": file, "line": line, "origin": origin(file)} for name, file, line in functions
            ],
            "stacks": told,
            "lines": [list(lines) for _, lines in stacks],
            "moments": [
                {
                    "offset_ms": (one["at"] - first) / MS,
                    "duration_ms": one["for"] / MS,
                    **{name: one[name] for name in ("stack", "thread", "task", "state", "span_id")},
                }
                for one in moments[:MOST_SAMPLES]
            ],
        }
    )
