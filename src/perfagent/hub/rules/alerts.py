"""Alerts of Prometheus from thresholds: a warning and a critical one from the same figure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.rules.figures import FIGURES, Figure
from perfagent.hub.rules.promql import SECONDS, nested
from perfagent.hub.rules.rule import Group, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.analyse.thresholds import Threshold, Thresholds

SCALES = {"ms": 1000.0, "%": 100.0, "": 1.0}
"""What divides a limit, by its unit: Prometheus counts in seconds, and in ratios of 1."""
SHOWN = {"ms": "humanizeDuration", "%": "humanizePercentage", "": "humanize"}
SIGNS = {"greater": ">", "less": "<", "equal": "=="}
WINDOWS = ("1m", "2m")
"""What a figure looks back on: for a threshold that one minute violates, and for the others. Two minutes hold two
exports of a program that sends once a minute, and a burst of one minute is seen for less than three."""


@dataclass(frozen=True, slots=True)
class Places:
    """What rules say of their surroundings.

    Args:
        runbooks: address or folder of the runbooks, without a slash at its end.
        page: address of the page that alerts lead to, likewise.
        namespace: the prefix of perfagent's own metrics, PERFAGENT_NAMESPACE.
    """

    runbooks: str = "docs/runbooks"
    page: str = "http://localhost:4318"
    namespace: str = "perfagent"

    def runbook(self, alert: str) -> str:
        """The runbook of an alert."""
        return f"{self.runbooks}/{alert}.md"


def files(thresholds: Thresholds, places: Places) -> dict[str, list[Group]]:
    """The alerts of all thresholds that are enabled, by the file that they belong to."""
    found: dict[str, list[Rule]] = {figure.file: [] for figure in FIGURES}
    for figure in FIGURES:
        found[figure.file] += rules(figure, thresholds[figure.threshold], places)
    return {file: [Group(file, made)] if made else [] for file, made in found.items()}


def rules(figure: Figure, threshold: Threshold, places: Places) -> Iterator[Rule]:
    """The alerts of one threshold: critical, then warning; none where it is disabled or has no limit.

    So many minutes in a row become `for`. The cooldown becomes `keep_firing_for`: it is the time within which a
    violation that returns is the same alert, and Prometheus alone can tell that by threshold. What fires on is reported
    as over that much later; 0 minutes end an alert at once.
    """
    if not threshold.enabled:
        return
    violations = threshold.violations
    for severity, limit in (("critical", threshold.critical), ("warning", threshold.warning)):
        if limit is not None:
            yield Rule(
                figure.alert,
                expression(figure, threshold, limit, places.namespace),
                {"severity": threshold.severity if severity == "warning" else severity, "threshold": threshold.name},
                _annotations(figure, threshold, limit, places),
                f"{violations}m" if violations > 1 else "0s",
                f"{threshold.cooldown_minutes}m" if threshold.cooldown_minutes else "",
            )


def expression(figure: Figure, threshold: Threshold, limit: float, namespace: str) -> str:
    """The PromQL of an alert; its value is that of the figure, in seconds or as a ratio."""
    text = f"{nested(figure.expression)} {SIGNS[threshold.comparison]} {scaled(threshold, limit):.12g}"
    if figure.enough:
        text += f"\nand on ({figure.by}) {nested(figure.enough)}"
    return written(text, threshold.violations, namespace)


def written(text: str, violations: int, namespace: str) -> str:
    """A piece of PromQL with its window and namespace."""
    window = WINDOWS[violations > 1]
    text = text.replace("<W>", window).replace("<S>", SECONDS[window])
    return text.replace("<ns>", re.sub(r"\W", "_", namespace))


def scaled(threshold: Threshold, limit: float) -> float:
    """A limit in Prometheus' unit."""
    return limit / SCALES[threshold.unit]


def _annotations(figure: Figure, threshold: Threshold, limit: float, places: Places) -> dict[str, str]:
    told = figure.summary.replace("<value>", f"{{{{ $value | {SHOWN[threshold.unit]} }}}}")
    told = told.replace("<limit>", _shown(threshold, limit))
    return {
        "summary": re.sub(r"<(\w+)>", r"{{ $labels.\1 }}", told),
        "description": figure.description,
        "runbook_url": places.runbook(figure.alert),
        "dashboard": f"{places.page}/#/{figure.view}{{{{ $labels.service_name }}}}",
    }


def _shown(threshold: Threshold, limit: float) -> str:
    if threshold.unit == "ms":
        return words.milliseconds(limit)
    return words.percent(limit / 100) if threshold.unit == "%" else f"{limit:g}"
