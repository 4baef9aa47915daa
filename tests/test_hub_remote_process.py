"""The process of a hub that reads from elsewhere: it takes no telemetry, says so, and no program is sent there."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.receive import wire
from perfagent.hub.remote.address import address
from perfagent.settings import Settings
from tests.hubs import Home, one_span
from tests.otlp import Receiver
from tests.remotes import Faulty
from tests.test_docs import ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunProgram

pytestmark = pytest.mark.slow

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
PASSWORD = "opensesame"


@pytest.fixture
def away() -> Iterator[Faulty]:
    """A Prometheus that does not answer."""
    with Faulty() as server:
        server.mode = "down"
        yield server


@pytest.fixture
def reads(home: Home, away: Faulty, run_program: RunProgram) -> dict[str, str]:
    """The environment of a hub that reads from elsewhere, and runs."""
    url = away.url.replace("http://", f"http://ada:{PASSWORD}@")
    env = home.env(PERFAGENT_PROMETHEUS_URL=url, PERFAGENT_PROMETHEUS_HEADERS=f"x-token={PASSWORD}")
    run_program("perfagent", "hub", "--background", env=env).check()
    home.get("hub")
    return env


def refusal(home: Home, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"{home.hub.address}{path}", body, {"Content-Type": kind})
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=60)
    with raised.value as error:
        return error.code, error.read()


def test_telemetry_is_refused_with_where_it_belongs(home: Home, reads: dict[str, str]) -> None:
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs", "/v1/client"):
        status, body = refusal(home, path, one_span(1), "application/json")
        assert status == 501  # after which no sender tries again
        assert COLLECTOR in json.loads(body)["message"]
    status, body = refusal(home, "/v1/traces", b"", "application/x-protobuf")
    assert status == 501
    assert COLLECTOR.encode() in wire.Failure.FromString(body).message


@pytest.mark.parametrize("own", ["the hub runs", "none runs, and the settings would start one"])
def test_a_program_is_not_sent_to_it_in_silence(
    home: Home, away: Faulty, run_program: RunProgram, request: pytest.FixtureRequest, own: str
) -> None:
    env = home.env(PERFAGENT_PROMETHEUS_URL=away.url)
    if own == "the hub runs":
        request.getfixturevalue("reads")
        env = home.env()
    code = "import os; print(os.environ.get('OTEL_EXPORTER_OTLP_ENDPOINT'))"
    program = run_program("perfagent", "run", sys.executable, "-c", code, env=env)
    assert program.check().splitlines()[0] == "None"
    assert "nothing is sent: the hub reads from Prometheus and Jaeger" in program.stderr
    assert COLLECTOR in program.stderr
    assert (home.found is not None) == (own == "the hub runs")


def test_a_program_with_an_endpoint_is_sent_there(
    home: Home, reads: dict[str, str], run_program: RunProgram, receiver: Receiver
) -> None:
    env = {**reads, COLLECTOR: receiver.url}
    program = run_program(
        "perfagent",
        "run",
        sys.executable,
        "-c",
        "import sqlite3; sqlite3.connect(':memory:').execute('select 1')",
        env=env,
    )
    program.check()
    assert "nothing is sent" not in program.stderr
    assert receiver.wait_for_spans(1)


def test_status_health_and_doctor_say_what_it_reads_and_what_is_wrong(
    home: Home, reads: dict[str, str], run_program: RunProgram, away: Faulty
) -> None:
    told = run_program("perfagent", "status", env=reads).check()
    assert f"Prometheus at {away.url}" in told
    assert "cannot be reached" in told or "closed" in told or "PERFAGENT_PROMETHEUS_URL" in told
    assert run_program("perfagent", "health", env=reads).wait(30) in (0, 1)
    doctor = run_program("perfagent", "doctor", sys.executable, "--output", "json", env=reads)
    assert doctor.wait(60) == 1
    steps: dict[str, Any] = {
        step["step"]: step for step in json.loads(doctor.stdout[doctor.stdout.index("{") :])["steps"]
    }
    assert steps["destination"]["ok"] is False
    assert COLLECTOR in steps["destination"]["remedy"]
    assert steps["prometheus"]["ok"] is False
    assert away.url in steps["prometheus"]["found"]
    assert "PERFAGENT_PROMETHEUS_URL" in steps["prometheus"]["remedy"]


def test_no_file_answer_or_command_tells_a_password(home: Home, reads: dict[str, str], run_program: RunProgram) -> None:
    time.sleep(1)  # it has failed and logged that
    texts = [home.log, (home.folder / "hub.lock").read_text()]
    texts += [json.dumps(home.get(path)) for path in ("hub", "health", "sources", "services", "insights")]
    for words in (("status",), ("config", "PROMETHEUS"), ("config", "PROMETHEUS", "--output", "json")):
        texts.append(run_program("perfagent", *words, env=reads).check())
    assert "PERFAGENT_PROMETHEUS_URL = http://…@127.0.0.1" in texts[-2]
    for text in texts:
        assert PASSWORD not in text
        assert "ada" not in text.replace("metadata", "")


def test_an_address_that_cannot_be_asked_ends_the_hub_with_a_sentence(home: Home, run_program: RunProgram) -> None:
    program = run_program("perfagent", "hub", env=home.env(PERFAGENT_JAEGER_URL=f"jaeger:{PASSWORD}@16686"))
    assert program.wait(30) == 2
    assert "PERFAGENT_JAEGER_URL is no address" in program.stderr
    assert PASSWORD not in program.stderr


def test_it_ends_at_once_although_a_remote_hangs(home: Home, run_program: RunProgram) -> None:
    with Faulty() as server:
        server.mode = "hang"
        env = home.env(PERFAGENT_PROMETHEUS_URL=server.url, PERFAGENT_JAEGER_URL=server.url)
        program = run_program("perfagent", "hub", env=env)
        deadline = time.monotonic() + 60
        while not server.under_way:
            assert time.monotonic() < deadline, program.stderr
            time.sleep(0.05)
        program.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert program.wait(60) == 0, program.stderr
        assert time.monotonic() - began < 8  # a remote has 10 s


PAGE = "docs/how-to/hub-on-prometheus.md"


def test_what_its_page_types_works_and_the_settings_that_it_shows_are_accepted(
    home: Home, reads: dict[str, str], run_program: RunProgram, tmp_path: Path
) -> None:
    (block,) = blocks(PAGE, "sh")
    done = run_program("bash", "-uc", block, env=reads)
    assert done.wait(60) in (0, 1), done.stderr  # 1: something is wrong with what it reads
    assert "Prometheus at" in done.stdout
    assert "checks" in done.stdout
    shown = dict(
        line.strip().split("=", 1)
        for line in (ROOT / PAGE).read_text().splitlines()
        if line.startswith("    PERFAGENT_") and not line.endswith(" hub")
    )
    settings = Settings({**shown, "PERFAGENT_REMOTE_CA_FILE": ""}, str(tmp_path))
    place = address("PERFAGENT_PROMETHEUS_URL", settings.prometheus_url, settings.prometheus_headers, "")
    assert settings.problems == []
    assert (place.path, place.headers["Authorization"], place.headers["X-Scope-OrgID"]) == (
        "/prometheus", "Bearer TOKEN", "team",
    )  # fmt: skip
    for name in re.findall(r"`(PERFAGENT_\w+)`", (ROOT / PAGE).read_text()):
        assert any(name == option.name for option in Settings.options()), name
