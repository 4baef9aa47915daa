"""Reads vital signs of processes from the roll-ups of metrics: CPU, memory, event loop, garbage collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfagent.hub.analyse.durations import explicit_quantile
from perfagent.hub.api.calls import bounds, passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

CPU_TIME, CPU_SHARE = "process.cpu.time", "process.cpu.utilization"
MEMORY, THREADS, DESCRIPTORS = "process.memory.usage", "process.thread.count", "process.unix.file_descriptor.count"
LIMITS = ("container.memory.limit", "process.memory.limit", "system.memory.limit")
LAG, GC_PAUSE = "perfagent.eventloop.lag", "perfagent.gc.pause"
DROPPED, INTERNAL_ERRORS = "perfagent.telemetry.dropped", "perfagent.internal.errors"
STALLED, SYSTEM_CPU = "perfagent.eventloop.stalled", "system.cpu.utilization"
POOL_USED, POOL_MOST = "db.client.connection.count", "db.client.connection.max"
READINGS = [
    CPU_TIME, CPU_SHARE, MEMORY, THREADS, DESCRIPTORS, *LIMITS, DROPPED, INTERNAL_ERRORS, STALLED, SYSTEM_CPU,
]  # fmt: skip


@dataclass(slots=True)
class Vitals:
    """Readings of processes by step.

    Args:
        times: starts of the steps, seconds since the epoch.
        seconds: how much of each step has passed.
        values: for a metric and a resource's id, the mean reading in each step.
        deltas: the same for increments.
    """

    times: list[int]
    seconds: list[float]
    values: dict[str, dict[int, list[float | None]]] = field(default_factory=dict)
    deltas: dict[str, dict[int, list[float | None]]] = field(default_factory=dict)

    def summed(self, name: str) -> list[float | None]:
        """A reading, added up over the processes that have one."""
        return _summed(self.values.get(name, {}), len(self.times))

    def cpu(self) -> dict[int, list[float | None]]:
        """CPU seconds a second of each process, 1 for one core; its share of the machine where only that is told."""
        cores: dict[int, list[float | None]] = {
            process: [None if one is None else one / seconds for one, seconds in zip(deltas, self.seconds, strict=True)]
            for process, deltas in self.deltas.get(CPU_TIME, {}).items()
        }
        return self.values.get(CPU_SHARE, {}) | cores

    def cpu_summed(self) -> list[float | None]:
        """CPU of all processes together, 1 for one core."""
        return _summed(self.cpu(), len(self.times))

    def total(self, name: str) -> float:
        """All increments of a counter, of all processes."""
        return sum(one or 0.0 for deltas in self.deltas.get(name, {}).values() for one in deltas)


def _summed(processes: dict[int, list[float | None]], steps: int) -> list[float | None]:
    whole: list[float | None] = [None] * steps
    for values in processes.values():
        for position, value in enumerate(values):
            if value is not None:
                whole[position] = (whole[position] or 0.0) + value
    return whole


def readings(store: Store, within: Range, service: str | None, names: Sequence[str] = tuple(READINGS)) -> Vitals:
    """The vital signs of a range by its steps."""
    step, times = within.step, within.times()
    vitals = Vitals(times, [passed(start, step, within.end) for start in times])
    rows = store.rows(
        "vitals/by_process",
        **bounds(store, within.first, within.end, within.step),
        step=step,
        service=service,
        names=list(names),
    )
    first = times[0]
    for row in rows:
        position = (row["time"] - first) // step
        if not 0 <= position < len(times):
            continue
        for kind, column in ((vitals.values, "value"), (vitals.deltas, "delta")):
            if row[column] is not None:
                processes = kind.setdefault(row["name"], {})
                processes.setdefault(row["resource"], [None] * len(times))[position] = row[column]
    for processes in vitals.values.values():
        for values in processes.values():
            _bridge(values)
    return vitals


def _bridge(values: list[float | None]) -> None:
    """Fills single gaps with the value before: who reports once a minute leaves a minute empty now and then."""
    for position in range(1, len(values) - 1):
        if values[position] is None and values[position + 1] is not None:
            values[position] = values[position - 1]


@dataclass(slots=True)
class Histogram:
    """A histogram of seconds, with explicit bounds or at scale 3."""

    bounds: list[float] | None
    counts: dict[int, float] = field(default_factory=dict)
    largest: float | None = None
    total: float = 0.0

    @property
    def count(self) -> float:
        """How many values."""
        return sum(self.counts.values())

    def quantile_ms(self, share: float) -> float | None:
        """A quantile, ms; None without values."""
        if self.bounds is not None:
            counts = [self.counts.get(position, 0.0) for position in range(len(self.bounds) + 1)]
            found = explicit_quantile(self.bounds, counts, share, self.largest)
            return None if found is None else found * 1000
        rank, below = share * self.count, 0.0
        for position, count in sorted(self.counts.items()):
            below += count
            if below >= rank > 0:
                return 0.0 if position <= ZEROS else float(2 ** ((position + 0.5) / 8)) * 1000
        return None


ZEROS = -100_000  # the position that stands for zeros


@dataclass(slots=True)
class Histograms:
    """Histograms of metrics by name: of each step, all processes together, and of each process over the whole range."""

    by_time: dict[tuple[str, int], Histogram] = field(default_factory=dict)
    by_process: dict[tuple[str, int], Histogram] = field(default_factory=dict)

    def quantiles_ms(self, name: str, share: float, times: Sequence[int]) -> list[float | None]:
        """A quantile in each step, ms; None where nothing was measured."""
        found = [self.by_time.get((name, time)) for time in times]
        return [one.quantile_ms(share) if one else None for one in found]


def all_histograms(
    store: Store, within: Range, service: str | None, names: Sequence[str] = (LAG, GC_PAUSE)
) -> Histograms:
    """The histograms of some metrics, in seconds, in a range."""
    rows = store.rows(
        "vitals/buckets",
        **bounds(store, within.first, within.end, within.step),
        step=within.step,
        service=service,
        names=list(names),
    )
    found = Histograms()
    for row in rows:
        if row["resource"] is None:
            _add(found.by_time, (row["name"], row["time"]), row)
        else:
            _add(found.by_process, (row["name"], row["resource"]), row)
    return found


def histograms(
    store: Store, within: Range, service: str | None, names: Sequence[str], *, by_process: bool
) -> dict[tuple[str, int], Histogram]:
    """Histograms of metrics: by name and process of the whole range, or by name and start of the step."""
    found = all_histograms(store, within, service, names)
    return found.by_process if by_process else found.by_time


def _add(found: dict[tuple[str, int], Histogram], key: tuple[str, int], row: Row) -> None:
    histogram = found.setdefault(key, Histogram(row["bounds"]))
    if (histogram.bounds is None) != (row["bounds"] is None) or (
        histogram.bounds is not None and histogram.bounds != row["bounds"]
    ):
        return  # processes that disagree on the bounds cannot be added up; the first one's stay
    if row["position"] is None:
        histogram.total += row["amount"]
    else:
        histogram.counts[row["position"]] = histogram.counts.get(row["position"], 0.0) + row["amount"]
    if row["largest"] is not None:
        histogram.largest = max(histogram.largest or 0.0, row["largest"])
