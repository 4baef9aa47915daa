"""The documents that the monitor gives: what each metric is, and how healthy that makes the process."""

from __future__ import annotations

from dataclasses import asdict
from time import time
from typing import TYPE_CHECKING, Any, TypedDict

from perfagent.monitor.figures import CacheFigures, ProcessFigures
from perfagent.monitor.thresholds import penalty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.analyse.thresholds import Threshold
    from perfagent.monitor.monitor import PerformanceMonitor
    from perfagent.monitor.window import Track

MOST_POINTS = 360  # of a metric in the dashboard's data: more than that no screen shows


class MetricSummary(TypedDict):
    """One metric; everything but `current` and `timestamp` is over the hours that were asked for."""

    current: float
    average: float
    min: float
    max: float
    count: int
    unit: str
    category: str
    timestamp: float
    failures: int


class Summary(TypedDict):
    """What the monitor knows of its process; times are seconds since the epoch.

    `health_score` is from 0 to 100; `dropped` counts values of metrics beyond the most that the settings allow.
    """

    time: float
    hours: float
    metrics: dict[str, MetricSummary]
    cache: CacheFigures
    process: ProcessFigures
    active_users: int
    active_sessions: int
    health_score: float
    alerts: list[dict[str, Any]]
    dropped: int


class Dashboard(TypedDict):
    """What a page of its own would show: `history` has each metric's points, the rest is as its name says."""

    time: float
    hours: float
    summary: Summary
    history: dict[str, list[dict[str, float]]]
    thresholds: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    deprecations: dict[str, int]
    baseline: list[dict[str, Any]]


def metric(track: Track, hours: float) -> MetricSummary | None:
    """One metric; None where nothing was recorded in these hours."""
    found = track.aggregate(hours * 60)
    if found is None or track.last is None:
        return None
    timestamp, current = track.last
    return {
        "current": current,
        "average": found.average,
        "min": found.minimum,
        "max": found.maximum,
        "count": found.count,
        "unit": track.unit,
        "category": track.category,
        "timestamp": timestamp,
        "failures": track.failures,
    }


def health(thresholds: Mapping[str, Threshold], figures: Mapping[str, float | None]) -> float:
    """100, less a penalty for each figure that is beyond a limit, and at least 0: no figure that gets worse raises it.

    Args:
        thresholds: by metric.
        figures: the mean of the last two minutes of each, or None.
    """
    lost = 0.0
    for name, threshold in thresholds.items():
        value = figures.get(name)
        if threshold.enabled and value is not None:
            lost += penalty(threshold, value)
    return max(100.0 - lost, 0.0)


def dashboard(monitor: PerformanceMonitor, hours: float) -> Dashboard:
    """The data of a dashboard; no metric has more than MOST_POINTS points."""
    step = max(1, -(-int(hours * 60) // MOST_POINTS))
    history = {}
    for name in monitor.metrics():
        points = monitor.get_history(name, hours, step)
        history[name] = [asdict(point) for point in points]
    baseline = monitor.get_performance_baseline()
    return {
        "time": time(),
        "hours": hours,
        "summary": monitor.get_metrics_summary(hours),
        "history": history,
        "thresholds": [one.answer() for one in monitor.get_thresholds().values()],
        "alerts": [{**asdict(one), "text": one.text} for one in monitor.get_alerts(hours)],
        "deprecations": monitor.get_deprecation_counts(),
        "baseline": [asdict(one) for one in monitor.compare_with_baseline()] if baseline is not None else [],
    }
