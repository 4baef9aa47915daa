"""A channel: somebody who is told, of what, and how often at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from perfagent.hub.alert.violation import SEVERITIES
from perfagent.hub.notify.masking import Mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.alert.event import Event, Happening
    from perfagent.hub.alert.violation import Severity

Kind = Literal["email", "slack", "teams", "pagerduty", "webhook", "file", "apprise"]
HAPPENINGS: tuple[Happening, ...] = (
    "fired",
    "worsened",
    "escalated",
    "acknowledged",
    "dismissed",
    "reopened",
    "resolved",
)
TOLD: tuple[Happening, ...] = ("fired", "worsened", "escalated", "reopened", "resolved")
"""What a channel is told of where it does not say."""
FOLLOWING = ("acknowledged", "dismissed", "resolved")
"""What is told only to who was told of the incident before."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One declared channel.

    Args:
        name: unique.
        kind: what receives.
        shown: where it goes, without secrets.
        arguments: for the library that sends, or for the file; holds secrets.
        severity: the least severe incident that it is told of.
        services: patterns such as "shop*"; () for all.
        happenings: what it is told of.
        template: of the text, the user's own; "" for ours.
        rate_per_hour: messages, with what exceeds it folded into digests; 0 for no limit.
        quiet_minutes: for so long the same happening of an incident is not told again.
        origin: the file that declares it, or the variable.
        mask: hides its secrets.
    """

    name: str
    kind: Kind
    shown: str
    arguments: Mapping[str, Any] = field(repr=False)
    severity: Severity = "warning"
    services: tuple[str, ...] = ()
    happenings: tuple[Happening, ...] = TOLD
    template: str = ""
    rate_per_hour: int = 20
    quiet_minutes: float = 5
    origin: str = ""
    mask: Mask = field(default_factory=Mask, repr=False, compare=False)

    def wants(self, event: Event, told: bool) -> bool:
        """Whether it is to be told.

        Args:
            event: of what.
            told: whether it was told of the incident before.
        """
        if event.happening not in self.happenings:
            return False
        if event.happening in FOLLOWING:
            return told
        incident = event.incident
        named = [str(one.details.get("channels", "")) for one in incident.violations]
        if named and all(named) and self.name not in ", ".join(named).split(", "):
            return False  # all of it is from rules that say who is told
        return SEVERITIES.index(incident.severity) >= SEVERITIES.index(self.severity) and (
            not self.services
            or any(fnmatchcase(service, pattern) for service in incident.services or ("",) for pattern in self.services)
        )
