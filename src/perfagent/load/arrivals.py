"""When things are due: at a constant rate, or at random as independent visitors come."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONSTANT, POISSON = "constant", "poisson"


def arrivals(rate: float, duration: float, how: str = CONSTANT, seed: int = 0) -> Iterator[float]:
    """The times at which things are due, in seconds from the start, ascending, all below `duration`.

    Args:
        rate: how many a second on average.
        duration: in seconds.
        how: CONSTANT, equally spaced; or POISSON, with exponentially distributed gaps.
        seed: of the random gaps; the same one gives the same times.
    """
    if how == CONSTANT:
        number = 0
        while number / rate < duration:  # not a sum of gaps: that would drift
            yield number / rate
            number += 1
        return
    source = random.Random(seed)  # noqa: S311 - no secret
    due = source.expovariate(rate)
    while due < duration:
        yield due
        due += source.expovariate(rate)
