"""Error budgets of served programs: workers share one, the agent counts 5xx answers, and the hub tells of it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.agent import agent_env
from tests.hub import gauge, metrics, resource
from tests.program import clean_environment
from tests.test_budgets import kept
from tests.test_rules import promtool
from tests.test_rules_hub import found, minutes, total

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.otlp import Receiver
    from tests.program import Program

pytestmark = pytest.mark.slow

APP = """
import os
from perfagent import get_remaining_budget, record_error

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/error":
        record_error("shop-own")
    if path == "/left":
        body = f"{os.getpid()} {get_remaining_budget('shop-own')} {get_remaining_budget('shop')}".encode()
    else:
        body = str(os.getpid()).encode()
    start_response("500 Oops" if path in ("/error", "/oops") else "200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def get(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


@pytest.fixture
def served(run_program: RunProgram, receiver: Receiver, tmp_path: Path, free_port: int) -> Program:
    """A prefork server with two workers under the agent; it listens on `free_port`."""
    (tmp_path / "shop.py").write_text(APP)
    env = agent_env(
        receiver,
        ERROR_BUDGETS="shop=1000,shop-own=500",
        ERROR_BUDGET_DIR=str(tmp_path / "budgets"),
        OTEL_SERVICE_NAME="shop",
    )
    command = ("gunicorn", "-w", "2", "-b", f"127.0.0.1:{free_port}", "shop:app")
    program = run_program("perfagent", "run", *command, env=env, cwd=tmp_path)
    program.wait_for_port(free_port)
    return program


def test_two_workers_share_a_budget_and_count_exactly(
    served: Program, receiver: Receiver, tmp_path: Path, free_port: int
) -> None:
    workers: set[str] = set()
    asked = 0
    deadline = time.monotonic() + 60
    while len(workers) < 2 or asked < 100:
        workers.add(get(free_port, "/error"))
        asked += 1
        assert time.monotonic() < deadline
    oops = 37
    for _ in range(oops):
        get(free_port, "/oops")
    expected = {f"{worker} {500 - asked} {1000 - asked - oops}" for worker in workers}
    seen: set[str] = set()

    def both_know() -> bool:
        seen.add(get(free_port, "/left"))
        return expected <= seen

    served.wait_until(both_know, f"not {expected}", 30)
    assert served.terminate() == 0
    assert kept(tmp_path / "budgets", "shop-own") == asked
    assert kept(tmp_path / "budgets", "shop") == asked + oops
    assert receiver.wait_for_metric(
        "service_error_budget_remaining", where=lambda point: point.value == 1000 - asked - oops
    ).attributes == {"service": "shop"}
    assert {point.value for point in receiver.metric("service_error_budget_limit")} == {1000, 500}


def test_a_service_that_is_not_named_is_not_counted(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path, free_port: int
) -> None:
    (tmp_path / "shop.py").write_text(APP)
    env = agent_env(receiver, ERROR_BUDGETS="another=10", ERROR_BUDGET_DIR=str(tmp_path / "budgets"))
    program = run_program(
        "perfagent", "run", "gunicorn", "-b", f"127.0.0.1:{free_port}", "shop:app", env=env, cwd=tmp_path
    )
    program.wait_for_port(free_port)
    for _ in range(3):
        get(free_port, "/oops")
    assert program.terminate() == 0
    assert list(tmp_path.glob("budgets/*")) == []


def test_metrics_are_shown_to_prometheus_under_their_names(
    run_program: RunProgram, tmp_path: Path, free_port: int
) -> None:
    code = "from perfagent import record_error\nrecord_error('api', 4)\nimport time\ntime.sleep(60)"
    env = {
        "OTEL_METRICS_EXPORTER": "prometheus", "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port), "ERROR_BUDGET_DIR": str(tmp_path), "PERFAGENT_STRICT": "true",
        "TMPDIR": str(tmp_path),
    }  # fmt: skip
    program = run_program("perfagent", "run", sys.executable, "-c", code, env=env)
    program.wait_for_port(free_port)
    seen: dict[str, float] = {}

    def counted() -> bool:
        text = get(free_port, "/metrics")
        for family in text_string_to_metric_families(text):
            seen.update({one.name: one.value for one in family.samples if one.labels.get("service") == "api"})
        return seen.get("service_errors_total") == 4

    program.wait_until(counted, "not counted")
    assert seen["service_error_budget_remaining"] == 996
    assert seen["service_error_budget_limit"] == 1000


def test_an_exhausted_budget_is_an_alert_of_the_hub(hub: ServedHub, run_program: RunProgram, tmp_path: Path) -> None:
    code = "from perfagent import record_error\nrecord_error('api', 100)\nimport time\ntime.sleep(100)"
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": hub.url, "OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_SERVICE_NAME": "shop",
        "ERROR_BUDGETS": "api=100,worker=50", "ERROR_BUDGET_DIR": str(tmp_path), "PERFAGENT_STRICT": "true",
    }  # fmt: skip
    program = run_program("perfagent", "run", sys.executable, "-c", code, env=env)

    def told() -> list[tuple[str, str, str, float]]:
        return [
            (one["rule"], one["service"], one["severity"], one["value"])
            for one in hub.alerts(hours=1)
            if one["rule"] == "error_budget_remaining_percent"
        ]

    program.wait_until(lambda: bool(told()), "no alert", 100)
    assert told() == [("error_budget_remaining_percent", "shop", "critical", 0)]


def test_a_budget_that_was_spent_before_a_restart_is_as_exhausted_after_it(hub: ServedHub) -> None:
    for ago in minutes():
        for worker in ("a", "b"):  # who share the budgets: each tells what is left to all
            hub.send(
                "metrics",
                metrics(
                    resource("shop", worker),
                    gauge("service_error_budget_remaining", 0, ago=ago, service="api"),
                    gauge("service_error_budget_limit", 100, ago=ago, service="api"),
                    total("service_errors_total", 0, ago, service="api"),
                    gauge("service_error_budget_remaining", 30, ago=ago, service="worker"),
                    gauge("service_error_budget_limit", 100, ago=ago, service="worker"),
                    total("service_errors_total", 5000, ago, service="worker"),
                ),
            )
    assert found(hub) == {"error_budget_remaining_percent": ("critical", 0)}


def test_the_rules_of_prometheus_know_shared_and_kept_budgets() -> None:
    promtool("test", "rules", "collector/prometheus/tests/error_budget_alerts_test.yml")


FAILING = {
    "a folder that nobody may write": ("/proc/budgets", ""),
    "a disk that is full": ("", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"),
}


@pytest.mark.parametrize("case", FAILING)
def test_what_cannot_be_written_is_told_once_and_the_program_goes_on(
    run_program: RunProgram, tmp_path: Path, case: str
) -> None:
    folder, first = FAILING[case]
    code = f"""{first}
import time
from perfagent import record_error, get_remaining_budget
for _ in range(3):
    record_error("api")
    time.sleep(1.1)
print(get_remaining_budget("api"))"""
    # Its output goes to a file, too, which a full disk does not take: a pipe it is.
    env = {**clean_environment(), "ERROR_BUDGET_DIR": folder or str(tmp_path / "budgets")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "997\n"
    assert done.stderr.count("cannot be written, errors are counted in this process alone (") == 1
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*") if path.suffix not in (".lock", "")] == []
