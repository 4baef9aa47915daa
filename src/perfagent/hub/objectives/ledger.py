"""The objectives of a hub with their counts, kept for as long as these cannot have changed much."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from time import time
from typing import TYPE_CHECKING

from perfagent.hub.objectives.asked import Asked
from perfagent.hub.objectives.counts import WINDOWS, Count, Reader, Stored
from perfagent.hub.objectives.declared import Declarations
from perfagent.hub.objectives.status import DAY, HOUR, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.hub import Hub
    from perfagent.hub.rules.objectives import Objective

SHORT = tuple(name for name, seconds in WINDOWS.items() if seconds <= 2 * HOUR)
LONG = tuple(name for name in WINDOWS if name not in SHORT)
FRESH, SLOW = 5.0, 60.0  # s for which the counts of short windows, and of long ones, are good
OPEN = 3 * HOUR  # s before now in which telemetry still arrives
WHOLE = 1800.0  # s after which all hours are read anew: an archive may have been read in


@dataclass(slots=True)
class _Kept:
    """What is known of one objective; moments are seconds since the epoch."""

    basis: str = ""
    hours: dict[int, Count] = field(default_factory=dict)
    hours_at: float = 0.0
    whole_at: float = 0.0
    windows: dict[str, Count] = field(default_factory=dict)
    windows_at: dict[str, float] = field(default_factory=dict)


class Ledger:
    """The objectives of a hub and how they stand; may be used on any thread.

    Args:
        hub: whose they are.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.declarations = Declarations(hub)
        self._kept: dict[Objective, _Kept] = {}
        self._lock = Lock()

    @property
    def reader(self) -> Reader:
        """Where counts come from: the store, or Prometheus where the hub reads from it."""
        remote = self._hub.remote
        if remote is not None and remote.metrics is not None:
            return Asked(remote.metrics.prometheus)
        return Stored(self._hub.store)

    def now(self) -> float:
        """The moment that counts reach to."""
        return self._hub.remote.present() if self._hub.remote is not None else time()

    def statuses(self, now: float | None = None) -> list[Status]:
        """Every objective, by name.

        Args:
            now: the moment; the present one when left out.

        Raises:
            RemoteError: Prometheus does not answer.
        """
        declared = self.declarations.all()
        with self._lock:
            known = {one.objective for one in declared.values()}
            self._kept = {one: kept for one, kept in self._kept.items() if one in known}
        return [self.status(declared[name].objective, now) for name in sorted(declared)]

    def status(self, one: Objective, now: float | None = None) -> Status:
        """One objective; as `statuses`."""
        moment = self.now() if now is None else now
        with self._lock:
            kept = self._kept.setdefault(one, _Kept())
            self._read_hours(one, kept, moment)
            self._read_windows(one, kept, moment, SHORT, self._age(FRESH))
            self._read_windows(one, kept, moment, LONG, self._age(SLOW))
            first = moment - one.window_days * DAY
            hours = {hour: count for hour, count in kept.hours.items() if first - HOUR < hour <= moment}
            return Status(one, kept.basis, moment, dict(kept.windows), hours)

    def _age(self, seconds: float) -> float:
        """How old counts may be; Prometheus is not asked more often than for everything else."""
        return max(seconds, self._hub.settings.remote_interval) if self._hub.remote is not None else seconds

    def _read_hours(self, one: Objective, kept: _Kept, now: float) -> None:
        if 0 <= now - kept.hours_at < SLOW and kept.basis:
            return
        since = now - one.window_days * DAY
        if not 0 <= now - kept.whole_at < WHOLE or not kept.basis:
            kept.basis = self.reader.basis(one, since, now)
            kept.hours, kept.whole_at = {}, now
        elif not kept.hours:  # the first requests may come by another way than was guessed
            kept.basis = self.reader.basis(one, now - OPEN, now)
            since = now - OPEN
        else:
            since = now - OPEN
        begin = since // HOUR * HOUR
        kept.hours = {hour: count for hour, count in kept.hours.items() if hour < begin}
        kept.hours |= self.reader.steps(one, kept.basis, begin, now, HOUR)
        kept.hours_at = now

    def _read_windows(self, one: Objective, kept: _Kept, now: float, names: Sequence[str], age: float) -> None:
        if 0 <= now - kept.windows_at.get(names[0], 0.0) < age:
            return
        kept.windows |= self.reader.windows(one, kept.basis, now, names)
        kept.windows_at |= dict.fromkeys(names, now)
