"""Rules of one's own as a watcher: each time that a condition holds for long enough is a violation."""

from __future__ import annotations

import logging
import re
from math import floor
from typing import TYPE_CHECKING
from urllib.parse import quote

from perfagent.hub.alert.violation import Violation
from perfagent.hub.api.facts import limits
from perfagent.hub.conditions.fetching import fetch
from perfagent.hub.conditions.judging import Judge
from perfagent.hub.conditions.rules import Rules
from perfagent.hub.conditions.showing import shown
from perfagent.hub.expressions import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.conditions.judging import Found
    from perfagent.hub.conditions.lasting import Spell
    from perfagent.hub.conditions.rule import Rule
    from perfagent.hub.hub import Hub

log = logging.getLogger("perfagent.hub")
SETTLED = 20
"""Seconds after its end that a minute is judged: what is sent every 15 seconds has come by then."""
BEFORE = 900
"""Seconds that are judged before a range, so that what began before it is known."""
MOST_TOLD = 100
"""Violations of one rule that are told; a rule about everything would else be everybody's."""


class RuleWatcher:
    """Looks at the rules that are enabled.

    Args:
        hub: whose rules and figures.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._rules = Rules(hub)
        self._judge = Judge(hub.store, lambda: limits(hub.store))
        self._told: set[str] = set()
        self._seen: tuple[object, list[Found]] = (None, [])

    def look(self, within: Range) -> Iterator[Violation]:
        """The violations of a range, those that are over included."""
        rules = [kept.rule for kept in self._rules.all().values() if kept.rule.enabled]
        self._tell(self._rules.problems)
        if not rules:
            return
        end = floor((within.end - SETTLED) / 60) * 60
        begin = min(floor(within.begin / 60) * 60, end - 60)
        told: dict[str, int] = {}
        for found in self._found(rules, begin, end):
            for spell in found.spells:
                told[found.rule.name] = told.get(found.rule.name, 0) + 1
                if told[found.rule.name] <= MOST_TOLD:
                    yield violation(found, spell)

    def _found(self, rules: list[Rule], begin: int, end: int) -> list[Found]:
        """What came of the rules; computed once a minute, for it takes longer the farther they look back."""
        asked = (rules, begin, end)
        if self._seen[0] != asked:
            self._tell(fetch(self._hub, self._judge.needs(rules), begin - BEFORE, end))
            near = [one for one in rules if one.expression.reach <= BEFORE]
            far = [one for one in rules if one.expression.reach > BEFORE]
            found = self._judge.judge(near, begin, end, BEFORE) if near else []
            self._seen = (asked, [*found, *(self._judge.judge(far, begin, end, BEFORE) if far else [])])
        return self._seen[1]

    def _tell(self, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self._told:
                self._told.add(problem)
                log.warning("%s; the other rules serve", problem.partition("\n")[0])


def violation(found: Found, spell: Spell) -> Violation:
    """One spell of a rule as a violation."""
    rule = found.rule
    labels = {tree.SHORT.get(key, key): text for key, text in found.labels.items()}
    details: dict[str, str | float] = {f"label {key}": text for key, text in labels.items() if key != "service"}
    details["condition"] = rule.expression.text
    if rule.channels:
        details["channels"] = ", ".join(rule.channels)
    if rule.runbook:
        details["runbook"] = rule.runbook
    return Violation(
        kind="rule",
        rule=rule.name,
        service=found.service,
        severity=rule.severity,
        title=rule.name,
        text=message(found, spell, labels),
        since=spell.since,
        until=spell.until,
        subject=found.subject,
        value=_scaled(spell.value, found.unit),
        worst=_scaled(spell.worst, found.unit),
        limit=_scaled(spell.limit, found.unit),
        unit="ms" if found.unit == "s" else found.unit if found.unit in ("ms", "%") else "",
        cooldown_minutes=rule.cooldown_minutes,
        link=f"#/overview?service={quote(found.service)}",
        advice=rule.advice or (f"Read {rule.runbook}" if rule.runbook else ""),
        details=details,
    )


def _scaled(value: float | None, unit: str) -> float | None:
    """A figure as an alert has it, whose times are in ms."""
    return value * 1000 if value is not None and unit == "s" else value


def message(found: Found, spell: Spell, labels: dict[str, str]) -> str:
    """What people are told: the rule's own text with its places filled in, or one that is made."""
    rule = found.rule
    known = {
        **found.labels,
        **labels,
        "service": found.service,
        "name": found.name or rule.name,
        "value": shown(spell.value, found.unit),
        "worst": shown(spell.worst, found.unit),
        "limit": shown(spell.limit, found.unit),
        "severity": rule.severity,
        "subject": found.subject,
        "for": rule.lasting,
    }
    if rule.message:
        return re.sub(r"\{([^{}]*)\}", lambda place: known.get(place[1], ""), rule.message)
    where = " ".join(part for part in (found.service, found.subject) if part)
    told = f"{rule.name}: at worst {known['worst']}" if spell.worst is not None else f"{rule.name} holds"
    limit = f", the limit is {known['limit']}" if spell.limit is not None else ""
    return f"{told}{f' in {where}' if where else ''}{limit}"
