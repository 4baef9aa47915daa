"""Habits that a program had better not have: told with file and line, and gone once they are mended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.program import find_free_port
from tests.told_faults import FAULTS, insights, line_of, sending_to, start, told_of, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hub import ServedHub

KINDS = ("missing_timeout", "endless_retries", "unclosed", "session_per_call", "leaked_threads", "lost_task")


def place(name: str, text: str) -> str:
    """File and line of the only line of a program that holds a text."""
    return f"{FAULTS / name}.py:{line_of(name, text)}"


def told(hub: ServedHub, run_program: RunProgram, name: str) -> dict[str, dict[str, Any]]:
    """What the hub tells of a program's habits, by place."""
    return {one["place"].split(" ")[0]: one for one in told_of(hub, run_program, name, *KINDS)}


def test_calls_without_a_timeout_are_told_with_their_lines(hub: ServedHub, run_program: RunProgram) -> None:
    found = told(hub, run_program, "missing_timeout")
    wanted = {
        place("missing_timeout", "# the first"): "requests",
        place("missing_timeout", "# the second"): "httpx",
        place("missing_timeout", "# the third"): "urllib.request",
    }
    assert {where: one["kind"] for where, one in found.items()} == dict.fromkeys(wanted, "missing_timeout")
    for where, library in wanted.items():
        assert library in found[where]["title"]
        assert "timeout" in found[where]["recommendation"]


def test_retries_without_an_end_are_told(hub: ServedHub, run_program: RunProgram) -> None:
    found = told(hub, run_program, "endless_retries")
    loop, tenacity = place("endless_retries", "# fails"), place("endless_retries", "@tenacity.retry")
    assert {one["kind"] for one in (found[loop], found[tenacity])} == {"endless_retries"}
    assert "stop_after_attempt" in found[tenacity]["recommendation"]


def test_what_is_not_closed_is_told(hub: ServedHub, run_program: RunProgram) -> None:
    found = told(hub, run_program, "unclosed")
    assert found[place("unclosed", "# the fault")]["title"].startswith("a response is not closed")
    files = [one for one in found.values() if one["title"].startswith("a file is not closed")]
    # It is told of who lets it go: here the line that opens it.
    assert [one["place"].split(" ")[0] for one in files] == [place("unclosed", "# the other fault")]


@pytest.mark.slow
def test_a_client_for_each_call_is_told(hub: ServedHub, run_program: RunProgram) -> None:
    found = told(hub, run_program, "session_per_call")
    (one,) = found.values()
    assert (one["kind"], one["place"].split(" ")[0]) == (
        "session_per_call", place("session_per_call", "# the fault"),
    )  # fmt: skip


@pytest.mark.slow
def test_threads_that_never_end_are_told_with_the_line_that_starts_them(
    hub: ServedHub, run_program: RunProgram
) -> None:
    program = start(hub, run_program, "leaked_threads", "60", PERFAGENT_THREAD_GROWTH="3")
    (one,) = wait_for(lambda: insights(hub, "leaked_threads"), program, 50)
    assert one["place"].split(" ")[0] == place("leaked_threads", "# the fault")
    assert "watch_order" in one["steps"][0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["missing_timeout", "endless_retries", "unclosed", "session_per_call"])
def test_what_is_mended_is_told_no_more(hub: ServedHub, run_program: RunProgram, name: str) -> None:
    program = start(hub, run_program, name, "fixed")
    program.check()
    wait_for(lambda: hub.get("services")["items"], program)
    assert insights(hub, *KINDS) == []


@pytest.mark.slow
def test_a_healthy_shop_under_traffic_has_no_bad_habit(
    hub: ServedHub, run_program: RunProgram, tmp_path: Path, free_port: int
) -> None:
    """Neither the shop, nor its payment service, nor the program that visits it."""
    examples = FAULTS.parent
    paying = find_free_port()
    environ = {
        "PYTHONPATH": str(examples), "SHOP_DATABASE": str(tmp_path / "shop.db"),
        "SHOP_PAYMENT_URL": f"http://127.0.0.1:{paying}", "PERFAGENT_THREAD_GROWTH": "3",
    }  # fmt: skip
    served = []
    for application, port in (("shop.payments:app", paying), ("shop.app:app", free_port)):
        command = ("perfagent", "run", "uvicorn", application, "--port", str(port), "--log-level", "warning")
        served.append(run_program(*command, env=sending_to(hub, **environ)))
        served[-1].wait_for_port(port, 60)
    address = f"http://127.0.0.1:{free_port}"
    command = ("perfagent", "run", sys.executable, "-m", "shop.traffic", address, "--rate=8", "--seed=1", "--seconds=6")
    run_program(*command, env=sending_to(hub, **environ)).check(90)
    for program in served:
        program.terminate()
    seen = hub.get("services")["items"]
    assert seen
    assert [(one["kind"], one["place"], one["evidence"]) for one in insights(hub, *KINDS)] == []


RETRYING = """
import threading, time, urllib.request

import requests, uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/stock")
def stock():
    for _ in range(7):
        try:
            return requests.get("http://127.0.0.1:9/stock", timeout=1).text  # tries
        except requests.ConnectionError:
            time.sleep(0.01)
    return "unknown"


server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
serving = threading.Thread(target=server.run)
serving.start()
while not server.started:
    time.sleep(0.01)
base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
for _ in range(15):
    urllib.request.urlopen(base + "/stock", timeout=30).read()
server.should_exit = True
serving.join()
"""


@pytest.mark.slow
def test_what_the_traces_and_the_agent_tell_of_retries_are_joined_with_its_line(
    hub: ServedHub, run_program: RunProgram, tmp_path: Path
) -> None:
    path = tmp_path / "retrying.py"
    path.write_text(RETRYING)
    program = run_program("perfagent", "run", sys.executable, str(path), env=sending_to(hub))
    program.check()
    found = wait_for(lambda: insights(hub, "retries"), program)
    line = next(number for number, line in enumerate(RETRYING.splitlines(), 1) if "# tries" in line)
    assert {one["place"].split(" ")[0] for one in found} == {f"{path}:{line}"}
    assert all("within one request" in one["evidence"] for one in found)
    assert insights(hub, "endless_retries") == []
