"""What looks deeper stands the worst programs: they do what they do without us, and are looked at all the while."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.instruments.sqlcommenter import Commenter
from perfagent.runtime import callers, guard
from perfagent.runtime.context import current
from perfagent.runtime.db import Database, QuerySpan
from perfagent.runtime.economics import LONGEST, Watched, plain
from perfagent.runtime.economics.model import Model
from perfagent.runtime.span import Scope
from tests.agent import agent_env
from tests.fault_scenes import memory
from tests.matrices import record
from tests.test_fault_matrix import SHIM
from tests.web import ROOT

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver
    from tests.program import Program

APP = ROOT / "tests" / "apps" / "hostile_depth.py"
ALL = {
    "HOSTILE_SECONDS": "1.6",
    "PERFAGENT_BLOCKED_LOOP": "100",
    "PERFAGENT_TIME_PARTS": "true",
    "PERFAGENT_MAX_OVERHEAD": "100",  # the governor measures, and has nothing to give up
    "PERFAGENT_PROFILER_AT_ONCE": "true",
    "PERFAGENT_PROFILER_RATE": "100",
    "PERFAGENT_LEAK_INTERVAL": "0.3",
    "PERFAGENT_THREAD_GROWTH": "1",
    "PERFAGENT_EXPLAIN": "true",
    "PERFAGENT_SQLCOMMENTER": "everywhere",
    "PERFAGENT_STRICT": "false",
}
"""Everything is on, and failures of ours are told, as they are outside of tests."""
LONGEST_SPAN = 120e9  # ns that anything takes here on the slowest machine, and far less than any of the jumps


def run(run_program: RunProgram, receiver: Receiver, case: str, *words: str, **env: str) -> Program:
    """A case under the agent, which has printed what it prints bare, and not a word besides."""
    command = (sys.executable, "-m", "tests.apps.hostile_depth", case, *words)
    bare = run_program(*command, env={**ALL, **env, "HOSTILE_DB": "1"}, cwd=ROOT)
    ours = run_program(
        "perfagent", "run", *command, env=agent_env(receiver, **{**ALL, **env, "HOSTILE_DB": "2"}), cwd=ROOT
    )
    statuses = bare.wait(120), ours.wait(120)
    assert statuses == (0, 0), (bare.stderr[-2000:], ours.stderr[-2000:])
    assert ours.stdout == bare.stdout
    assert ours.stderr == bare.stderr
    return ours


def line_of(text: str) -> int:
    """The number of the only line of the program that ends with a text."""
    (number,) = [at for at, line in enumerate(APP.read_text().splitlines(), 1) if line.endswith(text)]
    return number


def notices(receiver: Receiver, kind: str) -> list[dict[str, Any]]:
    """What was noticed of a kind, by the attributes."""
    return [dict(one.attributes) for one in receiver.logs if one.event_name == f"perfagent.{kind}"]


def blocked_lines(receiver: Receiver) -> set[int]:
    """The lines of the program that are told to have blocked its loop."""
    return {int(one["code.line.number"]) for one in notices(receiver, "blocked_loop")}


def looked_to_the_end(receiver: Receiver) -> None:
    """Asserts that what the program did last was still looked at, and that no time of anything is impossible."""
    assert line_of("# this line") in blocked_lines(receiver)
    assert receiver.spans
    assert all(0 <= span.end - span.start < LONGEST_SPAN for span in receiver.spans)


@pytest.mark.slow
def test_keys_that_raise_lie_or_are_large_do_no_harm_and_the_others_are_told(
    run_program: RunProgram, receiver: Receiver, redis_url: str
) -> None:
    run(run_program, receiver, "keys", redis_url.rpartition(":")[2].partition("/")[0])
    told = [one for one in notices(receiver, "cache.economics") if "perfagent.cache.shape" not in one]
    gets: Counter[str] = Counter()
    for one in told:
        gets[one["cache.system"]] += one["perfagent.cache.gets"]
    assert gets["django"] >= 3 * 2 * 8  # of 16 kinds; what is of a class of the program's is left out
    assert gets["redis"] >= 3 * 4 * 7
    assert "hostile" not in json.dumps(told, default=str)


@pytest.mark.slow
def test_proxies_and_lazy_modules_are_not_touched(run_program: RunProgram, receiver: Receiver) -> None:
    program = run(run_program, receiver, "proxies")
    assert "[] _LazyModule" in program.stdout
    shapes = {one.get("perfagent.cache.shape", "") for one in notices(receiver, "cache.economics")}
    assert any(shape.startswith("user") for shape in shapes), shapes
    assert line_of("proxy(0.3)") in blocked_lines(receiver) or line_of("time.sleep(seconds)") in blocked_lines(receiver)


@pytest.mark.slow
def test_code_with_odd_globals_and_names_is_told_of(run_program: RunProgram, receiver: Receiver) -> None:
    run(run_program, receiver, "frames")
    samples = receiver.wait_for_samples()
    names = {frame.name for sample in samples for frame in sample.stack}
    assert any(name.startswith("caf") for name in names), names
    assert max(len(str(sample.attributes.get("thread.name", ""))) for sample in samples) <= 200


@pytest.mark.slow
def test_whatever_habits_are_looked_for_by_may_be_anything(run_program: RunProgram, receiver: Receiver) -> None:
    program = run(run_program, receiver, "habits")
    assert program.stdout.count("well\n") == 8  # httpx takes from a program's transport whatever time-out that likes
    found = notices(receiver, "unclosed")
    assert {one["perfagent.unclosed.what"] for one in found} <= {"object", "socket", "file", "response"}
    # The notices of what the program made up are one: whoever writes a number into each message fills nothing.
    assert len(found) < 10
    threads = {one["perfagent.leaked_threads.target"] for one in notices(receiver, "leaked_threads")}
    assert all(name.startswith(("__main__.habits.", "time.")) for name in threads), threads


@pytest.mark.slow
def test_functions_that_a_program_replaces_stop_nothing(run_program: RunProgram, receiver: Receiver) -> None:
    run(run_program, receiver, "replaced")
    looked_to_the_end(receiver)
    now = time.time()
    assert all(abs(span.start / 1e9 - now) < 3600 for span in receiver.spans)


@pytest.mark.slow
def test_time_that_is_frozen_stops_nothing(run_program: RunProgram, receiver: Receiver) -> None:
    """freezegun puts its clocks into all modules that have imported the real ones."""
    program = run(run_program, receiver, "frozen")
    assert program.stdout.count("\n{(0, 42") == 6
    assert "1326542401.0 1326542401000000000 1326542401.0" in program.stdout  # it is frozen for the program
    looked_to_the_end(receiver)
    now = time.time()
    assert all(abs(span.start / 1e9 - now) < 3600 for span in receiver.spans)
    assert all(abs(one.time / 1e9 - now) < 3600 for one in receiver.logs)


@pytest.mark.nightly
def test_no_room_on_the_stack_is_no_failure_of_ours(run_program: RunProgram, receiver: Receiver) -> None:
    run(run_program, receiver, "shallow", HOSTILE_SECONDS="3")
    looked_to_the_end(receiver)


@pytest.mark.nightly
def test_no_memory_while_the_agent_looks_is_no_failure_of_ours(run_program: RunProgram, receiver: Receiver) -> None:
    run(run_program, receiver, "exhausted", HOSTILE_SECONDS="3")
    looked_to_the_end(receiver)


@pytest.mark.nightly
def test_thousands_of_cancelled_tasks_of_an_odd_class_are_looked_at(
    run_program: RunProgram, receiver: Receiver
) -> None:
    program = run(run_program, receiver, "tasks", HOSTILE_SECONDS="4")
    assert program.stdout.startswith("6000\n")
    assert line_of("# this line") in blocked_lines(receiver)
    waiting = [sample for sample in receiver.samples if "wait" in str(sample.attributes.get("perfagent.task", ""))]
    assert waiting


@pytest.mark.nightly
def test_a_clock_that_is_set_while_all_is_looked_at(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "shim.c").write_text(SHIM)
    shim, jump = tmp_path / "shim.so", tmp_path / "jump"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, tmp_path / "shim.c", "-ldl"], check=True)
    jump.write_text("0")
    run(run_program, receiver, "jumping", LD_PRELOAD=str(shim), CLOCK_JUMP=str(jump), HOSTILE_SECONDS="4")
    looked_to_the_end(receiver)
    assert receiver.samples
    assert all(0 <= value < LONGEST_SPAN for sample in receiver.samples for value in sample.values)
    assert all(0 < sample.duration < LONGEST_SPAN for sample in receiver.samples)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_million_keys_and_parameters_take_little_memory(run_program: RunProgram, receiver: Receiver) -> None:
    number = os.environ.get("PERFAGENT_HOSTILE_NUMBER", "1000000")
    words = (sys.executable, "-m", "tests.apps.hostile_depth", "distinct", number)
    took, peaks, programs = [], [], []
    for command, env in ((words, {}), (("perfagent", "run", *words), agent_env(receiver, **ALL))):
        began = time.monotonic()
        program = run_program(*command, env=env, cwd=ROOT)
        peak = 0.0
        while program.running:
            peak = max(peak, memory(program.pid, "VmHWM"))
            time.sleep(0.02)
            assert time.monotonic() - began < 900
        took.append(time.monotonic() - began)
        peaks.append(peak)
        programs.append(program)
    bare, ours = programs
    assert (ours.wait(), ours.stdout, ours.stderr) == (bare.wait(), bare.stdout, bare.stderr)
    taken = peaks[1] - peaks[0]
    assert taken < 60, f"{taken:.0f} MB"
    (told,) = [one for one in notices(receiver, "cache.economics") if "perfagent.cache.shape" not in one][-1:]
    assert told["perfagent.cache.watched"] < 1  # of so many keys some
    record(
        "faults", f"{int(number):,} distinct keys and parameters, everything on", memory_mb=round(taken, 1),
        bare_s=round(took[0], 1), agent_s=round(took[1], 1),
    )  # fmt: skip


# The parts.


def test_the_flight_recorder_looks_at_a_statement_that_just_begins(run_text: RunText) -> None:
    """It is the one that its request runs before its clock has been read."""
    run_text("""
        from perfagent.runtime import flight
        from perfagent.runtime.db import Database, QuerySpan
        from perfagent.runtime.http import ServerSpan
        from perfagent.runtime.span import Scope

        request = ServerSpan(Scope("test"), None, "GET", "http", "/kept", "1.1", b"localhost", b"", None)
        begins = QuerySpan(Scope("test"), request, Database("sqlite"), "select 1")
        assert flight.running[request.slot] is begins
        request.started -= 10_000_000_000
        del begins.started
        flight.recorder._look_at_requests()
        assert flight.recorder._noted[request.slot].startswith(request.span_id + b"0 ")
    """)


class Raising(str):
    """A text of a program's class."""

    def __hash__(self) -> int:
        raise ZeroDivisionError

    __eq__ = __len__ = __getitem__ = __str__ = __hash__  # type: ignore[assignment]


class Odd:
    """An object that nobody can tell from another without its code."""

    def __hash__(self) -> int:
        raise ZeroDivisionError


def test_a_key_is_known_without_the_programs_code() -> None:
    assert plain(Raising("user:1")) == "user:1"
    assert type(plain(Raising("user:1"))) is str
    assert plain(memoryview(bytearray(b"user:1"))) == plain(bytearray(b"user:1")) == b"user:1"
    assert plain(17) == "17"
    assert plain(1.5) == plain(1.5) != plain(2.5)
    assert plain(Odd()) is None
    assert plain(["a"]) == plain(["a"]) is not None


def test_a_long_key_is_known_and_not_kept() -> None:
    watched = Watched("django", "default")
    model = Model(watched)
    for _ in range(3):
        for key in ("k" * 1_000_000, "l" * 1_000_000, b"k" * 1_000_000):
            watched.lookup(key, True, 1, 2)
    assert max(len(event[2]) for event in watched.events) <= LONGEST
    model.take()
    assert len(model.keys) == 2  # bytes hash as their text does
    assert sum(tally.gets for tally in model.tallies.values()) == 9


@pytest.mark.parametrize("given", [{"args": ()}, {"params": ()}, {"vars": {}}])
def test_a_comment_is_escaped_wherever_the_driver_formats(
    given: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is given no parameters by an empty tuple formats the statement all the same."""
    monkeypatch.setattr(Commenter, "comment", lambda *_: "/*route='%2Fcart'*/")
    token = current.set(QuerySpan(Scope("perfagent.tests"), None, Database("mysql"), "select 1"))
    try:
        (text,), _ = Commenter("pymysql", "route")._commented(("select 1",), given, "query")
    finally:
        current.reset(token)
    assert text % () == "select 1 /*route='%2Fcart'*/"


class UnprintableError(Exception):
    """It raises when it is told."""

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("error", [UnprintableError(), ValueError("odd")], ids=["unprintable", "plain"])
@pytest.mark.parametrize("stderr", ["closed", "gone", "raising"])
def test_a_failure_of_ours_that_cannot_be_told_stays_ours(
    error: Exception, stderr: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Settings:
        strict = False

    class File:
        def write(self, text: str) -> None:
            raise error

    with open(os.devnull, "w") as closed:
        pass
    monkeypatch.setattr(guard.settings, "current", Settings)
    monkeypatch.setattr(guard, "failures", {})
    monkeypatch.setattr(guard, "_told", set())
    monkeypatch.setattr(sys, "stderr", {"closed": closed, "gone": None, "raising": File()}[stderr])
    for _ in range(2):
        try:
            raise error
        except Exception:
            guard.failed("test")
    assert guard.failures == {"test": 2}
    assert capsys.readouterr().out == ""


def test_a_digest_never_fails() -> None:
    class Meta(type):
        @property
        def __module__(cls) -> str:  # type: ignore[override]
            raise ZeroDivisionError

    class Value(metaclass=Meta):
        pass

    assert callers.digest((Value(),)) is None
