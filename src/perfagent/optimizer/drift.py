"""Whether work still costs what it did when its parameters were found."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

WINDOW = 12  # measurements
EVERY = 4  # costs between two comparisons, which take 20 us
SHIFT = math.log(1.3)  # a change of less than 30 % is no reason to look again
SPREADS = 4.0  # and it must be this many times the usual spread


class Drift:
    """Compares the last 12 costs with the first 12, by their medians.

    Args:
        reference: the cost that was found before, in logarithms; None where the first 12 tell it.
    """

    def __init__(self, reference: float | None = None) -> None:
        self._reference = reference
        self._spread = 0.0
        self._since = 0
        self._recent: deque[float] = deque(maxlen=WINDOW)

    def add(self, cost: float) -> bool:
        """Takes a cost in; returns whether the work has changed."""
        self._recent.append(math.log(max(cost, 1e-300)))
        self._since += 1
        if len(self._recent) < WINDOW or (self._reference is not None and self._since < EVERY):
            return False
        self._since = 0
        middle = median(self._recent)
        spread = median(abs(one - middle) for one in self._recent) * 1.48  # of a normal distribution
        if self._reference is None:
            self._reference, self._spread = middle, spread
            self._recent.clear()
            return False
        # The median of 12 varies by a third of the spread of one.
        return abs(middle - self._reference) > max(SHIFT, SPREADS * max(spread, self._spread) / 3)
