"""Secrets stay where they are: a canary in every place that an instrument can see, and none in anything that leaves."""

from __future__ import annotations

import base64
import gzip
import json
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests import canaries as secrets
from tests.agent import agent_env
from tests.canaries import CANARIES, check, files, left
from tests.program import find_free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hubs import Home
    from tests.otlp import Receiver
    from tests.program import Program
    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow


@pytest.fixture
def canaries(
    run_program: RunProgram, tmp_path: Path, postgres_url: str, mysql_server: MysqlServer, redis_url: str
) -> Any:
    """Starts the program; it does what it does and then waits until `release` is there."""
    release = tmp_path / "release"

    def start(**env: str) -> tuple[Program, Path]:
        told = {"postgres": postgres_url, "mysql": mysql_server._asdict(), "redis": redis_url}
        return secrets.start(run_program, tmp_path, "canary_calls", told, env), release

    return start


def test_the_search_finds_a_secret_however_it_is_packed() -> None:
    secret = CANARIES["SQL literal"].encode()
    for before in (b"", b"a", b"bc", b"defg"):
        content = before + secret + b"tail"
        for packed in (content, base64.b64encode(content), content.hex().encode(), gzip.compress(content)):
            assert left(b"<" + packed if packed[:2] != b"\x1f\x8b" else packed) == ["SQL literal"]
    assert left(b"nothing of the kind") == []


def test_no_secret_is_in_what_is_sent_printed_or_kept_for_the_case_of_a_kill(
    canaries: Any, receiver: Receiver, tmp_path: Path
) -> None:
    header = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-own={CANARIES['header for the receiver']}"}
    flights = tmp_path / "flights"
    program, release = canaries(**agent_env(receiver, PERFAGENT_FLIGHT_DIR=str(flights), **header))
    receiver.wait_for_metric("db.client.operation.duration")
    check("flight file", files(flights))
    release.touch()
    assert program.wait() == 0
    assert program.stderr == ""
    systems = {span.attributes.get("db.system.name") for span in receiver.spans}
    assert {"sqlite", "postgresql", "redis"} <= systems
    assert systems & {"mysql", "mariadb"}
    assert {"SERVER", "CLIENT", "PRODUCER"} <= {span.kind for span in receiver.spans}
    assert len(receiver.logs) >= 5
    for signal_name in ("traces", "metrics", "logs"):
        sent = [request.body for request in receiver.requests if request.path == f"/v1/{signal_name}"]
        check(f"OTLP {signal_name}", sent)
    assert "[REDACTED]" in str([record.body for record in receiver.logs])


@pytest.mark.nightly
def test_no_secret_is_in_what_the_sdk_pipeline_sends(canaries: Any, receiver: Receiver) -> None:
    program, release = canaries(**agent_env(receiver, PERFAGENT_PIPELINE="sdk", PERFAGENT_FLIGHT="off"))
    release.touch()
    assert program.wait() == 0
    scopes = {span.scope.name for span in receiver.spans}
    assert {f"opentelemetry.instrumentation.{name}" for name in ("fastapi", "requests", "psycopg", "redis")} <= scopes
    for signal_name in ("traces", "metrics"):
        sent = [request.body for request in receiver.requests if request.path == f"/v1/{signal_name}"]
        check(f"OTLP {signal_name} of the sdk pipeline", sent)


@pytest.mark.nightly
def test_no_secret_is_in_the_exposition_of_prometheus(canaries: Any, receiver: Receiver) -> None:
    port = find_free_port()
    env = agent_env(receiver, OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(port))
    program, release = canaries(**env)
    pages = []
    for accepts in ("text/plain", "application/openmetrics-text"):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accepts})
        pages.append(urllib.request.urlopen(request, timeout=60).read())
    assert b"db_client_operation_duration" in pages[0]
    check("exposition of Prometheus", pages)
    release.touch()
    program.wait()


@pytest.mark.nightly
def test_no_secret_is_in_the_spool_and_on_standard_error_while_nothing_is_taken(canaries: Any, tmp_path: Path) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://joe:{CANARIES['connection string']}@127.0.0.1:{find_free_port()}",
        "PERFAGENT_SPOOL_DIR": str(tmp_path / "spool"),
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    program, release = canaries(**env)
    release.touch()
    program.wait()
    check("spool", files(tmp_path / "spool"))
    assert "telemetry cannot be delivered" in program.stderr
    check("standard error of the agent", [program.stderr.encode()])


def test_no_secret_is_in_the_files_the_answers_and_the_pages_of_a_hub(
    canaries: Any, home: Home, run_program: RunProgram, tmp_path: Path
) -> None:
    program, release = canaries(**home.env(OTEL_BSP_SCHEDULE_DELAY="100", OTEL_METRIC_EXPORT_INTERVAL="1000"))
    deadline = time.monotonic() + 60
    while not home.get("logs?from=-1h", timeout=60)["items"]:
        assert time.monotonic() < deadline, program.stderr + home.log
        time.sleep(0.1)
    release.touch()
    assert program.wait() == 0
    answers = [json.dumps(home.get(f"{path}", timeout=60)).encode() for path in _readable(home)]
    traces = home.get("traces?from=-1h&limit=200", timeout=60)["items"]
    answers += [json.dumps(home.get(f"traces/{one['trace_id']}", timeout=60)).encode() for one in traces[:60]]
    check("answers of the hub", answers)
    reports = [
        run_program("perfagent", "report", "--type", kind, "--format", form, env=home.env()).check(90).encode()
        for kind, form in (("errors", "html"), ("queries", "csv"), ("performance", "json"))
    ]
    check("reports", reports)
    check("output of the program", [program.stderr.encode() + b" "])
    home.kill()
    check("files of the hub", files(home.folder))


def _readable(home: Home) -> list[str]:
    """Every address of the interface that needs no more than a range."""
    from perfagent.hub.api import app

    return ["hub", *(f"{subject}?from=-1h" for subject in app.SUBJECTS if subject in RANGED)]


RANGED = frozenset(
    ("overview", "services", "endpoints", "queries", "caches", "logs", "metrics", "insights", "processes", "traces")
) | {"deprecations"}


@pytest.mark.nightly
def test_what_is_lost_with_the_process_is_told_without_secrets(
    canaries: Any, receiver: Receiver, run_text: Any, tmp_path: Path
) -> None:
    flights = tmp_path / "flights"
    program, _release = canaries(**agent_env(receiver, PERFAGENT_FLIGHT_DIR=str(flights)))
    program.process.send_signal(signal.SIGKILL)
    program.wait()
    receiver.requests.clear()
    run_text("import time; time.sleep(3)", PERFAGENT_FLIGHT_DIR=str(flights))
    receiver.wait_for_logs(1, where=lambda record: record.event_name == "perfagent.process.died")
    check("event of a killed process", [request.body for request in receiver.requests])
