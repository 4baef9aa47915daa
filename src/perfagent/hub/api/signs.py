"""What thresholds are about beyond calls and levels: pauses, restarts, breakers, budgets, deprecations, lost items."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from perfagent.hub.analyse.thresholds import pooled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from perfagent.hub.api.minutes import Figured, Values
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

HOUR = 60  # minutes
EARLIER = 7200  # s before the range that are read: the growth of an hour is that over the hour before it
LEAST_DEPRECATED = 20  # calls of an hour whose growth means something
YOUNG = 600  # s: what ends younger than this has not ended by itself
METRICS: dict[str, tuple[str, ...]] = {
    "signs": (
        "perfagent.gc.pause", "replication_lag_seconds", "deprecated_function_calls_total",
        "deprecated_function_calls", "perfagent.telemetry.dropped", "perfagent.telemetry.exported",
    ),
    "counters": (
        "circuit_breaker_state_transitions_total", "circuit_breaker_state_transitions",
        "service_error_budget_remaining",
    ),
    "pages": ("browser.web_vital.lcp",),
    "health": ("health",),
    "uptimes": ("process.uptime",),
}  # fmt: skip
"""What each query reads: without any of these metrics it need not be asked."""
THRESHOLDS: dict[str, frozenset[str]] = {
    "signs": frozenset((
        "gc_pause_percent", "replication_lag_ms", "deprecated_calls_per_minute", "deprecated_calls_growth_percent",
        "telemetry_dropped_percent",
    )),
    "counters": frozenset(("open_breakers", "error_budget_remaining_percent")),
    "pages": frozenset(("page_load_ms",)),
    "health": frozenset(("health_check",)),
    "uptimes": frozenset(("restarts",)),
}  # fmt: skip
"""Which thresholds each query is for."""
LATELY, GONE = 900, 120  # s: processes that ended within the first; reported last longer ago than the second


def read(store: Store, figures: Figured, limits: dict[str, Any], wanted: Collection[str]) -> None:
    """Puts the figures of these signs, as far as they are measured at all.

    Args:
        store: where they are.
        figures: takes them.
        limits: of the range, as queries want them.
        wanted: names of thresholds; what none of them is about is not read.
    """
    queries = {query for query, about in THRESHOLDS.items() if not about.isdisjoint(wanted)}
    names = {row["name"] for row in store.rows("alerts/names", **limits)} if queries else set()

    def rows(query: str, since: float = 0.0) -> list[Row]:
        known = query in queries and not names.isdisjoint(METRICS[query])
        return store.rows(f"alerts/{query}", **limits, earlier=limits["since"] - since) if known else []

    for row in rows("signs", EARLIER):
        service, times = row["service"], row["times"]
        for name in ("gc_pause_percent", "replication_lag_ms"):
            figures.put(name, service, times, row[name])
        _deprecated(figures, service, times, row["deprecated"])
        _lost(figures, service, times, row["dropped"], row["exported"])
    for row in rows("counters", EARLIER):
        for name in ("open_breakers", "error_budget_remaining_percent"):
            figures.put(name, row["service"], row["times"], row[name])
    for query, name in (("pages", "page_load_ms"), ("health", "health_check")):
        for row in rows(query):
            figures.put(name, row["service"], row["times"], row["values"])
    _restarts(figures, rows("uptimes", LATELY))


def _deprecated(figures: Figured, service: str, times: Sequence[int], calls: Sequence[float | None]) -> None:
    if all(one is None for one in calls):
        return
    figures.put("deprecated_calls_per_minute", service, times, calls)
    begin = min(time for time, one in zip(times, calls, strict=True) if one is not None)
    length = (figures.times[-1] - begin) // 60 + 1
    each = [0.0] * length
    for time, one in zip(times, calls, strict=True):
        if one is not None:
            each[(time - begin) // 60] += one
    upto = [0.0, *accumulate(each)]
    values: Values = []
    for end in range(1, length + 1):
        now, before = _between(upto, end - HOUR, end), _between(upto, end - 2 * HOUR, end - HOUR)
        known = end >= 2 * HOUR and before > 0 and now >= LEAST_DEPRECATED
        values.append((now / before - 1) * 100 if known else None)
    figures.put("deprecated_calls_growth_percent", service, range(begin, begin + length * 60, 60), values)


def _between(upto: Sequence[float], begin: int, end: int) -> float:
    return upto[end] - upto[max(begin, 0)] if end > 0 else 0.0


def _lost(
    figures: Figured,
    service: str,
    times: Sequence[int],
    dropped: Sequence[float | None],
    exported: Sequence[float | None],
) -> None:
    if all(one is None for one in (*dropped, *exported)):
        return
    lost = figures.spread(times, [one or 0.0 for one in dropped])
    sent = figures.spread(times, [one or 0.0 for one in exported])
    shares = pooled(lost, [one + other for one, other in zip(lost, sent, strict=True)], 1)
    figures.put("telemetry_dropped_percent", service, figures.times, shares)


def _restarts(figures: Figured, rows: Iterable[Row]) -> None:
    """Processes that ended young, lately: one is told of each minute from 2 to 15 minutes after its last report."""
    services: dict[str, list[Row]] = {}
    for row in rows:
        services.setdefault(row["service"], []).append(row)
    for service, processes in services.items():
        ends = sorted(row["last"] for row in processes if row["age"] is not None and row["age"] <= YOUNG)
        first, last = processes[0]["first"], max(row["last"] for row in processes)
        times = [time for time in figures.times if first <= time <= last + LATELY]
        # The report of a minute may be from its end.
        values = [float(bisect_right(ends, time - GONE - 60) - bisect_left(ends, time - LATELY)) for time in times]
        figures.put("restarts", service, times, values)
