"""Failures by their cause: what was raised, where, and which requests it ended."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.analyse import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NUMBERS = re.compile(r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\b[0-9a-f]{16,}\b|\d+")


class Failure(NamedTuple):
    """One failed span."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    operation: int
    service: str
    category: str
    name: str
    started: int  # ns
    entry: bool
    status_code: int
    error: str  # the exception's type, or what stands for it
    message: str
    weight: float
    caller: str | None


@dataclass(slots=True)
class Cause:
    """Failures that are alike.

    Args:
        operation, endpoint, service: of the request that failed.
        error: the exception's type or the status code.
        message: of the newest one.
        place: the span that failed first, such as "SELECT items"; "" for the request's own code.
        requests: how many, weighted.
        last: the newest, ns.
        trace_id: of the newest.
        first, category: the operation of the span that failed first, and what it is.
        caller: where that was called from, "file:line function"; "" where unknown.
    """

    operation: int
    endpoint: str
    service: str
    error: str
    message: str
    place: str
    requests: float
    last: int
    trace_id: bytes
    first: int = 0
    category: str = ""
    caller: str = ""


def failure(row: Mapping[str, Any]) -> Failure:
    """A failed span from a row of `samples/errors`."""
    kind, message = _exception(row["events"])
    code = row["status_code"]
    error = kind or row["error_type"] or (f"HTTP {code}" if code else "error")
    return Failure(
        row["trace_id"], row["span_id"], row["parent_id"], row["operation"], row["service"], row["category"],
        row["name"], row["started"], row["entry"], code, error, message or row["status_message"] or "", row["weight"],
        row["caller"],
    )  # fmt: skip


def _exception(events: str | None) -> tuple[str, str]:
    """Type and message of the last exception among a span's events."""
    if not events or "exception" not in events:
        return "", ""
    try:
        found = [event["attributes"] for event in json.loads(events) if event.get("name") == "exception"]
    except (ValueError, KeyError, TypeError):
        return "", ""
    if not found:
        return "", ""
    return str(found[-1].get("exception.type", "")), str(found[-1].get("exception.message", ""))


def causes(failures: Iterable[Failure]) -> list[Cause]:
    """The causes of failed requests, the most frequent first.

    A request failed because of the failed span furthest from it in its trace: an endpoint's 500 tells less than the
    query below that timed out. Messages that differ in numbers alone are alike.
    """
    traces: dict[bytes, list[Failure]] = {}
    for one in failures:
        traces.setdefault(one.trace_id, []).append(one)
    found: dict[tuple[int, str, str, str], Cause] = {}
    for trace in traces.values():
        for request in trace:
            if request.entry:
                _count(found, request, _first_failed(request, trace))
    return sorted(found.values(), key=lambda one: -one.requests)


def _first_failed(request: Failure, trace: Sequence[Failure]) -> Failure:
    """The deepest of the failed spans below a request; where there are several, the one that began last."""
    children: dict[bytes, list[Failure]] = {}
    for one in trace:
        if one.parent_id:
            children.setdefault(one.parent_id, []).append(one)
    deepest, seen = request, {request.span_id}
    while below := [one for one in children.get(deepest.span_id, ()) if one.span_id not in seen]:
        deepest = max(below, key=lambda one: one.started)
        seen.add(deepest.span_id)
    return deepest


def _count(found: dict[tuple[int, str, str, str], Cause], request: Failure, first: Failure) -> None:
    message = first.message or request.message
    place = "" if first is request else first.name
    key = (request.operation, first.error, NUMBERS.sub("#", message)[:200], place)
    cause = found.get(key)
    if cause is None:
        found[key] = Cause(
            request.operation, request.name, request.service, first.error, words.shorten(message, 300), place,
            request.weight, request.started, request.trace_id, first.operation, first.category, first.caller or "",
        )  # fmt: skip
        return
    cause.requests += request.weight
    if request.started > cause.last:
        cause.last, cause.trace_id, cause.message = request.started, request.trace_id, words.shorten(message, 300)
