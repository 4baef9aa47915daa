"""The window of the performance monitor: exact whoever records, bounded whatever is recorded."""

from __future__ import annotations

import gc
import threading

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from perfagent.monitor import PerformanceMonitor, recorder, window
from perfagent.monitor.window import Track
from perfagent.runtime.metric import registry
from perfagent.settings.monitor import MonitorSettings


def made(**environ: str) -> PerformanceMonitor:
    """A monitor with settings of its own."""
    return PerformanceMonitor(MonitorSettings(environ))


class Clock:
    """Stands in for both clocks of the window: a day cannot be waited for."""

    def __init__(self) -> None:
        self.ns = 1_800_000_000_000_000_000

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(recorder, "perf_counter_ns", clock)
    monkeypatch.setattr(window, "perf_counter_ns", clock)
    monkeypatch.setattr(window, "time_ns", clock)
    return clock


def test_threads_lose_nothing() -> None:
    monitor = made()
    each, threads = 20_000, 8
    barrier = threading.Barrier(threads)

    def work() -> None:
        barrier.wait()
        for number in range(each):
            monitor.record_metric("threads.value", number % 7)
            if number % 10 == 0:
                with monitor.measure("threads.block"):
                    pass
            if number % 1000 == 0:
                monitor.get_metrics_summary()

    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    found = monitor.get_metrics_summary()["metrics"]
    assert found["threads.value"]["count"] == each * threads
    assert found["threads.value"]["average"] == pytest.approx(sum(n % 7 for n in range(each)) / each)
    assert found["threads.block"]["count"] == each * threads // 10


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 200_000_000_000), st.floats(-1e9, 1e9, allow_nan=False)), min_size=1, max_size=60
    ),
    st.integers(1, 20),
    st.integers(1, 30),
)
def test_a_window_is_what_a_naive_computation_gives(steps: list[tuple[int, float]], batch: int, minutes: int) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(window, "perf_counter_ns", clock)
        patched.setattr(window, "time_ns", clock)
        track = Track("x", "", "custom", lambda value: None, minutes=40, batch=batch)
        recorded = []
        for step, value in steps:
            clock.ns += step
            track.record(value)
            recorded.append((clock.ns // window.MINUTE, value))
        now = clock.ns // window.MINUTE
        kept = [(minute, value) for minute, value in recorded if minute > now - minutes]
        found = track.aggregate(minutes)
        assert found is not None
        values = [value for _, value in kept]
        assert found.count == len(values)
        assert found.average == pytest.approx(sum(values) / len(values), rel=1e-9, abs=1e-3)
        assert (found.minimum, found.maximum) == (min(values), max(values))
        by_minute: dict[int, list[float]] = {}
        for minute, value in kept:
            by_minute.setdefault(minute, []).append(value)
        points = track.points(minutes)
        assert [(point.time, point.count, point.minimum, point.maximum, point.last) for point in points] == [
            (minute * 60, len(own), min(own), max(own), own[-1]) for minute, own in sorted(by_minute.items())
        ]
        mean = track.take()
        assert mean == pytest.approx(sum(value for _, value in recorded) / len(recorded), rel=1e-9, abs=1e-3)
        assert track.take() is None


def test_a_day_of_minutes_is_kept_and_no_more(clock: Clock) -> None:
    monitor = made(PERFAGENT_MONITOR_HOURS="2")
    for number in range(300):
        monitor.record_metric("day", number)
        clock.ns += window.MINUTE
    assert [point.last for point in monitor.get_history("day", hours=48)] == list(range(179, 300))
    assert len(monitor.get_history("day", hours=1)) == 59
    assert [point.count for point in monitor.get_history("day", 2, step_minutes=30)] == [29, 30, 30, 30]
    assert monitor.get_history("nobody recorded this") == []


def test_a_clock_that_is_set_back_does_not_stop_the_window(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Clock()
    monkeypatch.setattr(window, "time_ns", wall)
    monitor = made()
    monitor.record_metric("jump", 1)
    assert monitor.get_metrics_summary()["metrics"]["jump"]["count"] == 1
    wall.ns -= 60 * window.MINUTE
    monitor.record_metric("jump", 2)
    (point,) = monitor.get_history("jump")
    assert (point.last, point.time) == (2, wall.ns // window.MINUTE * 60)


def test_a_million_names_stay_within_the_bound_and_are_counted() -> None:
    monitor = made(PERFAGENT_MONITOR_METRICS="20")
    instruments = len(registry.instruments)
    for number in range(100_000):
        monitor.record_metric(f"many.{number}", 1)
        if number % 100 == 0:
            with monitor.measure(f"block.{number}"):
                pass
    assert len(monitor.metrics()) == 20
    assert len(registry.instruments) - instruments <= 20
    assert monitor.get_metrics_summary()["dropped"] == 100_000 + 1000 - 20
    assert len(monitor._known) <= 80


def test_a_destructor_may_record_in_the_middle_of_anything() -> None:
    monitor = made(PERFORMANCE_BATCH_SIZE="2")

    class Dying:
        def __init__(self) -> None:
            self.itself = self  # the garbage collector alone frees it
            monitor.session_started()

        def __del__(self) -> None:
            monitor.session_ended()
            monitor.record_metric(f"dying.{id(self) % 50}", 1)
            monitor.record_user_action(user=id(self))

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(300):
            Dying()
            monitor.record_metric(f"living.{number % 60}", [1.0][0])
            monitor.record_user_action(user=number)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert monitor.active_sessions == 0
    found = monitor.get_metrics_summary()["metrics"]
    assert sum(one["count"] for name, one in found.items() if name.startswith("dying")) == 300
    assert sum(one["count"] for name, one in found.items() if name.startswith("living")) == 300
