"""What happens to an incident, for those who are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from perfagent.hub.alert.violation import Severity, Violation

Happening = Literal["fired", "worsened", "escalated", "acknowledged", "dismissed", "reopened", "resolved"]


@dataclass(frozen=True, slots=True)
class Incident:
    """Violations that belong together, with what is likely to be behind them.

    Args:
        id: 16 hexadecimal digits, one of each incident.
        severity: the worst of its violations.
        title: of the one that explains the others best.
        cause: why, in a sentence; "" where it is unknown.
        services: that it is about, the one with the cause first.
        since: when it began, seconds since the epoch.
        until: when it was over; None while it lasts.
        violations: the one that explains the others best first.
        link: where the page shows it, such as "#/incidents/ID".
    """

    id: str
    severity: Severity
    title: str
    cause: str
    services: tuple[str, ...]
    since: float
    until: float | None
    violations: tuple[Violation, ...]
    link: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an incident.

    Args:
        happening: what.
        time: when the hub noticed, seconds since the epoch.
        incident: as it is after it.
        by: the role of who did it; "" where nobody did.
        note: what they said.
        id: of each event, the incident's with a number. After a crash an event may come a second time: it is the same
            where the id is.
    """

    happening: Happening
    time: float
    incident: Incident
    by: str = ""
    note: str = ""
    id: str = ""
