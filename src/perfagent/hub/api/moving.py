"""Reads the figures that may move together, by the minute: of services, and of the operations that take most time."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse.calls import REQUESTS
from perfagent.hub.analyse.durations import MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.store import Store

MINUTES = 240  # that are compared, at most: the last four hours of a range
SERVICES = 5
OPERATIONS = 14
LEAST_CALLS = 3  # of a minute, for a mean

Values = list[float | None]


class Figure(NamedTuple):
    """What a series is of.

    Args:
        service: whose.
        name: such as "rate", "cpu" or "GET /orders mean_ms".
        about: "requests", "database", "calls", "cache" or "process": two of one service about the same say nothing.
    """

    service: str
    name: str
    about: str


def moving(store: Store, within: Range, service: str | None) -> dict[Figure, Values]:
    """The figures of one service, or of those with most requests; the minute that is not over is left out."""
    until = floor(within.end / 60) * 60
    since = max(floor(within.begin / 60) * 60, until - 60 * MINUTES)
    found = _Figures(since, until)
    limits = {"since": since, "until": until, "service": service}
    requests: dict[str, float] = {}
    for row in store.rows("alerts/calls", **limits, limit=100_000):
        name, times = row["service"], row["times"]
        means = [
            total / calls / MS if calls >= LEAST_CALLS else None
            for total, calls in zip(row["total"], row["calls"], strict=True)
        ]
        if row["db"]:
            found.put(Figure(name, "query_mean_ms", "database"), times, means)
            found.put(Figure(name, "queries", "load"), times, row["calls"])
            continue
        requests[name] = sum(row["calls"])
        found.put(Figure(name, "rate", "load"), times, [one / 60 for one in row["calls"]])
        found.put(Figure(name, "errors", "errors"), times, row["errors"])
        found.put(Figure(name, "mean_ms", "requests"), times, means)
    for row in store.rows("alerts/levels", **limits):
        for figure, column in (("cpu", "cpu_usage_percent"), ("memory", "memory_usage_percent"),
                               ("pool", "database_pool_percent")):  # fmt: skip
            found.put(Figure(row["service"], figure, f"process {figure}"), row["times"], row[column])
    for row in store.rows("alerts/lags", **limits):
        found.put(Figure(row["service"], "lag_p99_ms", "process lag"), row["times"], row["values"])
    for row in store.rows("alerts/caches", **limits):
        ratios = [
            hits / lookups if lookups >= LEAST_CALLS else None
            for hits, lookups in zip(row["hits"], row["lookups"], strict=True)
        ]
        found.put(Figure(row["service"], "cache_hit_ratio", "cache"), row["times"], ratios)
    for row in store.rows("calls/means", **limits, most=OPERATIONS):
        about = "requests" if row["category"] in REQUESTS else "database" if row["category"] == "db" else "calls"
        means = [
            total / calls / MS if calls >= LEAST_CALLS else None
            for total, calls in zip(row["total"], row["calls"], strict=True)
        ]
        found.put(Figure(row["service"], f"{row['name']} mean_ms", about), row["times"], means)
    busiest = sorted(requests, key=lambda name: -requests[name])[:SERVICES]
    return {figure: values for figure, values in found.series.items() if not requests or figure.service in busiest}


class _Figures:
    def __init__(self, since: int, until: int) -> None:
        self._since, self._count = since, max((until - since) // 60, 0)
        self.series: dict[Figure, Values] = {}

    def put(self, figure: Figure, times: Sequence[int], values: Sequence[float | None]) -> None:
        if all(one is None for one in values):
            return
        series = self.series.setdefault(figure, [None] * self._count)
        for time, value in zip(times, values, strict=True):
            place = (time - self._since) // 60
            if 0 <= place < self._count:
                series[place] = value


def is_trivial(first: Figure, second: Figure) -> bool:
    """Whether two figures are views of the same thing: of one service, about the same; or its load and its errors."""
    if first.service != second.service:
        return False
    return first.about == second.about or {first.about, second.about} == {"load", "errors"}
