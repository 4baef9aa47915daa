"""What is wrong and why: causes that explain what is slow, fails or runs out, told when they are sure and last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfagent.hub.alert.violation import Violation
from perfagent.hub.api.causes import likely

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.alert.violation import Severity
    from perfagent.hub.analyse.causes import Cause
    from perfagent.hub.api.ranges import Range
    from perfagent.hub.hub import Hub

SURE = 0.6  # score from which on a cause is told
LASTS = 15.0  # s for which it must have been seen
GONE = 45.0  # s for which it must not have been seen to be over
WAITED = 0.05  # s of waiting in a second, from which on slowness is worth an alert
FAILED = 0.02  # failed requests a second
SEVERE = 0.1  # failed requests a second more, of an endpoint that fails mostly: critical
BY_ITSELF = frozenset(("memory_leak", "pool", "blocked_loop", "cache", "cpu"))  # tell of harm that has yet to come
TOLD_MINUTES = 30.0  # of what is over, for the history
DAY = 86_400


@dataclass(slots=True)
class Watched:
    """One cause over time."""

    cause: Cause
    first: float
    last: float
    until: float | None = None


class Findings:
    """A watcher that ranks causes at each look, and tells the ones that explain and are not explained.

    It remembers what it has seen, so that what lasts for hours is compared with before it began, not with itself.

    Args:
        hub: whose store and sources are looked at.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._watched: dict[tuple[str, str, str], Watched] = {}

    def look(self, within: Range) -> Iterable[Violation]:
        """The causes that are sure, and those that were a short while ago."""
        now = within.end
        lasting = [one for one in self._watched.values() if one.until is None]
        since = min((one.first for one in lasting), default=None)
        for cause in likely(self._hub, now, since):
            if cause.score >= SURE and not cause.effect_of and _matters(cause):
                self._see(cause, now)
        for key, one in list(self._watched.items()):
            if one.until is None and now - one.last >= GONE:
                one.until = one.last
            if one.until is not None and now - one.until > TOLD_MINUTES * 60:
                del self._watched[key]
        told = [one for one in self._watched.values() if one.last - one.first >= LASTS]
        return [_violation(one) for one in told if one.until is None or one.until >= within.begin]

    def _see(self, cause: Cause, now: float) -> None:
        key = (cause.kind, cause.service, cause.subject)
        known = self._watched.get(key)
        if known is None or known.until is not None:
            self._watched[key] = Watched(cause, now, now)
            return
        known.cause, known.last = cause, now


def _matters(cause: Cause) -> bool:
    """Whether somebody feels it enough for an alert."""
    return (
        cause.kind in BY_ITSELF or cause.seconds_per_day >= WAITED * DAY or cause.failures_per_day >= FAILED * DAY
    )  # fmt: skip


def _violation(one: Watched) -> Violation:
    cause = one.cause
    severe = cause.failures_per_day >= SEVERE * DAY
    severity: Severity = "critical" if severe else "high"
    where = f" (from {cause.place})" if cause.place else ""
    return Violation(
        kind="finding",
        rule=cause.kind,
        service=cause.service,
        severity=severity,
        title=cause.title,
        text="; ".join(cause.evidence) + where,
        since=one.first if cause.since is None else min(cause.since, one.first),
        until=one.until,
        subject=cause.subject,
        link=cause.link,
        advice=cause.steps[0] if cause.steps else "",
        traces=tuple(cause.traces),
        details={
            "score": cause.score,
            "seconds_per_day": round(cause.seconds_per_day),
            "requests_per_day": round(cause.requests_per_day),
            "failures_per_day": round(cause.failures_per_day),
        },
    )
