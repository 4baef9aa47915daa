"""Reads one side of a comparison from the store: a version, a process, a start, a baseline or a range of time."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from math import ceil, floor
from time import time
from typing import TYPE_CHECKING, Any

from perfagent.hub.analyse.calls import OUTGOING, REQUESTS
from perfagent.hub.analyse.changes import Process, last_start
from perfagent.hub.analyse.side import Called, Side, Subject
from perfagent.hub.api.calls import bounds
from perfagent.hub.api.errors import Refused
from perfagent.hub.api.ranges import UNITS, Range
from perfagent.hub.api.vitals import CPU_TIME, MEMORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.hub import Hub
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

BLOCKS = 60
BUSY = 20  # blocks with calls, below which the range is narrowed to these
RAW_SECONDS = 1800.0  # up to which all spans are read one by one, in blocks of seconds; minutes beyond
MOST_SECONDS = 86_400.0  # of a version or a process: its last day
MOST_OPERATIONS = 400
BASELINE = "baseline:"
FORMS = (
    "a range such as -2h..-1h, 2026-11-27T10:00..2026-11-27T11:00 or 1789000000..1789003600, a version (or "
    "service@version), an instance, `start` (since the last start), `before-start`, or `baseline:NAME`"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a side is about.

    Args:
        label: for people.
        within: from when to when.
        resources: the processes; None for all.
        service: only this one; None for all.
    """

    label: str
    within: Range
    resources: tuple[int, ...] | None = None
    service: str | None = None


def choose(hub: Hub, text: str, service: str | None, field: str) -> Chosen:
    """What a text such as "-2h..-1h", "2.4.0" or "start" stands for.

    Args:
        field: the parameter, for refusals.

    Raises:
        Refused: for nothing; the message tells what is accepted and what there is.
    """
    text = text.strip()
    now = hub.remote.present() if hub.remote is not None else time()
    if ".." in text:
        begin, _, end = text.partition("..")
        try:
            found = Range(_moment(begin, now), _moment(end, now))
        except ValueError as error:
            raise Refused(400, "bad_request", f"{text[:100]!r}: {error}; accepted are {FORMS}", field) from None
        if found.begin >= found.end:
            raise Refused(400, "out_of_range", f"{text[:100]!r} ends before it begins", field)
        return Chosen(text, found, None, service)
    lived = hub.store.rows("compare/lived", service=service)
    if text in ("start", "before-start"):
        return _around_start(lived, text, service, now, field)
    of_service, _, version = text.rpartition("@")
    rows = [
        row
        for row in lived
        if (row["version"] == version and of_service in ("", row["service"])) or row["instance"] == text
    ]
    if not rows:
        versions = {f"{row['service']}@{row['version']}": None for row in lived if row["version"]}
        there = f"; versions here are {', '.join(list(versions)[:10])}" if versions else "; no version is known here"
        message = f"{text[:100]!r} is no version and no instance{there}; accepted are {FORMS}"
        raise Refused(404, "not_found", message, field)
    end = max(row["latest"] for row in rows) + 1
    begin = max(min(row["earliest"] for row in rows) - 0.001, end - MOST_SECONDS)  # floats are exact to 0.2 us
    return Chosen(text, Range(begin, max(end, begin + 1)), tuple(row["id"] for row in rows), service)


def _around_start(lived: Sequence[Row], text: str, service: str | None, now: float, field: str) -> Chosen:
    started = last_start(
        [Process(row["service"], row["instance"], row["version"], row["earliest"]) for row in lived], now
    )
    if started is None:
        message = "no process has started after others: give two ranges or versions"
        raise Refused(404, "not_found", message, field)
    long = min(now - started, MOST_SECONDS)
    if text == "start":
        return Chosen("since the last start", Range(started, started + long), None, service)
    return Chosen("before the last start", Range(started - long, started), None, service)


def _moment(text: str, now: float) -> float:
    text = text.strip()
    if text in ("", "now"):
        return now
    relative = re.fullmatch(r"-([0-9]{1,7})([smhd])", text)
    if relative:
        return max(0.0, now - int(relative[1]) * UNITS[relative[2]])
    if re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        moment = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))  # which Python 3.10 does not read
    except ValueError:
        raise ValueError(f"{text[:100]!r} is no moment") from None
    found = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    if not 0 <= found < 1e10:
        raise ValueError(f"{text[:100]!r} is no moment between 1970 and 2286")
    return found


def read(store: Store, chosen: Chosen, *, spans_are_sampled: bool = False) -> Side:
    """The side that was chosen.

    Args:
        spans_are_sampled: whether only minutes count all calls, as where the hub reads from Prometheus and Jaeger.
    """
    side = _chosen(store, chosen, spans_are_sampled)
    busy = [place for place in range(side.count) if any(called.counts[place] for called in side.called.values())]
    if not busy or len(busy) >= BUSY or side.width <= 1 or spans_are_sampled:
        return side
    # A short run within a long range: finer blocks of the part in which something happened tell more.
    begin = side.begin + busy[0] * side.width
    end = min(side.begin + (busy[-1] + 1) * side.width, side.end)
    if end - begin >= side.end - side.begin:
        return side
    return _chosen(store, replace(chosen, within=Range(begin, end)), spans_are_sampled)


def _chosen(store: Store, chosen: Chosen, spans_are_sampled: bool) -> Side:
    within = chosen.within
    raw = chosen.resources is not None or within.seconds <= RAW_SECONDS
    if raw and not spans_are_sampled:
        side = _read(store, chosen, within, max(1, ceil(within.seconds / BLOCKS)), raw=True)
        if side.called or chosen.resources is not None:
            return side
    width = max(60, round(within.seconds / BLOCKS / 60) * 60)
    if within.hourly or within.seconds > 2 * MOST_SECONDS:
        width = max(3600, round(width / 3600) * 3600)
    whole = Range(floor(within.begin / 60) * 60, ceil(within.end / 60) * 60)
    side = _read(store, replace(chosen, resources=None), whole, width, raw=False)
    if chosen.resources is not None:
        side.notes.append(
            f"{chosen.label}: calls are counted by the minute for all processes of the time in which it ran"
        )
    return side


def _read(store: Store, chosen: Chosen, within: Range, width: int, *, raw: bool) -> Side:
    count = max(ceil(within.seconds / width), 1)
    side = Side(chosen.label, within.begin, within.end, float(width), count)
    resources = list(chosen.resources) if chosen.resources is not None else None
    limits: dict[str, Any] = {"service": chosen.service, "resources": resources, "most": MOST_OPERATIONS}
    if raw:
        limits |= {"begin_ns": within.begin_ns, "end_ns": within.end_ns, "width_ns": width * 1_000_000_000}
    else:
        limits |= {**bounds(store, within.begin, within.end), "first": int(within.begin), "width": width}
    scale = 1.0
    for row in store.rows("compare/spans" if raw else "compare/calls", **limits):
        subject = _subject(row)
        if subject is not None:
            _take(side, subject, row)
            scale = min(scale, row.get("scale") or 1.0)
    side.scale = scale
    points = store.rows("compare/points" if raw else "compare/minutes", **limits, names=[CPU_TIME, MEMORY])
    _processes(side, points)
    _caches(side, points)
    return side


def _subject(row: Row) -> Subject | None:
    if row["category"] in REQUESTS:
        return Subject(row["service"], "endpoint", row["name"])
    if row["category"] == "db":
        return Subject(row["service"], "query", row["text"] or row["name"])
    if row["category"] in (*OUTGOING, "cache"):
        return Subject(row["service"], "dependency", row["name"])
    return None


def _take(side: Side, subject: Subject, row: Row) -> None:
    called = side.called.get(subject)
    if called is None:
        kind = {"endpoint": "#/endpoints/{}", "query": "#/queries/{}"}.get(subject.kind, "#/traces?operation={}")
        called = Called([{} for _ in range(side.count)], [0.0] * side.count, kind.format(row["operation"]))
        side.called[subject] = called
    for block, bucket, calls, errors in zip(row["blocks"], row["buckets"], row["counts"], row["errors"], strict=True):
        if 0 <= block < side.count:
            counts = called.counts[block]
            counts[bucket] = counts.get(bucket, 0.0) + calls
            called.errors[block] += errors


def _processes(side: Side, rows: Sequence[Row]) -> None:
    """Memory of a process, and CPU time of all of them for each request, of each service."""
    memory: dict[str, dict[int, list[float]]] = {}
    cpu: dict[str, list[float]] = {}
    last: dict[int, int] = {}
    for row in rows:
        block, service = row["block"], row["service"]
        if not 0 <= block < side.count:
            continue
        if row["name"] == MEMORY and row["value"] is not None:
            memory.setdefault(service, {}).setdefault(block, []).append(row["value"])
        elif row["name"] == CPU_TIME and row["delta"] is not None:
            # What is told every 15 s was spent over these 15 s, and blocks may be shorter.
            since = max(last.get(row["resource"], block - 1), block - 60)
            last[row["resource"]] = block
            used = cpu.setdefault(service, [0.0] * side.count)
            for place in range(since + 1, block + 1):
                used[place] += row["delta"] * 1000 / (block - since)
    for service, blocks in memory.items():
        levels = [sum(blocks[place]) / len(blocks[place]) if place in blocks else None for place in range(side.count)]
        side.levels[Subject(service, "process"), "memory"] = levels
    for service, used in cpu.items():
        requests = side.requests(service)
        if any(requests):
            side.ratios[Subject(service, "process"), "CPU time"] = (used, requests)


def _caches(side: Side, rows: Sequence[Row]) -> None:
    for row in rows:
        told = re.search(r"[._]cache[._](hits|misses)(_total)?$", row["name"])
        if told is None or row["delta"] is None or not 0 <= row["block"] < side.count:
            continue
        subject = Subject(row["service"], "cache", row["cache"] or row["system"])
        hits, lookups = side.ratios.setdefault((subject, "hit rate"), ([0.0] * side.count, [0.0] * side.count))
        lookups[row["block"]] += row["delta"]
        if told[1] == "hits":
            hits[row["block"]] += row["delta"]
