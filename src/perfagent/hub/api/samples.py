"""Bounded samples of spans, for what roll-ups do not keep: what happens within one request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from perfagent.hub.analyse import time_parts
from perfagent.hub.analyse.breakdown import Breakdown, Piece, break_down
from perfagent.hub.analyse.tree import Node
from perfagent.hub.api.calls import bounds
from perfagent.hub.api.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

MOST = 5000  # spans of a breakdown: 60 ms
SAMPLE = 60_000  # spans, about, that questions about whole traces read
REPEATED = 5  # calls of one statement in one request; pages with a handful of different look-ups stay below


def breakdowns(store: Store, within: Range, operations: Sequence[int], each: int = 100) -> dict[int, Breakdown]:
    """Where up to `each` requests of each operation, drawn from the whole range, spent their time."""
    rows = store.rows(
        "samples/requests",
        operations=list(operations),
        begin_ns=within.begin_ns,
        end_ns=within.end_ns,
        each=each,
        most=MOST,
    )
    return break_down((piece(number, row) for number, row in enumerate(rows)), operations)


def piece(number: int, row: Row) -> Piece:
    """One row of a sample as a span of a tree."""
    node = Node(
        number,
        row["span_id"],
        row["parent_id"],
        row["started"],
        row["duration"],
        row["resource"],
        row["kind"],
        row["status"] == 2,
    )
    attributes = row.get("told")
    read = json.loads(attributes) if attributes else {}
    return Piece(
        node,
        row["trace_id"],
        row["operation"],
        row["category"],
        row.get("system") or "",
        time_parts.told(read),
        str(read.get(time_parts.AT, "")),
    )


def repeated(store: Store, sampled: Range) -> list[Row]:
    """What ran at least 5 times within single requests, by the requests' operation."""
    return store.rows("samples/repeated", begin_ns=sampled.begin_ns, end_ns=sampled.end_ns, least=REPEATED)


def most_in_one_trace(store: Store, sampled: Range, operations: Sequence[int]) -> dict[int, int]:
    """How often each of some operations ran within one trace at most."""
    rows = store.rows(
        "samples/most_in_one_trace",
        begin_ns=sampled.begin_ns,
        end_ns=sampled.end_ns,
        operations=list(operations),
    )
    return {row["operation"]: row["times"] for row in rows}


def recent(store: Store, within: Range, operation: int | None = None, most: int = SAMPLE) -> Range:
    """The end of a range, with about `most` spans, of one operation or of all.

    What a sample is drawn from: spans that are together are read five times as fast as ones from all over a day.
    """
    limits = bounds(store, within.begin, within.end)
    begin = store.rows("samples/recent", **limits, operation=operation, most=most)[0]["begin"]
    return Range(max(within.begin, float(begin or within.begin)), within.end)
