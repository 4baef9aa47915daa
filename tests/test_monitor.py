"""The performance monitor in one process: what is recorded is what it tells, whoever records."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from perfagent.monitor import PerformanceMonitor, figures, get_performance_monitor
from perfagent.runtime import cache, metric
from perfagent.runtime.metric import COUNTER, registry
from perfagent.runtime.span import Scope
from perfagent.settings.monitor import MonitorSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


def made(**environ: str) -> PerformanceMonitor:
    """A monitor with settings of its own."""
    return PerformanceMonitor(MonitorSettings(environ))


def emitted(name: str) -> metric.Instrument:
    found = registry.instruments[("perfagent.monitor", name)]
    found.collect()
    return found


def test_there_is_one_monitor_in_a_process() -> None:
    assert get_performance_monitor() is get_performance_monitor()


def test_nothing_of_it_is_imported_before_somebody_asks() -> None:
    code = "import perfagent, sys; print([name for name in sys.modules if name.startswith('perfagent.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    asked = code.replace("sys;", "sys; perfagent.get_performance_monitor();")
    shown = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert "perfagent.monitor.monitor" in shown
    assert "perfagent.hub.store" not in shown


def test_a_summary_has_the_current_value_average_least_most_unit_and_time() -> None:
    monitor = made()
    before = time.time()
    for value in (4, 1.5, 9):
        monitor.record_metric("test.orders", value, "{order}", "business")
    summary = monitor.get_metrics_summary()
    found = summary["metrics"]["test.orders"]
    assert before - 0.1 <= found.pop("timestamp") <= time.time() + 0.1  # type: ignore[misc]
    assert found == {
        "current": 9, "average": pytest.approx(14.5 / 3), "min": 1.5, "max": 9, "count": 3, "unit": "{order}",
        "category": "business", "failures": 0,
    }  # fmt: skip
    assert json.loads(json.dumps(summary)) == summary
    assert monitor.get_recent_values("test.orders")[-1][1] == 9


def test_what_is_recorded_is_a_gauge_of_that_name_in_the_registry() -> None:
    made().record_metric("my orders/h ü", 7, "{order}", "business")
    gauge = emitted("my_orders/h_")
    (series,) = gauge.series.values()
    assert (gauge.kind, gauge.unit, series.value, series.attributes) == (
        "gauge", "{order}", 7, {"category": "business"},
    )  # fmt: skip
    made().record_metric("5xx", 1)
    assert emitted("metric_5xx").series


def test_a_metric_keeps_its_unit_and_its_category() -> None:
    monitor = made()
    monitor.record_metric("kept", 1, "ms", "api")
    monitor.record_metric("kept", 2)
    with pytest.raises(ValueError, match=r"'s' of 'kept' is not accepted.*'ms' before.*'kept_s'"):
        monitor.record_metric("kept", 0.001, "s")
    with pytest.raises(ValueError, match=r"category='db' of 'kept'.*'api'"):
        monitor.record_metric("kept", 1, "ms", "db")
    with pytest.raises(ValueError, match=r"measure\('kept'\).*'kept_time'"):
        monitor.measure("kept")
    with pytest.raises(ValueError, match="the monitor's own"):
        monitor.record_metric("perfagent.block.duration", 1)
    assert monitor.get_metrics_summary()["metrics"]["kept"]["count"] == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    monitor = made()
    with pytest.raises(ValueError, match="of 'wrong' is not accepted: give a finite number"):
        monitor.record_metric("wrong", value)
    assert "wrong" not in monitor.get_metrics_summary()["metrics"]


@pytest.mark.parametrize(
    ("record", "kind", "message"),
    [
        (lambda m: m.record_metric("x", "12"), TypeError, "value='12' of 'x'"),
        (lambda m: m.record_metric("x", None), TypeError, "value=None of 'x'"),
        (lambda m: m.record_metric("", 1), ValueError, "name=''"),
        (lambda m: m.record_metric(7, 1), TypeError, "name=7"),
        (lambda m: m.measure(""), ValueError, "name=''"),
        (lambda m: m.measure(b"x"), TypeError, "checkout"),
        (lambda m: m.record_processing(-1), ValueError, "seconds=-1 .* from 0"),
        (lambda m: m.record_page_load("", 1), ValueError, "'/orders'"),
        (lambda m: m.record_callback_duration(None, 1), ValueError, "name=None"),
        (lambda m: m.record_frame_time("fast"), TypeError, "ms='fast'"),
        (lambda m: m.record_upload(100, 0), ValueError, "more than 0"),
        (lambda m: m.set_queue_backlog("mail", -2), ValueError, "items=-2"),
        (lambda m: m.get_metrics_summary(0), ValueError, "hours=0"),
        (lambda m: m.get_history("x", hours="a day"), TypeError, "hours='a day'"),
        (lambda m: m.get_history("x", step_minutes=0), ValueError, "step_minutes=0"),
    ],
)
def test_bad_input_is_told_with_what_is_accepted(
    record: Callable[[PerformanceMonitor], object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        record(made())


def test_tasks_are_measured_each_on_its_own() -> None:
    monitor = made()

    @monitor.measure("tasks.function")
    async def function(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def block(seconds: float) -> None:
        async with monitor.measure("tasks.block"):
            await asyncio.sleep(seconds)
        with monitor.measure("tasks.sync"):
            await asyncio.sleep(0)

    async def main() -> list[float]:
        lengths = [0.001 * number for number in range(50)]
        await asyncio.gather(*map(block, lengths))
        return await asyncio.gather(*map(function, lengths))

    assert asyncio.run(main())[10] == 0.01
    found = monitor.get_metrics_summary()["metrics"]
    assert [found[f"tasks.{name}"]["count"] for name in ("function", "block", "sync")] == [50, 50, 50]
    recent = sorted(value for _, value in monitor.get_recent_values("tasks.block"))
    assert all(value >= 0.001 * number for number, value in enumerate(recent))


def test_functions_of_every_colour_stay_what_they_are() -> None:
    monitor = made()

    @monitor.measure("colour.plain")
    def plain(a: int, b: int = 2) -> int:
        """Adds."""
        return a + b

    @monitor.measure("colour.generator")
    def generator() -> Iterator[int]:
        got = yield 1
        yield got or 0

    @monitor.measure("colour.async_generator")
    async def async_generator() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        except KeyError:
            yield 3

    async def consume() -> list[int]:
        seen = [value async for value in async_generator()]
        thrown = async_generator()
        await thrown.__anext__()
        seen.append(await thrown.athrow(KeyError()))  # type: ignore[attr-defined]
        await thrown.aclose()  # type: ignore[attr-defined]
        return seen

    class Thing:
        @monitor.measure("colour.method")
        def method(self) -> Thing:
            return self

        @monitor.measure("colour.static")
        @staticmethod
        def static(a: int) -> int:
            return a

        @monitor.measure("colour.class")
        @classmethod
        def of_class(cls) -> str:
            return cls.__name__

    class Called:
        async def __call__(self) -> int:
            await asyncio.sleep(0.01)
            return 4

    called = Called()
    assert asyncio.run(monitor.measure("colour.called")(called)()) == 4
    assert monitor.get_metrics_summary()["metrics"]["colour.called"]["min"] >= 0.01
    assert (Thing.static(3), Thing().static(3), Thing.of_class()) == (3, 3, "Thing")
    assert plain(1, b=3) == 4
    assert (plain.__name__, plain.__doc__) == ("plain", "Adds.")
    running = generator()
    assert next(running) == 1
    assert running.send(5) == 5
    running.close()
    assert asyncio.run(consume()) == [1, 2, 3]
    thing = Thing()
    assert thing.method() is thing
    found = monitor.get_metrics_summary()["metrics"]
    counts = {name.removeprefix("colour."): (one["count"], one["failures"]) for name, one in found.items()}
    assert counts == {
        "plain": (1, 0), "generator": (1, 0), "async_generator": (2, 0), "method": (1, 0), "static": (2, 0),
        "class": (1, 0), "called": (1, 0),
    }  # fmt: skip
    with pytest.raises(TypeError, match="above a function"):
        monitor.measure("colour.plain")(3)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="above a function"):
        monitor.measure("colour.plain")(Thing)


def test_a_block_that_raises_counts_as_one_that_failed() -> None:
    monitor = made()
    with pytest.raises(KeyError), monitor.measure("failing", "jobs"):
        raise KeyError("gone")
    with monitor.measure("failing", "jobs"):
        pass
    found = monitor.get_metrics_summary()["metrics"]["failing"]
    assert (found["count"], found["failures"]) == (2, 1)
    counts = {
        series.attributes.get("error.type"): series.count  # type: ignore[attr-defined]
        for series in emitted("perfagent.block.duration").series.values()
        if series.attributes["block"] == "failing"
    }
    assert counts == {None: 1, "KeyError": 1}


def test_one_object_measures_one_block_at_a_time() -> None:
    measured = made().measure("again")
    with measured, pytest.raises(RuntimeError, match="measure\\(\\) anew"), measured:
        pass
    with measured:
        pass


def test_the_cache_block_counts_what_every_cache_counts() -> None:
    before = figures.caches()
    cache.Lookups("redis").record(30, 10)
    cache.Lookups("my own").record(5, 15)
    observed = registry.make(
        Scope("test.vitals"), COUNTER, "perfagent.cache.hits", callback=lambda: iter([(7, {"cache.system": "lru"})])
    )
    try:
        found = made().get_metrics_summary()["cache"]
    finally:
        registry.instruments.pop(("test.vitals", "perfagent.cache.hits"))
    assert observed
    assert (found["hits"] - before["hits"], found["misses"] - before["misses"]) == (42, 25)
    assert found["by_system"]["my own"] == {"hits": 5, "misses": 15, "hit_rate": 0.25}
    assert found["hit_rate"] == found["hits"] / (found["hits"] + found["misses"])


def test_deprecated_calls_are_told_by_function() -> None:
    counter = registry.make(Scope("test.deprecations"), COUNTER, "deprecated_function_calls")
    try:
        for function, times in (("shop.old", 3), ("shop.older", 5)):
            counter.of({"function": function}).record(times)
        found = made().get_deprecation_counts()
        assert {name: found[name] for name in ("shop.older", "shop.old")} == {"shop.older": 5, "shop.old": 3}
        assert list(found).index("shop.older") < list(found).index("shop.old")
    finally:
        registry.instruments.pop(("test.deprecations", "deprecated_function_calls"))


def test_a_monitor_that_is_turned_off_keeps_and_sends_nothing() -> None:
    monitor = made(PERFORMANCE_MONITORING_ENABLED="false")
    monitor.record_metric("off", 1)
    with monitor.measure("off.block"):
        pass
    monitor.record_processing(1)
    monitor.record_page_load("/off", 1)
    with monitor.session():
        assert monitor.active_sessions == 0
    summary = monitor.get_metrics_summary()
    assert (summary["metrics"], summary["dropped"]) == ({}, 0)
    assert ("perfagent.monitor", "off") not in registry.instruments


def test_without_detail_there_are_minutes_alone() -> None:
    monitor = made(DISABLE_DETAILED_MONITORING="true")
    monitor.record_metric("coarse", 4)
    assert monitor.get_recent_values("coarse") == []
    assert [point.average for point in monitor.get_history("coarse")] == [4]


def test_a_batch_of_one_is_worked_in_at_once(tmp_path: Path) -> None:
    monitor = made(PERFORMANCE_BATCH_SIZE="1")
    monitor.record_metric("batch", 4)
    assert not monitor._tracks["batch"].pending
    later = made(PERFORMANCE_BATCH_SIZE="100")
    later.record_metric("batch", 4)
    assert len(later._tracks["batch"].pending) == 1
