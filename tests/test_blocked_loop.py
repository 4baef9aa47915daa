"""What blocks an event loop: named with its line while it blocks, with the request that suffers."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env
from tests.browser import Visit
from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.conftest import RunProgram, RunText
    from tests.hub import ServedHub
    from tests.otlp import Receiver

ON = {"PERFAGENT_BLOCKED_LOOP": "100"}  # other tests' programs do not look for it
PLACE = f"{FAULTS / 'blocked_loop.py'}:{line_of('blocked_loop', 'time.sleep(self.seconds)')}"


def _blocking(hub: ServedHub, run_program: RunProgram) -> dict[str, Any]:
    """What the hub tells of the program that blocks its loop, after five times; it has ended then."""
    program = start(hub, run_program, "blocked_loop", "200")
    (told,) = wait_for(lambda: [one for one in insights(hub, "blocked_loop") if one["metrics"]["times"] >= 5], program)
    program.terminate()
    found: dict[str, Any] = told
    return found


def _trace(hub: ServedHub, told: dict[str, Any]) -> dict[str, Any]:
    """A trace of it, once its request is in the hub."""
    found: dict[str, Any] = hub.get(f"traces/{told['traces'][0]}")
    assert any(span["kind"] == "server" for span in found["spans"])
    return found


def test_a_sleep_in_an_async_function_is_told_with_its_line_and_its_request(
    hub: ServedHub, run_program: RunProgram
) -> None:
    told = _blocking(hub, run_program)
    assert told["place"].split(" ")[0] == PLACE
    assert "it sleeps" in told["evidence"]
    assert "asyncio.sleep" in told["recommendation"]
    assert 200 <= told["metrics"]["worst_ms"] < 5000  # a sleep of 300 ms, on a machine that may be busy
    lines = told["stack"].splitlines()
    assert lines[-1].endswith("in wait")
    assert any(line.endswith("in rate") for line in lines[:-1])
    # The request that does it, with the moment.
    trace = _trace(hub, told)
    (request,) = [span for span in trace["spans"] if span["kind"] == "server"]
    assert request["name"] == "GET /rates/{currency}"
    (event,) = [event for event in request["events"] if event["name"] == "perfagent.loop.blocked"]
    assert request["offset_ms"] <= event["offset_ms"] <= request["offset_ms"] + request["duration_ms"]
    assert event["attributes"]["code.line.number"] == int(PLACE.rpartition(":")[2])
    assert event["attributes"]["perfagent.loop.blocked.kind"] == "sleep"


BLOCKS = """
    import asyncio, socket, sqlite3, subprocess, sys, threading, time

    class Slow:
        def __init__(self):
            self.base = sqlite3.connect(":memory:", check_same_thread=False)
            self.base.create_function("nap", 0, lambda: time.sleep(0.3) or 1)
            self.lock = threading.Lock()

        def sleeps(self):
            time.sleep(0.3)  # sleep

        def queries(self):
            self.base.execute("SELECT nap()").fetchall()

        def runs(self):
            subprocess.run(["sleep", "0.3"], check=True)  # process

        def waits(self):
            threading.Timer(0.3, self.lock.release).start()
            self.lock.acquire()
            self.lock.acquire()  # lock
            self.lock.release()

        def connects(self):
            server = socket.create_server(("127.0.0.1", 0))
            client = socket.create_connection(server.getsockname())
            client.settimeout(0.3)
            try:
                client.recv(1)  # socket
            except TimeoutError:
                pass
            client.close()
            server.close()

        def computes(self):
            end = time.thread_time() + 0.4
            while time.thread_time() < end:
                sum(range(500))  # cpu

    async def watched():
        from perfagent.runtime.watch import watch
        while not any(look.name == "blocked loops" for look in watch.looks.copy()):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)

    async def main(names):
        slow = Slow()
        await watched()
        for name in names:
            getattr(slow, name)()
            await asyncio.sleep(0.2)

    NAMES = ("sleeps", "runs", "waits", "connects")
"""


def _told(receiver: Receiver) -> dict[str, str]:
    """The kind of each block that was told, by function."""
    records = [one for one in receiver.logs if one.event_name == "perfagent.blocked_loop"]
    return {
        str(one.attributes["code.function.name"]).rpartition(".")[2]: str(one.attributes["perfagent.blocked_loop.kind"])
        for one in records
    }


def _told_first(run_program: RunProgram, receiver: Receiver, tmp_path: Path, text: str) -> dict[str, str]:
    """As `_told`, of a program that goes on until something is: a busy machine gives what computes too little of its
    processors to be blamed each time.
    """
    path = tmp_path / "prog.py"
    path.write_text(dedent(text))
    program = run_program("perfagent", "run", sys.executable, str(path), env=agent_env(receiver, **ON))
    program.wait_until(lambda: bool(_told(receiver)), "no block was told", 60)
    return _told(receiver)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_each_kind_of_block_is_told_by_its_name(run_text: RunText, receiver: Receiver, loop: str) -> None:
    run = f"import {loop}\n    {loop}.run(main(NAMES))"
    run_text(f"{BLOCKS}\n    {run}\n", **ON)
    assert _told(receiver) == {"sleeps": "sleep", "runs": "process", "waits": "lock", "connects": "socket"}


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_computes_is_told_as_such(run_program: RunProgram, receiver: Receiver, tmp_path: Path, loop: str) -> None:
    run = f"import {loop}\n    {loop}.run(main(['computes'] * 60))"
    assert _told_first(run_program, receiver, tmp_path, f"{BLOCKS}\n    {run}\n") == {"computes": "cpu"}


@pytest.mark.slow
def test_loops_of_several_threads_are_told_apart(run_text: RunText, receiver: Receiver) -> None:
    text = f"""{BLOCKS}
    loops = [threading.Thread(target=asyncio.run, args=(main([name] * 3),)) for name in ("sleeps", "waits")]
    for one in loops:
        one.start()
    for one in loops:
        one.join()
    """
    run_text(text, **ON)
    assert _told(receiver) == {"sleeps": "sleep", "waits": "lock"}


@pytest.mark.slow
def test_many_short_callbacks_in_a_row_are_told_as_such(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    text = f"""{BLOCKS}
    async def short():
        end = time.thread_time() + 0.004
        while time.thread_time() < end:
            pass

    async def main():
        await watched()
        for _ in range(60):
            await asyncio.gather(*(short() for _ in range(120)))
            await asyncio.sleep(0.1)

    asyncio.run(main())
    """
    assert set(_told_first(run_program, receiver, tmp_path, text).values()) == {"callbacks"}


@pytest.mark.slow
def test_a_block_is_found_by_its_length(run_program: RunProgram, receiver: Receiver, tmp_path: Path) -> None:
    text = f"""{BLOCKS}
    def long():
        time.sleep(0.25)

    def short():
        began = time.monotonic()
        time.sleep(0.04)
        return time.monotonic() - began > 0.08  # on a busy machine

    async def main():
        await watched()
        longer = 0
        for number in range(400):
            long()
            await asyncio.sleep(0.06)
            longer += short()
            print(number + 1, longer, flush=True)
            await asyncio.sleep(0.06)

    asyncio.run(main())
    """
    path = tmp_path / "prog.py"
    path.write_text(dedent(text))
    program = run_program("perfagent", "run", sys.executable, str(path), env=agent_env(receiver, **ON))

    def counted(name: str) -> int:
        records = [one for one in receiver.logs if one.event_name == "perfagent.blocked_loop"]
        told = [one.attributes for one in records if one.attributes["code.function.name"] == name]
        return sum(int(str(one["perfagent.notice.count"])) for one in told)

    program.wait_until(lambda: counted("long") >= 10, "ten long ones were not told")
    many, longer = map(int, program.stdout.splitlines()[-1].split())
    # From 125 ms on each is found: those told at once are the first, the second, the fifth and the tenth.
    assert counted("long") >= many / 3
    assert counted("short") <= longer
    lengths = [float(str(one.attributes["perfagent.blocked_loop.worst_seconds"])) for one in receiver.logs]
    assert max(lengths) >= 0.22


@pytest.mark.slow
def test_the_page_shows_the_line_its_stack_and_the_moment(
    hub: ServedHub, run_program: RunProgram, browser: Browser
) -> None:
    told = _blocking(hub, run_program)
    _trace(hub, told)
    with Visit(browser, hub) as visit:
        page = visit.open("overview")
        item = page.locator(".finding", has_text="blocked_loop.py").first
        item.locator(".finding-more > summary").click()
        item.locator(".stack > summary").click()
        assert "in wait" in item.locator("pre").inner_text()
        visit.open(f"traces/{told['traces'][0]}", "trace")
        assert page.locator(".bar-blocked").count() >= 1
        (process,) = hub.get("processes")["items"]
        visit.open(f"processes/{process['instance']}", "process")
        page.wait_for_selector("text=What blocks the event loop")
        visit.check()
