"""`perfagent doctor` with a hub: from the program's interpreter to the stored span, the first broken step explained."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests import otlp
from tests.hubs import Home

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

pytestmark = pytest.mark.slow

STEPS = ["interpreter", "agent", "libraries", "sampling", "destination", "hub", "receiver", "span sent", "span stored"]
LONG_TO_IMPORT = {
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "aio-pika,anthropic,botocore,clickhouse-connect,elasticsearch,openai,sanic"
}
"""test_cli.py and test_contrib.py have them, too."""


@pytest.fixture
def examined(home: Home, run_program: RunProgram) -> Any:
    """Runs the doctor and returns its exit status and its steps by name."""

    def examine(python: str = sys.executable, **env: str) -> tuple[int, dict[str, Any]]:
        program = run_program("perfagent", "doctor", python, "--output", "json", env=home.env(**LONG_TO_IMPORT, **env))
        status = program.wait(120)
        assert program.stdout, program.stderr
        return status, {step["step"]: step for step in json.loads(program.stdout[program.stdout.index("{") :])["steps"]}

    return examine


def test_a_span_of_the_programs_interpreter_is_found_in_the_store(examined: Any, home: Home) -> None:
    status, steps = examined()
    assert list(steps) == STEPS
    assert [step for step in steps.values() if step["ok"] is not True] == []
    assert status == 0
    assert "just started" in steps["hub"]["found"]
    assert "ms after it ended" in steps["span stored"]["found"]
    trace = home.get(f"traces/{steps['span sent']['found'].split()[-1]}")
    assert [(span["name"], span["service"]) for span in trace["spans"]] == [("perfagent doctor", "perfagent.doctor")]
    for listed in ("services", "processes", "agents"):
        assert home.get(listed)["items"] == []  # it is no program of anybody's
    _, steps = examined(OTEL_EXPORTER_OTLP_ENDPOINT=home.hub.address)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set" in steps["destination"]["found"]
    assert steps["span stored"]["ok"]


def test_the_sdk_pipelines_span_is_found_in_the_store_too(examined: Any) -> None:
    status, steps = examined(PERFAGENT_PIPELINE="sdk")
    assert status == 0
    assert steps["agent"]["found"] == "runs, sdk pipeline"
    assert steps["span stored"]["ok"]


@pytest.mark.parametrize(
    ("env", "step", "found", "remedy"),
    [
        ({"PERFAGENT_HUB": "off"}, "destination", "PERFAGENT_HUB=off", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_SDK_DISABLED": "true"}, "agent", "OTEL_SDK_DISABLED", "take OTEL_SDK_DISABLED out"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "sampling", "no trace is kept", "parentbased_always_on"),
        ({"PERFAGENT_HUB_DIR": "/proc/hub"}, "destination", "/proc/hub", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "destination", "gRPC", "PERFAGENT_HUB_GRPC_PORT"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_first_broken_step_is_told_with_what_to_do(
    env: dict[str, str], step: str, found: str, remedy: str, examined: Any
) -> None:
    status, steps = examined(**env)
    assert status == 1
    broken = next(one for one in steps.values() if one["ok"] is False)
    assert broken["step"] == step
    assert found in broken["found"]
    assert remedy in broken["remedy"]


def test_an_interpreter_that_does_not_exist_is_the_first_broken_step(examined: Any) -> None:
    status, steps = examined("/no/such/python")
    assert status == 1
    assert steps["interpreter"]["ok"] is False
    assert steps["agent"]["ok"] is None
    assert steps["span stored"]["ok"] is None


def test_a_hub_that_hangs_is_told_apart_from_one_that_answers(
    examined: Any, home: Home, run_program: RunProgram
) -> None:
    run_program("perfagent", "hub", "--background", env=home.env()).check()
    os.kill(home.hub.pid, signal.SIGSTOP)
    try:
        program = run_program(
            "perfagent", "doctor", sys.executable, env=home.env(**LONG_TO_IMPORT, OTEL_EXPORTER_OTLP_TIMEOUT="2000")
        )
        assert program.wait(120) == 1
    finally:
        os.kill(home.hub.pid, signal.SIGCONT)
    assert "First broken: receiver" in program.stdout
    assert "timed out" in program.stdout
    assert "hub.log" in program.stdout


def test_a_receiver_that_is_no_hub_gets_no_span_of_the_doctors(receiver: Receiver, examined: Any) -> None:
    status, steps = examined(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert status == 0
    assert "span stored" not in steps
    assert receiver.spans == []
    receiver.fault = otlp.status(404)
    status, steps = examined(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert status == 1
    assert "answered 404" in steps["receiver"]["found"]


def test_a_program_that_prints_and_warns_does_not_disturb(examined: Any, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('noise of the user')\n")
    status, _ = examined(PYTHONPATH=str(tmp_path))
    assert status == 0
