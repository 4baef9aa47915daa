"""Has what a question is about fetched, where the hub reads from elsewhere; does nothing where it does not.

Dependencies of routes, on the event loop: whoever waits for Jaeger holds no thread that others need.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Query, Request, Response

from perfagent.hub.api import cursors
from perfagent.hub.api.context import Identity, TraceId, number
from perfagent.hub.api.ranges import Range, Within, tell

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.remote.points import Listed

RECENT = 120.0  # seconds by which the figures may be behind the traces
PAGES = 2  # as many traces as a page has: some of what Jaeger gives does not match
SOME = 200  # traces that are looked through for what Jaeger cannot be asked for


def until_now(hub: Hub, within: Range) -> Range:
    """A range that ends where the figures end, up to this moment: traces are not behind."""
    now = time()
    if hub.remote is None or not hub.remote.present() - 1 <= within.end <= now or now - within.end > RECENT:
        return within
    return Range(within.begin, now)


async def _trace(request: Request, trace_id: TraceId) -> str:
    remote = request.app.state.hub.remote
    return "" if remote is None else str(await remote.trace(trace_id))


async def _traces(request: Request, response: Response, within: Within) -> None:
    hub: Hub = request.app.state.hub
    if hub.remote is None:
        return
    asked = request.query_params
    limit = _number(asked.get("limit")) or 50
    within = until_now(hub, within)
    end = within.end
    place = cursors.read(request)
    if place is not None and asked.get("sort") != "slowest":
        end = min(end, int(place.key[0]) / 1e9 + 1)
    narrow = not (asked.get("status") or asked.get("code") or asked.get("attribute") or asked.get("q"))
    operation = asked.get("operation", "")
    reason = await hub.remote.find(
        within.begin,
        end,
        int(min(limit * PAGES if narrow else max(limit * PAGES, SOME), SOME * 2)),
        service=asked.get("service"),
        route=asked.get("route"),
        operation=int(operation) if operation.isdecimal() else None,
        least_ms=_number(asked.get("min_ms")),
        most_ms=_number(asked.get("max_ms")),
    )
    tell(response, [reason])


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:  # the route itself says what is accepted
        return None


async def _operation(request: Request, response: Response, within: Within, operation: Identity) -> None:
    hub: Hub = request.app.state.hub
    if hub.remote is not None:
        end = until_now(hub, within).end
        tell(response, [await hub.remote.operation(number(operation), within.begin, end)])


async def _metric(
    request: Request, response: Response, within: Within, name: Annotated[str, Query(include_in_schema=False)] = ""
) -> None:
    remote = request.app.state.hub.remote
    if remote is not None and name:
        tell(response, [await remote.metric(name, within.begin, within.end, within.step)])


async def _names(request: Request) -> dict[str, Listed]:
    remote = request.app.state.hub.remote
    found: dict[str, Listed] = {} if remote is None else await remote.names()
    return found


Reason = Annotated[str, Depends(_trace)]
"""Why a trace could not be fetched; "" where it could, or where the hub has its own."""
WithTraces = Depends(_traces)
WithOperation = Depends(_operation)
WithMetric = Depends(_metric)
Names = Annotated[dict[str, "Listed"], Depends(_names)]
"""Metrics that the hub could read, by name; none where it has its own."""
