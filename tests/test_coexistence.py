"""Beside others: agents, debuggers, coverage, options of the interpreter, old packages. Both work, neither is seen.

Each neighbour runs as its own users run it, with what it sends going to a server of the test, where it has one.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests import pythons
from tests.agent import agent_env
from tests.matrices import record
from tests.web import ROOT, Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.otlp import Receiver
    from tests.web import StartWeb

HERE = "{}.{}".format(*sys.version_info)
QUERY = "import sqlite3; sqlite3.connect(':memory:').execute('select 1'); "
GUNICORN = "gunicorn -b 127.0.0.1:PORT --no-control-socket -w 1 tests.apps.neighbour_app:app"
PACKAGES = ("flask", "gunicorn", "sentry-sdk", "newrelic", "elastic-apm", "ddtrace", "opentelemetry-sdk", "packaging")
PACKAGES = (*PACKAGES, "opentelemetry-instrumentation-flask", "debugpy", "coverage", "pytest-xdist", "pyinstaller")
PACKAGES = (*PACKAGES, "gevent")


class Sink:
    """An HTTP server that takes whatever is sent to it."""

    def __init__(self) -> None:
        bodies: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_PUT = do_POST  # noqa: N815 - as the library wants it

            def log_message(self, *args: object) -> None: ...

        self.bodies = bodies
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def items(self) -> list[dict[str, object]]:
        """What JSON there is in Sentry's envelopes: their headers are told apart by having no `timestamp`."""
        found = []
        for line in b"\n".join(self.bodies).splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [item for item in found if isinstance(item, dict)]


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.server.shutdown()
    sink.server.server_close()


def use_shop(web: Web, receiver: Receiver) -> None:
    """Asks the shop, ends it, and asserts that each request and query is told once, one below the other."""
    answers = [web.ask("/") for _ in range(10)]
    assert {answer.status for answer in answers} == {200}
    assert web.ask("/boom").status == 500
    assert web.program.terminate(30) == 0
    names = Counter((span.name, span.kind) for span in receiver.spans)
    assert names == {("GET /", "SERVER"): 10, ("GET /boom", "SERVER"): 1, ("SELECT", "CLIENT"): 10}
    below = {span.parent_id for span in receiver.spans if span.kind == "CLIENT"}
    assert below <= {span.span_id for span in receiver.spans if span.kind == "SERVER"}
    assert len(below) == 10
    (failed,) = [span for span in receiver.spans if span.name == "GET /boom"]
    assert [event.attributes["exception.type"] for event in failed.events] == ["LookupError"]
    told = [line for line in web.program.stderr.splitlines() if line.startswith("perfagent:")]
    assert told == []


OWN_SDK = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
shown = ConsoleSpanExporter(formatter=lambda s: f"OWN {s.name} {s.parent and s.parent.span_id:016x}\\n")
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(shown))
trace.set_tracer_provider(provider)
import flask
def traced(run):
    def wrapper(app):
        with trace.get_tracer("own").start_as_current_span("theirs"):
            return run(app)
    return wrapper
flask.Flask.full_dispatch_request = traced(flask.Flask.full_dispatch_request)
"""


@pytest.mark.slow
def test_a_program_with_an_opentelemetry_sdk_of_its_own_keeps_its_spans_and_ours_are_told_beside(
    receiver: Receiver, start_web: StartWeb
) -> None:
    web = start_web(*GUNICORN.split(), SETUP=OWN_SDK, OTEL_BSP_SCHEDULE_DELAY="30000")
    for _ in range(10):
        web.ask("/")
    assert web.program.terminate() == 0
    own = [line.split() for line in web.program.stdout.splitlines() if line.startswith("OWN")]
    servers = [span for span in receiver.spans if span.kind == "SERVER"]
    assert [word for _, word, _ in own] == ["theirs"] * 10
    assert {parent for *_, parent in own} == {span.span_id for span in servers}
    assert Counter(span.kind for span in receiver.spans) == {"SERVER": 10, "CLIENT": 10}
    assert "Overriding" not in web.program.stderr
    assert "perfagent:" not in web.program.stderr


@pytest.mark.slow
@pytest.mark.parametrize("rate", [pytest.param("None", marks=pytest.mark.nightly), "1.0"])
def test_sentry_gets_its_exceptions_and_traces_and_its_sending_makes_no_span(
    rate: str, receiver: Receiver, sink: Sink, start_web: StartWeb
) -> None:
    # Of its integrations the one alone: by default it imports each library that is installed, for half a minute here.
    setup = (
        "import sentry_sdk; from sentry_sdk.integrations.flask import FlaskIntegration; "
        f"sentry_sdk.init(dsn='http://key@{sink.address}/1', traces_sample_rate={rate}, "
        "integrations=[FlaskIntegration()], auto_enabling_integrations=False)"
    )
    web = start_web(*GUNICORN.split(), SETUP=setup, OTEL_BSP_SCHEDULE_DELAY="30000")
    use_shop(web, receiver)
    exceptions = [item for item in sink.items() if "exception" in item]
    traces = [item for item in sink.items() if item.get("type") == "transaction" and "spans" in item]
    assert len(exceptions) == 1
    assert "LookupError" in json.dumps(exceptions)
    assert len(traces) == (0 if rate == "None" else 11)


NEIGHBOURS = {
    "ddtrace-run": {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_TRACE_AGENT_URL": "http://SINK"},
    "newrelic-admin run-program": {
        "NEW_RELIC_LICENSE_KEY": "0" * 40,
        "NEW_RELIC_APP_NAME": "shop",
        "NEW_RELIC_HOST": "127.0.0.1",
        "NEW_RELIC_STARTUP_TIMEOUT": "0",
    },
    "elasticapm-run": {"ELASTIC_APM_SERVER_URL": "http://SINK", "ELASTIC_APM_SERVICE_NAME": "shop"},
}


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", ["theirs", "ours"])
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_another_agent_at_once_and_both_measure(
    neighbour: str, first: str, receiver: Receiver, sink: Sink, tmp_path: Path
) -> None:
    scripts = pythons.environment(HERE, *PACKAGES).parent
    (tmp_path / "web").mkdir()
    theirs = neighbour.split()
    theirs[0] = str(scripts / theirs[0])
    words = [str(scripts / "gunicorn"), *GUNICORN.split()[1:]]
    # perfagent's own environment has none of their packages, so they start first only where they start it all.
    command = (*theirs, *words) if first == "ours" else (*theirs, sys.executable, "-m", "perfagent", "run", *words)
    env = {name: value.replace("SINK", sink.address) for name, value in NEIGHBOURS[neighbour].items()}
    web = Web(receiver, tmp_path / "web", *command, OTEL_BSP_SCHEDULE_DELAY="30000", PYTHONPATH=str(ROOT), **env)
    try:
        use_shop(web, receiver)
    finally:
        web.program.stop()
    sent = len(sink.bodies)
    if "newrelic" not in neighbour:  # which talks to its makers over TLS alone
        assert sent > 0
    order = f"{neighbour} perfagent run" if first == "theirs" else f"perfagent run {neighbour}"
    record("coexistence", order, ours="11 requests, 10 queries, once each", theirs=f"{sent} posts")


OPTIONS = {
    **dict.fromkeys([("-O",), ("-OO",), ("-B",), ("-X", "dev"), ("-X", "importtime"), ("-P",), ("-u",), ("-s",)], True),
    **dict.fromkeys([("-W", "error"), ("-W", "error", "-X", "dev"), ("-b", "-b"), ("-v",), ("-X", "utf8")], True),
    **dict.fromkeys([("-X", "tracemalloc"), ("-X", "faulthandler"), ("-X", "no_debug_ranges"), ("-q",)], True),
    **dict.fromkeys([("-I",), ("-S",), ("-E",)], False),  # they keep our sitecustomize out, as they should any
}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "measured"), OPTIONS.items(), ids=lambda value: str(value).replace(" ", ""))
def test_with_every_option_of_the_interpreter_a_program_runs_and_is_measured_where_a_sitecustomize_runs(
    options: tuple[str, ...], measured: bool, receiver: Receiver, run_program: RunProgram
) -> None:
    if options == ("-P",) and sys.version_info < (3, 11):
        options = ("-s",)
    code = "import sys, gc; print(sys.flags, sys.warnoptions); " + QUERY + "gc.collect(); import decimal"
    bare = run_program("python", *options, "-c", code)
    env = agent_env(receiver, PERFAGENT_EXIT_TIMEOUT="10000")  # some options make it several times slower
    agent = run_program("perfagent", "run", "python", *options, "-c", code, env=env)
    assert agent.check() == bare.check()
    if not {"-v", "importtime"} & set(options):
        assert _warned(agent.stderr) == _warned(bare.stderr)
    assert len(receiver.spans) == measured
    record("coexistence", f"python {' '.join(options)}", ours="1 query" if measured else "absent, as any sitecustomize")


def _warned(text: str) -> list[str]:
    """The lines that do not tell an object's address."""
    return [line for line in text.splitlines() if " at 0x" not in line]


@pytest.mark.parametrize("name", ["PYTHONSAFEPATH", "PYTHONDEVMODE", "PYTHONNOUSERSITE", "PYTHONUNBUFFERED"])
def test_with_variables_of_the_interpreter_too(name: str, receiver: Receiver, run_program: RunProgram) -> None:
    env = agent_env(receiver, **{name: "1"})
    program = run_program("perfagent", "run", "python", "-W", "error", "-c", QUERY + "print(1)", env=env)
    assert program.check() == "1\n"
    assert "perfagent" not in program.stderr
    assert len(receiver.spans) == 1


def test_a_launcher_whose_sitecustomize_goes_on_to_no_other_does_not_keep_ours_out(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('theirs')")
    launcher = tmp_path / "launcher.py"
    launcher.write_text(
        "import os, sys\n"
        f"environment = dict(os.environ, PYTHONPATH={str(tmp_path)!r} + ':' + os.environ['PYTHONPATH'])\n"
        "(os.execvpe if sys.argv[1] == 'e' else os.environ.update(environment) or (lambda f, a, e: os.execvp(f, a)))"
        f"('python', ['python', '-c', {QUERY + 'print(1)'!r}], environment)\n"
    )
    for way in ("e", "p"):
        program = run_program("perfagent", "run", "python", str(launcher), way, env=agent_env(receiver))
        assert program.check() == "theirs\n1\n"
    assert len(receiver.wait_for_spans(2)) == 2


TRACING = {
    "sys.settrace": "sys.settrace(lambda *seen: seen_one(*seen))",
    "sys.setprofile": "sys.setprofile(lambda *seen: seen_one(*seen) and None)",
    "threading.settrace": "threading.settrace(lambda *seen: seen_one(*seen)); "
    "sys.settrace(lambda *seen: seen_one(*seen))",
    "sys.monitoring": "m = sys.monitoring; m.use_tool_id(0, 'own'); m.register_callback(0, m.events.PY_START, "
    "lambda code, offset: seen_one(None, 'call', code)); m.set_events(0, m.events.PY_START)",
}  # fmt: skip


@pytest.mark.parametrize("way", TRACING)
def test_what_a_tracer_sees_is_still_what_the_program_does_and_the_agent_sees_too(
    way: str, receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    python = pythons.find("3.12") if way == "sys.monitoring" else Path(sys.executable)
    if python is None:
        pytest.skip("no Python 3.12 is here")
    script = tmp_path / "traced.py"
    script.write_text(
        textwrap.dedent(f"""
        import sqlite3, sys, threading
        names = []
        def seen_one(frame, event, what):
            code = frame.f_code if frame is not None else what
            if event == "call" and code.co_filename == __file__ and not code.co_name.startswith("<lambda"):
                names.append(code.co_name)
            return seen_one
        def inner():
            sqlite3.connect(":memory:").execute("select 1")
        def outer():
            inner()
        {TRACING[way]}
        outer()
        thread = threading.Thread(target=outer); thread.start(); thread.join()
        sys.settrace(None); sys.setprofile(None)
        if "m" in globals(): m.set_events(0, 0)
        print([name for name in names if name in ("inner", "outer")])
    """)
    )
    bare = run_program(str(python), str(script))
    agent = run_program("perfagent", "run", str(python), str(script), env=agent_env(receiver))
    assert agent.check() == bare.check()
    assert "inner" in agent.stdout
    assert agent.stderr == bare.stderr
    assert len(receiver.spans) == 2


def test_pdb_steps_through_the_program_as_ever(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    script = tmp_path / "stepped.py"
    script.write_text(
        "import sqlite3\nc = sqlite3.connect(':memory:')\nx = c.execute('select 1')\nprint('done', x.fetchone())\n"
    )
    commands = [
        part
        for command in ("next", "next", "next", "p 'at', __file__, x", "continue", "quit")
        for part in ("-c", command)
    ]
    words = ("python", "-m", "pdb", *commands, str(script))
    shown = [
        line.split(" object at ")[0]
        for program in (run_program(*words), run_program("perfagent", "run", *words, env=agent_env(receiver)))
        for line in (program.wait(), program.stdout)[1].splitlines()
    ]
    half = len(shown) // 2
    assert shown[:half] == shown[half:]
    assert any("done (1,)" in line for line in shown)


@pytest.mark.nightly
def test_coverage_counts_the_same_lines(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    python = pythons.environment(HERE, *PACKAGES)
    (tmp_path / "covered.py").write_text(
        "import sqlite3, threading\ndef one(way):\n    if way:\n"
        "        sqlite3.connect(':memory:').execute('select 1')\n"
        "    else:\n        print('never')\nthread = threading.Thread(target=one, args=(1,))\nthread.start()\n"
        "thread.join()\none(2)\n"
    )
    found = []
    for name, agent, env in (("bare", (), {}), ("agent", ("perfagent", "run"), agent_env(receiver))):
        data = str(tmp_path / name)
        base = (str(python), "-m", "coverage")
        words = ("run", "--branch", f"--data-file={data}", "covered.py")
        run_program(*agent, *base, *words, env=env, cwd=tmp_path).check()
        run_program(*base, "json", f"--data-file={data}", "-o", data + ".json", cwd=tmp_path).check()
        found.append(json.loads(Path(data + ".json").read_text())["files"])
    assert found[0] == found[1]
    assert "covered.py" in found[0]
    # coverage keeps its own data in SQLite, too.
    assert len([span for span in receiver.spans if span.attributes.get("db.query.text") == "select ?"]) == 2
    record("coexistence", "coverage run --branch", ours="2 queries", theirs="the same lines and branches")


@pytest.mark.nightly
def test_tests_side_by_side_under_pytest_xdist(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    python = pythons.environment(HERE, *PACKAGES)
    (tmp_path / "test_them.py").write_text(
        "import sqlite3, pytest\n@pytest.mark.parametrize('number', range(20))\ndef test_one(number):\n"
        "    sqlite3.connect(':memory:').execute('select 1')\n    assert number != 7\n"
    )
    words = (str(python), "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "test_them.py")
    program = run_program("perfagent", "run", *words, env=agent_env(receiver), cwd=tmp_path)
    assert program.wait(60) == 1
    assert "1 failed, 19 passed" in program.stdout
    spans = [span for span in receiver.spans if span.kind == "CLIENT"]
    assert len(spans) == len({span.span_id for span in spans}) == 20
    assert len({span.resource["process.pid"] for span in spans}) == 2
    record("coexistence", "pytest -n 2", ours="20 queries of 20 tests, in 2 workers")


@pytest.mark.nightly
def test_a_program_under_debugpy(receiver: Receiver, run_program: RunProgram, tmp_path: Path, free_port: int) -> None:
    python = pythons.environment(HERE, *PACKAGES)
    (tmp_path / "debugged.py").write_text(QUERY + "import sys; print('debugged'); sys.exit(3)")
    words = (str(python), "-Xfrozen_modules=off", "-m", "debugpy", "--listen", str(free_port), "debugged.py")
    program = run_program("perfagent", "run", *words, env=agent_env(receiver), cwd=tmp_path)
    assert program.wait(60) == 3
    assert program.stdout == "debugged\n"
    assert len([span for span in receiver.spans if span.kind == "CLIENT"]) == 1
    record("coexistence", "debugpy --listen", ours="1 query")


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["--onedir", "--onefile"])
def test_a_frozen_program_runs_as_ever_under_perfagent_run(
    kind: str, receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    python = pythons.environment(HERE, *PACKAGES)
    (tmp_path / "frozen.py").write_text(QUERY + "import sys; print('frozen', sys.argv[1:]); sys.exit(3)")
    words = (str(python), "-m", "PyInstaller", kind, "--log-level", "ERROR", "frozen.py")
    subprocess.run(words, cwd=tmp_path, check=True, timeout=300, env={**os.environ, "PYTHONPATH": ""})
    program = tmp_path / "dist" / "frozen" / ("frozen" if kind == "--onedir" else "")
    frozen = run_program("perfagent", "run", str(program), "x", env=agent_env(receiver))
    assert frozen.wait(60) == 3
    assert frozen.stdout == "frozen ['x']\n"
    assert frozen.stderr == ""
    told = len(receiver.spans)
    record(
        "coexistence",
        f"PyInstaller {kind}",
        ours=f"{told} queries" if told else "absent: a frozen program has no sitecustomize",
    )


PATCHING = {
    "gevent, early": "from gevent import monkey; monkey.patch_all()\nimport sqlite3, threading, time\n",
    "gevent, late": "import sqlite3, threading, time, socket, ssl, subprocess\nquery = lambda: "
    "sqlite3.connect(':memory:').execute('select 1')\nquery()\ntime.sleep(0.3)\n"
    "from gevent import monkey; monkey.patch_all()\n",
    "eventlet, early": "import eventlet; eventlet.monkey_patch()\nimport sqlite3, threading, time\n",
    "eventlet, late": "import sqlite3, threading, time, socket\nquery = lambda: "
    "sqlite3.connect(':memory:').execute('select 1')\nquery()\ntime.sleep(0.3)\n"
    "import eventlet; eventlet.monkey_patch()\n",
}  # fmt: skip
PATCHED = """
def query():
    sqlite3.connect(":memory:").execute("select 1")
threads = [threading.Thread(target=query) for _ in range(5)]
for thread in threads: thread.start()
for thread in threads: thread.join()
time.sleep(0.5)
query()
print(len(threads), threading.active_count())
sys.exit(4)
"""


@pytest.mark.nightly
@pytest.mark.parametrize("way", PATCHING)
def test_a_program_that_gevent_or_eventlet_has_patched(
    way: str, receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    python = pythons.environment(HERE, "eventlet" if "eventlet" in way else "gevent")
    script = tmp_path / "patched.py"
    script.write_text("import sys\n" + PATCHING[way] + PATCHED)
    bare = run_program(str(python), str(script))
    agent = run_program("perfagent", "run", str(python), str(script), env=agent_env(receiver))
    assert (agent.wait(), agent.stdout) == (bare.wait(), bare.stdout), agent.stderr
    assert agent.stderr == bare.stderr
    expected = 7 if "late" in way else 6
    assert len([span for span in receiver.spans if span.kind == "CLIENT"]) == expected
    record("coexistence", way, ours=f"{expected} queries, once each")


OLD = ("protobuf==3.20.3", "wrapt==1.10.11", "psutil==5.9.0", "typing_extensions==3.10.0.2")


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_old_packages_stay_the_programs_own(receiver: Receiver, run_program: RunProgram) -> None:
    python = pythons.environment("3.10", *OLD)
    code = QUERY + (
        "import google.protobuf, psutil, sys, typing_extensions, wrapt\n"
        "from importlib.metadata import version\n"
        "print([version(name) for name in ('protobuf', 'wrapt', 'psutil', 'typing_extensions')])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    bare = run_program(str(python), "-c", code)
    agent = run_program("perfagent", "run", str(python), "-c", code, env=agent_env(receiver))
    known, modules = agent.check().splitlines()
    assert known == "['3.20.3', '1.10.11', '5.9.0', '3.10.0.2']"
    assert set(eval(modules)) - set(eval(bare.check().splitlines()[1])) <= {"perfagent", "sitecustomize"}
    assert len(receiver.spans) == 1
    record("coexistence", ", ".join(OLD), ours="1 query", theirs="no module of ours but perfagent is there")
