"""What counters added since a source looked before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = TypeVar("Key")


class Increments(Generic[Key]):
    """The totals of the last look, and what came since.

    A total that fell began anew, and counts whole. What was not there before counts whole as well, once there was a
    look before; in the first look nothing is known.
    """

    def __init__(self) -> None:
        self._before: Mapping[Key, tuple[float, ...]] | None = None
        self._time = 0.0

    def take(self, totals: Mapping[Key, tuple[float, ...]]) -> tuple[dict[Key, tuple[float, ...]], float]:
        """The increments of a look, without those that are all zero; and how many seconds they are of, 0 in the first.

        Args:
            totals: the same figures in the same order for each key.
        """
        now = time.monotonic()
        before, self._before = self._before, totals
        seconds, self._time = now - self._time, now
        if before is None:
            return {}, 0.0
        found = {}
        for key, values in totals.items():
            old = before.get(key)
            added = values
            if old is not None and all(value >= was for value, was in zip(values, old, strict=True)):
                added = tuple(value - was for value, was in zip(values, old, strict=True))
            if any(added):
                found[key] = added
        return found, seconds

    def forget(self) -> None:
        """The next look is the first one, as after a server began anew."""
        self._before = None
