"""The performance monitor: what a program tells of itself, kept in the process and sent with everything else."""

from __future__ import annotations

from perfagent.monitor.baseline import Baseline, Change, Usual
from perfagent.monitor.drift import Drift, Drifts
from perfagent.monitor.monitor import PerformanceMonitor, get_performance_monitor
from perfagent.monitor.subscriptions import Subscription
from perfagent.monitor.summary import Dashboard, MetricSummary, Summary
from perfagent.monitor.thresholds import Alert
from perfagent.monitor.window import Point

__all__ = [
    "Alert", "Baseline", "Change", "Dashboard", "Drift", "Drifts", "MetricSummary", "PerformanceMonitor", "Point",
    "Subscription", "Summary", "Usual", "get_performance_monitor",
]  # fmt: skip
