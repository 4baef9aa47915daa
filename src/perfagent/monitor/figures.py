"""What the rest of perfagent knows of this process: caches, deprecated calls, CPU and memory; read when asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypedDict

from perfagent import settings
from perfagent.runtime import guard, metric
from perfagent.runtime.metric import registry
from perfagent.vitals import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from perfagent.runtime.metric import Instrument, Series


class CacheFigures(TypedDict):
    """Look-ups in the caches of the process since it began: functools, Redis, the library's own.

    `hit_rate` is from 0 to 1, None without look-ups; `by_system` has the same three for each kind of cache.
    """

    hits: int
    misses: int
    evictions: int
    hit_rate: float | None
    by_system: dict[str, dict[str, float | None]]


class ProcessFigures(TypedDict):
    """The process: shares in percent, of its processors and of the memory that it may have; None where unknown."""

    cpu_percent: float
    memory_percent: float | None
    memory_bytes: int | None
    threads: int | None


_settled: dict[Series, float] = {}  # what counters had counted before they were sent as differences
_watching = False


def watch() -> None:
    """Keeps the totals of counters that start from zero at each export, where differences are exported."""
    global _watching
    if _watching or settings.current().temporality == "cumulative":
        return
    _watching = True
    before = metric.before_reset

    def settle(series: Series) -> None:
        if series.value and type(series) is metric.Series:
            _settled[series] = _settled.get(series, 0) + series.value
        if before is not None:
            before(series)

    metric.before_reset = settle
    os.register_at_fork(after_in_child=_settled.clear)


def _totals(instrument: Instrument) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """What a counter has counted, by attributes."""
    if instrument.callback is not None:
        try:
            yield from list(instrument.callback())
        except Exception:
            guard.failed(f"metric {instrument.name}")
        return
    for series in list(instrument.series.values()):
        series.fold()
        yield series.value + _settled.get(series, 0), series.attributes


def _named(*names: str) -> Iterator[Instrument]:
    for instrument in list(registry.instruments.values()):
        if instrument.name in names:
            yield instrument


def caches() -> CacheFigures:
    """Look-ups in every cache that counts in the registry."""
    namespace = settings.current().namespace
    found = {}
    systems: dict[str, dict[str, float | None]] = {}
    for what in ("hits", "misses", "evictions"):
        found[what] = 0
        for instrument in _named(f"{namespace}.cache.{what}"):
            for total, attributes in _totals(instrument):
                found[what] += int(total)
                if what != "evictions":
                    system = systems.setdefault(str(attributes.get("cache.system", "other")), {"hits": 0, "misses": 0})
                    system[what] = (system[what] or 0) + int(total)
    for system in systems.values():
        system["hit_rate"] = _share(system["hits"] or 0, system["misses"] or 0)
    hits, misses = found["hits"], found["misses"]
    return {
        "hits": hits,
        "misses": misses,
        "evictions": found["evictions"],
        "hit_rate": _share(hits, misses),
        "by_system": systems,
    }


def _share(hits: float, misses: float) -> float | None:
    return hits / (hits + misses) if hits + misses else None


def deprecations() -> dict[str, int]:
    """Calls of deprecated functions since the process began, by function; the most called first."""
    found: dict[str, int] = {}
    for instrument in _named("deprecated_function_calls", "deprecated_function_calls_total"):
        for total, attributes in _totals(instrument):
            function = str(attributes.get("function", "other"))
            found[function] = found.get(function, 0) + int(total)
    return dict(sorted(((name, count) for name, count in found.items() if count), key=lambda one: (-one[1], one[0])))


def derived(told: ProcessFigures, cached: CacheFigures, means: Mapping[str, float | None]) -> dict[str, float | None]:
    """The figures of thresholds that nobody records by these names.

    Args:
        told: of the process.
        cached: of its caches; fewer than 100 look-ups tell nothing.
        means: of what was recorded.
    """
    pages = [mean for name, mean in means.items() if name.startswith("page_load.") and mean is not None]
    rate = cached["hit_rate"] if cached["hits"] + cached["misses"] >= 100 else None
    return {
        "cpu_usage_percent": told["cpu_percent"],
        "memory_usage_percent": told["memory_percent"],
        "cache_hit_rate_percent": None if rate is None else 100 * rate,
        "error_rate_percent": means.get("processing_failure_rate"),
        "page_load_ms": 1000 * max(pages) if pages else None,
    }


class Process:
    """Reads CPU and memory of this process."""

    def __init__(self) -> None:
        self._system = process.Linux() if os.path.exists("/proc/self/statm") else process.Elsewhere()
        self._utilization = process.Utilization()
        self._limit = _memory_limit()

    def reset(self) -> None:
        """In a forked child, which has used nothing yet."""
        self._utilization.reset()

    def read(self) -> ProcessFigures:
        """The figures as they are; CPU since the last reading that is half a second old."""
        resident = next((int(value) for value, _ in self._system.resident()), None)
        return {
            "cpu_percent": 100 * sum(share for share, _ in self._utilization()),
            "memory_percent": 100 * resident / self._limit if resident is not None and self._limit else None,
            "memory_bytes": resident,
            "threads": next((int(value) for value, _ in self._system.threads()), None),
        }


LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def _memory_limit() -> int:
    """Bytes that the process may have: its container's limit, else what the machine has; 0 where unknown."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0
    for path in LIMITS:
        try:
            with open(path, encoding="ascii") as file:
                return min(int(file.read()), machine)
        except (OSError, ValueError):  # none, or "max"
            continue
    return machine
