"""Rules of one's own as they are declared: `[[rule]]` tables of perfagent.toml or documents of the interface.

Standard library alone, for `perfagent rules export` reads them without the hub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

from perfagent.hub.alert.violation import SEVERITIES
from perfagent.hub.analyse.thresholds import DEFAULTS
from perfagent.hub.expressions.errors import BadExpression
from perfagent.hub.expressions.parser import parse
from perfagent.hub.expressions.settling import FUNCTIONS, Metric
from perfagent.hub.expressions.tree import SHORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.alert.violation import Severity
    from perfagent.hub.expressions.tree import Expression

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
MOST = 200  # rules
LONGEST_MINUTES = 1440  # that a condition must hold
LONGEST_COOLDOWN = 10_080  # minutes
LONGEST_TEXT = 500
MOST_LISTED = 20  # services, channels
DURATION = re.compile(r"(\d{1,6})(s|m|h|d)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
PLACES = ("value", "worst", "limit", "service", "name", "severity", "subject", "for")
"""What a message may hold in braces, besides the labels that the figures are told apart by."""
EXAMPLE = """\
[[rule]]
name = "slow-payments"
when = "p95(http.server.request.duration, route == '/pay') > 1s"
for = "3m"
"""


class BadRule(ValueError):  # noqa: N818
    """A rule that is off; the text names the key, its value, what is accepted, and what to do.

    Args:
        message: all of it.
        key: the key that it is about.
    """

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that somebody wants to be told of.

    Args:
        name: unique.
        expression: what must hold.
        minutes: for how long: it fires once it held in a minute, and in each up to so many later, as in Prometheus.
        severity: of the alert.
        services: whom it is about; patterns such as "shop-*"; none for all.
        message: with {value}, {service} and the like; "" for one that is made.
        cooldown_minutes: what returns within so long is the same alert.
        advice: the next step.
        runbook: where it is written down, an address.
        channels: names of those that are told; none for all that want to know.
        enabled: whether it is looked at.
        metrics: what its metrics are, for `rules export`, which knows those of perfagent alone.
    """

    name: str
    expression: Expression
    minutes: int = 0
    severity: Severity = "warning"
    services: tuple[str, ...] = ()
    message: str = ""
    cooldown_minutes: int = 15
    advice: str = ""
    runbook: str = ""
    channels: tuple[str, ...] = ()
    enabled: bool = True
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    @property
    def lasting(self) -> str:
        """For how long it must hold, as it is written."""
        return f"{self.minutes}m" if self.minutes else "0s"

    @property
    def needs(self) -> tuple[str, ...]:
        """The metrics that it reads, as far as it says so itself."""
        return tuple(dict.fromkeys(one.metric for one in self.expression.aggregates))

    def document(self) -> dict[str, Any]:
        """As it is declared, and as the interface gives it."""
        return {
            "name": self.name,
            "when": self.expression.text,
            "for": self.lasting,
            "severity": self.severity,
            "services": list(self.services),
            "message": self.message,
            "cooldown": f"{self.cooldown_minutes}m",
            "advice": self.advice,
            "runbook": self.runbook,
            "channels": list(self.channels),
            "enabled": self.enabled,
            "metrics": {name: {"kind": one.kind, "unit": one.unit} for name, one in self.metrics.items()},
        }


KEYS = (
    "name", "when", "for", "severity", "services", "message", "cooldown", "advice", "runbook", "channels", "enabled",
    "metrics",
)  # fmt: skip


def read(fields: Mapping[str, Any], place: str = "") -> Rule:
    """The rule that a table or a document declares.

    Args:
        fields: what it says.
        place: where it is, for the errors, such as "perfagent.toml: rule 2".

    Raises:
        BadRule: something is off.
    """
    return _Table(fields, place).rule()


class _Table:
    def __init__(self, fields: Mapping[str, Any], place: str) -> None:
        self._fields = fields
        name = fields.get("name")
        self._place = " ".join(part for part in (place, f"({name})" if isinstance(name, str) and place else "") if part)

    def refuse(self, key: str, accepted: str) -> NoReturn:
        """Raises; `accepted` says what the key wants."""
        shown = repr(self._fields.get(key))[:100]
        said = f"{key}={shown} is not accepted" if key in self._fields else f"{key} is missing"
        raise BadRule(f"{self._place}: {said}: give {accepted}" if self._place else f"{said}: give {accepted}", key)

    def rule(self) -> Rule:
        """What the table declares."""
        for key in self._fields:
            if key not in KEYS:
                near = get_close_matches(key, KEYS, 1)
                hint = f"; did you mean {near[0]}?" if near else ";"
                told = f"{key!r} is no key of a rule{hint} there are: {', '.join(KEYS)}"
                raise BadRule(f"{self._place}: {told}" if self._place else told, key)
        name = self._text("name", "")
        accepted = "letters, digits, - _ and . of at most 63, which begin with a letter or digit"
        if not NAME.fullmatch(name):
            self.refuse("name", accepted)
        if name in DEFAULTS:
            self.refuse("name", f"one that no threshold has; `perfagent thresholds set {name} …` changes that one")
        expression = self._expression()
        return Rule(
            name,
            expression,
            -(-self._seconds("for", "0s", LONGEST_MINUTES * 60) // 60),
            self._severity(),
            self._texts("services", 'names such as "shop", or patterns such as "shop-*"'),
            self._message(expression),
            -(-self._seconds("cooldown", "15m", LONGEST_COOLDOWN * 60) // 60),
            self._text("advice", ""),
            self._runbook(),
            self._texts("channels", "names of [[channel]] tables"),
            self._enabled(),
            self._metrics(),
        )

    def _expression(self) -> Expression:
        text = self._fields.get("when")
        if not isinstance(text, str) or not text.strip():
            self.refuse("when", "a condition such as \"name == 'memory_usage_percent' and value > 85\"")
        try:
            return parse(text)
        except BadExpression as error:
            raise BadRule(f"{self._place}: when: {error}" if self._place else f"when: {error}", "when") from None

    def _severity(self) -> Severity:
        value = self._fields.get("severity", "warning")
        for one in SEVERITIES:
            if one == value:
                return one
        return self.refuse("severity", f"one of {', '.join(SEVERITIES)}")

    def _message(self, expression: Expression) -> str:
        text = self._text("message", "")
        known = [*PLACES, *(SHORT.get(label, label) for label in expression.by), *expression.by]
        for place in re.findall(r"\{([^{}]*)\}", text):
            if place not in known and not expression.about_samples:
                self.refuse(
                    "message", f"{{{place}}} as one of {', '.join(f'{{{one}}}' for one in dict.fromkeys(known))}"
                )
        return text

    def _runbook(self) -> str:
        text = self._text("runbook", "")
        if re.match(r"[a-z][a-z0-9+.-]*:", text, re.IGNORECASE) and not text.startswith(("http://", "https://")):
            self.refuse("runbook", "an address that begins with https:// or http://, or a path")
        return text

    def _enabled(self) -> bool:
        value = self._fields.get("enabled", True)
        if not isinstance(value, bool):
            self.refuse("enabled", "true or false")
        return value

    def _metrics(self) -> dict[str, Metric]:
        value = self._fields.get("metrics", {})
        accepted = 'kinds and units by metric, such as {"shop.orders" = {kind = "counter", unit = "{order}"}}'
        if not isinstance(value, dict) or len(value) > MOST_LISTED:
            self.refuse("metrics", accepted)
        found = {}
        for name, told in value.items():
            if not isinstance(told, dict) or told.get("kind") not in FUNCTIONS or not set(told) <= {"kind", "unit"}:
                self.refuse("metrics", f"{accepted}; kinds are {', '.join(FUNCTIONS)}")
            unit = told.get("unit", "")
            if not isinstance(unit, str) or len(unit) > 63:
                self.refuse("metrics", accepted)
            found[str(name)] = Metric(told["kind"], unit)
        return found

    def _seconds(self, key: str, default: str, most: int) -> int:
        value = self._fields.get(key, default)
        match = DURATION.fullmatch(value) if isinstance(value, str) else None
        found = 0 if value == "0" else int(match[1]) * SECONDS[match[2]] if match else -1
        if not 0 <= found <= most:
            self.refuse(key, f"a time such as 90s, 3m or 1h, at most {most // 3600}h")
        return found

    def _texts(self, key: str, accepted: str) -> tuple[str, ...]:
        value = self._fields.get(key, [])
        if isinstance(value, str):
            value = [value]
        if (
            not isinstance(value, (list, tuple))
            or len(value) > MOST_LISTED
            or not all(isinstance(one, str) and 0 < len(one) <= 255 for one in value)
        ):
            self.refuse(key, f"a list of at most {MOST_LISTED} {accepted}")
        return tuple(value)

    def _text(self, key: str, default: str) -> str:
        value = self._fields.get(key, default)
        if (
            not isinstance(value, str)
            or len(value) > LONGEST_TEXT
            or not all(c.isprintable() or c == "\n" for c in value)
        ):
            self.refuse(key, f"a text of at most {LONGEST_TEXT} characters")
        return value
