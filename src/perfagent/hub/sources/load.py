"""How loaded the hub's machine is: the larger share of CPU and memory, of the machine and of the control group."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from perfagent.container import Container


class Load(NamedTuple):
    """Shares of what there is, 0..1; None where that cannot be told."""

    cpu: float | None
    memory: float | None
    container_cpu: float | None
    container_memory: float | None

    @property
    def share(self) -> float:
        """The largest; 0 where none is known."""
        return max((one for one in self if one is not None), default=0.0)

    @property
    def resource(self) -> str:
        """Which one that is."""
        known = {name: value for name, value in self._asdict().items() if value is not None}
        return max(known, key=lambda name: known[name]).replace("_", " ") if known else "nothing"


class Gauge:
    """Reads the load again and again; CPU is what was used since the reading before.

    Args:
        proc: where /proc is.
        container: the control group; that of this process when left out.
    """

    def __init__(self, proc: str = "/proc", container: Container | None = None) -> None:
        self._proc = proc
        self._container = container or Container()
        self._cpu = busy_and_all(f"{proc}/stat")
        self._used = (time.monotonic(), self._container.cpu_used())

    def read(self) -> Load:
        """The load since the reading before."""
        return Load(self._busy(), memory_share(f"{self._proc}/meminfo"), self._quota(), self._limit())

    def _busy(self) -> float | None:
        before, self._cpu = self._cpu, busy_and_all(f"{self._proc}/stat")
        if before is None or self._cpu is None or self._cpu[1] <= before[1]:
            return None
        return min(max((self._cpu[0] - before[0]) / (self._cpu[1] - before[1]), 0.0), 1.0)

    def _quota(self) -> float | None:
        cores = self._container.cores()
        before, self._used = self._used, (time.monotonic(), self._container.cpu_used())
        (then, used), (now, total) = before, self._used
        if cores is None or used is None or total is None or now <= then:
            return None
        return min(max((total - used) / (now - then) / cores, 0.0), 1.0)

    def _limit(self) -> float | None:
        limit, used = self._container.memory_limit(), self._container.memory_used()
        return None if limit is None or used is None else min(used / limit, 1.0)


def busy_and_all(path: str) -> tuple[float, float] | None:
    """Time that processors worked, and all of their time, in ticks."""
    try:
        with open(path, "rb") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    if len(ticks) < 5:
        return None
    return float(sum(ticks) - ticks[3] - ticks[4]), float(sum(ticks))  # idle and iowait are no work


def meminfo(path: str) -> dict[str, int]:
    """Bytes by name; nothing where there is no such file."""
    found: dict[str, int] = {}
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                name, _, rest = line.partition(":")
                words = rest.split()
                if words and words[0].isdigit():
                    found[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    except OSError:
        pass
    return found


def memory_share(path: str) -> float | None:
    """Memory that nobody else can have, of all; None where that is not told."""
    known = meminfo(path)
    total, available = known.get("MemTotal"), known.get("MemAvailable")
    return None if not total or available is None else 1 - available / total


def load_average() -> tuple[float, float, float] | None:
    """Of 1, 5 and 15 minutes."""
    try:
        return os.getloadavg()
    except OSError:
        return None
