"""Limits of figures within the process: which hold, which have been violated how often in a row, what to tell."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

from perfagent import settings
from perfagent.hub.analyse.thresholds import DEFAULTS, Comparison, Threshold, changed, parse
from perfagent.monitor.recorder import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.settings.monitor import MonitorSettings

logger = logging.getLogger("perfagent.monitor")

FIGURES = ("cpu_usage_percent", "memory_usage_percent", "cache_hit_rate_percent", "error_rate_percent", "page_load_ms")
"""Thresholds of the hub whose figures the monitor knows of its process, with the limits that they have there."""
UNCHANGED: Any = object()
"""Stands for an argument that was not given."""
Severity = Literal["warning", "critical"]
KEPT = 1000  # alerts


@dataclass(frozen=True, slots=True)
class Alert:
    """A threshold that is violated, or no longer is.

    Args:
        metric: whose threshold.
        state: "firing", also when a warning becomes critical; "resolved".
        severity: the worst that it reached.
        value: of the metric, as it was compared.
        limit: that was violated.
        comparison: which side of the limit violates it.
        since, time: when the violation began, and when this was found, in seconds since the epoch.
    """

    metric: str
    state: Literal["firing", "resolved"]
    severity: Severity
    value: float
    limit: float
    comparison: Comparison
    since: float
    time: float

    @property
    def text(self) -> str:
        """What it says, for people."""
        side = {"greater": "above", "less": "below", "equal": "at"}[self.comparison]
        state = f"is {side} its limit" if self.state == "firing" else "is within its limit again"
        return f"{self.metric} {state} of {self.limit:g}: {self.value:g}"


class _State:
    """Of one threshold: values in a row that violate it, and the alert that is on."""

    __slots__ = ("alert", "row", "since", "told")

    def __init__(self) -> None:
        self.row: list[float] = []
        self.since = 0.0
        self.alert: Alert | None = None
        self.told: dict[str, float] = {}  # when which severity was told last


class Thresholds:
    """Every threshold of one monitor, and the alerts that they made.

    Args:
        told: where CPU and memory warn.
    """

    def __init__(self, told: MonitorSettings) -> None:
        self._all = seeds(told)
        self._states: dict[str, _State] = {}
        self._changing = RLock()
        self.history: list[Alert] = []

    def reset(self) -> None:
        """In a forked child: the limits stay, what happened is the parent's."""
        self._changing = RLock()
        self._states, self.history = {}, []

    def all_of_them(self) -> dict[str, Threshold]:
        """The thresholds by their metrics."""
        return dict(self._all)

    def update(self, metric: str, changes: Mapping[str, Any]) -> Threshold:
        """Changes some fields of a threshold, or makes one; raises ValueError where they do not fit."""
        with self._changing:
            known = self._all.get(metric)
            if known is None:
                known = Threshold(metric, metric, "", None, None, "what the program records")
            if "comparison" in changes:
                known = replace(known, comparison=changes["comparison"])
            others = {name: value for name, value in changes.items() if name != "comparison"}
            made = changed({metric: known}, {metric: others})[metric]
            if made.enabled and made.warning is None and made.critical is None:
                raise ValueError(
                    f"the threshold of {metric!r} has no limit: give warning, critical or both, "
                    f"such as update_threshold({metric!r}, warning=80, critical=95)"
                )
            self._all[metric] = made
            self._states.pop(metric, None)
        return made

    def evaluate(self, figures: Mapping[str, float | None], now: float) -> list[Alert]:
        """Compares each figure once with its threshold; what has none neither begins nor ends a violation.

        Args:
            figures: by metric.
            now: seconds since the epoch.

        Returns:
            The alerts that are news.
        """
        news = []
        with self._changing:
            for metric, threshold in self._all.items():
                value = figures.get(metric)
                if value is None or not threshold.enabled:
                    continue
                state = self._states.setdefault(metric, _State())
                alert = _step(threshold, state, value, now)
                if alert is not None:
                    news.append(alert)
            self.history.extend(news)
            del self.history[:-KEPT]
        for alert in news:
            severity = logging.ERROR if alert.severity == "critical" else logging.WARNING
            logger.log(severity if alert.state == "firing" else logging.INFO, "%s", alert.text)
        return news

    def active(self) -> list[Alert]:
        """The alerts that are on."""
        return [state.alert for state in list(self._states.values()) if state.alert is not None]


def _step(threshold: Threshold, state: _State, value: float, now: float) -> Alert | None:
    """One more value; the alert that it makes, if it does."""
    if not (threshold.violates(value, threshold.warning) or threshold.violates(value, threshold.critical)):
        state.row.clear()
        ended, state.alert = state.alert, None
        return None if ended is None else replace(ended, state="resolved", value=value, time=now)
    if not state.row:
        state.since = now
    least = max(threshold.violations, 1)
    state.row = [*state.row, value][-least:]
    if len(state.row) < least:
        return None
    severity, limit = _worst(threshold, state.row)
    if state.alert is not None and (state.alert.severity == severity or severity == "warning"):
        state.alert = replace(state.alert, value=value)
        return None
    quiet = threshold.cooldown_minutes * 60
    for told in ("critical",) if severity == "critical" else ("critical", "warning"):
        if told in state.told and now - state.told[told] < quiet:
            return None  # it returned too soon to be news; where it stays, it is told when the time is over
    state.told[severity] = now
    state.alert = Alert(threshold.name, "firing", severity, value, limit, threshold.comparison, state.since, now)
    return state.alert


def _worst(threshold: Threshold, row: list[float]) -> tuple[Severity, float]:
    """The severity that all values of a row reach, and its limit."""
    critical = threshold.critical
    if critical is not None and all(threshold.violates(value, critical) for value in row):
        return "critical", critical
    limit = threshold.warning if threshold.warning is not None else critical
    assert limit is not None
    return "warning", limit


def checked(metric: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of a threshold, without what was not; raises TypeError or ValueError for what is not accepted.

    Args:
        metric: whose threshold.
        given: its fields; UNCHANGED for those to leave out.
    """
    changes = {name: value for name, value in given.items() if value is not UNCHANGED}
    for name in ("warning", "critical"):
        if changes.get(name) is not None:
            changes[name] = number(changes[name], name, metric)
    if changes.get("comparison", "less") not in ("greater", "less", "equal"):
        raise ValueError(f"comparison={changes['comparison']!r} is not accepted: give 'greater', 'less' or 'equal'")
    for name in ("violations", "cooldown_minutes"):
        value = changes.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10_080:
            shown = name.removesuffix("_minutes")
            raise ValueError(f"{shown}={value!r} is not accepted: give a whole number from 0 to 10080, such as 3")
    if not isinstance(changes.get("enabled", True), bool):
        raise ValueError(f"enabled={changes['enabled']!r} is not accepted: give True or False")
    return changes


def seeds(told: MonitorSettings) -> dict[str, Threshold]:
    """The thresholds that there are from the start: defaults, then PERFORMANCE_ALERT_THRESHOLDS, and the two limits
    that have settings of their own, where these are set.
    """
    table = {name: DEFAULTS[name] for name in FIGURES}
    for name, option, margin in (("cpu_usage_percent", "cpu", 15), ("memory_usage_percent", "memory", 10)):
        limit = float(getattr(told, option))
        if limit != table[name].warning:
            table[name] = replace(table[name], warning=limit, critical=min(limit + margin, 100))
    agent = settings.current()
    try:
        return changed(table, parse(agent.hub_thresholds))
    except ValueError as error:
        agent.report(f"PERFORMANCE_ALERT_THRESHOLDS: {error}; the monitor goes on with the defaults")
        return table


def penalty(threshold: Threshold, value: float) -> float:
    """What a figure takes off the health score: 0 within its limits, 10 at the warning, rising evenly to 40 at the
    critical limit and beyond it; with one limit alone, 20 where that is the warning and 40 where it is the critical.
    """
    warning, critical = threshold.warning, threshold.critical
    if threshold.violates(value, critical):
        return 40.0
    if not threshold.violates(value, warning) or warning is None:
        return 0.0
    if critical is None or critical == warning or threshold.comparison == "equal":
        return 20.0
    return 10 + 30 * min(abs(value - warning) / abs(critical - warning), 1.0)
