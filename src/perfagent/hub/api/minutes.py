"""The figures that thresholds are about, of each service by the minute."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, Any

from perfagent.hub.analyse.durations import MS, bucket_of
from perfagent.hub.analyse.thresholds import Thresholds, pooled
from perfagent.hub.api import signs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.store import Store

Values = list[float | None]
Figures = dict[tuple[str, str], tuple[list[int], Values]]
"""By threshold and service: starts of the minutes, and the figure in each; None where it was not measured."""

LEAST_CALLS = 5  # of a minute, for a percentile or a mean
LEAST_REQUESTS = 10  # for a share of failures
LEAST_FAILED = 3  # for one that is not 0: a failure or two of a quiet service wake nobody
LEAST_LOOKUPS = 100
CALLS = frozenset(("response_time_p95_ms", "error_rate_percent", "database_time_average_ms", "slow_query_ms"))
LEVELS = ("cpu_usage_percent", "disk_usage_percent", "memory_usage_percent", "database_pool_percent")


def measured(store: Store, within: Range, service: str | None, thresholds: Thresholds) -> Figures:
    """The figure of each threshold, as far as it is measured at all; what no threshold asks for is not read.

    Rows are read as one a service, with lists: a day of minutes as single rows would cost 150 ms more.
    """
    begin, end = floor(within.begin / 60) * 60, floor(within.end / 60) * 60
    figures = Figured(list(range(begin, end + 60, 60)))
    limits = {"since": begin, "until": end + 60, "service": service}
    wanted = thresholds.keys()
    if not wanted.isdisjoint(CALLS):
        _calls(store, figures, limits, thresholds)
    for row in store.rows("alerts/caches", **limits) if "cache_hit_rate_percent" in wanted else ():
        hits, lookups = (figures.spread(row["times"], row[name]) for name in ("hits", "lookups"))
        figures.found["cache_hit_rate_percent", row["service"]] = pooled(hits, lookups, LEAST_LOOKUPS)
    for row in store.rows("alerts/levels", **limits) if not wanted.isdisjoint(LEVELS) else ():
        for name in LEVELS:
            figures.put(name, row["service"], row["times"], row[name])
    for row in store.rows("alerts/lags", **limits) if "event_loop_lag_p99_ms" in wanted else ():
        figures.put("event_loop_lag_p99_ms", row["service"], row["times"], row["values"])
    signs.read(store, figures, limits, wanted)
    return {key: (figures.times, values) for key, values in figures.found.items() if key[0] in thresholds}


class Figured:
    """The figures of a range, while they are read.

    Args:
        times: starts of its minutes.
    """

    def __init__(self, times: list[int]) -> None:
        self.times = times
        self.found: dict[tuple[str, str], Values] = {}

    def put(self, name: str, service: str, times: Sequence[int], values: Iterable[float | None]) -> None:
        """Keeps the values of some minutes; those before the range are left out."""
        known = self.found.setdefault((name, service), [None] * len(self.times))
        first = self.times[0]
        for time, value in zip(times, values, strict=True):
            if time >= first:
                known[(time - first) // 60] = value

    def spread(self, times: Sequence[int], values: Sequence[float]) -> list[float]:
        """Amounts of some minutes as those of all minutes."""
        whole = [0.0] * len(self.times)
        first = self.times[0]
        for time, value in zip(times, values, strict=True):
            if time >= first:
                whole[(time - first) // 60] = value
        return whole


def _calls(store: Store, figures: Figured, limits: dict[str, Any], thresholds: Thresholds) -> None:
    slow = thresholds.get("response_time_p95_ms")
    bounds = [bound for bound in (slow.warning, slow.critical) if bound is not None] if slow else []
    doubtful: set[int] = set()
    for row in store.rows("alerts/calls", **limits, limit=bucket_of(min(bounds, default=1e9) * MS)):
        service, times, calls = row["service"], row["times"], row["calls"]
        enough = [one >= LEAST_CALLS for one in calls]
        if row["db"]:
            means = [
                total / one / MS if known else None
                for total, one, known in zip(row["total"], calls, enough, strict=True)
            ]
            figures.put("database_time_average_ms", service, times, means)
            figures.put("slow_query_ms", service, times, [longest / MS for longest in row["longest"]])
            continue
        # 0 stands for some value below the limit: percentiles cost ten times as much as sums.
        figures.put("response_time_p95_ms", service, times, [0.0 if known else None for known in enough])
        doubtful.update(
            time
            for time, above, one, known in zip(times, row["above"], calls, enough, strict=True)
            if known and above > 0.05 * one
        )
        errors = figures.spread(times, row["errors"])
        requests = figures.spread(times, calls)
        figures.found["error_rate_percent", service] = pooled(errors, requests, LEAST_REQUESTS, least_part=LEAST_FAILED)
    if not doubtful:
        return
    for row in store.rows("alerts/percentiles", **limits, minutes=sorted(doubtful)):
        known = figures.found["response_time_p95_ms", row["service"]]
        for time, value in zip(row["times"], row["values"], strict=True):
            place = (time - figures.times[0]) // 60
            if known[place] is not None:
                known[place] = value
