"""How the program itself is: CPU, memory, garbage collection, event loop and caches, as far as it exports them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .signals import Point
    from .tally import Tally
    from .totals import Labels


def vital_signs(tally: Tally) -> Iterator[tuple[str, str]]:
    """What there is of name and reading, such as ("cpu", "23 % of a core")."""
    cpu = _rate(tally, "process.cpu.time")
    if cpu is not None:
        yield "cpu", f"{cpu:.0%} of a core"
    for name, sign in ("process.memory.usage", "memory"), ("process.thread.count", "threads"):
        for point in _points(tally, name):
            if point.value is not None:
                yield sign, f"{point.value / 1e6:.0f} MB" if point.unit == "By" else f"{point.value:.0f}"
    collections = tally.totals.total("cpython.gc.collections").value
    if collections:
        yield "gc", f"{collections:.0f} collections"
    lag = loop_lag(tally)
    if lag is not None:
        yield "event loop", f"late by up to {lag * 1000:.0f} ms"


def loop_lag(tally: Tally) -> float | None:
    """The longest that the event loop came late, in seconds; None if that is not exported."""
    lags = [point.max if point.max is not None else point.value for point in _points(tally, "loop", "lag")]
    return max((lag for lag in lags if lag is not None), default=None)


def hit_ratios(tally: Tally) -> dict[str, tuple[float, float]]:
    """Hits and misses of each cache.

    Names differ between agents: a hit is a counter of a cache with `hit` in its name or in one of its attributes.
    """
    found: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0])
    for metric in tally.totals.names():
        if "cache" not in metric:
            continue
        for labels, total in tally.totals.series(metric).items():
            outcome = _outcome(metric, labels)
            if outcome is not None:
                cache = ", ".join(value for _, value in labels if value not in ("hit", "miss"))
                found[cache or metric][outcome] += total.value
    return {cache: (hits, misses) for cache, (hits, misses) in found.items() if hits + misses}


def deprecated_calls(tally: Tally) -> dict[str, float]:
    """How often each deprecated thing was used, by the attributes it is counted under."""
    found: defaultdict[str, float] = defaultdict(float)
    for metric in tally.totals.names():
        if "deprecat" in metric:
            for labels, total in tally.totals.series(metric).items():
                found[", ".join(value for _, value in labels)] += total.value
    return dict(found)


def _points(tally: Tally, *parts: str) -> list[Point]:
    found = [points for name, points in tally.latest.items() if all(part in name for part in parts)]
    return [point for points in found for point in points.values()]


def _rate(tally: Tally, name: str) -> float | None:
    rates = []
    for key, last in tally.latest.get(name, {}).items():
        first = tally.first[name][key]
        if last.time > first.time:
            rates.append(((last.value or 0) - (first.value or 0)) / (last.time - first.time) * 1e9)
    return sum(rates) if rates else None


def _outcome(metric: str, labels: Labels) -> int | None:
    words = [metric, *(value for _, value in labels)]
    if any("hit" in word for word in words):
        return 0
    return 1 if any("miss" in word for word in words) else None
