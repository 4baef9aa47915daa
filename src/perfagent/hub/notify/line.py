"""One channel at work: what waits for it, what is on its way, and how well it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from perfagent.hub.notify.pace import Pace

if TYPE_CHECKING:
    from perfagent.hub.notify.channel import Channel
    from perfagent.hub.notify.outbox import Delivery
    from perfagent.hub.notify.pace import Timing

Health = Literal["healthy", "failing", "idle", "off"]
LINGERING = 3  # attempts of a channel that are over their time, and of which nobody knows whether they ever end


@dataclass(slots=True, eq=False)
class Attempt:
    """A message on its way.

    Args:
        deliveries: what it tells.
        began: seconds since the epoch.
        late: whether it is over its time, and its deliveries may be on their way again.
    """

    deliveries: list[Delivery]
    began: float
    late: bool = False


@dataclass(slots=True)
class Line:
    """What there is for one channel; whoever changes it holds the notifier's lock.

    Args:
        pace: how often it was told.
        channel: what is declared; None where it is not declared any more.
    """

    pace: Pace
    channel: Channel | None = None
    waiting: list[Delivery] = field(default_factory=list)
    attempt: Attempt | None = None
    lingering: int = 0
    failures: int = 0
    paused_until: float = 0.0
    last_delivered: float | None = None
    last_failed: float | None = None
    last_error: str = ""

    @property
    def health(self) -> Health:
        """How well it is."""
        if self.failures:
            return "failing"
        if self.last_delivered is None:
            return "failing" if self.last_error else "idle"
        return "healthy"

    def keep_time(self, now: float, timing: Timing) -> None:
        """Where the clock was set back, nothing waits until it is as late again as it was.

        Args:
            now: seconds since the epoch.
            timing: how long things take.
        """
        self.pace.keep_time(now)
        self.paused_until = min(self.paused_until, now + timing.longest_pause)
        if self.attempt is not None:
            self.attempt.began = min(self.attempt.began, now)
        for one in self.waiting:
            one.due = min(one.due, now + timing.longest_retry)

    def next(self, now: float, timing: Timing) -> tuple[float, list[Delivery]]:
        """What is to be sent next, and when: one delivery, or several as one message.

        Args:
            now: seconds since the epoch.
            timing: how long things take.

        Returns:
            Seconds since the epoch, infinite where nothing is to be sent, and the deliveries.
        """
        if self.channel is None or self.attempt is not None or self.lingering >= LINGERING:
            return float("inf"), []
        firsts: dict[str, Delivery] = {}  # an incident's messages keep their order
        for one in self.waiting:
            firsts.setdefault(one.incident, one)
        if not firsts:
            return float("inf"), []
        begin = max(now, self.paused_until)
        due = [one for one in firsts.values() if one.due <= begin]
        if not due:
            return max(begin, min(one.due for one in firsts.values())), []
        due.sort(key=lambda one: one.due)
        single = self.pace.next_single(now)
        if single <= now:
            return begin, due[:1]
        held = [one for one in self.waiting if one.due <= begin]
        digest = self.pace.next_digest(now, min(one.due for one in held), timing.collecting)
        if digest <= single:
            return max(begin, digest), held
        return max(begin, single), due[:1]
