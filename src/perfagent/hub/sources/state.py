"""What became of a source's collections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from perfagent.hub.sources.source import Plan

Health = Literal["healthy", "degraded", "failing", "silent", "off"]
SILENT = 3
"""Intervals without an end of a collection after which a source is silent."""
SLOW = 0.5
"""Of its time; who takes more is degraded."""
LONGEST_PAUSE = 300.0
"""Seconds between two attempts at one that fails, at most."""


@dataclass(slots=True)
class State:
    """One source since the hub started, or since it was declared anew.

    Args:
        plan: what it is.
        since: when that was, seconds since the epoch.
        collections, failures, skipped: how often; skipped because the one before was still under way.
        points, facts: how many it brought in all.
        failed_in_a_row: collections.
        last_collected: when one last succeeded, seconds since the epoch.
        last_attempt: when one last ended.
        duration: of the last one, seconds.
        error: why the last one failed, and what to do; "" where it did not.
        notes: what the last one could not tell.
        off: why it does not collect at all; "" where it does.
        paused: why it does not collect for now.
        factor: how much longer its interval is in the machine's zone.
        attributes: what it watches.
        busy: whether a collection is under way.
    """

    plan: Plan
    since: float
    collections: int = 0
    failures: int = 0
    skipped: int = 0
    points: int = 0
    facts: int = 0
    failed_in_a_row: int = 0
    last_collected: float | None = None
    last_attempt: float | None = None
    duration: float | None = None
    error: str = ""
    notes: list[str] = field(default_factory=list)
    off: str = ""
    paused: str = ""
    factor: float = 1.0
    attributes: dict[str, str] = field(default_factory=dict)
    busy: bool = False

    def succeeded(self, now: float, duration: float) -> None:
        """A collection ended well."""
        self.collections += 1
        self.last_collected = self.last_attempt = now
        self.duration, self.error, self.failed_in_a_row = duration, "", 0

    def failed(self, now: float, duration: float, error: str) -> bool:
        """A collection failed; returns whether that, or its reason, is news."""
        news = self.error != error
        self.collections += 1
        self.failures += 1
        self.failed_in_a_row += 1
        self.last_attempt, self.duration, self.error = now, duration, error
        return news

    def health(self, now: float) -> Health:
        """How it is.

        Args:
            now: seconds since the epoch.
        """
        if self.off or self.paused:
            return "off"
        if now - (self.last_attempt or self.since) > SILENT * max(self.pause() * self.factor, 5.0) + self.plan.timeout:
            return "silent"
        if self.failed_in_a_row >= 2 or (self.failed_in_a_row and self.last_collected is None):
            return "failing"
        slow = self.duration is not None and self.duration > SLOW * self.plan.timeout
        return "degraded" if self.failed_in_a_row or self.notes or slow else "healthy"

    def detail(self) -> str:
        """What is wrong, in a sentence or more; "" where nothing is."""
        if self.off or self.paused:
            return self.off or self.paused
        slow = self.duration is not None and self.duration > SLOW * self.plan.timeout and not self.error
        told = [self.error, *self.notes]
        if slow:
            told.append(f"it took {self.duration:.1f} s of the {self.plan.timeout:g} s that it may take; raise timeout")
        return "; ".join(one for one in told if one)

    def pause(self) -> float:
        """Seconds between two collections, longer after failures in a row."""
        if self.failed_in_a_row < 2:
            return self.plan.interval
        longer = self.plan.interval * 2.0 ** min(self.failed_in_a_row - 1, 8)
        return max(min(longer, LONGEST_PAUSE), self.plan.interval)
