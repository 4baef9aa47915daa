"""What becomes of an alert that nobody takes care of: the `[[escalation]]` tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from perfagent.hub.alert.violation import SEVERITIES, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.hub.alert.alert import Alert

KEYS = ("after_minutes", "from", "to")
MOST_MINUTES = 10_080
EXAMPLE = 'write after_minutes = 30, from = "critical" and, where it is to rise, to = "…"'


@dataclass(frozen=True, slots=True)
class Escalation:
    """One step.

    Args:
        after_minutes: how long an alert may have a severity without that somebody acts.
        of: that severity.
        to: what it becomes; the same severity tells people again, once.
    """

    after_minutes: float
    of: Severity
    to: Severity

    def applies(self, now: float, alert: Alert) -> bool:
        """Whether an alert that nobody has taken care of is to take this step now."""
        if alert.severity != self.of or self.of in alert.steps or now - alert.severe_since < self.after_minutes * 60:
            return False
        return self.of != self.to or alert.attention != "escalated"


DEFAULTS = (
    Escalation(30, "critical", "critical"),
    Escalation(30, "high", "high"),
    Escalation(120, "warning", "high"),
)


def up(severity: Severity) -> Severity:
    """The next severity; that of a person who escalates a warning, too: it becomes high."""
    return SEVERITIES[min(SEVERITIES.index(severity) + 1, len(SEVERITIES) - 1)]


def parse(tables: Iterable[tuple[dict[str, Any], str]], tell: Callable[[str], None]) -> tuple[Escalation, ...]:
    """The steps that files declare; the defaults where they declare none.

    Args:
        tables: each with the path of its file.
        tell: takes a sentence for one that is off; the others count.
    """
    found = []
    for table, path in tables:
        wrong = _wrong(table)
        if wrong:
            tell(f"{path}: [[escalation]] {wrong}")
            continue
        of = cast("Severity", table["from"])
        found.append(Escalation(float(table["after_minutes"]), of, cast("Severity", table.get("to", of))))
    return tuple(found) or DEFAULTS


def _wrong(table: dict[str, Any]) -> str:
    for key in table:
        if key not in KEYS:
            return f"{key}={table[key]!r} is no key; there are: {', '.join(KEYS)}"
    minutes = table.get("after_minutes")
    if not isinstance(minutes, (int, float)) or isinstance(minutes, bool) or not 0 < minutes <= MOST_MINUTES:
        return f"after_minutes={minutes!r} is no number above 0, up to {MOST_MINUTES}; {EXAMPLE}"
    for key in ("from", "to"):
        value = table.get(key, table.get("from"))
        if value not in SEVERITIES:
            return f"{key}={value!r} is no severity; there are: {', '.join(SEVERITIES)}; {EXAMPLE}"
    of, to = table["from"], table.get("to", table["from"])
    if SEVERITIES.index(to) < SEVERITIES.index(of):
        return f"to={to!r} is less severe than from={of!r}; an escalation goes up, or tells again"
    return ""
