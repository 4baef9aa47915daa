"""What a process keeps more and more of, as its agent has noticed."""

from __future__ import annotations

import json
from math import isfinite
from time import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from perfagent.hub.analyse.leak_notices import PREFIX
from perfagent.hub.analyse.notice_findings import LATELY
from perfagent.hub.api.context import PLAIN, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.processes import Values
from perfagent.hub.api.ranges import Within
from perfagent.hub.api.seen import processes
from perfagent.hub.api.vitals import readings

if TYPE_CHECKING:
    from perfagent.hub.store.rows import Row

router = APIRouter(tags=["processes"])

BLOCKS = "perfagent.memory.blocks"
MOST_POINTS = 60


class Leak(Model):
    """Something that has grown steadily."""

    holder: str = Field(description="What holds it, or the class.", examples=["app.bus.listeners"])
    kind: str = Field(description="`list`, `dict`, `set`, `deque`, `bytearray`; `type` for a class.", examples=["list"])
    type: str = Field(description="Class of what is kept; may be empty.", examples=["app.Subscription"])
    entries: float = Field(description="How many there were last.", examples=[12000.0])
    entries_per_hour: float = Field(description="By how many it grew.", examples=[3600.0])
    bytes_per_hour: float = Field(description="The same in bytes, about.", examples=[7_200_000.0])
    place: str = Field(description="The line that makes, or puts in, what is kept.", examples=["/app/shop.py:43"])
    function: str = Field(description="The function of that line; may be empty.", examples=["subscribe"])
    assigned: str = Field(description="The line that makes what holds it; may be empty.", examples=["/app/shop.py:39"])
    stack: str = Field(description="The calls that led to it, the last one last; may be empty.", examples=[""])
    endpoint: str = Field(description="Requests that make it grow; may be empty.", examples=["POST /checkout"])
    entries_per_request: float | None = Field(description="What such a request leaves behind.", examples=[1.0])
    bytes_per_request: float | None = Field(description="The same in bytes, about.", examples=[2000.0])
    growing: bool = Field(description="Whether it was told of in the last 5 minutes.", examples=[True])
    first_seen: float = Field(description="When it was told first in the range.", examples=[1789000000.0])
    last_seen: float = Field(description="When last.", examples=[1789000300.0])
    times: list[float] = Field(description="When it was told, the last 60 times.", examples=[[1789000000.0]])
    sizes: list[float | None] = Field(description="How many entries then.", examples=[[12000.0]])


class Memory(Model):
    """What grows in a process."""

    time: list[int] = Field(description="Starts of the steps.", examples=[[1789000000, 1789000060]])
    blocks: Values = Field(description="Blocks of memory that Python's objects took.", examples=[[300000.0, 301000.0]])
    leaks: list[Leak] = Field(description="What grew, the most bytes first.")


@router.get("/processes/{instance:path}/memory", response_model=Success[Memory])
def process_memory(
    hub: TheHub,
    within: Within,
    instance: Annotated[
        str, Path(description="`service.instance.id`.", min_length=1, max_length=255, pattern=PLAIN, examples=["i-1"])
    ],
) -> Answer:
    """What a process keeps more and more of: what holds it, the line that makes it, the endpoint that leaves it."""
    rows = hub.store.rows("processes/leaks", begin_ns=within.begin_ns, end_ns=within.end_ns, instance=instance)
    end = min(within.end, time())
    known = [one for one in processes(hub.store, within) if one.instance == instance]
    found = readings(hub.store, within, known[0].service if known else None, (BLOCKS,))
    blocks: Values = [None] * len(found.times)
    for one in known:
        blocks = found.values.get(BLOCKS, {}).get(one.id, blocks)
    leaks = sorted((_leak(row, end) for row in rows), key=lambda one: -one["bytes_per_hour"])
    return success({"time": found.times, "blocks": blocks, "leaks": leaks})


def _leak(row: Row, end: float) -> dict[str, Any]:
    told = json.loads(row["attributes"])

    def of(name: str) -> Any:
        return told.get(PREFIX + name)

    each, size = _number(of("entries_per_request")), _number(of("bytes_per_entry"))
    path, line = told.get("code.file.path"), told.get("code.line.number")
    last = row["last_seen"] / 1e9
    return {
        "holder": row["holder"],
        "kind": str(of("kind") or ""),
        "type": str(of("type") or ""),
        "entries": _number(of("entries")) or 0.0,
        "entries_per_hour": _number(of("entries_per_hour")) or 0.0,
        "bytes_per_hour": _number(of("bytes_per_hour")) or 0.0,
        "place": f"{path}:{line}" if path else "",
        "function": str(told.get("code.function.name") or ""),
        "assigned": str(of("assigned") or ""),
        "stack": str(told.get("code.stacktrace") or "")[:20_000],
        "endpoint": str(of("endpoint") or ""),
        "entries_per_request": each,
        "bytes_per_request": _number(each * size) if each is not None and size is not None else None,
        "growing": last >= end - LATELY,
        "first_seen": row["first_seen"] / 1e9,
        "last_seen": last,
        "times": [time / 1e9 for time in row["times"][-MOST_POINTS:]],
        "sizes": [_number(size) for size in row["entries"][-MOST_POINTS:]],
    }


def _number(value: object) -> float | None:
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if isfinite(found) else None
