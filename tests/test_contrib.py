"""OpenTelemetry's own instrumentors, for libraries that perfagent does not measure itself."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.instruments import contrib
from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver

pytestmark = pytest.mark.slow
PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
PUBLISHED = frozenset(
    (
        "aio-pika",
        "aiohttp-client",
        "aiohttp-server",
        "aiokafka",
        "asyncpg",
        "botocore",
        "celery",
        "confluent-kafka",
        "django",
        "fastapi",
        "flask",
        "grpc",
        "httpx",
        "kafka-python",
        "logging",
        "mysqlclient",
        "openai-v2",
        "pika",
        "psycopg",
        "psycopg2",
        "pymemcache",
        "pymongo",
        "pymysql",
        "redis",
        "requests",
        "sqlalchemy",
        "sqlite3",
        "starlette",
        "threading",
        "tornado",
        "urllib",
        "urllib3",
        "wsgi",
        "asgi",
    )
)
"""OpenTelemetry's instrumentors, as their packages are named."""
FALCON = """
import sys
import threading
import urllib.request
from wsgiref.simple_server import make_server

assert "opentelemetry" not in sys.modules, "before the program has imported the library"
import falcon


class Bird:
    def on_get(self, request, response, name):
        response.media = name


app = falcon.App()
app.add_route("/birds/{name}", Bird())
server = make_server("127.0.0.1", 0, app)
thread = threading.Thread(target=server.handle_request)
thread.start()
print(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/birds/polly").read())
thread.join()
"""
TORTOISE = """
import asyncio

from tortoise import Tortoise, fields
from tortoise.models import Model


class Bird(Model):
    id = fields.IntField(primary_key=True)
    name = fields.TextField()


async def main():
    await Tortoise.init(db_url="sqlite://:memory:", modules={"models": ["__main__"]})
    await Tortoise.generate_schemas()
    await Bird.create(name="canary-4711")
    print(len(await Bird.all()))
    await Tortoise.close_connections()


asyncio.run(main())
"""
TELLS = """
from perfagent.instruments import load
print(load.states().get({name!r}))
"""


def package(folder: Path, name: str, body: str, *, requires: str = "", version: str = "1") -> str:
    """A library and its instrumentor, installed in a folder as an installer does; returns the folder."""
    (folder / f"{name}.py").write_text(f"__version__ = {version!r}\nsung = []\ndef sing():\n    return 'la'\n")
    inner = folder / "openinference" / "instrumentation" / name
    inner.mkdir(parents=True)
    (inner / "__init__.py").write_text(body)
    about = folder / f"openinference_instrumentation_{name}-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: openinference-instrumentation-{name}\nVersion: 1\n")
    if requires:
        with (about / "METADATA").open("a") as file:
            file.write(f'Provides-Extra: instruments\nRequires-Dist: {requires}; extra == "instruments"\n')
    (about / "entry_points.txt").write_text(
        f"[opentelemetry_instrumentor]\n{name} = openinference.instrumentation.{name}:Instrumentor\n"
    )
    return str(folder)


INSTRUMENTOR = """
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor


class Instrumentor(BaseInstrumentor):
    def instrumentation_dependencies(self):
        return []

    def _instrument(self, **options):
        import {name}

        sing = {name}.sing

        def sung():
            with trace.get_tracer(__name__).start_as_current_span("sing"):
                return sing()

        {name}.sing = sung

    def _uninstrument(self, **options):
        pass
"""


def test_an_instrumentor_is_loaded_with_its_library_and_makes_spans_below_ours(
    run_text: RunText, receiver: Receiver
) -> None:
    assert run_text(FALCON).stdout == "b'\"polly\"'\n"
    (request,) = receiver.wait_for_spans(where=lambda span: span.kind == "SERVER")
    (inner,) = receiver.wait_for_spans(where=lambda span: span.scope.name == "opentelemetry.instrumentation.falcon")
    assert (inner.kind, inner.parent_id, inner.trace_id) == ("INTERNAL", request.span_id, request.trace_id)
    assert inner.attributes["http.request.method"] == "GET"  # by the conventions that ours follow


def test_what_an_instrumentor_measures_is_not_measured_again_below(run_text: RunText, receiver: Receiver) -> None:
    assert run_text(TORTOISE).stdout == "1\n"
    receiver.wait_until_quiet(0.1)
    queries = [span for span in receiver.spans if span.kind == "CLIENT"]
    assert [span.attributes["db.query.text"].split()[0] for span in queries] == ["CREATE", "INSERT", "SELECT"]
    assert {span.scope.name for span in queries} == {"opentelemetry.instrumentation.tortoiseorm"}
    assert not [request for request in receiver.requests if b"canary-4711" in request.body]


def test_an_instrumentor_that_is_disabled_by_its_name_stays_off(run_text: RunText, receiver: Receiver) -> None:
    for names in ("falcon", "opentelemetry"):
        run_text(FALCON + TELLS.format(name="falcon"), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=names)
    receiver.wait_for_spans(2, where=lambda span: span.kind == "SERVER")
    receiver.wait_until_quiet(0.1)
    assert not [span for span in receiver.spans if "falcon" in span.scope.name]


def test_it_is_loaded_once_under_opentelemetry_instrument_too(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    path = tmp_path / "prog.py"
    path.write_text(FALCON.replace('assert "opentelemetry"', 'assert "falcon"') + TELLS.format(name="falcon"))
    env = agent_env(receiver, OTEL_PYTHON_DISTRO="perfagent", OTEL_PYTHON_CONFIGURATOR="perfagent")
    program = run_program("opentelemetry-instrument", sys.executable, str(path), env=env)
    assert program.check(30).splitlines()[-1] == "contrib: on"
    assert "already instrumented" not in program.stderr
    receiver.wait_until_quiet(0.1)
    assert len([span for span in receiver.spans if span.scope.name == "opentelemetry.instrumentation.falcon"]) == 1


def test_one_of_another_maker_is_found_by_its_entry_point(
    run_text: RunText, receiver: Receiver, tmp_path: Path
) -> None:
    folder = package(tmp_path, "parrot", INSTRUMENTOR.format(name="parrot"))
    program = run_text("import parrot\nprint(parrot.sing())" + TELLS.format(name="parrot"), PYTHONPATH=folder)
    assert program.stdout == "la\ncontrib: on\n"
    receiver.wait_for_spans(where=lambda span: span.name == "sing")


@pytest.mark.parametrize(
    ("body", "requires", "told"),
    [
        ("raise LookupError('no voice')", "", "contrib: off: LookupError: no voice"),
        ("class Instrumentor:\n    is_instrumented_by_opentelemetry = False", "", "contrib: off: AttributeError: "),
        (INSTRUMENTOR.format(name="parrot"), "cachetools>=99", "contrib: off: This instrumentation only"),
    ],
)
def test_one_that_fails_or_does_not_fit_is_told_and_harms_nobody(
    run_text: RunText, tmp_path: Path, body: str, requires: str, told: str
) -> None:
    folder = package(tmp_path, "parrot", body, requires=requires)
    program = run_text("import parrot\nprint(parrot.sing())" + TELLS.format(name="parrot"), PYTHONPATH=folder)
    sung, state = program.stdout.splitlines()
    assert sung == "la"
    assert state.startswith(told)


def test_one_takes_over_a_library_whose_version_ours_does_not_know(
    run_text: RunText, receiver: Receiver, tmp_path: Path
) -> None:
    folder = package(tmp_path, "stamina", INSTRUMENTOR.format(name="stamina"), version="99.0")
    program = run_text("import stamina\nprint(stamina.sing())" + TELLS.format(name="stamina"), PYTHONPATH=folder)
    assert program.stdout == "la\ncontrib: on\n"
    receiver.wait_for_spans(where=lambda span: span.name == "sing")


def test_none_is_loaded_for_a_library_that_we_measure(run_text: RunText, tmp_path: Path) -> None:
    folder = package(tmp_path, "requests_", "raise AssertionError")
    (tmp_path / "openinference/instrumentation/requests_").rename(tmp_path / "openinference/instrumentation/requests")
    program = run_text(
        "import requests, sqlite3, logging\nfrom perfagent.instruments import load\nprint(load.states())",
        PYTHONPATH=folder,
    )
    assert "contrib" not in program.stdout
    assert "'requests': 'on'" in program.stdout


def test_the_doctor_tells_who_measures_each_library(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    folder = package(tmp_path, "stamina", INSTRUMENTOR.format(name="stamina"), version="99.0")
    env = agent_env(receiver, PYTHONPATH=folder)
    found = json.loads(run_program("perfagent", "doctor", sys.executable, "--output", "json", env=env).check(90))
    states = found["instruments"]
    assert (states["grpc_client"], states["falcon"]) == ("measured", "contrib: on")
    assert states["stamina"] == "stamina 99.0 is not supported: from 23.2 to below 27; contrib: on"
    assert found["left_alone"]["jinja2"] == "opentelemetry-instrumentation-jinja2"
    (step,) = [step for step in found["steps"] if step["step"] == "libraries"]
    assert re.search(r"; by OpenTelemetry's instrumentors: .*falcon", step["found"])


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("flask", True), ("aiohttp-client", True), ("grpc_aio_server", True), ("httpx2", True), ("dbapi", True),
        ("system_metrics", True), ("jinja2", False), ("cassandra", False), ("mysql", False),
    ],
)  # fmt: skip
def test_an_entry_point_is_known_by_any_of_its_names(name: str, ours: bool) -> None:
    assert contrib.is_left_to_us(name) is ours


def test_the_sdk_pipeline_has_the_instrumentors_of_what_the_lean_one_measures() -> None:
    extra = re.search(r"^sdk = \[\n(.*?)^\]", PYPROJECT.read_text(), re.DOTALL | re.MULTILINE)
    assert extra is not None
    listed = set(re.findall(r'"opentelemetry-instrumentation-([a-z0-9-]+)>=', extra[1]))
    differently = {"kafka": "kafka-python", "grpc_client": "grpc", "grpc_server": "grpc", "openai": "openai-v2"}
    measured = {differently.get(name, name.replace("_", "-")) for name, _module, _awaited in contrib.INSTRUMENTS}
    assert {"grpc", "flask", "pika"} <= measured & PUBLISHED <= listed


def test_what_the_sdk_pipeline_brings_is_of_one_release_so_that_pip_finds_it_at_once() -> None:
    extra = re.search(r"^sdk = \[\n(.*?)^\]", PYPROJECT.read_text(), re.DOTALL | re.MULTILINE)
    assert extra is not None
    floors = dict(re.findall(r'"(opentelemetry-[a-z0-9-]+)>=([^",]+)"', extra[1]))
    own = {"opentelemetry-instrumentation-openai-v2", "opentelemetry-sdk", "opentelemetry-exporter-otlp"}
    assert len({version for name, version in floors.items() if name not in own}) == 1
    core, contrib_version = floors["opentelemetry-sdk"], floors["opentelemetry-distro"]
    assert core == floors["opentelemetry-exporter-otlp"]
    minor = int(core.split(".")[1])
    assert contrib_version.split("b")[0] == f"0.{minor + 21}"
