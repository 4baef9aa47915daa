"""`perfagent config` and `perfagent doctor` tell the truth about this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import otlp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver


def test_config_tells_where_each_value_comes_from(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "perfagent.toml").write_text('otel_service_name = "filed"\nquiet = true\notel_bsp_max_queue_size = 5\n')
    env = {"OTEL_BSP_MAX_QUEUE_SIZE": "7", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret"}
    program = run_program("perfagent", "config", "--output", "json", env=env, cwd=tmp_path)
    rows = {row["name"]: row for row in json.loads(program.check())["settings"]}
    assert rows["OTEL_SERVICE_NAME"]["value"] == "filed"
    assert rows["OTEL_SERVICE_NAME"]["origin"].endswith("perfagent.toml")
    assert rows["PERFAGENT_QUIET"]["value"] is True
    assert (rows["OTEL_BSP_MAX_QUEUE_SIZE"]["value"], rows["OTEL_BSP_MAX_QUEUE_SIZE"]["origin"]) == (
        7,
        "OTEL_BSP_MAX_QUEUE_SIZE",
    )
    assert rows["OTEL_TRACES_SAMPLER"]["origin"] == "default"
    assert "s3cret" not in program.stdout


def test_a_settings_file_has_what_differs_by_environment(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "perfagent.toml").write_text(
        'namespace = "shop"\notel_metric_export_interval = 15000\n'
        "[environments.production]\notel_metric_export_interval = 60000\n[environments.test]\nquiet = true\n"
    )

    def config(**env: str) -> dict[str, tuple[object, str]]:
        program = run_program("perfagent", "config", "--output", "json", env=env, cwd=tmp_path)
        rows = json.loads(program.check())["settings"]
        return {row["name"]: (row["value"], row["origin"].rpartition("/")[2]) for row in rows}

    production = config(PERFAGENT_ENVIRONMENT="production")
    assert production["OTEL_METRIC_EXPORT_INTERVAL"] == (60_000, "perfagent.toml [environments.production]")
    assert production["PERFAGENT_NAMESPACE"] == ("shop", "perfagent.toml")
    assert production["PERFAGENT_QUIET"] == (False, "default")
    assert config()["OTEL_METRIC_EXPORT_INTERVAL"] == (15_000, "perfagent.toml")
    attributes = "team=a, deployment.environment.name=test"
    assert config(OTEL_RESOURCE_ATTRIBUTES=attributes)["PERFAGENT_QUIET"][0] is True
    program = run_program("perfagent", "config", env={"PERFAGENT_ENVIRONMENT": "prod"}, cwd=tmp_path)
    assert program.wait() == 1
    told = "has nothing for PERFAGENT_ENVIRONMENT='prod': it has [environments.…] for production, test"
    assert program.stderr.count(told) == 1


def test_a_program_tells_the_environment_that_it_runs_in(run_program: RunProgram, receiver: Receiver) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "PERFAGENT_ENVIRONMENT": "production"}
    code = "import sqlite3; sqlite3.connect(':memory:').execute('select 1')"
    run_program("perfagent", "run", sys.executable, "-c", code, env=env).check()
    (span,) = receiver.wait_for_spans(1)
    assert span.resource["deployment.environment.name"] == "production"


def test_config_reads_pyproject_and_says_when_it_is_broken(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.perfagent]\notel_service_name = "project"\n')
    assert "OTEL_SERVICE_NAME = project" in run_program("perfagent", "config", "--set", cwd=tmp_path).check()
    (tmp_path / "pyproject.toml").write_text("[tool.perfagent]\nbroken")
    program = run_program("perfagent", "config", "--set", cwd=tmp_path)
    assert program.wait() == 1
    assert "not valid TOML" in program.stderr


def test_a_malformed_header_setting_is_named_without_its_value(run_program: RunProgram) -> None:
    program = run_program("perfagent", "config", env={"OTEL_EXPORTER_OTLP_HEADERS": "Bearer s3cret"})
    assert program.wait() == 1
    assert "OTEL_EXPORTER_OTLP_HEADERS" in program.stderr
    assert "s3cret" not in program.stdout + program.stderr


@pytest.mark.slow
def test_doctor_finds_a_wired_program_and_a_listening_receiver(receiver: Receiver, run_program: RunProgram) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis"}
    found = json.loads(run_program("perfagent", "doctor", sys.executable, "--output", "json", env=env).check(110))
    assert found["agent"] == "runs, lean pipeline"
    assert found["delivery"] == {"traces": "ok", "metrics": "ok", "logs": "ok", "profiles": "ok"}
    states = found["instruments"]
    assert states["sqlite3"] == states["fastapi"] == states["flask"] == "measured"
    assert states["redis"].startswith("disabled by")


@pytest.mark.slow
def test_doctor_names_the_first_thing_that_is_broken(receiver: Receiver, run_program: RunProgram) -> None:
    receiver.fault = otlp.status(404)
    program = run_program("perfagent", "doctor", sys.executable, env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
    assert program.wait(110) == 1
    assert "answered 404" in program.stdout
    program = run_program("perfagent", "doctor", "/no/such/python", env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
    assert program.wait(60) == 1
    assert "cannot be run" in program.stdout


@pytest.mark.parametrize("words", [("config",), ("hub", "--status"), ("rules", "--help")])
def test_a_reader_that_has_read_enough_ends_a_command_without_a_word(words: tuple[str, ...], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = (sys.executable, "-m", "perfagent", *words)
    env = {**os.environ, "PERFAGENT_HUB_DIR": str(tmp_path), "PERFAGENT_HUB_PORT": "0"}
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=env)
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
