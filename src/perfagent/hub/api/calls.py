"""Reads calls from the roll-ups: by operation, over time, and of one operation; what most answers are made of."""

from __future__ import annotations

from math import ceil, floor
from time import time
from typing import TYPE_CHECKING

from perfagent.hub.analyse.calls import REQUESTS, Calls, Steps
from perfagent.hub.analyse.durations import Durations
from perfagent.hub.api.ranges import HOUR, MINUTES_KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

MINUTES_AT_MOST = 48 * 3600  # longer ranges are read by the hour: a week of minutes is 2.4 million rows


def bounds(store: Store, begin: float, end: float, step: int = HOUR) -> dict[str, int]:
    """The parameters of `span_calls` and `metric_points` for a range: minutes up to 48 h, closed hours beyond.

    Args:
        begin, end: of the range, seconds since the epoch.
        step: of the series that is made of it; one of less than an hour needs minutes, which are kept for 7 days.
    """
    since, until = floor(begin / 60) * 60, ceil(end / 60) * 60
    kept = since >= time() - MINUTES_KEPT
    if kept and (until - since <= MINUTES_AT_MOST + 120 or step < HOUR):
        return {"since": since, "until": until, "hours_since": since, "hours_until": since}
    since = since // HOUR * HOUR
    rolled_up = int(store.rows("calls/hours")[0]["until"])
    closed = max(since, min(until // HOUR * HOUR if kept else ceil(until / HOUR) * HOUR, rolled_up))
    return {"since": since, "until": until, "hours_since": since, "hours_until": closed}


def seconds(within: Range) -> float:
    """How long the roll-ups of a range are: they begin at a whole minute, and end now where the range does."""
    first = floor(within.begin / 60) * 60
    return max(min(within.end, time() + 1) - first, 1.0)


def by_operation(
    store: Store,
    within: Range,
    service: str | None = None,
    categories: Sequence[str] | None = None,
    operation: int | None = None,
) -> list[Calls]:
    """The operations that were called in a range, the ones that took most time in all first."""
    rows = store.rows(
        "calls/by_operation",
        **bounds(store, within.begin, within.end),
        service=service,
        categories=list(categories) if categories is not None else None,
        operation=operation,
    )
    found = [
        Calls(
            row["operation"],
            row["service"],
            row["category"],
            row["name"],
            row["system"],
            row["text"],
            row["first_seen"] / 1e9,
            durations(row),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: -one.durations.total)


def by_time(
    store: Store,
    within: Range,
    service: str | None = None,
    categories: Sequence[str] | None = None,
    operation: int | None = None,
) -> Steps:
    """The calls of a range together, by its steps."""
    step = within.step
    rows = store.rows(
        "calls/by_time",
        **bounds(store, within.first, within.end, step),
        step=step,
        service=service,
        categories=list(categories) if categories is not None else None,
        operation=operation,
    )
    return _steps(within, {row["time"]: durations(row) for row in rows})


def by_kind(store: Store, within: Range, service: str | None, outgoing: Sequence[str]) -> dict[str, Steps]:
    """The calls of a range by its steps: "requests", "queries" and, of some categories, "outgoing" ones.

    One reading in place of three of `by_time`: 11 ms, not 24, for an hour.
    """
    found: dict[str, dict[int, Durations]] = {"requests": {}, "queries": {}, "outgoing": {}}
    rows = store.rows(
        "calls/by_kind",
        **bounds(store, within.first, within.end, within.step),
        step=within.step,
        service=service,
        requests=list(REQUESTS),
        outgoing=list(outgoing),
    )
    for row in rows:
        found[row["kind"]][row["time"]] = durations(row)
    return {kind: _steps(within, steps) for kind, steps in found.items()}


def _steps(within: Range, found: Mapping[int, Durations]) -> Steps:
    times = within.times()
    return Steps(
        times, [passed(start, within.step, within.end) for start in times], [found.get(t, Durations()) for t in times]
    )


def passed(start: int, step: int, end: float) -> float:
    """Seconds of a step that are over; at least 15, for the last one fills only with what agents have sent by now."""
    return max(min(float(step), end - start), 15.0)


def durations(row: Row) -> Durations:
    """The calls in a row with the columns of `calls/by_operation`."""
    return Durations(
        row["calls"],
        row["errors"],
        row["total"],
        row["longest"],
        row["returned"],
        dict(zip(row["buckets"], row["counts"], strict=True)),
    )


SPARKS = 30  # points of a spark line; more than 60 px show


def sparks(store: Store, within: Range, operations: Sequence[int]) -> dict[int, list[float]]:
    """For each operation, how often it was called in each of at most 60 equal steps of the range."""
    limits = bounds(store, within.begin, within.end)
    whole = limits["hours_until"] > limits["hours_since"]
    unit = 3600 if whole else 60
    step = -(-(limits["until"] - limits["since"]) // SPARKS // unit) * unit
    first = limits["since"] // step * step
    count = -(-(limits["until"] - first) // step)
    found = {operation: [0.0] * count for operation in operations}
    for row in store.rows("calls/sparks", **limits, step=step, operations=list(operations)):
        found[row["operation"]][(row["time"] - first) // step] = row["calls"]
    return found
