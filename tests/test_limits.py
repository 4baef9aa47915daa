"""Resource limits: memory and CPU use are seen, warned of, and background tasks wait until they are fine again."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import perfagent
from perfagent.container import Container
from perfagent.resilience import limits
from perfagent.resilience.limits import ResourceLimits, tasks
from perfagent.resilience.limits.resource import Resource
from perfagent.runtime import metric, pressure
from perfagent.runtime.pressure import EXCEEDED, FINE, TIGHT
from perfagent.settings.limits import LimitSettings
from tests.agent import agent_env

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

NOWHERE = Container("/nonexistent", "/nonexistent")


class Level:
    """A use that the test sets, in the place of the system's; each look is due at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used = 0.0
        self.limits = ResourceLimits(LimitSettings({"MAX_MEMORY": "100MB"}), NOWHERE)
        self.limits.resources = (Resource("memory", 100.0, 80.0, "a test", lambda: self.used),)
        monkeypatch.setattr(limits, "EVERY", 0.0)
        monkeypatch.setattr(tasks, "_limits", self.limits)
        monkeypatch.setattr(tasks, "_last", {})

    def set(self, used: float) -> int:
        self.used = used
        return self.limits.look()


@pytest.fixture
def level(monkeypatch: pytest.MonkeyPatch) -> Iterator[Level]:
    yield Level(monkeypatch)
    pressure.level = FINE


def total(name: str, **attributes: str) -> float:
    instrument = metric.registry.instruments["perfagent.limits", f"perfagent.resource.{name}"]
    series = instrument.of(attributes)
    series.fold()
    return series.value


@pytest.mark.parametrize(
    ("name", "text", "whole", "value"),
    [
        ("MAX_MEMORY", "512MB", 0, 512e6),
        ("MAX_MEMORY", "2GiB", 0, 2 * 2**30),
        ("MAX_MEMORY", " 1.5 gi ", 0, 1.5 * 2**30),
        ("MAX_MEMORY", "536870912", 0, 2**29),
        ("MAX_MEMORY", "80%", 1000, 800),
        ("MEMORY_WARNING_THRESHOLD", "0.7", 1000, 700),
        ("MEMORY_WARNING_THRESHOLD", "70", 1000, 700),
        ("MEMORY_WARNING_THRESHOLD", "400MB", 0, 400e6),
        ("MAX_CPU_CORES", "1.5", 0, 1.5),
        ("MAX_CPU_CORES", "500m", 0, 0.5),
        ("MAX_CPU_CORES", "50%", 4, 2),
        ("CPU_WARNING_THRESHOLD", "90%", 2, 1.8),
    ],
)
def test_amounts_are_taken_as_people_write_them(name: str, text: str, whole: float, value: float) -> None:
    table = LimitSettings({name: text}, "/nonexistent")
    (found,) = [value for option, value, _origin in table.origins() if option.name == name]
    assert table.problems == []
    assert found.of(whole) == pytest.approx(value)  # type: ignore[attr-defined]
    assert str(found) == text


@pytest.mark.parametrize(
    ("name", "text", "example"),
    [
        ("MAX_MEMORY", "512", "512MB"),
        ("MAX_MEMORY", "512M", "512MB"),
        ("MAX_MEMORY", "lots", "512MB"),
        ("MAX_MEMORY", "150%", "80%"),
        ("MAX_MEMORY", "-1GB", "512MB"),
        ("MEMORY_WARNING_THRESHOLD", "0", "80%"),
        ("MEMORY_WARNING_THRESHOLD", "high", "80%"),
        ("MAX_CPU_CORES", "0", "1.5"),
        ("MAX_CPU_CORES", "nan", "1.5"),
        ("CPU_WARNING_THRESHOLD", "101%", "80%"),
    ],
)
def test_a_wrong_amount_is_named_with_the_rule_and_an_example(
    name: str, text: str, example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    list(LimitSettings({name: text}, "/nonexistent").origins())
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name}={text!r}" in line
    assert example in line


def test_levels_rise_at_once_and_fall_with_a_distance(level: Level) -> None:
    steps = [(50, FINE), (80, TIGHT), (77, TIGHT), (75, FINE), (101, EXCEEDED), (96, EXCEEDED), (94, TIGHT), (10, FINE)]
    assert [level.set(used) for used, _expected in steps] == [expected for _used, expected in steps]
    assert pressure.level == FINE


def test_a_passed_threshold_is_logged_once_and_counted(level: Level, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "perfagent.limits")
    before = total("limit_exceeded", resource="memory", level="exceeded")
    for used in (50, 85, 70, 85, 105, 50, 105):
        level.set(used)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "beyond 80%" in warnings[0]
    assert "beyond the limit" in warnings[1]
    assert total("limit_exceeded", resource="memory", level="exceeded") == before + 2


def test_a_failing_subscriber_is_counted_and_the_others_are_told(level: Level) -> None:
    seen: list[int] = []

    def fail(resource: Resource) -> None:
        raise ValueError

    level.limits.subscribe(fail)
    end = level.limits.subscribe(lambda resource: seen.append(resource.level))
    level.set(90)
    end()
    level.set(10)
    assert seen == [TIGHT]
    assert level.limits.failures == 2


def test_a_task_goes_on_at_once_where_all_is_fine_and_waits_where_a_limit_is_exceeded(level: Level) -> None:
    assert perfagent.throttle().seconds == 0
    level.set(120)
    waited = perfagent.throttle("cleanup", longest=0.3)
    assert waited.seconds >= 0.3
    assert total("throttled", task="cleanup") >= 0.3
    level.limits.subscribe(lambda resource: None)

    class Ends:
        looks = 0

        def __call__(self) -> float:
            self.looks += 1
            return 120 if self.looks < 3 else 10

    level.limits.resources = (Resource("memory", 100.0, 80.0, "a test", Ends()),)
    assert perfagent.throttle("cleanup", longest=60).seconds < 30


def test_a_step_is_followed_by_a_longer_pause_the_nearer_the_limit_is(level: Level) -> None:
    def pause(used: float) -> float:
        level.set(used)
        perfagent.throttle("copy")
        time.sleep(0.1)
        return perfagent.throttle("copy").seconds

    assert pause(50) == 0
    near, nearer = pause(81), pause(98)
    assert 0.1 <= near < nearer


def test_a_coroutine_waits_without_holding_up_the_loop(level: Level) -> None:
    level.set(120)

    @perfagent.background_task(longest=0.4)
    async def clean() -> str:
        return "done"

    async def run() -> tuple[str, int]:
        turns = 0
        task = asyncio.create_task(clean())
        while not task.done():
            await asyncio.sleep(0.01)
            turns += 1
        return await task, turns

    result, turns = asyncio.run(run())
    assert result == "done"
    assert turns > 5


def test_every_kind_of_function_is_throttled_and_stays_what_it_is(
    level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    level.set(90)
    monkeypatch.setattr(level.limits, "waited", lambda task, seconds: waited.append(task))

    @perfagent.background_task(name="plain")
    def plain(number: int) -> int:
        """Doubles."""
        return 2 * number

    @perfagent.background_task(name="coroutine")
    async def coroutine(number: int) -> int:
        return 2 * number

    @perfagent.background_task(name="generator")
    def generator() -> Any:
        try:
            got = yield 1
        except KeyError:
            got = yield 2
        return got

    @perfagent.background_task(name="steps")
    async def steps() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def all_of() -> list[int]:
        return [number async for number in steps()]

    assert plain(4) == 8
    assert (plain.__name__, plain.__doc__, list(inspect.signature(plain).parameters)) == (
        "plain",
        "Doubles.",
        ["number"],
    )
    assert asyncio.run(coroutine(4)) == 8
    assert asyncio.run(all_of()) == [1, 2]
    running = generator()
    assert next(running) == 1
    assert running.throw(KeyError()) == 2
    with pytest.raises(StopIteration) as end:
        running.send("end")
    assert end.value.value == "end"
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(steps)
    assert {task: waited.count(task) for task in waited} == {"plain": 1, "coroutine": 1, "generator": 3, "steps": 3}


def test_what_is_used_is_known_as_soon_as_looking_has_started() -> None:
    looked = ResourceLimits(LimitSettings({"MAX_MEMORY": "100GB"}), NOWHERE)
    looked.start(interval=3600)
    try:
        assert looked.resources[0].used > 1_000_000
    finally:
        looked.stop()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"longest=-1"):
        perfagent.background_task(longest=-1)
    with pytest.raises(TypeError, match="takes a function"):
        perfagent.background_task("cleanup")  # type: ignore[type-var]
    with pytest.raises(ValueError, match="interval=0"):
        perfagent.get_resource_limits().start(0)


def test_without_a_limit_nothing_is_looked_at() -> None:
    found = ResourceLimits(LimitSettings({}, "/nonexistent"), NOWHERE)
    assert found.resources == ()
    assert found.look() == FINE


def group(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_limits_of_a_container_are_the_defaults_in_both_versions(tmp_path: Path) -> None:
    second = tmp_path / "v2"
    marker = {"cgroup.controllers": "cpu memory"}
    group(second, marker)
    group(second / "pod", {**marker, "memory.max": "1000000000", "cpu.max": "max 100000"})
    group(
        second / "pod/app",
        {
            **marker,
            "memory.max": "max",
            "memory.current": "700000000",
            "memory.stat": "anon 1\ninactive_file 300000000\n",
            "cpu.max": "150000 100000",
            "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        },
    )
    (tmp_path / "v2.membership").write_text("0::/pod/app\n")
    found = Container(str(second), str(tmp_path / "v2.membership"))
    assert (found.memory_limit(), found.memory_used(), found.cores(), found.cpu_used()) == (1e9, 4e8, 1.5, 2.5)
    first = tmp_path / "v1"
    group(
        first / "memory",
        {
            "tasks": "",
            "memory.limit_in_bytes": "500000000",
            "memory.usage_in_bytes": "300000000",
            "memory.stat": "total_inactive_file 100000000",
        },
    )
    group(first / "cpu", {"tasks": "", "cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"})
    group(first / "cpuacct", {"tasks": "", "cpuacct.usage": "7000000000"})
    (tmp_path / "v1.membership").write_text("4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n")
    found = Container(str(first), str(tmp_path / "v1.membership"))
    assert (found.memory_limit(), found.memory_used(), found.cores(), found.cpu_used()) == (5e8, 2e8, 0.5, 7.0)
    limits_of = ResourceLimits(LimitSettings({}, "/nonexistent"), found)
    assert [(one.name, one.limit, one.warning) for one in limits_of.resources] == [
        ("memory", 5e8, 4e8), ("cpu", 0.5, 0.4),
    ]  # fmt: skip
    own = ResourceLimits(LimitSettings({"MAX_MEMORY": "50%", "MAX_CPU_CORES": "2"}, "/nonexistent"), found)
    assert [one.limit for one in own.resources] == [2.5e8, 2.0]


FILES = ("memory.max", "memory.limit_in_bytes")


def writable_group() -> Path | None:
    """A control group of memory of our own, where this machine lets us make one."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        folder = root / f"perfagent-test-{os.getpid()}"
        try:
            folder.mkdir()
            name = "memory.limit_in_bytes" if (folder / "memory.limit_in_bytes").exists() else "memory.max"
            (folder / name).write_text("400000000")
        except OSError:
            continue
        return folder
    return None


def test_the_limit_of_a_real_control_group_is_found_and_its_use_seen() -> None:
    folder = writable_group()
    if folder is None:  # then the group that this process is in must do
        numbers = [path.read_text().strip() for path in Path("/sys/fs/cgroup").rglob("memory.*") if path.name in FILES]
        found = Container().memory_limit()
        assert found is None or f"{found:.0f}" in numbers
        return
    code = dedent("""
        import os, sys
        with open(sys.argv[1] + "/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
        from perfagent import get_resource_limits
        (memory, *_) = get_resource_limits().resources
        held = bytearray(340_000_000)
        for at in range(0, len(held), 4096): held[at] = 1
        print(get_resource_limits().look(), round(memory.limit / 1e8), memory.used > 340e6)
    """)
    env = {"PATH": os.environ["PATH"]}
    try:
        shown = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False, env=env
        )
    finally:
        folder.rmdir()
    assert shown.stdout == "1 4 True\n", shown.stderr
    assert "the container's limit" in shown.stderr


@pytest.mark.slow
def test_memory_and_cpu_of_the_process_itself_are_held_against_its_limits(run_program: RunProgram) -> None:
    code = """
        import time
        from perfagent import get_resource_limits
        limits = get_resource_limits()
        memory, cpu = limits.resources
        print(limits.look())
        held = bytearray(150_000_000)
        for at in range(0, len(held), 4096): held[at] = 1
        time.sleep(1.1)
        print(limits.look(), memory.level, cpu.level)
        del held
        time.sleep(1.1)
        print(limits.look(), memory.level)
        while limits.look() == 0: sum(range(10000))
        print(cpu.level > 0, 0.02 < cpu.used < 1.3)
    """
    env = {"MAX_MEMORY": "120MB", "MAX_CPU_CORES": "0.05"}
    program = run_program("python", "-c", dedent(code), env=env)
    assert program.check().splitlines()[-1] == "True True"
    lines = program.stdout.splitlines()
    assert lines[0] == "0"
    assert lines[1].split()[1] == "2"
    assert lines[2].split()[1] == "0"
    assert "MAX_MEMORY=120MB" in program.stderr
    assert "MAX_CPU_CORES=0.05" in program.stderr


@pytest.mark.slow
def test_under_the_agent_limits_are_looked_at_where_one_is_set(receiver: Receiver, run_program: RunProgram) -> None:
    code = """
        import logging, sys, time
        held = bytearray(150_000_000)
        for at in range(0, len(held), 4096): held[at] = 1
        time.sleep(1.5)
        print("perfagent.resilience.limits" in sys.modules)
    """
    env = agent_env(receiver, MAX_MEMORY="120MB", OTEL_METRIC_EXPORT_INTERVAL="200")
    program = run_program("perfagent", "run", "python", "-c", dedent(code), env=env)
    assert program.check() == "True\n"
    assert any("MAX_MEMORY=120MB" in str(record.body) for record in receiver.wait_for_logs(1))
    assert receiver.wait_for_metric("perfagent.resource.utilization").value > 1
    off = run_program("perfagent", "run", "python", "-c", dedent(code), env=agent_env(receiver))
    assert off.check() == "False\n"
