"""What limits the past suggests: a little above what was usual for as many minutes in a row as a threshold asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfagent.hub.conditions.usual import LEAST, quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.analyse.thresholds import Threshold

SHARE = 0.995
"""Of the stretches of minutes that are to be within the warning limit."""
ROOM = 1.2
"""How far the limit is from them."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Limits that the past suggests.

    Args:
        warning, critical: None where the threshold has none.
        minutes: with a value, of all services.
        services: that have values.
    """

    warning: float | None
    critical: float | None
    minutes: int
    services: int


def suggest(threshold: Threshold, values_of: Iterable[Sequence[float | None]]) -> Suggestion | None:
    """Limits for a threshold; None where the past is too short, or says nothing, as where all values are 0.

    Args:
        threshold: as it is.
        values_of: the figure in each minute, for each service.
    """
    rising = threshold.comparison == "greater"
    if threshold.comparison == "equal" or (threshold.warning is None and threshold.critical is None):
        return None
    length = max(threshold.violations, 1)
    lasting: list[float] = []
    minutes = services = 0
    for values in values_of:
        known = [value for value in values if value is not None]
        minutes, services = minutes + len(known), services + bool(known)
        # A limit is violated by so many minutes in a row, so what counts of these is the mildest.
        mildest = min if rising else max
        lasting += [mildest(known[place : place + length]) for place in range(len(known) - length + 1)]
    if minutes < LEAST or not lasting:
        return None
    lasting.sort()
    usual = quantile(lasting, SHARE if rising else 1 - SHARE)
    farthest = lasting[-1] if rising else lasting[0]
    room = ROOM if rising else 1 / ROOM
    warning = _round(usual * room, rising)
    if warning <= 0 or (threshold.unit == "%" and rising and warning >= 100):
        return None
    critical: float | None = None
    if threshold.critical is not None:
        ratio = threshold.critical / threshold.warning if threshold.warning else 1.0
        apart = (max if rising else min)(warning * ratio, farthest * room)
        critical = _round(apart, rising)
        if threshold.unit == "%":
            critical = min(critical, 100.0)
    return Suggestion(warning if threshold.warning is not None else None, critical, minutes, services)


def _round(value: float, up: bool) -> float:
    """A number that people would write: two digits, away from what is usual."""
    if value <= 0:
        return 0.0
    size: float = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{(math.ceil(value / size - 1e-9) if up else math.floor(value / size + 1e-9)) * size:.12g}")
