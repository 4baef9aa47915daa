"""A process that takes more memory than its control group may have is killed: who did it, and at what, is told."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.flight import death
from tests.agent import agent_env
from tests.matrices import record
from tests.test_flight import APP, ask, ask_meanwhile, deaths, flights
from tests.web import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.hubs import Home
    from tests.otlp import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.nightly]  # not every machine lets one make a control group
LIMIT = 250_000_000  # bytes: several times what the program needs until it takes more and more
GROUPS = Path("/sys/fs/cgroup")


class MemoryGroup:
    """A control group of one's own with a limit of memory, of either version; removed at the end.

    Args:
        name: of its folder.
    """

    def __init__(self, name: str) -> None:
        found = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
        if "memory" in found:  # version 1: the controller has a tree of its own
            self.folder = GROUPS / "memory" / name
            self.limit, self.counts = "memory.limit_in_bytes", "memory.oom_control"
            self.folder.mkdir()
        else:
            self.folder = GROUPS / name
            self.limit, self.counts = "memory.max", "memory.events"
            with contextlib.suppress(OSError):  # where it is on, or nobody may
                (GROUPS / "cgroup.subtree_control").write_text("+memory")
            self.folder.mkdir()
        (self.folder / self.limit).write_text(str(LIMIT))

    def kills(self) -> int:
        """How many processes the kernel has killed in it."""
        return death.kills(str(self.folder / self.counts))

    def command(self, *words: str) -> tuple[str, ...]:
        """A command that enters the group and becomes another one."""
        return ("sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh", *words)

    def remove(self) -> None:
        """Waits until nobody is in it."""
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            assert time.monotonic() < deadline, (self.folder / "cgroup.procs").read_text()
            time.sleep(0.05)


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    """A group with a limit, where this user may make one."""
    try:
        made = MemoryGroup(f"perfagent-{os.getpid()}-{time.monotonic_ns()}")
    except (OSError, KeyError) as error:
        pytest.skip(f"needs a control group of memory, which this user may not make: {error}")
    yield made
    made.remove()


def hoard(port: int) -> None:
    """Asks for what takes memory without end, beside a request that waits; both connections break."""
    assert ask(port, "/items")
    waiting = ask_meanwhile(port, "/report")
    assert ask(port, "/hoard") == b""
    waiting.join(30)


def check(told: Any, pid: int) -> None:
    """The event of a process that was killed for the memory that it took."""
    assert told.attributes["process.pid"] == pid
    assert told.attributes["perfagent.process.out_of_memory"] is True
    assert LIMIT / 2 < told.attributes["perfagent.process.memory"] < LIMIT * 1.1
    requests = told.attributes["perfagent.process.requests"]
    assert any(one.startswith("GET /hoard, ") for one in requests), requests
    assert any("in with recursive n(i) as (select ?" in one for one in requests), requests


def test_the_next_start_tells_that_the_kernel_killed_a_process_for_its_memory_and_what_it_was_doing(
    group: MemoryGroup, run_program: RunProgram, receiver: Receiver, tmp_path: Path, free_port: int
) -> None:
    env = agent_env(receiver, PERFAGENT_FLIGHT_DIR=str(tmp_path))

    def start() -> Any:
        words = group.command("perfagent", "run", "python", str(APP), str(free_port))
        program = run_program(*words, env=env)
        program.wait_for_port(free_port)
        return program

    first = start()
    assert group.kills() == 0
    hoard(free_port)
    assert first.wait() == -signal.SIGKILL
    assert group.kills() == 1
    again = start()
    (told,) = deaths(receiver)
    check(told, first.pid)
    assert "Out of memory: the kernel killed a process for it" in again.stderr
    record("faults", "the kernel kills it for its memory", requests=3, received="", dropped="")
    # One that is killed by hand in the same group is no case of it.
    again.process.kill()
    again.wait()
    third = start()
    _, by_hand = deaths(receiver, 2)
    assert by_hand.attributes["process.pid"] == again.pid
    assert by_hand.attributes["perfagent.process.out_of_memory"] is False
    third.terminate()
    assert not flights(tmp_path)


def test_the_hub_tells_of_a_worker_of_gunicorn_that_the_kernel_killed_for_its_memory(
    group: MemoryGroup, run_program: RunProgram, home: Home, tmp_path: Path, free_port: int
) -> None:
    env = home.env(PERFAGENT_FLIGHT_DIR=str(tmp_path / "flights"), OTEL_BSP_SCHEDULE_DELAY="100")
    run_program("perfagent", "hub", "--background", env=env).check(60)  # outside of the group
    command = ("gunicorn", "-b", f"127.0.0.1:{free_port}", "--no-control-socket", "-w", "2", "-k", "gthread")
    words = group.command("perfagent", "run", *command, "--threads", "4", "tests.apps.dying_app:app")
    program = run_program(*words, env=env, cwd=ROOT)
    program.wait_for_port(free_port)
    assert ask(free_port, "/items")
    assert ask(free_port, "/hoard") == b""
    assert group.kills() == 1
    deadline = time.monotonic() + 60
    found: list[dict[str, object]] = []
    while not found:
        assert time.monotonic() < deadline, home.log
        time.sleep(0.1)
        found = [one for one in home.get("insights?from=-10m", timeout=60)["items"] if one["kind"] == "process_died"]
    said = str(found[0])
    assert "while it answered GET /hoard" in said
    assert "Out of memory: the kernel killed a process for it" in said
    assert program.running
    assert ask(free_port, "/items")
