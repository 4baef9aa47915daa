"""How often a cache would be hit if it were larger or smaller: reuse distances of the watched keys.

An access is a hit in a cache of C entries that drops the least recently used where fewer than C other keys were used
since the access before (Mattson, Gecsei, Slutz and Traiger, IBM Systems Journal 9, 1970). Of a sample of the keys one
counts the watched keys in between, and divides by the share that is watched (SHARDS).
"""

from __future__ import annotations

from bisect import bisect_left
from math import log2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 16  # buckets an octave: a distance is known to 4 %
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""What sizes and times are multiplied by in "what if"."""


class Stack:
    """The watched keys in the order of their last use, by a number that grows with each use.

    A sorted list of 4,000 numbers is cut and extended in 1 us, less than a tree of them takes in Python.
    """

    def __init__(self) -> None:
        self.uses: list[int] = []
        self._last = 0

    def use(self, before: int) -> tuple[int, int]:
        """A key is used.

        Args:
            before: the number of its use before; 0 where it is new.

        Returns:
            The number of this use, and how many other keys were used since the one before, -1 for a new key.
        """
        self._last += 1
        distance = -1
        if before:
            position = bisect_left(self.uses, before)
            distance = len(self.uses) - position - 1
            del self.uses[position]
        self.uses.append(self._last)
        return self._last, distance

    def drop(self, before: int) -> None:
        """A key is no longer there."""
        position = bisect_left(self.uses, before)
        if position < len(self.uses) and self.uses[position] == before:
            del self.uses[position]


class Distances:
    """A histogram of reuse distances, of accesses that a cache without a limit would have answered."""

    def __init__(self) -> None:
        self.weights: dict[int, float] = {}
        self.total = 0.0

    def add(self, distance: float, weight: float) -> None:
        """An access with so many keys in between."""
        bucket = round(log2(distance + 1) * STEPS)
        self.weights[bucket] = self.weights.get(bucket, 0.0) + weight
        self.total += weight

    def below(self, size: float) -> float:
        """The weight of those that a cache of `size` entries would have answered."""
        edge = log2(size) * STEPS if size >= 1 else -1.0  # distance < size is distance + 1 <= size
        found = 0.0
        for bucket, weight in self.weights.items():
            share = min(max(edge - bucket + 0.5, 0.0), 1.0) if bucket else float(edge >= 0)
            found += weight * share
        return found

    def size_for(self, hits: float) -> float:
        """The size that so many of them are answered by."""
        left = hits
        for bucket, weight in sorted(self.weights.items()):
            if weight >= left:
                return float(2 ** ((bucket + 0.5) / STEPS))
            left -= weight
        return float(2 ** ((max(self.weights, default=0) + 1) / STEPS))

    def curve(self, size: float) -> Sequence[float]:
        """The weight of hits at FACTORS times a size."""
        return [self.below(size * factor) for factor in FACTORS]
