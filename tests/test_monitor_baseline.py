"""Baselines and the dashboard's data: what was usual, what became worse, all of it in one document."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from perfagent.monitor import PerformanceMonitor, baseline, recorder, window
from perfagent.settings.monitor import MonitorSettings

if TYPE_CHECKING:
    from pathlib import Path


def make(**environ: str) -> PerformanceMonitor:
    """A monitor with settings of its own."""
    return PerformanceMonitor(MonitorSettings(environ))


class Clock:
    def __init__(self) -> None:
        self.ns = time.time_ns()

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module, name in ((window, "perf_counter_ns"), (window, "time_ns"), (recorder, "perf_counter_ns")):
        monkeypatch.setattr(module, name, clock)
    monkeypatch.setattr(baseline, "time", lambda: clock.ns / 1e9)
    return clock


def test_a_baseline_wants_the_minutes_that_it_is_asked_for(clock: Clock) -> None:
    monitor = make()
    with pytest.raises(ValueError, match="60 minutes is asked for, and nothing has been recorded yet"):
        monitor.establish_performance_baseline()
    for _ in range(12):
        monitor.record_metric("latency", 10, "ms")
        clock.ns += window.MINUTE
    with pytest.raises(ValueError, match=r"there are 1[23] of them: come back in 4[78] min, or take"):
        monitor.establish_performance_baseline()
    with pytest.raises(ValueError, match="duration_minutes=0 is not accepted"):
        monitor.establish_performance_baseline(0)
    with pytest.raises(ValueError, match="1440 minutes are kept"):
        monitor.establish_performance_baseline(1441)
    with pytest.raises(ValueError, match="establish_performance_baseline"):
        monitor.compare_with_baseline()
    made = monitor.establish_performance_baseline(10)
    assert monitor.get_performance_baseline() is made
    assert (made.metrics["latency"].average, made.metrics["latency"].unit) == (10, "ms")


def test_what_became_worse_than_the_baseline_comes_first(clock: Clock) -> None:
    monitor = make()

    def minutes(count: int, latency: float, speed: float, steady: float) -> None:
        for _ in range(count):
            monitor.record_metric("latency", latency, "ms")
            monitor.record_upload(speed, 1)
            monitor.record_metric("steady", steady)
            clock.ns += window.MINUTE

    minutes(61, 10, 1000, 5)
    monitor.establish_performance_baseline()
    clock.ns += 10 * window.MINUTE
    minutes(5, 13, 500, 5.5)
    found = monitor.compare_with_baseline()
    assert [(one.metric, one.verdict, round(one.change, 2)) for one in found] == [
        ("upload_speed", "worse", -0.5), ("latency", "worse", 0.3), ("steady", "same", 0.1),
    ]  # fmt: skip
    assert monitor.compare_with_baseline(tolerance=0.05)[-1].verdict == "worse"


def test_a_baseline_is_kept_in_its_folder_for_a_week(clock: Clock, tmp_path: Path) -> None:
    folder = str(tmp_path / "kept")
    monitor = make(PERFAGENT_MONITOR_DIR=folder)
    for _ in range(5):
        monitor.record_metric("latency", 10, "ms")
        clock.ns += window.MINUTE
    made = monitor.establish_performance_baseline(4)
    assert make(PERFAGENT_MONITOR_DIR=folder).get_performance_baseline() == made
    assert make().get_performance_baseline() is None
    (file,) = os.listdir(folder)
    clock.ns += 8 * 1440 * window.MINUTE
    assert make(PERFAGENT_MONITOR_DIR=folder).get_performance_baseline() is None
    (tmp_path / "kept" / file).write_text("{broken")
    broken = make(PERFAGENT_MONITOR_DIR=folder)
    assert broken.get_performance_baseline() is None
    assert "is no baseline" in broken.settings.problems[0]


def test_the_dashboards_data_is_one_document(clock: Clock) -> None:
    monitor = make()
    for number in range(1440):
        monitor.record_metric("latency", number, "ms")
        clock.ns += window.MINUTE
    monitor.establish_performance_baseline()
    data = monitor.get_dashboard_data(24)
    assert json.loads(json.dumps(data)) == data
    assert len(data["history"]["latency"]) in (360, 361)
    assert data["history"]["latency"][-1]["maximum"] == 1439
    assert data["summary"]["metrics"]["latency"]["count"] == 1439
    assert {one["name"] for one in data["thresholds"]} >= {"cpu_usage_percent"}
    assert data["baseline"][0]["metric"] == "latency"
