"""One resource against its limit: how much is used, and at which level that is, with hysteresis."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from perfagent.runtime.pressure import EXCEEDED, FINE, TIGHT
from perfagent.runtime.profile import resident

if TYPE_CHECKING:
    from collections.abc import Callable

BACK = 0.95  # times a threshold: what must be reached on the way back, so that a level does not flutter
WINDOW = 5.0  # seconds that CPU use is taken over: a burst is no excess
FULL = 0.98  # of a quota: the kernel lets nobody use more, so this is the excess


class Resource:
    """Memory or CPU of this process or its container, and the limit of that.

    Args:
        name: "memory" or "cpu".
        limit: what may be used, in bytes or processors.
        warning: from when on it is tight, in the same.
        origin: where the limit comes from, for people.
        use: tells what is used now.
        full: from which share of the limit on it is exceeded.
    """

    def __init__(
        self, name: str, limit: float, warning: float, origin: str, use: Callable[[], float], full: float = 1.0
    ) -> None:
        self.name = name
        self.limit = limit
        self.warning = min(warning, limit * full)
        self.origin = origin
        self.used = 0.0
        self.level = FINE
        self._use = use
        self._full = full

    @property
    def utilization(self) -> float:
        """What is used, as a share of the limit."""
        return self.used / self.limit

    @property
    def excess(self) -> float:
        """Where it is between the warning (0) and the limit (1)."""
        return min(max((self.used - self.warning) / max(self.limit * self._full - self.warning, 1e-9), 0.0), 1.0)

    def look(self) -> int:
        """Looks anew; returns the level that it was at before."""
        before = self.level
        self.used = self._use()
        full = self.limit * self._full
        if self.used >= full or (before == EXCEEDED and self.used >= full * BACK):
            self.level = EXCEEDED
        elif self.used >= self.warning or (before != FINE and self.used >= self.warning * BACK):
            self.level = TIGHT
        else:
            self.level = FINE
        return before

    def __str__(self) -> str:
        if self.name == "cpu":
            return f"CPU use is {self.used:.2f} of {self.limit:g} processors ({self.origin})"
        return f"memory is {self.used / 1e6:,.0f} MB of {self.limit / 1e6:,.0f} MB ({self.origin})"


def own_memory() -> float:
    """Bytes of physical memory of this process."""
    return resident()


def own_cpu() -> float:
    """CPU seconds of this process and the children that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Rate:
    """Processors' worth of a CPU time that grows: over the last 5 s at least, and 0 until so much is known.

    Args:
        total: tells the CPU seconds so far.
    """

    def __init__(self, total: Callable[[], float]) -> None:
        self._total = total
        self.reset()

    def reset(self) -> None:
        """Begins anew, as in a forked child."""
        self._points = [(time.monotonic(), self._total())]

    def __call__(self) -> float:
        """The rate."""
        now, total = time.monotonic(), self._total()
        points = self._points
        while len(points) > 1 and now - points[1][0] >= WINDOW:
            points.pop(0)
        then, before = points[0]
        if now - points[-1][0] >= 0.5:
            points.append((now, total))
        return max(total - before, 0.0) / (now - then) if now - then >= WINDOW else 0.0
