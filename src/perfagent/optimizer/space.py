"""What is tuned: parameters between bounds, and their place between 0 and 1, where the search works."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

SCALES = ("linear", "log")


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a parameter may take.

    Args:
        name: of the parameter.
        low: the smallest value.
        high: the largest value.
        start: the value until a better one is known.
        scale: "linear", or "log" where a doubling counts alike everywhere, as with batch sizes.
        integer: whether only whole numbers are taken.

    Raises:
        ValueError: the bounds, the start or the scale do not fit together.
    """

    name: str
    low: float
    high: float
    start: float
    scale: str = "linear"
    integer: bool = True

    def __post_init__(self) -> None:
        example = "such as low=10, high=10_000, start=500, scale='log'"
        for name, value in (("low", self.low), ("high", self.high), ("start", self.start)):
            if not isinstance(value, Real):
                raise ValueError(f"{self.name}: {name}={value!r} is not accepted: a number, {example}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"{self.name}: low={self.low!r}, high={self.high!r}: two numbers, the first below, {example}"
            )
        if self.scale not in SCALES:
            raise ValueError(f"{self.name}: scale={self.scale!r} is not accepted: 'linear' or 'log', {example}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(
                f"{self.name}: low={self.low!r} is not accepted with scale='log': a number above 0, {example}"
            )
        if self.integer and (self.low != int(self.low) or self.high != int(self.high)):
            raise ValueError(f"{self.name}: low={self.low!r}, high={self.high!r}: whole numbers, or integer=False")
        if not self.low <= self.start <= self.high:
            raise ValueError(f"{self.name}: start={self.start!r} is not from {self.low!r} to {self.high!r}, {example}")

    def place(self, value: float) -> float:
        """Where a value is between the bounds, from 0 to 1."""
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """The value at a place, never outside the bounds; an int where only those are taken."""
        if self.scale == "log":
            found = self.low * math.exp(place * math.log(self.high / self.low))
        else:
            found = self.low + place * (self.high - self.low)
        found = min(max(found, self.low), self.high)
        return round(found) if self.integer else found
