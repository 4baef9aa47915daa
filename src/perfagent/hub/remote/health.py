"""What is known of a remote: when it last answered, what is wrong, and how often it was asked with which outcome."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram of durations, in seconds."""


@dataclass(slots=True)
class Health:
    """The figures of one remote since the start.

    Args:
        last_success: when it last answered, seconds since the epoch; 0 where it never did.
        problem: why it did not answer when it was asked last; "" where it did.
        outcomes: requests by what became of them.
        seconds: sum of their durations.
        counts: how many took how long, one more than BOUNDS.
        bytes: of answers, unpacked.
        left_out: series that were not read, because there were too many.
    """

    last_success: float = 0.0
    problem: str = ""
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    bytes: int = 0
    left_out: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, outcome: str, seconds: float | None = None, size: int = 0, problem: str = "") -> None:
        """Notes one request; `seconds` is None where none was made."""
        with self._lock:
            self.outcomes[outcome] += 1
            if seconds is not None:
                self.seconds += seconds
                self.counts[bisect_left(BOUNDS, seconds)] += 1
                self.bytes += size
                self.problem = problem
            if outcome == "ok":
                self.last_success = time.time()

    def leave_out(self, series: int) -> None:
        """Counts series that were not read."""
        with self._lock:
            self.left_out += series
