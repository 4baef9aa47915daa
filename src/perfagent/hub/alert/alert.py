"""One alert, and one incident that alerts are put together in, as the engine remembers them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from perfagent.hub.alert.violation import SEVERITIES, Severity, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

State = Literal["firing", "acknowledged", "dismissed", "escalated", "resolved"]
Attention = Literal["", "acknowledged", "dismissed", "escalated"]

LONGEST_QUIET = 4 * 3600.0  # s: how far damping stretches a cooldown that is shorter


@dataclass(slots=True)
class Alert:
    """A violation, and what became of it.

    Args:
        id: 16 hexadecimal digits, one of each alert.
        watcher: who says so.
        incident: that it is part of.
        violation: as it is known now, from its first minute on.
        noticed: when the hub saw it first, seconds since the epoch.
        severity: the worst of what it reached and what it was escalated to.
        severe_since: when it reached that.
        attention: what somebody did about it, or nobody for too long.
        closed: whether a person said that it is over.
        loud: whether it counts for what people are told; not while it is muted, nor where it was over long ago.
        muted: the silence or window that keeps it quiet; "" for none.
        steps: the severities that it was escalated from.
        returned: times that it came back within its cooldown.
        by, note: of the last one who acted.
    """

    id: str
    watcher: str
    incident: str
    violation: Violation
    noticed: float
    severity: Severity
    severe_since: float
    attention: Attention = ""
    closed: bool = False
    loud: bool = True
    muted: str = ""
    steps: tuple[str, ...] = ()
    returned: int = 0
    by: str = ""
    note: str = ""

    @property
    def until(self) -> float | None:
        """When it was over; None while it lasts."""
        return self.violation.until

    @property
    def active(self) -> bool:
        """Whether it lasts."""
        return self.violation.until is None

    @property
    def state(self) -> State:
        """Where it is in its life."""
        if not self.active:
            return "resolved"
        return self.attention or "firing"

    @property
    def quiet(self) -> float:
        """Seconds within which what returns is the same alert: the cooldown, doubled each time that it came back."""
        cooldown = self.violation.cooldown_minutes * 60.0
        return max(cooldown, min(cooldown * (1 << min(self.returned, 10)), LONGEST_QUIET))

    def over(self, now: float) -> bool:
        """Whether it will not come back as the same alert."""
        return self.violation.until is not None and (self.closed or now >= self.violation.until + self.quiet)

    def touches(self, other: Violation) -> bool:
        """Whether a violation of the same thing is this one, or this one come back."""
        mine = self.violation
        ended = mine.until is not None and other.since > mine.until + self.quiet
        return not ended and (other.until is None or other.until + mine.cooldown_minutes * 60 >= mine.since)


@dataclass(slots=True)
class Case:
    """Alerts that belong together.

    Args:
        id: of the incident.
        noticed: when it was begun, seconds since the epoch.
        alerts: theirs, in the order in which they came.
        lead: the alert that explains the others.
        cause: why, in a sentence.
        told: the severity that people know of; "" where they were told nothing, or that it is over.
        services: that they were told of.
        over: when the last of its alerts was over for good; None while one may come back.
        events: how many were told.
        entries: how many lines its timeline has.
    """

    id: str
    noticed: float
    alerts: list[str] = field(default_factory=list)
    lead: str = ""
    cause: str = ""
    told: Severity | Literal[""] = ""
    services: list[str] = field(default_factory=list)
    over: float | None = None
    events: int = 0
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an incident's timeline.

    Args:
        incident: whose.
        number: its place.
        time: when the hub noticed, seconds since the epoch.
        alert: which one it is about; "" for the incident.
        what: "began", "joined", "over", "returned", "muted", "told" and what may happen to an incident.
        text: for people.
        by, note: of who acted.
    """

    incident: str
    number: int
    time: float
    alert: str
    what: str
    text: str
    by: str = ""
    note: str = ""


def rank(severity: str) -> int:
    """From 0 for low to 4 for critical."""
    return SEVERITIES.index(severity)


def worst(severities: Iterable[Severity]) -> Severity:
    """The most severe one."""
    return max(severities, key=rank)


def grown(known: Violation, seen: Violation) -> Violation:
    """A violation as it is known after another look at it, which may have seen less of its past."""
    since = min(known.since, seen.since)
    severity = worst((known.severity, seen.severity))
    text = seen.text if rank(seen.severity) >= rank(known.severity) else known.text
    far = seen.worst
    if far is None or (known.worst is not None and seen.since > known.since and _further(known, far)):
        far, text = known.worst, known.text
    limit = seen.limit if severity == seen.severity else known.limit
    return replace(
        seen, since=since, severity=severity, worst=far, limit=limit, text=text, traces=seen.traces or known.traces
    )


def joined(first: Violation, second: Violation) -> Violation:
    """Two stretches of one violation, the earlier first, as one."""
    until = None if first.until is None or second.until is None else max(first.until, second.until)
    return replace(grown(first, second), until=until)


def _further(known: Violation, other: float) -> bool:
    """Whether what is known is further from the limit than another value."""
    if known.worst is None or known.limit is None:
        return False
    return known.worst > other if known.worst > known.limit else known.worst < other
