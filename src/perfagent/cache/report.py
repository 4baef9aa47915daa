"""What a cache has done so far, in figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TierReport:
    """One tier.

    Args:
        name: memory, redis or disk.
        hits: look-ups that it answered.
        size: values in it; None where it does not count them, as Redis.
        max_size: most values in it; None likewise.
        available: whether it answered last.
    """

    name: str
    hits: int
    size: int | None
    max_size: int | None
    available: bool

    @property
    def utilization(self) -> float | None:
        """How full it is, from 0 to 1."""
        return None if self.size is None or not self.max_size else self.size / self.max_size


@dataclass(frozen=True, slots=True)
class SpaceReport:
    """One function, or the values that are set by hand; counts of this process.

    Args:
        name: as metrics and the page show it.
        hits: look-ups that were answered without a computation; those that waited for somebody else's are among them.
        misses: look-ups that found nothing.
        shared: hits that waited for somebody else's computation.
        stale: hits that were served while a new value was computed.
        evictions: values that went from the memory for want of room.
        failures: what did not work, by its kind.
    """

    name: str
    hits: int
    misses: int
    shared: int
    stale: int
    evictions: int
    failures: dict[str, int]

    @property
    def hit_ratio(self) -> float | None:
        """Share of look-ups that hit, from 0 to 1; None without any."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else None


@dataclass(frozen=True, slots=True)
class Report:
    """A cache.

    Args:
        name: its name.
        system: its type.
        hits: of all spaces.
        misses: of all spaces.
        evictions: of all spaces.
        tiers: each tier, the fastest first.
        spaces: each function, and the values that are set by hand.
    """

    name: str
    system: str
    hits: int
    misses: int
    evictions: int
    tiers: tuple[TierReport, ...]
    spaces: tuple[SpaceReport, ...]

    @property
    def hit_ratio(self) -> float | None:
        """Share of look-ups that hit, from 0 to 1; None without any."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else None


@dataclass(frozen=True, slots=True)
class Warmed:
    """What warming has done.

    Args:
        loaded: values that are there now and were not before.
        present: values that were there already.
        failed: those whose computation raised; counted and told of, the others go on.
    """

    loaded: int
    present: int
    failed: int
