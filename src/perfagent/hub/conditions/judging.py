"""Judges rules on stored minutes: one piece of code for the watcher that looks every few seconds and for a replay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse.thresholds import DEFAULTS
from perfagent.hub.api.minutes import measured
from perfagent.hub.api.ranges import Range
from perfagent.hub.conditions.figures import Measure
from perfagent.hub.conditions.lasting import Spell, spells
from perfagent.hub.conditions.series import OF_ALL
from perfagent.hub.expressions import tree
from perfagent.hub.expressions.errors import BadExpression
from perfagent.hub.expressions.evaluate import Leaves, judge
from perfagent.hub.expressions.labels import names
from perfagent.hub.expressions.settling import COUNTER, GAUGE, HISTOGRAM, LEVEL, SUMMARY, Metric, Settled, settle
from perfagent.hub.expressions.tree import Aggregate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from perfagent.hub.analyse.thresholds import Thresholds
    from perfagent.hub.conditions.figures import Figures
    from perfagent.hub.conditions.rule import Rule
    from perfagent.hub.expressions.evaluate import Judged, Key, Values
    from perfagent.hub.store.store import Store

MOST_NAMES = 50  # metrics that one rule about samples is about
OF_SAMPLE = {GAUGE: "avg", LEVEL: "avg", COUNTER: "rate", HISTOGRAM: "avg", SUMMARY: "avg"}
"""What the value of a sample is, by the kind of its metric."""


class Found(NamedTuple):
    """What came of a rule for one service, or one part of it.

    Args:
        rule: which.
        labels: whom it is about, by the labels' full names.
        spells: when it fired.
        unit: of the values.
        name: of the sample, for a rule about samples.
        rising: whether a larger value is worse.
    """

    rule: Rule
    labels: dict[str, str]
    spells: list[Spell]
    unit: str
    name: str
    rising: bool

    @property
    def service(self) -> str:
        """Whom it is about."""
        return self.labels.get(tree.SERVICE, "")

    @property
    def subject(self) -> str:
        """Which part of the service: "" for the whole of it."""
        parts = [f"{tree.SHORT.get(key, key)}={text}" for key, text in self.labels.items() if key != tree.SERVICE]
        if self.name and _is_ambiguous(self.rule):
            parts.insert(0, self.name)
        return ", ".join(parts)


def _is_ambiguous(rule: Rule) -> bool:
    """Whether the samples of a rule may have more than one name."""
    told = [node for node in tree.walk(rule.expression.root) if isinstance(node, tree.Comparison)]
    exact = [node for node in told if isinstance(node.left, tree.Label) and node.left.key == tree.NAME]
    return len(exact) != 1 or exact[0].sign != "=="


@dataclass(frozen=True, slots=True)
class _Part:
    """A rule about one sort of samples, or about figures."""

    rule: Rule
    settled: Settled
    aggregates: tuple[Aggregate, ...]
    name: str = ""
    sample: Aggregate | None = None


class Judge:
    """Judges rules.

    Args:
        store: where the minutes are.
        limits: tells the thresholds as they are, whose figures samples may be.
    """

    def __init__(self, store: Store, limits: Callable[[], Thresholds]) -> None:
        self._store, self._limits = store, limits
        self.measure = Measure(store)
        self.notes: dict[str, str] = {}
        """Why a rule could not be judged, or not on all, by its name; of the last time."""

    @staticmethod
    def needs(rules: Iterable[Rule]) -> list[str]:
        """The metrics that some rules read, as far as they say so themselves."""
        return sorted({name for rule in rules for name in rule.needs})

    def judge(self, rules: Sequence[Rule], begin: int, end: int, before: int = 0) -> list[Found]:
        """What came of rules in the minutes of a range.

        Args:
            rules: those that are not enabled too.
            begin, end: seconds since the epoch, whole minutes.
            before: seconds that are judged before the range as well, besides what the rules need to begin with.
        """
        self.notes = {}
        self.measure.catalog.begin(self.needs(rules))
        parts = [part for rule in rules for part in self._parts(rule)]
        if not parts or end <= begin:
            return []
        lasting = max(rule.minutes * 60 for rule in rules)
        reach = max(rule.expression.reach for rule in rules)
        judged = max(begin - before - lasting, 0)
        times = range(max(judged - reach, 0), end, 60)
        skipped = (judged - times.start) // 60
        aggregates = list(dict.fromkeys(one for part in parts for one in part.aggregates))
        figures = self.measure.figures(aggregates, times)
        samples = self._samples({part.name for part in parts if part.name and part.sample is None}, times)
        found = []
        for part in parts:
            for one in judge(part.settled, self._leaves(part, figures, samples), len(times)):
                labels = dict(one.key)
                if not _is_about(part.rule, labels.get(tree.SERVICE, "")):
                    continue
                fired = _fired(part.rule, one, times, skipped)
                if fired:
                    found.append(Found(part.rule, labels, fired, part.settled.text, part.name, one.rising))
        return found

    def _parts(self, rule: Rule) -> list[_Part]:
        expression = rule.expression
        aggregates = expression.aggregates
        known = self.measure.metrics(aggregates)
        missing = sorted({one.metric for one in aggregates} - known.keys())
        if missing:
            self.notes[rule.name] = self._unknown(missing[0])
            if not expression.about_samples and all(one.metric in missing for one in aggregates):
                return []

        def metric(one: Aggregate) -> Metric:
            found = known.get(one.metric)
            if found is not None:
                return found
            return Metric(HISTOGRAM if one.share is not None else GAUGE, "")

        try:
            if not expression.about_samples:
                return [_Part(rule, settle(expression, metric), aggregates)]
            return self._about(rule, aggregates, metric)
        except BadExpression as error:
            self.notes[rule.name] = f"it is not judged: {error.line}"
            return []

    def _about(
        self, rule: Rule, aggregates: tuple[Aggregate, ...], metric: Callable[[Aggregate], Metric]
    ) -> list[_Part]:
        """A part for each name that the samples of a rule may have."""
        expression = rule.expression
        told = names(expression.root, [*DEFAULTS, *(n for n in self.measure.catalog.names() if n not in DEFAULTS)])
        if len(told) > MOST_NAMES:
            self.notes[rule.name] = f"it is about {len(told)} metrics, of which the first {MOST_NAMES} are judged"
        parts = []
        for name in told[:MOST_NAMES]:
            if name in DEFAULTS:
                parts.append(_Part(rule, settle(expression, metric, DEFAULTS[name].unit), aggregates, name))
                continue
            series = self.measure.catalog.read([name]).get(name)
            if series:
                like = series[0].metric
                sample = Aggregate(OF_SAMPLE[like.kind], name, None, OF_ALL)
                parts.append(_Part(rule, settle(expression, metric, like.unit), (*aggregates, sample), name, sample))
        if not told:
            self.notes[rule.name] = "no metric of that name was ever told, and no threshold has it"
        return parts

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, self.measure.catalog.names(), 1, 0.6)
        hint = f"; did you mean {near[0]}?" if near else "; GET metrics lists those that were"
        return f"no metric {name!r} was ever told{hint}"

    def _samples(self, wanted: set[str], times: range) -> dict[str, dict[Key, Values]]:
        """The figures of thresholds as samples."""
        found: dict[str, dict[Key, Values]] = {name: {} for name in wanted}
        if not wanted:
            return found
        now = self._limits()
        # A limit of 0 has each minute's percentile computed; they are 0 below the limit otherwise.
        thresholds = {name: replace(now[name], warning=0.0) for name in wanted}
        within = Range(times.start, times.stop - 1)
        for (name, service), (minutes, values) in measured(self._store, within, None, thresholds).items():
            skipped = (times.start - minutes[0]) // 60
            found[name][((tree.SERVICE, service),)] = list(values[skipped : skipped + len(times)])
        return found

    def _leaves(self, part: _Part, figures: Figures, samples: Mapping[str, Mapping[Key, Values]]) -> Leaves:
        if not part.name:
            return Leaves(figures)
        known = figures[part.sample] if part.sample is not None else samples[part.name]
        severities: dict[Key, list[str]] = {}
        if any(isinstance(one, tree.Label) and one.key == tree.SEVERITY for one in _everything(part.rule)):
            threshold = self._limits().get(part.name)
            for key, values in known.items():
                severities[key] = [
                    "none" if threshold is None or value is None
                    else "critical" if threshold.violates(value, threshold.critical)
                    else "warning" if threshold.violates(value, threshold.warning)
                    else "none"
                    for value in values
                ]  # fmt: skip
        return Leaves(figures, known, severities, part.name)


def _everything(rule: Rule) -> Iterable[tree.Node]:
    return tree.walk(rule.expression.root)


def _is_about(rule: Rule, service: str) -> bool:
    return not rule.services or any(fnmatchcase(service, pattern) for pattern in rule.services)


def _fired(rule: Rule, one: Judged, times: range, skipped: int) -> list[Spell]:
    return spells(
        times[skipped:],
        one.holds[skipped:],
        one.values[skipped:],
        one.limits[skipped:],
        minutes=rule.minutes,
        cooldown_minutes=rule.cooldown_minutes,
        rising=one.rising,
    )
