"""Finds traces by what their requests are and by what any of their spans holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

ROUNDS = 4  # of reading more, where most of what matches belongs to traces that are listed already


@dataclass(frozen=True, slots=True)
class Terms:
    """What is looked for; None for anything.

    Args:
        service, operation, route, min_ms, max_ms, status, code: of the request, or of the spans of `operation`.
        attributes: keys and values that one span of the trace, or its resource, has all of.
        text: in any case, in a name, a statement, a status message, an exception or a request's attributes.
    """

    service: str | None = None
    operation: int | None = None
    route: str | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    status: Literal["ok", "error"] | None = None
    code: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    sort: Literal["recent", "slowest"] = "recent"

    def parameters(self, within: Range) -> dict[str, Any]:
        """Those of `traces/search`."""
        plain = [value for _, value in self.attributes if value.isascii() and '"' not in value and "\\" not in value]
        return {
            "begin_ns": within.begin_ns,
            "end_ns": within.end_ns,
            "service": self.service,
            "operation": self.operation,
            "route": self.route,
            "least": None if self.min_ms is None else round(self.min_ms * 1e6),
            "most": None if self.max_ms is None else round(self.max_ms * 1e6),
            "failed": None if self.status is None else self.status == "error",
            "code": self.code,
            "has_text": bool(self.text),
            "text": (self.text or "").lower(),
            "has_attributes": bool(self.attributes),
            # JSON is parsed only where the longest of the values occurs: 4 times faster on a day of spans.
            "part": max(plain, key=len, default=""),
            "paths": [f"$.{json.dumps(key, ensure_ascii=False)}" for key, _ in self.attributes],
            "values": [value for _, value in self.attributes],
            "slowest": self.sort == "slowest",
        }


class Place(NamedTuple):
    """Where in the order of a search a page begins: after this span."""

    value: int  # ns: its start, or its duration
    span_id: bytes


@dataclass(slots=True)
class Found:
    """One page of a search: traces, and the place after each; `more` where there are others."""

    traces: list[dict[str, Any]]
    places: list[Place]
    more: bool


def search(store: Store, within: Range, terms: Terms, limit: int, after: Place | None = None) -> Found:
    """Traces that match, each once: as its outermost request that matches, or as a span of the operation asked for."""
    parameters = terms.parameters(within)
    chunk = (limit + 1) * (4 if terms.operation is not None else 2)
    found: list[tuple[Row, Place]] = []
    more = True
    first = after is None
    for _ in range(ROUNDS):
        rows = store.rows(
            "traces/search",
            **parameters,
            traces=None,
            after=after.value if after else None,
            after_id=after.span_id if after else None,
            limit=chunk,
        )
        more = len(rows) == chunk
        for row in _outermost(store, parameters, rows, terms, first):
            found.append((row, _place(row, terms)))
        if len(found) > limit or not more:
            break
        after, first = _place(rows[-1], terms), False
    page = found[:limit]
    traces = describe(store, [row for row, _ in page])
    places = [place for _, place in page]
    if more and len(found) <= limit and after is not None:
        places[-1:] = [after]  # everything up to there has been looked at
    return Found(traces, places, more or len(found) > limit)


def _place(row: Row, terms: Terms) -> Place:
    return Place(row["duration"] if terms.sort == "slowest" else row["started"], row["span_id"])


def _outermost(store: Store, parameters: dict[str, Any], rows: Sequence[Row], terms: Terms, begins: bool) -> list[Row]:
    """Those of `rows` that stand for their traces; a trace of three services has three requests.

    Args:
        begins: whether these are the first rows of all, so that the longest of a trace is the first of it.
    """
    doubtful = list({row["trace_id"] for row in rows if row["parent_id"] is not None})
    if not doubtful:
        return list(rows)
    longest = terms.sort == "slowest" and terms.operation is not None
    if longest and begins:
        first_rows: dict[bytes, Row] = {}
        for row in rows:
            first_rows.setdefault(row["trace_id"], row)
        return list(first_rows.values())

    def order(row: Row) -> tuple[Any, ...]:
        if longest:
            return -row["duration"], row["span_id"]
        return row["parent_id"] is not None, row["started"], row["span_id"]

    first: dict[bytes, Row] = {}
    # Text and attributes are about the whole trace, and these traces have them.
    alike = {**parameters, "has_text": False, "has_attributes": False}
    everything = store.rows(
        "traces/search", **alike, traces=doubtful, after=None, after_id=None, limit=100 * len(doubtful)
    )
    for row in everything:
        known = first.get(row["trace_id"])
        if known is None or order(row) < order(known):
            first[row["trace_id"]] = row
    return [row for row in rows if row["trace_id"] not in first or first[row["trace_id"]]["span_id"] == row["span_id"]]


def describe(store: Store, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of `traces/search` as the interface gives traces, each with what its trace holds."""
    if not rows:
        return []
    begins = [row["started"] for row in rows]
    summaries = {
        one["trace_id"]: one
        for one in store.rows(
            "traces/summaries",
            begin_ns=min(begins),
            end_ns=max(begins),
            traces=list({row["trace_id"] for row in rows}),
        )
    }
    return [_trace(row, summaries.get(row["trace_id"], {})) for row in rows]


def _trace(row: Row, summary: Row) -> dict[str, Any]:
    return {
        "trace_id": row["trace_id"].hex(),
        "service": row["service"],
        "name": row["name"],
        "operation": str(row["operation"]),
        "started": row["started"] / 1e9,
        "duration_ms": row["duration"] / 1e6,
        "status_code": row["status_code"] or None,
        "error": row["status"] == 2,
        "spans": summary.get("spans", 1),
        "errors": summary.get("errors", 0),
        "services": summary.get("services", [row["service"]]),
    }
