"""PerformanceMonitor: what a program records of itself, and what it may ask about that; one a process."""

from __future__ import annotations

import logging
from dataclasses import asdict
from time import time
from typing import TYPE_CHECKING, Any, overload

from perfagent.monitor import baseline as baselines
from perfagent.monitor import drift, emission, figures, summary
from perfagent.monitor.business import Business
from perfagent.monitor.interface import Interface
from perfagent.monitor.recorder import number
from perfagent.monitor.subscriptions import SHORTEST, Subscriptions
from perfagent.monitor.thresholds import UNCHANGED, Alert, Thresholds, checked, logger
from perfagent.monitor.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfagent.hub.analyse.thresholds import Comparison, Threshold
    from perfagent.monitor.baseline import Baseline, Change
    from perfagent.monitor.drift import Drift, Drifts, Sample
    from perfagent.monitor.subscriptions import Subscription
    from perfagent.monitor.summary import Dashboard, Summary
    from perfagent.monitor.window import Point
    from perfagent.settings.monitor import MonitorSettings

JUST_NOW = 2  # minutes whose mean is the figure of now: the current one may have begun a second ago
RISES = frozenset(("cache_hit_rate_percent", "upload_speed"))
"""Metrics that are worse where they are less, beside those whose threshold says so."""


class PerformanceMonitor(Business, Interface):
    """Keeps what a program records of itself for 24 hours, in minutes, and sends it by the agent where one runs.

    Its methods may be called from any thread and task. Nothing runs in the background until there is a subscriber or a
    threshold of the program's own, and a forked child begins with a window of its own.

    Args:
        settings: those of the process when left out.
    """

    def __init__(self, settings: MonitorSettings | None = None) -> None:
        super().__init__(settings)
        self._subscriptions = Subscriptions()
        self._thresholds = Thresholds(self.settings)
        self._process = figures.Process()
        self._evaluator = Ticker(self.settings.interval, self._evaluate)
        self._baseline: Baseline | None = None
        self._sought = False  # whether the baseline was looked for in its folder
        figures.watch()
        if logger.level == logging.NOTSET:
            level = self.settings.log_level
            logger.setLevel(logging.CRITICAL + 1 if level == "off" else level.upper())

    # What it knows.

    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics that have been recorded."""
        return tuple(self._tracks)

    def get_metrics_summary(self, hours: float = 1) -> Summary:
        """What each metric is, the caches, the process, and a health score.

        The score is 100, less 10 for each figure at its warning limit, rising evenly to 40 at the critical limit, and
        at least 0; see `update_threshold` for the limits. What is compared is the mean of the last two minutes.

        Args:
            hours: how far back average, min and max go; what was not recorded in them is left out.

        Raises:
            TypeError, ValueError: `hours` is no number above 0.
        """
        hours = _hours(hours)
        tracks = self._tracks.copy().items()
        told = self._process.read()
        caches = figures.caches()
        now = self._figures_now(told, caches)
        return {
            "time": time(),
            "hours": hours,
            "metrics": {name: one for name, track in tracks if (one := summary.metric(track, hours)) is not None},
            "cache": caches,
            "process": told,
            "active_users": self.active_users,
            "active_sessions": self.active_sessions,
            "health_score": summary.health(self._thresholds.all_of_them(), now),
            "alerts": [{**asdict(one), "text": one.text} for one in self._thresholds.active()],
            "dropped": self.dropped,
        }

    def get_history(self, name: str, hours: float = 24, step_minutes: int = 1) -> list[Point]:
        """The minutes of a metric that have values, oldest first; none for a metric that nobody has recorded.

        Args:
            name: of the metric.
            hours: how far back; PERFAGENT_MONITOR_HOURS are kept.
            step_minutes: how many minutes make a point.

        Raises:
            TypeError, ValueError: `hours` is no number above 0, or `step_minutes` is none from 1.
        """
        hours = _hours(hours)
        if not isinstance(step_minutes, int) or step_minutes < 1:
            raise ValueError(f"step_minutes={step_minutes!r} is not accepted: give a whole number from 1, such as 5")
        track = self._tracks.get(name)
        return [] if track is None else track.points(hours * 60, step_minutes)

    def get_recent_values(self, name: str) -> list[tuple[float, float]]:
        """The last 120 values of a metric, oldest first, each with its time in seconds since the epoch.

        Args:
            name: of the metric.
        """
        track = self._tracks.get(name)
        return [] if track is None else track.values()

    def get_deprecation_counts(self) -> dict[str, int]:
        """Calls of deprecated functions since the process began, by function; the most called first."""
        return figures.deprecations()

    def get_dashboard_data(self, hours: float = 24) -> Dashboard:
        """All of it in one document that JSON can hold: summary, history, thresholds, alerts, deprecations, baseline.

        Args:
            hours: how far back; the history has at most 360 points a metric.

        Raises:
            TypeError, ValueError: `hours` is no number above 0.
        """
        return summary.dashboard(self, _hours(hours))

    # Who is told.

    def subscribe(self, callback: Callable[[Summary], object], interval_seconds: float | None = None) -> Subscription:
        """Calls a function with a summary at intervals, in a thread of its own that never delays the program's end.

        Args:
            callback: what to call; an exception of it is counted and logged once, and hinders nobody else.
            interval_seconds: PERFORMANCE_MONITORING_INTERVAL when left out; at least 0.05.

        Returns:
            A handle with `close()`, also for a `with` block, and with the numbers `calls` and `failures`.

        Raises:
            TypeError: the callback is none, or a coroutine function; the interval is no number.
            ValueError: the interval is too short.
            RuntimeError: there are 64 subscribers already, or the system has no thread to give.
        """
        interval = self.settings.interval if interval_seconds is None else interval_seconds
        interval = number(interval, "interval_seconds", "", SHORTEST)
        made = self._subscriptions.add(callback, "snapshot")
        self._subscriptions.repeat(made, interval, self.get_metrics_summary)
        return made

    def on_alert(self, callback: Callable[[Alert], object]) -> Subscription:
        """Calls a function with each alert that begins, becomes critical or ends; and starts comparing.

        Args:
            callback: as for `subscribe`.

        Returns, Raises:
            As for `subscribe`.
        """
        made = self._subscriptions.add(callback, "alert")
        self._watch()
        return made

    # Limits.

    def update_threshold(
        self,
        metric: str,
        *,
        warning: float | None = UNCHANGED,
        critical: float | None = UNCHANGED,
        comparison: Comparison = UNCHANGED,
        violations: int = UNCHANGED,
        cooldown: int = UNCHANGED,
        enabled: bool = UNCHANGED,
    ) -> Threshold:
        """Sets the limits of a metric in this process; what is left out stays as it is.

        Every PERFORMANCE_MONITORING_INTERVAL the mean of what was recorded since the last time is compared; where
        nothing was, that neither begins nor ends a violation. Beside the metrics that the program records there are
        cpu_usage_percent, memory_usage_percent, cache_hit_rate_percent, error_rate_percent (of `record_processing`) and
        page_load_ms (of `record_page_load`).

        Args:
            metric: its name.
            warning, critical: the limits; None for none.
            comparison: "greater", "less" or "equal": which side of a limit violates it; "greater" to begin with.
            violations: how often in a row before there is an alert; 3 to begin with.
            cooldown: minutes within which the same alert is not raised again; 15 to begin with.
            enabled: whether it is looked at.

        Returns:
            The threshold as it is now.

        Raises:
            TypeError: a limit is no number.
            ValueError: a value is not accepted; the message says what is.
        """
        if not isinstance(metric, str) or not metric.strip():
            raise ValueError(
                f"metric={metric!r} is not accepted: give the name of a metric, such as 'queue_backlog.mail'"
            )
        given = {
            "warning": warning, "critical": critical, "comparison": comparison, "violations": violations,
            "cooldown_minutes": cooldown, "enabled": enabled,
        }  # fmt: skip
        made = self._thresholds.update(metric, checked(metric, given))
        if made.enabled and self._enabled:
            self._watch()
        return made

    def get_thresholds(self) -> dict[str, Threshold]:
        """Every threshold of this process by its metric, with the defaults and those of the settings."""
        return self._thresholds.all_of_them()

    def get_alerts(self, hours: float = 24) -> list[Alert]:
        """What was told in the last hours, the latest first; of this process alone.

        Args:
            hours: how far back; the last 1,000 are kept.

        Raises:
            TypeError, ValueError: `hours` is no number above 0.
        """
        begin = time() - _hours(hours) * 3600
        return [one for one in reversed(self._thresholds.history) if one.time >= begin]

    def send_thresholds_to_hub(self, timeout: float = 5) -> tuple[str, ...]:
        """Sets the thresholds that the hub has too in the hub as well; those of the program's own metrics stay here.

        It is one request, made at once: to the hub of PERFAGENT_HUB_URL with the token of PERFAGENT_HUB_TOKEN, which
        has to be an admin's, else to the user's own.

        Args:
            timeout: longest wait, in seconds.

        Returns:
            The names of those that were set.

        Raises:
            RuntimeError: there is no hub, or it refuses; the message says why.
        """
        from perfagent.monitor import hub

        return hub.send(list(self._thresholds.all_of_them().values()), number(timeout, "timeout", "", 0.001))

    # Compared with what was.

    def establish_performance_baseline(self, duration_minutes: int = 60) -> Baseline:
        """Takes what the metrics were in the last minutes as what they usually are.

        It is kept in memory, and in PERFAGENT_MONITOR_DIR where that is set: there for seven days, over restarts.

        Args:
            duration_minutes: how many minutes; at least so long ago the first value has to be.

        Raises:
            ValueError: there are fewer; the message says how many.
            OSError: the folder cannot be written to.
        """
        made = baselines.establish(list(self._tracks.values()), duration_minutes, self.settings.hours * 60)
        self._baseline, self._sought = made, True
        if self.settings.folder:
            baselines.save(made, self.settings.folder)
        return made

    def get_performance_baseline(self) -> Baseline | None:
        """The baseline of this process, else the one in PERFAGENT_MONITOR_DIR; None where there is none."""
        if not self._sought:
            self._sought = True
            if self.settings.folder:
                try:
                    self._baseline = baselines.load(self.settings.folder)
                except ValueError as error:
                    self.settings.report(str(error))
        return self._baseline

    def compare_with_baseline(self, minutes: int = 5, tolerance: float = baselines.TOLERANCE) -> list[Change]:
        """How each metric of the last minutes is against its baseline, the worst first.

        Args:
            minutes: how many.
            tolerance: the share by which an average may differ before it counts as better or worse.

        Raises:
            ValueError: there is no baseline, or an argument is not accepted.
        """
        found = self.get_performance_baseline()
        if found is None:
            raise ValueError("there is no baseline; call establish_performance_baseline() first")
        minutes, tolerance = int(number(minutes, "minutes", "", 1)), number(tolerance, "tolerance", "", 0)
        falling = {name for name, one in self._thresholds.all_of_them().items() if one.comparison == "less"}
        aggregates = ((track, track.aggregate(minutes)) for track in list(self._tracks.values()))
        current = {track.name: (one.average, track.unit) for track, one in aggregates if one is not None}
        return baselines.compare(found, current, tolerance, RISES | falling)

    @overload
    def detect_model_drift(self, live: Sample, baseline: Sample, threshold: float = 0.05) -> Drift: ...
    @overload
    def detect_model_drift(
        self, live: Mapping[str, Sample], baseline: Mapping[str, Sample], threshold: float = 0.05
    ) -> Drifts: ...
    def detect_model_drift(self, live: Any, baseline: Any, threshold: float = 0.05) -> Drift | Drifts:
        """Whether live values are distributed otherwise than those of a baseline: two-sample Kolmogorov-Smirnov test.

        Exact up to 40,000 pairs of values (200 each), by the limit with Stephens' correction beyond.

        Args:
            live: numbers (a list, an array, a column), or a mapping of features to them.
            baseline: the same of when all was well.
            threshold: a p-value below it is drift; of several features, the share of wrong ones among the drifted.

        Returns:
            `Drift` with statistic, p_value, drifted and effect_size; of mappings `Drifts` with one for each feature.

        Raises:
            TypeError: something is no number.
            ValueError: a sample is empty, has NaN or infinite values, or the features of the two differ.
        """
        from collections.abc import Mapping as Features

        if isinstance(live, Features) and isinstance(baseline, Features):
            drifts = drift.compare_features(live, baseline, threshold)
            for name, one in drifts.features.items():
                self._keep_drift(name, one)
            return drifts
        if isinstance(live, Features) or isinstance(baseline, Features):
            raise TypeError("live and baseline are of two kinds: give two samples of numbers, or two mappings of them")
        found = drift.compare(live, baseline, threshold)
        self._keep_drift("model", found)
        return found

    def close(self) -> None:
        """Ends every subscription and the comparing with thresholds; what is recorded is kept and sent as before."""
        self._subscriptions.close()
        self._evaluator.close()

    def _keep_drift(self, feature: str, found: Drift) -> None:
        name = f"drift.{feature}"
        self._own(name, "1", "model", lambda: emission.own("drift.statistic").of({"feature": feature}).record).record(
            found.statistic
        )

    def _watch(self) -> None:
        """Starts comparing; the first values to be compared are those from now on."""
        self._evaluator.start()

    def _evaluate(self) -> None:
        taken = {name: track.take() for name, track in self._tracks.copy().items()}
        told = {**figures.derived(self._process.read(), figures.caches(), taken), **taken}
        for alert in self._thresholds.evaluate(told, time()):
            if alert.state == "firing":
                attributes = {"metric": alert.metric, "severity": alert.severity}
                emission.own("monitor.alerts").of(attributes).record(1)
            for subscription in self._subscriptions.of("alert"):
                subscription.tell(alert)

    def _figures_now(self, told: figures.ProcessFigures, caches: figures.CacheFigures) -> dict[str, float | None]:
        """What the health score compares."""
        means: dict[str, float | None] = {}
        for name, track in self._tracks.copy().items():
            found = track.aggregate(JUST_NOW)
            means[name] = None if found is None else found.average
        return {**figures.derived(told, caches, means), **means}

    def _begin_anew(self) -> None:
        super()._begin_anew()
        self._thresholds.reset()
        self._process.reset()


def _hours(hours: float) -> float:
    found = number(hours, "hours", "", 0)
    if found == 0:
        raise ValueError(f"hours={hours!r} is not accepted: give more than 0, such as 24")
    return found


_the_one: dict[str, PerformanceMonitor] = {}  # setdefault is atomic: a lock could be held over a fork


def get_performance_monitor() -> PerformanceMonitor:
    """The performance monitor of this process, the same at every call."""
    return _the_one.get("it") or _the_one.setdefault("it", PerformanceMonitor())
