"""What the performance monitor tells by itself: subscribers, alerts, baselines; and what programs are for."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfagent.hub.analyse.thresholds import DEFAULTS, Threshold
from perfagent.monitor import Alert, PerformanceMonitor, business
from perfagent.monitor.summary import health
from perfagent.monitor.ticker import Ticker
from perfagent.runtime.metric import registry
from perfagent.settings import Settings
from perfagent.settings.monitor import MonitorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., PerformanceMonitor]


@pytest.fixture
def make() -> Iterator[Callable[..., PerformanceMonitor]]:
    """Makes monitors with settings of their own; all end with the test."""
    monitors: list[PerformanceMonitor] = []

    def make(**environ: str) -> PerformanceMonitor:
        monitors.append(PerformanceMonitor(MonitorSettings({"PERFORMANCE_MONITORING_INTERVAL": "0.1", **environ})))
        return monitors[-1]

    yield make
    for monitor in monitors:
        monitor.close()


def wait(until: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def lives(ticker: Ticker | None) -> bool:
    """Whether the thread of a ticker does."""
    return ticker is not None and ticker._native > 0 and os.path.exists(f"/proc/self/task/{ticker._native}")


def test_a_subscriber_gets_snapshots_until_it_is_closed(make: Make) -> None:
    monitor = make()
    monitor.record_metric("told", 5)
    seen: list[Any] = []
    with monitor.subscribe(seen.append, interval_seconds=0.05) as subscription:
        wait(lambda: len(seen) >= 3)
        assert lives(subscription.ticker)
    assert seen[0]["metrics"]["told"]["current"] == 5
    assert subscription.calls >= 3
    count = len(seen)
    wait(lambda: not lives(subscription.ticker))
    assert len(seen) == count


def test_a_failing_subscriber_is_counted_and_stops_nobody(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    monitor = make()
    seen: list[Any] = []

    def fail(summary: object) -> None:
        raise OSError("the screen is gone")

    failing = monitor.subscribe(fail, interval_seconds=0.05)
    monitor.subscribe(seen.append, interval_seconds=0.05)
    wait(lambda: failing.failures >= 3 and len(seen) >= 3)
    assert len([record for record in caplog.records if "a subscriber of the performance" in record.message]) == 1
    counter = registry.instruments[("perfagent.monitor", "perfagent.monitor.failures")]
    counter.collect()
    assert counter.of({"kind": "snapshot"}).value >= 3


def test_a_subscriber_that_hangs_holds_up_nobody_else(make: Make) -> None:
    monitor = make()
    release, seen = threading.Event(), []
    monitor.subscribe(lambda summary: release.wait(30), interval_seconds=0.05)
    monitor.subscribe(seen.append, interval_seconds=0.05)
    wait(lambda: len(seen) >= 3)
    release.set()


def test_a_subscriber_may_close_itself(make: Make) -> None:
    monitor = make()
    seen: list[Any] = []

    def once(summary: object) -> None:
        seen.append(summary)
        subscription.close()

    subscription = monitor.subscribe(once, interval_seconds=0.05)
    wait(lambda: seen and not lives(subscription.ticker))
    assert len(seen) == 1


def test_no_thread_runs_before_somebody_wants_to_be_told(make: Make) -> None:
    monitor = make()
    monitor.record_metric("quiet", 1)
    monitor.get_metrics_summary()
    assert monitor._evaluator._native == 0
    monitor.update_threshold("quiet", warning=5, enabled=False)
    assert monitor._evaluator._native == 0
    monitor.update_threshold("quiet", enabled=True)
    wait(lambda: lives(monitor._evaluator))
    monitor.close()
    wait(lambda: not lives(monitor._evaluator))
    monitor.on_alert(print)  # closed is not for ever
    wait(lambda: lives(monitor._evaluator))


def test_what_cannot_be_called_is_refused(make: Make) -> None:
    async def coroutine(summary: object) -> None: ...

    monitor = make()
    with pytest.raises(TypeError, match="give a function"):
        monitor.subscribe("print")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="call_soon_threadsafe"):
        monitor.subscribe(coroutine)
    with pytest.raises(ValueError, match=r"interval_seconds=0 .* from 0.05"):
        monitor.subscribe(print, 0)
    for _ in range(64):
        monitor.on_alert(print)
    with pytest.raises(RuntimeError, match="64 subscribers"):
        monitor.on_alert(print)


def test_an_alert_comes_after_so_many_violations_grows_and_ends(make: Make) -> None:
    monitor = make()
    told: list[Alert] = []
    # The caches of the tests around this one may be badly hit.
    monitor.on_alert(lambda alert: told.append(alert) if alert.metric == "backlog" else None)
    monitor.update_threshold("backlog", warning=10, critical=100, violations=2, cooldown=0)
    stop = threading.Event()
    level = [50.0]

    def work() -> None:
        while not stop.wait(0.01):
            monitor.record_metric("backlog", level[0])

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for now, count in ((50.0, 1), (500.0, 2), (1.0, 3)):
            level[0] = now
            wait(lambda: len(told) >= count)  # noqa: B023
    finally:
        stop.set()
        worker.join()
    assert [(one.metric, one.state, one.severity) for one in told] == [
        ("backlog", "firing", "warning"), ("backlog", "firing", "critical"), ("backlog", "resolved", "critical"),
    ]  # fmt: skip
    assert told[0].limit == 10
    assert told[0].text == "backlog is above its limit of 10: 50"
    assert next(one for one in monitor.get_alerts() if one.metric == "backlog") == told[-1]
    assert [one.answer()["violations"] for one in monitor.get_thresholds().values() if one.name == "backlog"] == [2]


def test_violations_cooldown_and_silence_follow_the_rule(make: Make) -> None:
    thresholds = make()._thresholds
    thresholds.update("x", {"warning": 10.0, "violations": 3, "cooldown_minutes": 15})

    def step(value: float | None, now: float) -> list[tuple[str, str]]:
        return [(one.state, one.severity) for one in thresholds.evaluate({"x": value}, now)]

    assert [step(value, now) for now, value in enumerate((11, 12, None, 9, 11, 12))] == [[]] * 6
    assert step(13, 7) == [("firing", "warning")]
    assert step(13, 8) == step(None, 9) == []
    assert [one.value for one in thresholds.active()] == [13]
    assert step(1, 10) == [("resolved", "warning")]
    for now in range(11, 20):
        assert step(13, now) == []  # within the cooldown
    assert step(13, 7 + 15 * 60) == [("firing", "warning")]
    thresholds.update("x", {"enabled": False})
    assert step(1000, 2000) == []


def test_a_threshold_is_checked_when_it_is_set(make: Make) -> None:
    monitor = make()
    for wrong, message in (
        ({"warning": 9, "critical": 5}, "critical=5 is less severe than warning=9"),
        ({}, "has no limit"),
        ({"warning": "high"}, "warning='high' of 'x'"),
        ({"warning": 1, "comparison": "above"}, "'greater', 'less' or 'equal'"),
        ({"warning": 1, "violations": -1}, "violations=-1"),
        ({"warning": 1, "cooldown": 1.5}, "cooldown=1.5"),
        ({"warning": 1, "enabled": "yes"}, "enabled='yes'"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            monitor.update_threshold("x", **wrong)  # type: ignore[arg-type]
    assert "x" not in monitor.get_thresholds()
    made = monitor.update_threshold("x", warning=9, comparison="less", critical=5)
    assert monitor.update_threshold("x", warning=None) == monitor.get_thresholds()["x"]
    assert (made.warning, made.violations, made.cooldown_minutes) == (9, 3, 15)


def test_settings_seed_the_thresholds(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make().get_thresholds()
    assert plain["cpu_usage_percent"] == DEFAULTS["cpu_usage_percent"]
    assert plain["memory_usage_percent"] == DEFAULTS["memory_usage_percent"]
    own = make(PERFORMANCE_CPU_THRESHOLD="50", PERFAGENT_MEMORY_THRESHOLD="95").get_thresholds()
    assert (own["cpu_usage_percent"].warning, own["cpu_usage_percent"].critical) == (50, 65)
    assert (own["memory_usage_percent"].warning, own["memory_usage_percent"].critical) == (95, 100)
    settings = Settings({"PERFORMANCE_ALERT_THRESHOLDS": '{"cpu_usage_percent": {"warning": 3, "violations": 1}}'})
    monkeypatch.setattr("perfagent.settings.current", lambda: settings)
    seeded = make().get_thresholds()["cpu_usage_percent"]
    assert (seeded.warning, seeded.critical, seeded.violations) == (3, 95, 1)
    wrong = Settings({"PERFORMANCE_ALERT_THRESHOLDS": '{"cpu": {"warning": 3}}'})
    monkeypatch.setattr("perfagent.settings.current", lambda: wrong)
    assert make().get_thresholds() == plain
    assert "'cpu' is no threshold" in wrong.problems[0]


def test_cpu_of_the_process_is_compared_without_anybody_recording_it(make: Make) -> None:
    monitor = make(PERFORMANCE_CPU_THRESHOLD="0")
    told: list[Alert] = []
    monitor.update_threshold("cpu_usage_percent", violations=1)
    monitor.on_alert(told.append)

    def busy() -> bool:
        sum(range(100_000))
        return any(one.metric == "cpu_usage_percent" for one in told)

    wait(busy)
    assert 0 < next(one.value for one in told if one.metric == "cpu_usage_percent") <= 100


LIMITS = st.tuples(st.none() | st.integers(0, 100), st.none() | st.integers(0, 100))


@given(st.dictionaries(st.sampled_from("abcd"), LIMITS), st.data())
def test_no_figure_that_gets_worse_raises_the_health_score(
    limits: dict[str, tuple[int | None, int | None]], data: st.DataObject
) -> None:
    thresholds = {}
    for name, (one, other) in limits.items():
        warning, critical = sorted((one, other)) if one is not None and other is not None else (one, other)
        if warning is not None or critical is not None:
            thresholds[name] = Threshold(name, name, "", warning, critical, "")
    figures = {name: data.draw(st.floats(0, 200)) for name in thresholds}
    before = health(thresholds, figures)
    assert 0 <= before <= 100
    for name in figures:
        worse = {**figures, name: figures[name] + data.draw(st.floats(0, 100))}
        assert health(thresholds, worse) <= before


def test_the_health_score_is_what_its_formula_says(make: Make) -> None:
    monitor = make()
    for name in ("cpu_usage_percent", "memory_usage_percent", "cache_hit_rate_percent"):
        monitor.update_threshold(name, enabled=False)  # what the tests around this one do must not count
    assert monitor.get_metrics_summary()["health_score"] == 100
    monitor.record_metric("latency", 15)
    monitor.update_threshold("latency", warning=10, critical=20)
    assert monitor.get_metrics_summary()["health_score"] == 100 - 25
    monitor.record_metric("latency", 25)
    assert monitor.get_metrics_summary()["health_score"] == 100 - 40
    monitor.record_processing(0.1, failed=True)
    assert monitor.get_metrics_summary()["health_score"] == 20


def test_business_metrics_are_rates_times_and_levels(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = make()
    for number in range(10):
        monitor.record_processing(0.2, failed=number < 3)
        monitor.record_user_action(error=number == 0, user=f"user {number % 4}")
    monitor.set_queue_backlog("mail", 12)
    monitor.session_ended()  # nobody began one
    monitor.session_started()
    with monitor.session():
        assert monitor.active_sessions == 2
    found = monitor.get_metrics_summary()
    metrics = {name: one["average"] for name, one in found["metrics"].items()}
    assert metrics["processing_failure_rate"] == 30
    assert metrics["processing_time"] == pytest.approx(0.2)
    assert metrics["user_error_rate"] == 10
    assert metrics["queue_backlog.mail"] == 12
    assert (found["active_users"], found["active_sessions"]) == (4, 1)
    later = time.monotonic() + business.ACTIVE + 1
    monkeypatch.setattr(business, "monotonic", lambda: later)
    assert monitor.active_users == 0


def test_users_are_bounded_and_not_kept_by_name(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(business, "MOST_USERS", 50)
    monitor = make()
    for number in range(200):
        monitor.record_user_action(user=f"someone{number}@example.org")
    assert monitor.active_users == 50
    assert "someone" not in repr(monitor._users)


def test_interface_metrics_are_kept_and_sent_in_seconds(make: Make) -> None:
    monitor = make()
    for ms in (10, 10, 10, 40):
        monitor.record_frame_time(ms)
    monitor.record_callback_duration("on_filter", 0.25)
    monitor.record_page_load("/orders", 1.5)
    monitor.record_upload(3_000_000, 1.5)
    found = monitor.get_metrics_summary()["metrics"]
    told = {name: (one["average"], one["unit"]) for name, one in found.items()}
    assert told == {
        "frame_time": (17.5, "ms"), "slow_frame_rate": (25, "%"), "callback.on_filter": (0.25, "s"),
        "page_load./orders": (1.5, "s"), "upload_speed": (2_000_000, "By/s"),
    }  # fmt: skip
    monitor.update_threshold("page_load_ms", warning=1000, critical=None)
    assert monitor.get_metrics_summary()["health_score"] <= 80


def test_alerts_are_logged_from_the_level_that_the_settings_say(
    make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("perfagent.monitor")
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    logger._cache.clear()  # type: ignore[attr-defined]
    thresholds = make(PERFORMANCE_LOG_LEVEL="error")._thresholds
    thresholds.update("x", {"warning": 10.0, "critical": 20.0, "violations": 1})
    thresholds.evaluate({"x": 15}, 0)
    assert caplog.messages == []
    thresholds.evaluate({"x": 25}, 1)
    assert caplog.messages == ["x is above its limit of 20: 25"]
