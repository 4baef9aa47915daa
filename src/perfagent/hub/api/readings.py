"""Reads the points of vital signs, pools and caches as they came: to the second, where roll-ups know minutes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from perfagent.hub.analyse.causes.facts import Cache, Pool, Process
from perfagent.hub.analyse.durations import explicit_quantile
from perfagent.hub.api import vitals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

LOOKED_AT = 600.0  # s before now that are compared with now
WAITING, WAITED, TIMEOUTS = (f"db.client.connection.{name}" for name in ("pending_requests", "wait_time", "timeouts"))
POOLS = (vitals.POOL_USED, vitals.POOL_MOST, WAITING, WAITED, TIMEOUTS)
CPU_WAIT = "perfagent.cpu.wait"
NAMES = (
    CPU_WAIT,
    vitals.CPU_TIME, vitals.MEMORY, vitals.LAG, vitals.STALLED, vitals.GC_PAUSE, *POOLS,
)  # fmt: skip
SINCE_START = 20.0  # s of a process in which it starts up: its CPU then is no sign
LEAST_CPU = 8.0  # s of readings, below which a share of CPU is chance


@dataclass(slots=True)
class Readings:
    """What was read."""

    processes: list[Process] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    caches: list[Cache] = field(default_factory=list)


def read(store: Store, end: float, border: float, now: float, service: str | None, known: Sequence[Row]) -> Readings:
    """The signs of the `now` seconds before `end`, and of up to ten minutes before `border`.

    Args:
        known: the processes, as `vitals/resources` tells them.
    """
    begin = border - LOOKED_AT
    rows = store.rows(
        "causes/signs", begin_ns=round(begin * 1e9), end_ns=round(end * 1e9), names=list(NAMES), service=service
    )
    by_series: dict[tuple[int, str], list[Row]] = {}
    caches: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row["name"] in NAMES:
            by_series.setdefault((row["resource"], row["name"]), []).append(row)
        elif row["delta"]:
            _count(caches, row, end - now, border)
    names = {row["id"]: row for row in known}
    found = Readings()
    for resource in {resource for resource, _ in by_series}:
        told = names.get(resource)
        if told is not None:
            series = {name: by_series.get((resource, name), []) for name in NAMES}
            process = _process(told, series, end, end - now, border)
            if process is not None:
                found.processes.append(process)
    found.pools = _pools(
        [row for (_, name), rows in by_series.items() if name in POOLS for row in rows], end - now, border
    )
    found.caches = [Cache(*key, *figures) for key, figures in caches.items()]
    return found


def _count(caches: dict[tuple[str, str, str], list[float]], row: Row, begin: float, border: float) -> None:
    attributes = json.loads(row["attributes"])
    key = (row["service"], str(attributes.get("cache.name", "")), str(attributes.get("cache.system", "")))
    figures = caches.setdefault(key, [0.0] * 4)
    hit, time = "hits" in row["name"], row["time"] / 1e9
    if time >= begin:
        figures[0 if hit else 1] += row["delta"]
    elif time < border:
        figures[2 if hit else 3] += row["delta"]


def _process(row: Row, series: dict[str, list[Row]], end: float, begin: float, border: float) -> Process | None:
    # Its first sign may be older than its first arrival: what was sent late, or read from elsewhere.
    first = min((points[0]["time"] / 1e9 for points in series.values() if points), default=end)
    one = Process(row["service"], row["instance"], min(row["first_seen"] / 1e9, first))
    one.memory = [(point["time"] / 1e9, point["value"]) for point in series[vitals.MEMORY] if point["value"]]
    one.cpu = _cores(series[vitals.CPU_TIME], begin, end, one.since)
    one.cpu_before = _cores(series[vitals.CPU_TIME], 0.0, border, one.since)
    one.starved = _cores(series[CPU_WAIT], begin, end, one.since)
    one.lag_ms = _p99(series[vitals.LAG], begin, end)
    one.lag_ms_before = _p99(series[vitals.LAG], 0.0, border)
    stalled = [point["value"] for point in series[vitals.STALLED] if point["time"] / 1e9 >= begin and point["value"]]
    one.stalled = max(stalled, default=None)
    one.gc = _paused(series[vitals.GC_PAUSE], begin, end)
    one.gc_before = _paused(series[vitals.GC_PAUSE], one.since, border)
    latest = max((points[-1]["time"] / 1e9 for points in series.values() if points), default=0.0)
    return one if latest >= begin else None  # one that has ended is no cause of what is now


def _cores(points: Sequence[Row], begin: float, end: float, since: float) -> float | None:
    """CPU seconds a second between the first and the last point of a stretch, all modes together."""
    chosen = [one for one in points if max(begin, since + SINCE_START) <= one["time"] / 1e9 < end]
    if not chosen:
        return None
    first, last = chosen[0]["time"], chosen[-1]["time"]
    long = (last - first) / 1e9
    if long < LEAST_CPU:
        return None
    spent = sum(one["delta"] or 0.0 for one in chosen if one["time"] > first)
    return float(spent / long)


def _p99(points: Sequence[Row], begin: float, end: float) -> float | None:
    """The 99th percentile of seconds between two readings, ms; of all readings of a stretch, the middle one.

    So one reading that is bad for another reason, or of what is wrong now, does not speak for all of before.
    """
    found = []
    for one in points:
        if begin <= one["time"] / 1e9 < end and one["buckets"] and one["bounds"] and one["count"]:
            seconds = explicit_quantile(one["bounds"], one["buckets"], 0.99, one["largest"])
            if seconds is not None:
                found.append(seconds * 1000)
    return median(found) if found else None


def _paused(points: Sequence[Row], begin: float, end: float) -> float | None:
    chosen = [one for one in points if begin <= one["time"] / 1e9 < end]
    if not chosen:
        return None
    long = end - max(begin, chosen[0]["time"] / 1e9 - 1)
    paused = sum(one["total"] or 0.0 for one in chosen)
    return float(paused / max(long, 1.0))


def _pools(rows: Iterable[Row], begin: float, border: float) -> list[Pool]:
    """Each pool's use now and before, the mean of its readings; those of all processes of a service together."""
    used: dict[tuple[str, str], list[tuple[float, int, float]]] = {}
    most: dict[tuple[str, str], dict[int, float]] = {}
    waiting: dict[tuple[str, str], list[float]] = {}
    waits: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        attributes = json.loads(row["attributes"])
        key = (row["service"], str(attributes.get("db.client.connection.pool.name", "")))
        time, name = row["time"] / 1e9, row["name"]
        if name == vitals.POOL_MOST and row["value"] is not None:
            most.setdefault(key, {})[row["resource"]] = row["value"]
        elif name == vitals.POOL_USED and attributes.get("db.client.connection.state") == "used":
            used.setdefault(key, []).append((time, row["resource"], row["value"] or 0.0))
        elif name == WAITING and time >= begin:
            waiting.setdefault(key, []).append(row["value"] or 0.0)
        elif name in (WAITED, TIMEOUTS) and (time >= begin or time < border):
            figures = waits.setdefault(key, [0.0] * 5)
            if name == TIMEOUTS:
                figures[4] += (row["delta"] or 0.0) if time >= begin else 0.0
            else:
                place = 0 if time >= begin else 2
                figures[place] += row["count"] or 0
                figures[place + 1] += row["total"] or 0.0
    return [
        _pool(key, limits, used.get(key, []), waiting.get(key, []), waits.get(key, [0.0] * 5), begin, border)
        for key, limits in most.items()
    ]


def _pool(
    key: tuple[str, str],
    limits: dict[int, float],
    used: list[tuple[float, int, float]],
    waiting: list[float],
    waits: list[float],
    begin: float,
    border: float,
) -> Pool:
    shares = [(time, value / limits[process]) for time, process, value in used if limits.get(process)]
    now = [share for time, share in shares if time >= begin]
    before = [share for time, share in shares if time < border]
    taken, waited, taken_before, waited_before, timeouts = waits
    return Pool(
        *key,
        most=max(limits.values()),
        now=sum(now) / len(now) if now else None,
        before=sum(before) / len(before) if before else None,
        waiting=sum(waiting) / len(waiting) if waiting else None,
        wait_ms=waited / taken * 1000 if taken else None,
        wait_ms_before=waited_before / taken_before * 1000 if taken_before else None,
        timeouts=timeouts,
    )
