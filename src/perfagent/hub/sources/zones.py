"""Resource zones: how loaded the hub's machine is, and what the hub leaves out because of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Zone = Literal["green", "yellow", "orange", "red", "critical"]
ZONES: tuple[Zone, ...] = ("green", "yellow", "orange", "red", "critical")
ENTERED: dict[Zone, float] = {"green": 0.0, "yellow": 0.60, "orange": 0.75, "red": 0.85, "critical": 0.95}
"""From which share of the busiest resource on a zone is entered."""
BACK = 0.05
"""How far below that share it must be until the zone is left downwards: what is at a limit does not flap."""
LEAST = 30.0
"""Seconds that a zone lasts at least before a lower one follows; a higher one follows after RISE."""
RISE = 4.0
"""Seconds for which a higher zone's share must be reached: one reading is none."""
SMOOTHING = 10.0
"""Seconds after which the mean that is compared has followed half of a change."""


@dataclass(frozen=True, slots=True)
class Change:
    """The zone became another.

    Args:
        time: monotonic seconds.
        before, after: zones.
        share: the smoothed share that led to it, 0..1.
    """

    time: float
    before: Zone
    after: Zone
    share: float


class Ladder:
    """The zone of a share over time, with hysteresis, a least stay, and smoothing.

    Up it goes to the zone of the smoothed share once that has been reached for RISE seconds; down one zone at a time,
    each after LEAST seconds and only once the share is BACK below where the zone begins.
    """

    def __init__(self) -> None:
        self.zone: Zone = "green"
        self.share = 0.0
        """Smoothed, 0..1."""
        self.since = 0.0
        """When the zone was entered."""
        self._last: float | None = None
        self._above: float | None = None  # since when a higher zone's share is reached

    def look(self, share: float, now: float) -> Change | None:
        """Takes a reading; returns the change where there is one.

        Args:
            share: of the busiest resource, 0..1.
            now: monotonic seconds.
        """
        if self._last is None:
            self.share, self.since = share, now
        else:
            weight = 1 - 2 ** (-max(now - self._last, 0.0) / SMOOTHING)
            self.share += weight * (share - self.share)
        self._last = now
        here, there = ZONES.index(self.zone), ZONES.index(of(self.share))
        if there > here:
            if self._above is None:
                self._above = now
            if now - self._above >= RISE:
                return self._move(ZONES[there], now)
            return None
        self._above = None
        if here and now - self.since >= LEAST and self.share < ENTERED[self.zone] - BACK:
            return self._move(ZONES[here - 1], now)
        return None

    def _move(self, zone: Zone, now: float) -> Change:
        change = Change(now, self.zone, zone, self.share)
        self.zone, self.since, self._above = zone, now, None
        return change


def of(share: float) -> Zone:
    """The zone that begins at or below a share."""
    return next(zone for zone in reversed(ZONES) if share >= ENTERED[zone] or zone == "green")
