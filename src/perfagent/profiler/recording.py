"""What a profile holds: samples over time, their summary, and the JSON document of both."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.profiler import saved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.profiler.tree import Reading

FORMAT = "perfagent.profile/1"
MOST = 4000  # samples; then pairs become one
WINDOW = 0.2  # seconds; a rate is not taken over less: the system counts CPU time in steps of 10 ms
LEVELS = {
    "rss_bytes": "rss", "pss_bytes": "pss", "uss_bytes": "uss", "threads": "threads",
    "descriptors": "descriptors", "processes": "processes",
}  # fmt: skip
"""Columns that are what a reading has."""
RATES = {
    "cpu_percent": ("cpu", 100.0),
    "read_bytes_per_second": ("read", 1.0),
    "written_bytes_per_second": ("written", 1.0),
    "disk_read_bytes_per_second": ("disk_read", 1.0),
    "disk_written_bytes_per_second": ("disk_written", 1.0),
    "voluntary_switches_per_second": ("voluntary", 1.0),
    "involuntary_switches_per_second": ("involuntary", 1.0),
}
"""Columns that are the growth of a total, and what one a second counts for."""
COLUMNS = ("cpu_percent", *LEVELS, *(name for name in RATES if name != "cpu_percent"))


@dataclass(frozen=True, slots=True)
class Statistics:
    """A column in figures; `growth` is by how much it grows a minute (Theil-Sen), None where there is too little."""

    smallest: float
    mean: float
    p95: float
    largest: float
    growth: float | None


class Recording:
    """The samples of one profile.

    Args:
        interval: seconds between two; doubles whenever there are 4000 of them, and pairs become one.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.started = time.time()
        self.times: list[float] = []
        self.columns: dict[str, list[float | None]] = {name: [] for name in COLUMNS}
        self.totals: dict[str, float] = {}
        self.duration = 0.0
        self._began: float | None = None
        self._rated: dict[str, tuple[float, float]] = {}  # by column: when, and the total then

    def add(self, reading: Reading) -> None:
        """Takes a reading in."""
        if self._began is None:
            self._began = reading.time
        self.duration = reading.time - self._began
        self.times.append(round(self.duration, 4))
        for column, name in LEVELS.items():
            self.columns[column].append(getattr(reading, name))
        for column, (name, unit) in RATES.items():
            self.columns[column].append(self._rate(column, reading.time, getattr(reading, name), unit))
            total = getattr(reading, name)
            if total is not None:
                self.totals[name] = total
        if len(self.times) >= MOST:
            self._thin()

    def _rate(self, column: str, now: float, total: float | None, unit: float) -> float | None:
        if total is None:
            return None
        then, before = self._rated.get(column, (now, total))
        if column in self._rated and now - then < WINDOW:
            return None
        self._rated[column] = now, total
        return round((total - before) / (now - then) * unit, 3) if now > then else None

    def _thin(self) -> None:
        self.interval *= 2
        self.times = self.times[1::2]
        for column, values in self.columns.items():
            merge = max if column in LEVELS else _mean
            pairs = zip(values[::2], values[1::2], strict=False)
            self.columns[column] = [
                merge(known) if (known := [one for one in pair if one is not None]) else None for pair in pairs
            ]

    def summary(self) -> dict[str, Statistics]:
        """The columns of which anything is known."""
        found = {}
        for column, values in self.columns.items():
            points = [(when, one) for when, one in zip(self.times, values, strict=True) if one is not None]
            if points:
                found[column] = statistics(points)
        if "cpu_percent" in found and self.duration > 0:  # the mean that the total tells, however the samples fell
            one = found["cpu_percent"]
            mean = min(max(self.totals["cpu"] / self.duration * 100, one.smallest), one.largest)
            found["cpu_percent"] = Statistics(one.smallest, mean, one.p95, one.largest, one.growth)
        return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def statistics(points: Sequence[tuple[float, float]]) -> Statistics:
    """Smallest, mean, 95th percentile, largest, and growth a minute of (seconds, value) points."""
    values = sorted(value for _when, value in points)
    p95 = values[max(math.ceil(0.95 * len(values)) - 1, 0)]
    return Statistics(values[0], _mean(values), p95, values[-1], growth(points))


def growth(points: Sequence[tuple[float, float]]) -> float | None:
    """The median slope of the line through any two points, a minute; None of fewer than 8 points or 10 s.

    Up to 29 % of them may be off, such as a program's start, without changing it (Sen 1968).
    """
    if len(points) < 8 or points[-1][0] - points[0][0] < 10:
        return None
    step = max(len(points) // 150, 1)
    some = points[::step]
    slopes = sorted(
        (after - before) / (later - earlier)
        for place, (earlier, before) in enumerate(some)
        for later, after in some[place + 1 :]
        if later > earlier
    )
    return slopes[len(slopes) // 2] * 60 if slopes else None


def document(
    recording: Recording, pid: int, command: Sequence[str], status: int | None, peak: int, own: float, notes: list[str]
) -> dict[str, Any]:
    """The profile for machines, and for `read`.

    Args:
        recording: the samples.
        pid: of the process.
        command: its words.
        status: how it ended, of a command; None of one that ran on.
        peak: the most bytes of memory at a time.
        own: CPU seconds that the profiler itself took.
        notes: what the reader must know.
    """
    duration = max(recording.duration, 1e-9)
    return {
        "format": FORMAT,
        "pid": pid,
        "command": list(command),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(recording.started)),
        "duration_seconds": round(recording.duration, 3),
        "interval_seconds": recording.interval,
        "exit_status": status,
        "machine": {"system": sys.platform, "architecture": platform.machine(), "processors": os.cpu_count()},
        "peak_rss_bytes": peak,
        "totals": {
            "cpu_seconds": round(recording.totals.get("cpu", 0.0), 3),
            **{
                f"{name}_bytes": recording.totals.get(name) for name in ("read", "written", "disk_read", "disk_written")
            },
            "voluntary_switches": recording.totals.get("voluntary"),
            "involuntary_switches": recording.totals.get("involuntary"),
        },
        "own_cost": {"cpu_seconds": round(own, 3), "percent_of_one_core": round(own / duration * 100, 2)},
        "notes": notes,
        "summary": {
            name: {
                "min": round(one.smallest, 3),
                "mean": round(one.mean, 3),
                "p95": round(one.p95, 3),
                "max": round(one.largest, 3),
                "growth_per_minute": None if one.growth is None else round(one.growth, 3),
            }
            for name, one in recording.summary().items()
        },
        "samples": {"time_seconds": recording.times, **recording.columns},
    }


def read(path: str) -> dict[str, Any]:
    """The document in a file.

    Raises:
        ValueError: it is none of ours.
        OSError: it cannot be read.
    """
    return saved.read(path, FORMAT, "is no profile: make one by `perfagent profile --json run.json PID`")
