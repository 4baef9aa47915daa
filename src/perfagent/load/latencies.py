"""Latencies as counts in buckets that are fine everywhere: any percentile to 0.1 %, in a few kilobytes.

The layout is HdrHistogram's: within each power of two of microseconds 1,024 buckets of equal width.
"""

from __future__ import annotations

import math

BITS = 11  # 2048 values that are kept as they are; above, the 11 highest bits of a value


class Latencies:
    """Counts of times from 1 us to years; a time below 0 counts as 0."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.largest = 0.0
        self._counts: dict[int, int] = {}

    def record(self, seconds: float) -> None:
        """Adds one time."""
        seconds = max(seconds, 0.0)
        value = int(seconds * 1e6)
        shift = max(value.bit_length() - BITS, 0)
        place = (shift << BITS) + (value >> shift)
        self._counts[place] = self._counts.get(place, 0) + 1
        self.count += 1
        self.sum += seconds
        self.largest = max(self.largest, seconds)

    @property
    def mean(self) -> float | None:
        """The average in seconds; None where nothing was recorded."""
        return self.sum / self.count if self.count else None

    def percentile(self, percent: float) -> float | None:
        """The time in seconds that so many per cent do not exceed; None where nothing was recorded."""
        if not self.count:
            return None
        wanted = max(math.ceil(self.count * percent / 100), 1)
        seen = 0
        for place in sorted(self._counts):
            seen += self._counts[place]
            if seen >= wanted:
                break
        shift, highest = divmod(place, 1 << BITS)
        return min((((highest + 1) << shift) - 1) / 1e6, self.largest) if shift else highest / 1e6

    def summary(self) -> dict[str, float | None]:
        """Mean, the usual percentiles and the largest, in milliseconds."""
        found = {f"p{percent:g}": self.percentile(percent) for percent in (50, 90, 95, 99, 99.9)}
        found = {"mean": self.mean, **found, "max": self.largest if self.count else None}
        return {f"{name}_ms": None if value is None else value * 1e3 for name, value in found.items()}
