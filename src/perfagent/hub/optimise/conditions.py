"""Where the conditions of optimisation rules hold now."""

from __future__ import annotations

from fnmatch import fnmatchcase
from math import floor
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse import words
from perfagent.hub.analyse.durations import MS, bucket_of
from perfagent.hub.analyse.thresholds import DEFAULTS
from perfagent.hub.api.facts import limits
from perfagent.hub.conditions.fetching import fetch
from perfagent.hub.conditions.judging import Judge
from perfagent.hub.conditions.showing import shown
from perfagent.hub.optimise import effect
from perfagent.hub.optimise.rule import BUSY, SLOW_COUNT, SLOW_MINUTES, SLOW_MS, SLOW_QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.hub import Hub
    from perfagent.hub.optimise.rule import Optimisation

FRESH = 180  # s that are judged
EARLY = 20  # s from its start on, a minute is judged before it is over: a level is known at once


class Holding(NamedTuple):
    """A rule whose condition holds for a service.

    Args:
        rule, service: which.
        value, limit: what is compared; None where that is not known.
        unit: of these.
        figure: what the effect of an action is measured by; "" for nothing.
        better: "lower" or "higher".
        text: what is wrong, in a sentence.
        evidence: further lines, such as the statements that are slow.
    """

    rule: Optimisation
    service: str
    value: float | None
    limit: float | None
    unit: str
    figure: str
    better: str
    text: str
    evidence: tuple[str, ...] = ()


class Conditions:
    """Judges the conditions, by the same code as rules of alerts.

    Args:
        hub: whose figures.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._judge = Judge(hub.store, lambda: limits(hub.store))

    def now(self, rules: Sequence[Optimisation], services: Iterable[str], now: float) -> list[Holding]:
        """Which rules hold, in the order of the rules.

        Args:
            rules: to judge.
            services: that have processes.
            now: seconds since the epoch.
        """
        known = sorted(set(services))
        found: list[Holding] = []
        found += self._by_expression([rule for rule in rules if rule.condition is not None], now)
        for rule in rules:
            if rule.special == SLOW_QUERIES:
                found += self._slow(rule, now)
            elif rule.special == BUSY and self._hub.zone in ("red", "critical"):
                text = f"the machine is in the zone {self._hub.zone}"
                cpu = effect.OF_THRESHOLDS["cpu_usage_percent"]
                found += [
                    Holding(rule, one, None, None, "", cpu, "lower", f"{text}, {one} runs on it") for one in known
                ]
        places = {rule.name: place for place, rule in enumerate(rules)}
        chosen = [one for one in found if one.service in known and _is_about(one.rule, one.service)]
        return sorted(chosen, key=lambda one: (places[one.rule.name], one.service))

    def _by_expression(self, rules: Sequence[Optimisation], now: float) -> Iterator[Holding]:
        if not rules:
            return
        by_name = {rule.name: rule for rule in rules}
        conditions = [rule.condition for rule in rules if rule.condition is not None]
        end = floor((now - EARLY) / 60) * 60 + 60
        fetch(self._hub, sorted({name for rule in conditions for name in rule.needs}), end - FRESH, end)
        for found in self._judge.judge(conditions, end - FRESH, end, 600):
            spell = next((spell for spell in reversed(found.spells) if spell.until is None), None)
            if spell is None:
                continue
            rule = by_name[found.rule.name]
            aggregates = found.rule.expression.aggregates
            figure = effect.OF_THRESHOLDS.get(found.name, "")
            if not figure:
                name = found.name if found.name and found.name not in DEFAULTS else ""
                name = name or (aggregates[0].metric if aggregates else "")
                figure = f"{effect.POINTS}{name}" if name else ""
            below = spell.value is not None and spell.limit is not None and spell.value < spell.limit
            value = shown(spell.value, found.unit)
            what = DEFAULTS[found.name].title if found.name in DEFAULTS else found.name or rule.when
            text = f"{what}: {value} in {found.service}, the limit is {shown(spell.limit, found.unit)}"
            yield Holding(
                rule, found.service, spell.value, spell.limit, found.unit, figure, "higher" if below else "lower", text
            )

    def _slow(self, rule: Optimisation, now: float) -> Iterator[Holding]:
        until = floor(now / 60) * 60 + 60
        rows = self._hub.store.rows(
            "optimise/slow", since=until - SLOW_MINUTES * 60, until=until, bucket=bucket_of(SLOW_MS * MS)
        )
        services: dict[str, list[tuple[float, float, str]]] = {}
        for row in rows:
            services.setdefault(row["service"], []).append((row["calls"], row["mean_ms"], row["text"] or row["name"]))
        for service, statements in services.items():
            calls = sum(one[0] for one in statements)
            if calls > SLOW_COUNT:
                text = f"{calls:.0f} statements of {SLOW_MS:g} ms or more in {SLOW_MINUTES} minutes in {service}"
                lines = tuple(
                    f"{times:.0f} times {words.milliseconds(mean)}: {words.shorten(statement, 300)}"
                    for times, mean, statement in statements[:5]
                )
                yield Holding(rule, service, calls, float(SLOW_COUNT), "", "", "lower", text, lines)


def _is_about(rule: Optimisation, service: str) -> bool:
    return not rule.services or any(fnmatchcase(service, pattern) for pattern in rule.services)
