"""What a watcher says is wrong, and what watchers are."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfagent.hub.api.ranges import Range

Severity = Literal["low", "medium", "warning", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "warning", "high", "critical")
"""From the least to the most severe; `high` is also what a warning becomes that nobody has taken care of."""

Kind = Literal["threshold", "rule", "slo", "anomaly", "finding"]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that is wrong, or was, for one stretch of time.

    Args:
        kind: which sort of watcher says so.
        rule: its name, such as "error_rate_percent"; with `service` and `subject` it makes the identity.
        service: of whom; "" for the machine or the hub.
        severity: the worst that it reached.
        title: what is wrong, in a few words.
        text: the same in a sentence with its figures.
        since: when it began, seconds since the epoch.
        until: when it was over; None while it lasts.
        subject: which part of the service: an endpoint, a statement, a dependency, a host; "" for the whole of it.
        value, worst, limit: the last value, the worst one, and what they are compared with; None where there is none.
        unit: "ms", "%" or "".
        cooldown_minutes: what returns within so long is the same alert.
        link: where the page shows it.
        advice: the next step.
        traces: identities of requests that show it, 32 hexadecimal digits each.
        details: further figures for people and for templates.
    """

    kind: Kind
    rule: str
    service: str
    severity: Severity
    title: str
    text: str
    since: float
    until: float | None = None
    subject: str = ""
    value: float | None = None
    worst: float | None = None
    limit: float | None = None
    unit: str = ""
    cooldown_minutes: float = 15
    link: str = ""
    advice: str = ""
    traces: tuple[str, ...] = ()
    details: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What it says by itself: the text of a finding is its evidence, which names no endpoint without the title."""
        return f"{self.title}: {self.text}" if self.kind == "finding" and self.text else self.text

    @property
    def identity(self) -> str:
        """16 hexadecimal digits, the same each time that this is wrong."""
        parts = (self.rule, self.service, self.subject) if self.subject else (self.rule, self.service)
        return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


class Watcher(Protocol):
    """Looks at what is stored, and says what is wrong."""

    def look(self, within: Range) -> Iterable[Violation]:
        """What is or was wrong in a range that ends now; what lasted since before it may begin before it.

        Called in a thread every few seconds: an answer takes some ten milliseconds, and is the same for the same data.
        """
        ...
