"""Breakers that processes share by a real Redis; and what /breaker and /metrics tell of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perfagent import CircuitOpenError, get_breaker
from perfagent.resilience import breakers
from perfagent.resilience.breakers import _Book
from perfagent.resilience.breakers.configuration import Configuration, Rules
from tests.agent import agent_env
from tests.servers import running_redis
from tests.test_breakers import DownError, fail, until_it_may_try

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfagent.resilience.breakers import Breaker
    from tests.conftest import RunProgram
    from tests.otlp import Receiver
    from tests.program import Program


@pytest.fixture
def name() -> Iterator[str]:
    yield f"shared-{uuid.uuid4()}"
    breakers._book.use(Configuration(Rules(), {}))


def process(url: str, recovery: float = 0.4) -> _Book:
    """What another process has: its own breakers, and a connection of its own."""
    book = _Book()
    book.use(Configuration(Rules(3, recovery), {}, url))
    return book


def until(breaker: Breaker, state: str) -> None:
    deadline = time.monotonic() + 60
    while breaker.state != state:
        assert time.monotonic() < deadline, breaker.state
        time.sleep(0.02)


def fail_once(breaker: Breaker) -> None:
    with pytest.raises(DownError):
        breaker(fail)()


def test_failures_of_all_processes_count_together_and_open_it_for_all(redis_url: str, name: str) -> None:
    here, there = process(redis_url, 30).breaker(name, {}), process(redis_url, 30).breaker(name, {})
    fail_once(here)
    fail_once(there)
    assert here.state == there.state == "closed"
    fail_once(here)
    assert here.state == "open"
    until(there, "open")
    with pytest.raises(CircuitOpenError):
        there(fail)()


def test_of_all_processes_one_tries_and_its_success_closes_it_for_all(redis_url: str, name: str) -> None:
    here, there = process(redis_url).breaker(name, {}), process(redis_url).breaker(name, {})
    for _ in range(3):
        fail_once(here)
    until(there, "open")
    until_it_may_try(here)
    trial = here.admit()
    assert trial
    with pytest.raises(CircuitOpenError):
        there.admit()
    here.done(trial, None)
    assert here.state == "closed"
    until(there, "closed")
    assert there(lambda: 1)() == 1


def test_a_success_anywhere_begins_the_count_anew(redis_url: str, name: str) -> None:
    here, there = process(redis_url).breaker(name, {}), process(redis_url).breaker(name, {})
    fail_once(here)
    fail_once(here)
    deadline = time.monotonic() + 60
    while there._context.failure_count != 2:
        assert there.state == "closed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    there(lambda: 1)()
    fail_once(here)  # it knows of its own two, but Redis counts from one again
    assert there.state == "closed"


def test_without_redis_every_process_goes_on_alone(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfagent.resilience.breakers.storage.DOWN", 0.1)
    with running_redis() as (url, _):
        book = process(url)
        breaker = book.breaker(name, {})
        fail_once(breaker)
    for _ in range(3):
        if breaker.state == "closed":
            fail_once(breaker)
    assert breaker.state == "open"
    until_it_may_try(breaker)
    assert breaker(lambda: 1)() == 1
    assert breaker.state == "closed"
    told = [record.message for record in caplog.records if record.name == "perfagent.breakers"]
    assert told == ["circuit breakers are not shared for now, Redis is away: ConnectionError"]


async def _nothing() -> int:
    return 1


def test_tasks_use_it_too(redis_url: str, name: str) -> None:
    import asyncio

    async def run() -> None:
        breaker = process(redis_url, 30).breaker(name, {})
        assert await breaker(_nothing)() == 1
        for _ in range(3):
            with pytest.raises(DownError):
                async with breaker:
                    raise DownError
        with pytest.raises(CircuitOpenError):
            await breaker(_nothing)()

    asyncio.run(run())


def test_the_address_comes_from_the_environment_before_the_file(
    redis_url: str, run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/circuit-breakers.yaml").write_text("storage: redis://nowhere.invalid:1/0\n")
    code = "from perfagent import get_breaker; print(get_breaker('x')._shared.shared('x'))"
    env = {"CIRCUIT_BREAKERS_STORAGE": redis_url}
    assert run_program(sys.executable, "-c", code, cwd=tmp_path, env=env).check() == "('closed', None, 0)\n"


FORKING = """
import os, sys, time
from perfagent import circuit_breaker
def work(times):
    breaker = circuit_breaker("payments", failure_threshold=1, recovery_time=60)
    for _ in range(times):
        try:
            with breaker:
                raise OSError
        except Exception:
            pass
    circuit_breaker("mail")
children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        work(3)
        print("done", flush=True)
        time.sleep(60)
        os._exit(0)
    children.append(pid)
work(0)
print("ready", flush=True)
time.sleep(60)
"""


def answer(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as found:
        return found.read().decode()


@pytest.mark.slow
def test_the_page_of_the_process_adds_up_its_workers(run_program: RunProgram, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(FORKING)
    env = {
        "OTEL_METRICS_EXPORTER": "prometheus", "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port), "PERFAGENT_STRICT": "true", "TMPDIR": str(tmp_path),
    }  # fmt: skip
    program = run_program("perfagent", "run", sys.executable, str(tmp_path / "prog.py"), env=env, cwd=tmp_path)
    program.wait_until(lambda: program.stdout.count("\n") == 3, "the children did not work")
    expected = {
        "mail": {"open": 0, "half_open": 0, "closed": 0},
        "payments": {"open": 2, "half_open": 0, "closed": 0},
    }
    program.wait_until(lambda: json.loads(answer(free_port, "/breaker")) == expected, "not what was expected")
    samples = {
        (sample.name, sample.labels.get("name"), sample.labels.get("state")): sample.value
        for family in text_string_to_metric_families(answer(free_port, "/metrics"))
        for sample in family.samples
    }
    assert samples["circuit_breaker_state_transitions_total", "payments", "open"] == 2
    assert samples["circuit_breaker_rejected_calls_total", "payments", None] == 4


def test_the_metrics_arrive_by_otlp_under_their_names(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    code = FORKING.partition("children")[0] + "work(3)"
    program: Program = run_program(
        "perfagent", "run", sys.executable, "-c", code, env=agent_env(receiver), cwd=tmp_path
    )
    program.check()
    found = {
        (point.attributes["name"], point.attributes["state"]): point.value
        for point in receiver.metric("circuit_breaker_state_transitions_total")
    }
    assert found["payments", "open"] == 1
    assert found["payments", "half_open"] == found["mail", "open"] == 0


def test_importing_perfagent_imports_no_breakers() -> None:
    code = "import sys, perfagent; print([m for m in sys.modules if 'resilience' in m or 'purgatory' in m])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_public_name_is_the_one_of_the_package() -> None:
    assert get_breaker is breakers.get_breaker
