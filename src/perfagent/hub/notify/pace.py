"""How often a channel is told, and when it is tried again after a failure."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, for all channels.

    Args:
        first_retry: until the second attempt; each further one takes twice as long.
        longest_retry: between two attempts.
        longest_pause: for which a channel that fails is left alone; the next message may be one that it takes.
        collecting: how long what exceeds the rate is collected for a digest.
        deadline: after which an attempt counts as failed, whatever it still does.
    """

    first_retry: float = 2.0
    longest_retry: float = 600.0
    longest_pause: float = 60.0
    collecting: float = 30.0
    deadline: float = 30.0


def after_failures(failures: int, first: float, longest: float) -> float:
    """Seconds until the next attempt: doubled by each failure, and by up to a half less, so that many do not meet.

    Args:
        failures: in a row, from 1.
        first: seconds after the first one.
        longest: most seconds.
    """
    whole = min(first * 2.0 ** min(failures - 1, 30), longest)
    return whole * (0.5 + random.random() / 2)  # noqa: S311 - no secret


class Pace:
    """Messages of one channel in the last hour, and what may be sent now.

    Four fifths of what a channel takes in an hour are messages of one event; the rest is kept for digests of all that
    comes beyond them, so that nothing waits for an hour.

    Args:
        per_hour: most messages; 0 for no limit.
    """

    def __init__(self, per_hour: int) -> None:
        self.per_hour = per_hour
        self._sent: deque[float] = deque()
        self._last_digest = 0.0

    def note(self, now: float, told: int) -> None:
        """A message was sent.

        Args:
            now: seconds since the epoch.
            told: of how many events.
        """
        self._sent.append(now)
        if told > 1:
            self._last_digest = now

    def keep_time(self, now: float) -> None:
        """Where the clock was set back, what was sent later than now counts as sent now."""
        if self._sent and self._sent[-1] > now:
            self._sent = deque(min(one, now) for one in self._sent)
        self._last_digest = min(self._last_digest, now)

    def sent(self, now: float) -> int:
        """Messages in the last hour."""
        while self._sent and self._sent[0] <= now - HOUR:
            self._sent.popleft()
        return len(self._sent)

    def next_single(self, now: float) -> float:
        """When a message of one event may be sent, seconds since the epoch."""
        sent = self.sent(now)
        singles = max(1, self.per_hour - self._reserved)
        return now if not self.per_hour or sent < singles else self._sent[sent - singles] + HOUR

    def next_digest(self, now: float, held_since: float, collecting: float) -> float:
        """When a message of all that waits may be sent, seconds since the epoch.

        Args:
            now: seconds since the epoch.
            held_since: when the first of what waits could have been sent.
            collecting: seconds for which more is waited for.
        """
        sent = self.sent(now)
        free = now if sent < self.per_hour else self._sent[sent - self.per_hour] + HOUR
        return max(free, held_since + collecting, self._last_digest + HOUR / self._reserved)

    @property
    def _reserved(self) -> int:
        return max(1, self.per_hour // 5)
