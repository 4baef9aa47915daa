"""Traces: found by what they hold, and one of them in the order of its tree."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints

from perfagent.hub.analyse import time_parts
from perfagent.hub.analyse.durations import MS
from perfagent.hub.analyse.tree import Node, Tree, build
from perfagent.hub.api import cursors
from perfagent.hub.api.context import LARGEST, PLAIN, OfService, Search, TheHub, TraceId
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Within
from perfagent.hub.api.remotely import Reason, WithTraces, until_now
from perfagent.hub.api.search import Place, Terms, search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.store.rows import Row

router = APIRouter(tags=["traces"])

MOST_SPANS = 2000  # of one trace that are shown: 60 ms and 1 MB; nobody reads more rows than that
MOST_LOGS = 500
REPEATED = 3  # times that a statement runs in a trace to be named as repeated
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
LONGEST_MS = 1e9  # eleven days

Attribute = Annotated[str, StringConstraints(pattern=r'^[^\x00-\x1f\x7f"\\=]{1,200}=[^\x00-\x1f\x7f]{0,200}$')]


class Trace(Model):
    """One trace, as the request that was found in it."""

    trace_id: str = Field(description="32 hexadecimal digits.", examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    service: str = Field(description="Where the request was answered.", examples=["shop"])
    name: str = Field(description="Of the request.", examples=["GET /orders"])
    operation: str = Field(description="Identity of the request's operation.", examples=["6917529027641081856"])
    started: float = Field(description="When the request began, seconds since the epoch.", examples=[1789000000.25])
    duration_ms: float = Field(description="How long the request took.", examples=[84.2])
    status_code: int | None = Field(description="HTTP status of the answer.", examples=[200])
    error: bool = Field(description="Whether the request failed.", examples=[False])
    spans: int = Field(description="Spans of the whole trace.", examples=[11])
    errors: int = Field(description="Failed spans of the whole trace.", examples=[0])
    services: list[str] = Field(description="Services that took part.", examples=[["payments", "shop"]])


class Event(Model):
    """Something that happened within a span."""

    name: str = Field(examples=["exception"])
    offset_ms: float = Field(description="After the trace's begin.", examples=[12.5])
    attributes: dict[str, Any] = Field(examples=[{"exception.type": "TimeoutError"}])


class Span(Model):
    """One span of a trace."""

    span_id: str = Field(examples=["00f067aa0ba902b7"])
    parent_id: str | None = Field(description="The span that called it; it may be missing.", examples=[None])
    service: str = Field(examples=["shop"])
    instance: str = Field(description="The process.", examples=["shop-1"])
    name: str = Field(examples=["SELECT items"])
    category: str = Field(description="server, consumer, db, cache, http, rpc, producer or internal.", examples=["db"])
    kind: Literal["unspecified", "internal", "server", "client", "producer", "consumer"] = Field(examples=["client"])
    operation: str = Field(examples=["6917529027641081856"])
    offset_ms: float = Field(description="When it began, after the trace's begin.", examples=[3.2])
    duration_ms: float = Field(examples=[4.7])
    self_ms: float = Field(description="Of it, with none of its children running.", examples=[4.7])
    critical_ms: float = Field(description="Of it, what the end of the trace waited for.", examples=[4.7])
    shifted_ms: float = Field(
        description="By how much it was moved, because the clock of its process disagrees with its caller's.",
        examples=[0.0],
    )
    status: Literal["unset", "ok", "error"] = Field(examples=["unset"])
    status_message: str | None = Field(examples=[None])
    status_code: int | None = Field(description="HTTP status.", examples=[None])
    caller: str | None = Field(description="File, line and function.", examples=["shop/items.py:31 load_items"])
    depth: int = Field(description="0 for a span without a parent here.", examples=[1])
    time: dict[str, float] = Field(
        description="Where its time went, ms by part, which add up to its duration: cpu, gc (garbage collection), "
        "lock, pool (waiting for a free connection or worker), loop (ready, but the event loop ran others; at most), "
        "network (databases, caches, other services), sleep, processor (runnable, but none free), gil (the "
        "interpreter's lock), other; own where nobody has measured it.",
        examples=[{"cpu": 1.2, "network": 3.5}],
    )
    attributes: dict[str, Any] = Field(examples=[{"db.system.name": "postgresql"}])
    events: list[Event] = Field(examples=[[]])
    links: list[dict[str, Any]] = Field(
        description="Spans of other traces: trace_id, span_id, attributes.", examples=[[]]
    )


class TraceLog(Model):
    """A log record of a trace."""

    time: float = Field(examples=[1789000000.31])
    service: str = Field(examples=["shop"])
    instance: str = Field(examples=["shop-1"])
    severity: str = Field(examples=["ERROR"])
    number: int = Field(description="OpenTelemetry's severity number, 0 to 24.", examples=[17])
    scope: str = Field(description="The logger.", examples=["shop.orders"])
    body: str = Field(examples=["query failed"])
    event: str | None = Field(examples=[None])
    attributes: dict[str, Any] = Field(examples=[{}])
    trace_id: str | None = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    span_id: str | None = Field(examples=["00f067aa0ba902b7"])


class Repeated(Model):
    """A statement or a call that ran several times in a trace."""

    operation: str = Field(examples=["6917529027641081856"])
    summary: str = Field(examples=["SELECT lines"])
    text: str = Field(examples=["SELECT * FROM lines WHERE order_id = ?"])
    times: int = Field(examples=[8])
    total_ms: float = Field(examples=[6.1])
    parent_id: str | None = Field(description="The span that most of them have as parent.", examples=[None])
    caller: str | None = Field(examples=["shop/lines.py:44 load_lines"])


class OneTrace(Model):
    """A trace in tree order: each span before its children, these by their begin."""

    trace_id: str = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    name: str = Field(examples=["GET /orders"])
    service: str = Field(examples=["shop"])
    started: float = Field(examples=[1789000000.25])
    duration_ms: float = Field(examples=[84.2])
    services: list[str] = Field(examples=[["payments", "shop"]])
    complete: bool = Field(description="Whether all its spans are here and every parent is known.", examples=[True])
    left_out: int = Field(description="Spans beyond the first 2000, which are not shown.", examples=[0])
    spans: list[Span]
    logs: list[TraceLog]
    repeated: list[Repeated]


@router.get("/traces", response_model=Success[Listing[Trace]], dependencies=[WithTraces])
def traces(
    hub: TheHub,
    within: Within,
    page: Paging,
    service: OfService = None,
    operation: Annotated[
        int | None,
        Query(description="Traces with a span of this operation.", ge=0, le=LARGEST, examples=[6917529027641081856]),
    ] = None,
    route: Annotated[
        str | None,
        Query(
            description="Requests of this name, or route of any method.",
            max_length=1000,
            pattern=PLAIN,
            examples=["/orders"],
        ),
    ] = None,
    min_ms: Annotated[
        float | None, Query(description="Requests that took so long or longer.", ge=0, le=LONGEST_MS, examples=[100])
    ] = None,
    max_ms: Annotated[
        float | None, Query(description="Requests that took no longer.", ge=0, le=LONGEST_MS, examples=[1000])
    ] = None,
    status: Annotated[
        Literal["ok", "error"] | None, Query(description="Requests that failed, or did not.", examples=["error"])
    ] = None,
    code: Annotated[int | None, Query(description="HTTP status of the answer.", ge=0, le=999, examples=[500])] = None,
    attribute: Annotated[
        list[Attribute] | None,
        Query(
            description="`key=value` of an attribute of any span of the trace or of its resource; up to 5, all on one.",
            max_length=5,
            examples=[["http.route=/orders"]],
        ),
    ] = None,
    q: Search = None,
    sort: Annotated[Literal["recent", "slowest"], Query(description="The order.")] = "recent",
) -> Answer:
    """Traces by what their requests are and by what any of their spans holds."""
    pairs = tuple((key, value) for key, _, value in (one.partition("=") for one in attribute or ()))
    terms = Terms(service, operation, route, min_ms, max_ms, status, code, pairs, q, sort)
    after = Place(int(page.after[0]), bytes.fromhex(page.after[1])) if page.after else None
    within = until_now(hub, within)
    found = search(hub.store, within, terms, page.limit, after)
    following = None
    if found.more and found.places:
        place = found.places[-1]
        key = (place.value, place.span_id.hex())
        following = cursors.write(page.request, cursors.Place(within.begin, within.end, key))
    return success({"items": found.traces, "next": following})


@router.get("/traces/{trace_id}", response_model=Success[OneTrace], responses=refuses(404))
def trace(hub: TheHub, trace_id: TraceId, reason: Reason) -> Answer:
    """One trace as a tree, with self times, the critical path, repeated statements and its logs."""
    wanted = bytes.fromhex(trace_id)
    rows = hub.store.rows("traces/spans", trace_id=wanted, most=MOST_SPANS)
    if not rows and reason:
        raise Refused(503, "unavailable", f"trace {trace_id} could not be fetched: {reason}")
    if not rows:
        hours = hub.settings.retention_hours
        message = (
            f"no trace {trace_id}; it may not have arrived yet, or be older than the {hours} h that traces are kept"
            if hub.remote is None
            else f"no trace {trace_id} in Jaeger; it may not have arrived yet, have been sampled out, or be too old"
        )
        raise Refused(404, "not_found", message, "trace_id")
    groups = hub.store.rows("traces/repeated", trace_id=wanted)
    logs = hub.store.rows("traces/logs", trace_id=wanted, most=MOST_LOGS)
    tree = build(_node(number, row) for number, row in enumerate(rows))
    assert tree.main is not None
    main = rows[tree.main.row]
    left_out = int(groups[0]["whole"]) - len(rows)
    return success(
        {
            "trace_id": trace_id,
            "name": main["name"],
            "service": main["service"],
            "started": tree.started / 1e9,
            "duration_ms": (tree.ended - tree.started) / MS,
            "services": sorted({row["service"] for row in rows}),
            "complete": tree.whole and not left_out,
            "left_out": left_out,
            "spans": _spans(tree, rows),
            "logs": [_log(row) for row in logs],
            "repeated": [_repeated(row) for row in groups if row["times"] >= REPEATED and _is_work(row)],
        }
    )


def _node(number: int, row: Row) -> Node:
    return Node(
        number,
        row["span_id"],
        row["parent_id"],
        row["started"],
        row["duration"],
        row["resource"],
        row["kind"],
        row["status"] == 2,
    )


def _spans(tree: Tree, rows: Sequence[Row]) -> list[dict[str, Any]]:
    origin = tree.started
    shown = []
    read = [json.loads(row["attributes"]) for row in rows]
    times = time_parts.of_tree(
        tree.nodes,
        {number: told for number, one in enumerate(read) if (told := time_parts.told(one))},
        {number for number, row in enumerate(rows) if time_parts.waits(row["category"], row["system"])},
    )
    for node in tree.nodes:
        row = rows[node.row]
        shown.append(
            {
                "span_id": node.span_id.hex(),
                "parent_id": node.parent_id.hex() if node.parent_id else None,
                "service": row["service"],
                "instance": row["instance"] or "",
                "name": row["name"],
                "category": row["category"],
                "kind": KINDS[row["kind"]] if row["kind"] < len(KINDS) else KINDS[0],
                "operation": str(row["operation"]),
                "offset_ms": (node.started - origin) / MS,
                "duration_ms": node.duration / MS,
                "self_ms": node.self_time / MS,
                "critical_ms": node.critical / MS,
                "shifted_ms": node.shift / MS,
                "status": STATUSES[row["status"]] if row["status"] < len(STATUSES) else STATUSES[0],
                "status_message": row["status_message"],
                "status_code": row["status_code"] or None,
                "caller": row["caller"],
                "depth": node.depth,
                "time": {part: time / MS for part, time in times[node.row].items()},
                "attributes": read[node.row],
                "events": _events(row["events"], origin - node.shift),
                "links": json.loads(row["links"]) if row["links"] else [],
            }
        )
    return shown


def _events(text: str | None, origin: int) -> list[dict[str, Any]]:
    if not text:
        return []
    return [
        {
            "name": str(event.get("name", "")),
            "offset_ms": (event.get("time", origin) - origin) / MS,
            "attributes": event.get("attributes") or {},
        }
        for event in json.loads(text)
    ]


def _log(row: Row) -> dict[str, Any]:
    return {
        "time": row["time"] / 1e9,
        "service": row["service"] or "",
        "instance": row["instance"] or "",
        "severity": row["severity_text"],
        "number": row["severity"],
        "scope": row["scope"],
        "body": row["body"],
        "event": row["event"],
        "attributes": json.loads(row["attributes"]),
        "trace_id": row["trace_id"].hex() if row["trace_id"] else None,
        "span_id": row["span_id"].hex() if row["span_id"] else None,
    }


def _is_work(row: Row) -> bool:
    return row["category"] not in ("internal", "server", "consumer")


def _repeated(row: Row) -> dict[str, Any]:
    return {
        "operation": str(row["operation"]),
        "summary": row["summary"],
        "text": row["text"],
        "times": row["times"],
        "total_ms": row["total"] / MS,
        "parent_id": row["parent_id"].hex() if row["parent_id"] else None,
        "caller": row["caller"],
    }
