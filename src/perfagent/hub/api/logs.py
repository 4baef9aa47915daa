"""Log records: the latest, those of a trace, and how many there were of which severity."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from pydantic import Field

from perfagent.hub.api.context import OfService, Search, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Within
from perfagent.hub.store.rows import Row

router = APIRouter(tags=["logs"])

# OpenTelemetry's severity numbers come in groups of four, 0 being none; the names are those of Python's logging.
SEVERITIES = ("UNSET", "TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LEAST = {"trace": 1, "debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
Least = Literal["trace", "debug", "info", "warning", "error", "critical"]


class Log(Model):
    """One log record."""

    time: float = Field(description="When, seconds since the epoch.", examples=[1789000000.0])
    service: str = Field(description="Who wrote it.", examples=["shop"])
    instance: str = Field(description="Which process of it.", examples=["shop-1"])
    severity: str = Field(description=f"One of {', '.join(SEVERITIES)}.", examples=["ERROR"])
    number: int = Field(description="OpenTelemetry's severity number, 0 where there is none.", examples=[17])
    scope: str = Field(description="The logger's name.", examples=["shop.database"])
    body: str = Field(description="The message.", examples=["the database did not answer in 5 s"])
    event: str | None = Field(description="Name of the event, where it is one.", examples=[None])
    attributes: dict[str, Any] = Field(description="What else it tells.", examples=[{"code.line.number": 61}])
    trace_id: str | None = Field(
        description="The trace that it was written in.", examples=["4bf92f3577b34da6a3ce929d0e0e4736"]
    )
    span_id: str | None = Field(description="The span that it was written in.", examples=["00f067aa0ba902b7"])


class Summary(Model):
    """How many records there were."""

    time: list[int] = Field(description="Starts of the steps.", examples=[[1789000000, 1789000060]])
    counts: dict[str, list[int]] = Field(
        description="Records by severity, for each step.", examples=[{"ERROR": [2, 0], "WARNING": [5, 7]}]
    )


def severity(number: int) -> str:
    """The name of a severity number."""
    return SEVERITIES[min((number + 3) // 4, 6)]


def log(row: Row) -> Answer:
    """A row with the columns of `logs/list` as a Log."""
    return {
        "time": row["time"] / 1e9,
        "service": row["service"],
        "instance": row["instance"],
        "severity": severity(row["severity"]),
        "number": row["severity"],
        "scope": row["scope"],
        "body": row["body"],
        "event": row["event"],
        "attributes": orjson.loads(row["attributes"]),
        "trace_id": row["trace_id"].hex() if row["trace_id"] else None,
        "span_id": row["span_id"].hex() if row["span_id"] else None,
    }


@router.get("/logs", response_model=Success[Listing[Log]])
def list_logs(
    hub: TheHub,
    within: Within,
    page: Paging,
    service: OfService = None,
    severity: Annotated[Least | None, Query(description="This severity and above.", examples=["warning"])] = None,
    q: Search = None,
    trace_id: Annotated[
        str | None,
        Query(
            description="Only those written in this trace, 32 hexadecimal digits.",
            pattern=r"^[0-9a-f]{32}$",
            examples=["4bf92f3577b34da6a3ce929d0e0e4736"],
        ),
    ] = None,
) -> Answer:
    """Log records, the latest first."""
    before, position = page.after or (None, None)
    rows = hub.store.rows(
        "logs/list",
        begin=within.begin_ns,
        end=within.end_ns,
        least=LEAST[severity] if severity else 0,
        service=service,
        q=q or None,
        trace_id=bytes.fromhex(trace_id) if trace_id else None,
        before=before,
        position=position,
        limit=page.limit + 1,
    )
    return success(
        page.listing([log(row) for row in rows], within, keys=[(row["time"], row["position"]) for row in rows])
    )


@router.get("/logs/summary", response_model=Success[Summary])
def summarize_logs(hub: TheHub, within: Within, service: OfService = None) -> Answer:
    """How many log records there were of which severity, over time; of the last 7 days."""
    times = within.times()
    counts: dict[str, list[int]] = {}
    rows = hub.store.rows("logs/summary", first=within.first, last=within.last, step=within.step, service=service)
    for row in rows:
        steps = counts.setdefault(SEVERITIES[min(row["severity"], 6)], [0] * len(times))
        steps[(row["time"] - times[0]) // within.step] += row["records"]
    return success({"time": times, "counts": counts})
