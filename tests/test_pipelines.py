"""Which pipeline serves, and that the sdk one tells the same story as the lean one."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.launch import choice
from perfagent.settings import Settings
from tests.agent import agent_env
from tests.otlp import Receiver
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.otlp import Span

ROOT = Path(__file__).parent.parent
QUERY = "import sqlite3; sqlite3.connect(':memory:').cursor().execute('select 1')"


@pytest.mark.parametrize(
    ("env", "pipeline"),
    [
        ({}, "lean"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "lean"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "sdk"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "sdk"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "lean"),
        ({"OTEL_METRICS_EXPORTER": "otlp,prometheus"}, "lean"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio"}, "lean"),
        ({"OTEL_TRACES_SAMPLER": "my_sampler"}, "sdk"),
        ({"OTEL_PROPAGATORS": "b3"}, "sdk"),
        ({"OTEL_CONFIG_FILE": "otel.yaml"}, "sdk"),
        ({"PERFAGENT_PIPELINE": "sdk"}, "sdk"),
        ({"PERFAGENT_PIPELINE": "lean", "OTEL_TRACES_EXPORTER": "console"}, "lean"),
    ],
)
def test_the_sdk_serves_what_the_lean_pipeline_leaves_out(env: dict[str, str], pipeline: str) -> None:
    assert choice.pipeline(Settings(env)) == pipeline


def test_without_the_sdk_installed_the_reason_and_the_way_out_are_told(run_program: RunProgram, tmp_path: Path) -> None:
    env = {"OTEL_TRACES_EXPORTER": "console", "PERFAGENT_PIPELINE": "auto"}
    bare = sys._base_executable  # type: ignore[attr-defined] # an interpreter without the development packages
    program = run_program("perfagent", "run", bare, "-c", "print(1)", env=env)
    assert program.check() == "1\n"
    (line,) = program.stderr.splitlines()
    assert "OTEL_TRACES_EXPORTER=console" in line
    assert 'pip install "perfagent[sdk]"' in line


@pytest.mark.slow
def test_the_console_exporter_brings_the_sdk_pipeline_by_itself(run_program: RunProgram) -> None:
    env = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none", "OTEL_SERVICE_NAME": "told"}
    shown = run_program("perfagent", "run", "python", "-c", QUERY, env=env).check()
    assert '"db.query.text"' in shown or '"db.statement"' in shown
    assert '"service.name": "told"' in shown


@pytest.mark.slow
def test_opentelemetry_instrument_starts_perfagent(receiver: Receiver, run_program: RunProgram) -> None:
    env = agent_env(receiver, OTEL_PYTHON_DISTRO="perfagent", OTEL_PYTHON_CONFIGURATOR="perfagent")
    run_program("opentelemetry-instrument", "python", "-c", QUERY, env=env).check()
    (span,) = receiver.wait_for_spans(1)
    assert span.scope.name == "perfagent.sqlite3"
    assert span.resource["telemetry.distro.name"] == "perfagent"


class Story:
    """What a pipeline told of the same requests."""

    def __init__(self, pipeline: str, directory: Path) -> None:
        with Receiver() as receiver:
            port = find_free_port()
            env = agent_env(receiver, PERFAGENT_PIPELINE=pipeline, PERFAGENT_VITALS="false")
            # The SDK makes spans of each ASGI message too, unless told not to.
            env["OTEL_PYTHON_EXCLUDE_SPANS"] = "send,receive"
            command = ("perfagent", "run", "uvicorn", "tests.apps.asgi_app:app", "--port", str(port), "--no-access-log")
            program = Program(command, directory, env, cwd=ROOT)
            program.wait_for_port(port, 60)
            for path in ("/hello", "/api/things/7", "/boom", "/nope", "/fail", "/sync"):
                try:
                    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"User-Agent": "t"})
                    urllib.request.urlopen(request, timeout=60).read()
                except urllib.error.HTTPError:
                    pass
            program.terminate(20)
            self.spans = [span for span in receiver.spans if not span.name.endswith((" send", " receive"))]
            self.points = list(receiver.points)

    def tree(self) -> list[Any]:
        """Every trace as (name, kind, status, chosen attributes, children), sorted."""

        def node(span: Span) -> Any:
            below = sorted(node(child) for child in self.spans if child.parent_id == span.span_id)
            return (span.name, span.kind, span.status.code, tuple(sorted(_common(span).items())), tuple(below))

        return sorted(node(span) for span in self.spans if not span.parent_id)


# Each difference is explained in docs/reference/differences.md.
COMMON = (
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "url.path",
    "url.scheme",
    "network.protocol.version",
    "client.address",
    "user_agent.original",
    "db.system.name",
)


def _common(span: Span) -> dict[str, str]:
    return {key: str(value) for key, value in span.attributes.items() if key in COMMON}


@pytest.mark.slow
def test_both_pipelines_tell_the_same_of_the_same_requests(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    lean, sdk = Story("lean", tmp_path / "a"), Story("sdk", tmp_path / "b")
    lean_servers = {span.attributes["url.path"]: span for span in lean.spans if span.kind == "SERVER"}
    sdk_servers = {span.attributes["url.path"]: span for span in sdk.spans if span.kind == "SERVER"}
    assert set(lean_servers) == set(sdk_servers)
    for path, ours in lean_servers.items():
        theirs = sdk_servers[path]
        assert ours.status.code == theirs.status.code, path
        assert _common(ours).items() >= {k: v for k, v in _common(theirs).items() if k != "http.route"}.items(), path

    def counts(story: Story) -> dict[tuple[str, str], int]:
        return {
            (point.name, str(point.attributes["http.response.status_code"])): sum(
                other.count
                for other in story.points
                if other.name == point.name
                and other.time == point.time
                and other.attributes.get("http.response.status_code") == point.attributes["http.response.status_code"]
            )
            for point in story.points
            if point.name == "http.server.request.duration"
        }

    assert counts(lean) == counts(sdk)


def test_the_environment_is_left_alone_by_the_lean_pipeline(receiver: Receiver, run_program: RunProgram) -> None:
    code = "import os; print(sorted(k for k in os.environ if k.startswith(('OTEL', 'PERFAGENT'))))"
    env = agent_env(receiver)
    shown = run_program("perfagent", "run", "python", "-c", code, env=env).check()
    own = ("PERFAGENT_FLIGHT_DIR", "PERFAGENT_HUB")  # the tests' own: no hub is to be started
    assert shown == f"{sorted([*env, *own])}\n"
    assert os.environ.get("OTEL_TRACES_EXPORTER") is None
