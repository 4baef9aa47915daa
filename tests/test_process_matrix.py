"""Ways to run a program, over the versions of Python: what it did is told once each, and its end is its own.

The count of what was done is the client's or the program's own, never ours: the answers that came, by the process that
each names, and a line that a program writes into a file for each of its queries. What a process has to tell arrives
with its end: no row waits for the background thread.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests import pythons
from tests.matrices import record
from tests.program import Program, find_free_port
from tests.web import ROOT, Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.otlp import Receiver, Span

PATIENT = "30000"  # ms between two exports: only the way out of the process can be in time
LONGER = 2.0  # seconds that a program's end may take longer than without the agent
HERE = "{}.{}".format(*sys.version_info)
PACKAGES = ("gunicorn", "gevent", "uvicorn", "uvicorn-worker", "hypercorn", "trio", "granian", "uwsgi", "waitress")
PACKAGES = (*PACKAGES, "flask", "celery", "redis")

WSGI, ASGI = "tests.apps.process_app:wsgi", "tests.apps.process_app:asgi"
GUNICORN = "gunicorn -b 127.0.0.1:PORT --no-control-socket -w 2"
GRANIAN = "granian --host 127.0.0.1 --port PORT --workers 2"
UWSGI = "uwsgi --http-socket 127.0.0.1:PORT --die-on-term --need-app"
SERVERS = {
    "gunicorn sync": f"{GUNICORN} -k sync {WSGI}",
    "gunicorn gthread": f"{GUNICORN} -k gthread --threads 3 {WSGI}",
    # Of two gevent workers, one may ignore SIGTERM for as long as it is idle, without us too.
    "gunicorn gevent": f"{GUNICORN} -k gevent -w 1 {WSGI}",
    "gunicorn uvicorn": f"{GUNICORN} -k uvicorn_worker.UvicornWorker {ASGI}",
    "gunicorn preload": f"{GUNICORN} --preload {WSGI}",
    "gunicorn gthread preload": f"{GUNICORN} -k gthread --threads 3 --preload {WSGI}",
    "gunicorn max-requests": f"{GUNICORN} --max-requests 5 {WSGI}",
    "uvicorn": f"uvicorn --port PORT {ASGI}",
    "uvicorn workers": f"uvicorn --port PORT --workers 2 {ASGI}",
    "hypercorn asyncio": f"hypercorn -b 127.0.0.1:PORT {ASGI}",
    "hypercorn asyncio workers": f"hypercorn -b 127.0.0.1:PORT -w 2 {ASGI}",
    "hypercorn trio": f"hypercorn -b 127.0.0.1:PORT -k trio {ASGI}",
    "hypercorn wsgi": f"hypercorn -b 127.0.0.1:PORT wsgi:{WSGI}",
    "granian asgi": f"{GRANIAN} --interface asgi {ASGI}",
    "granian asgi, tasks in Rust": f"{GRANIAN} --interface asgi --task-impl rust {ASGI}",
    "granian asgi, threads": f"{GRANIAN} --interface asgi --runtime-mode mt --runtime-threads 2 {ASGI}",
    "granian wsgi": f"{GRANIAN} --interface wsgi {WSGI}",
    "uWSGI": f"{UWSGI} --enable-threads --module {WSGI}",
    "uWSGI prefork": f"{UWSGI} --master --processes 2 --enable-threads --module {WSGI}",
    "uWSGI prefork without threads": f"{UWSGI} --master --processes 2 --module {WSGI}",
    "uWSGI prefork threads": f"{UWSGI} --master --processes 2 --threads 2 --module {WSGI}",
    "uWSGI lazy-apps": f"{UWSGI} --master --processes 2 --lazy-apps --enable-threads --module {WSGI}",
    "uWSGI fork hooks": f"{UWSGI} --master --processes 2 --threads 2 --py-call-uwsgi-fork-hooks --module {WSGI}",
    "uWSGI osafterfork": f"{UWSGI} --master --processes 2 --enable-threads --py-call-osafterfork --module {WSGI}",
    "uWSGI mount": f"{UWSGI} --master --enable-threads --manage-script-name --mount /={WSGI}",
    "waitress": f"waitress-serve --listen 127.0.0.1:PORT {WSGI}",
}  # fmt: skip


def python_of(version: str) -> Path:
    """The interpreter of a row: with every server, or this one where the servers are its own."""
    return pythons.environment(version, *PACKAGES)


def served(receiver: Receiver, kind: str = "SERVER") -> Counter[object]:
    """How many spans of a kind came from each process; none came twice."""
    spans: list[Span] = [span for span in receiver.spans if span.kind == kind]
    assert len({span.span_id for span in spans}) == len(spans)
    return Counter(span.resource["process.pid"] for span in spans)


def wait_for_workers(web: Web, command: list[str]) -> None:
    """A worker that is still starting when SIGTERM comes may outlive it, without us too."""
    shown, workers = "", 2
    if "--lazy-apps" in command:
        shown = "ready in"
    elif "-w" in command and command[0].endswith("gunicorn"):
        shown, workers = "Booting worker", 1 if "gevent" in command else 2
    program = web.program
    program.wait_until(lambda: not shown or program.stderr.count(shown) >= workers, f"has not {workers} workers")


class Ended(NamedTuple):
    """How a program ended, and how long that took, in seconds."""

    status: int
    seconds: float


def end(program: Program) -> Ended:
    """SIGTERM, as a supervisor sends it."""
    began = time.monotonic()
    return Ended(program.terminate(30), time.monotonic() - began)


def ask(web: Web, path: str, times: int, at_once: int = 1) -> Counter[object]:
    """How many requests each process has answered."""
    with ThreadPoolExecutor(at_once) as clients:
        answers = list(clients.map(web.ask, [path] * times))
    assert {answer.status for answer in answers} == {200}
    return Counter(int(answer.body) for answer in answers)  # type: ignore[attr-defined]


class Bare(Web):
    """The same server without the agent."""

    def __init__(self, directory: Path, *command: str) -> None:
        self.port = find_free_port()
        words = [word.replace("PORT", str(self.port)) for word in command]
        self.program = Program(tuple(words), directory, {"HOME": str(directory)}, ROOT)
        self.program.wait_for_port(self.port)


@pytest.fixture
def servers() -> Iterator[list[Web]]:
    """Where started servers are put, to be killed at the end."""
    started: list[Web] = []
    yield started
    for web in started:
        web.program.stop()


def serve(command: list[str], receiver: Receiver, servers: list[Web], directory: Path) -> tuple[Ended, Ended, int]:
    """Runs a server under the agent and bare; asserts that each request is told once, by the process that answered.

    Returns:
        How each of the two ended, and the number of requests.
    """
    for name in ("agent", "bare"):
        (directory / name).mkdir()
    web = Web(receiver, directory / "agent", *command, OTEL_BSP_SCHEDULE_DELAY=PATIENT, PYTHONPATH=str(ROOT))
    servers.append(web)
    wait_for_workers(web, command)
    answered = ask(web, "/", 30)
    waits = "trio" not in command
    if waits:
        answered += ask(web, "/query", 8, at_once=4)
    agent = end(web.program)
    assert served(receiver) == answered, web.program.stderr
    told = [line for line in web.program.stderr.splitlines() if line.startswith("perfagent:")]
    assert all("--enable-threads" in line for line in told), told
    if waits:
        queries = [span for span in receiver.spans if span.kind == "CLIENT"]
        parents = {span.span_id for span in receiver.spans if span.attributes.get("url.path") == "/query"}
        assert {span.parent_id for span in queries} == parents
        assert len(queries) == len(parents) == 8
    bare = Bare(directory / "bare", *command)
    servers.append(bare)
    wait_for_workers(bare, command)
    ask(bare, "/", 5)
    return agent, end(bare.program), answered.total()


def command_of(row: str, scripts: Path) -> list[str]:
    first, *rest = SERVERS[row].split()
    return [str(scripts / first), *rest]


@pytest.mark.nightly
@pytest.mark.timeout(900)  # the first row of a version makes its environment
@pytest.mark.parametrize("row", SERVERS)
@pytest.mark.parametrize("version", pythons.found())
def test_a_server_tells_of_each_request_once_and_ends_as_ever(
    row: str, version: str, receiver: Receiver, servers: list[Web], tmp_path: Path
) -> None:
    command = command_of(row, python_of(version).parent)
    agent, bare, requests = serve(command, receiver, servers, tmp_path)
    assert agent.status == bare.status
    assert agent.seconds < bare.seconds + LONGER
    record("processes", f"{row}, Python {version}", done=requests, told=requests, **_ends(agent, bare))


def _ends(agent: Ended, bare: Ended) -> dict[str, str]:
    return {
        "exit": f"{agent.status}",
        "end_bare": f"{bare.seconds:.2f} s",
        "end_with_the_agent": f"{agent.seconds:.2f} s",
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("row", ["hypercorn asyncio workers", "hypercorn wsgi", "granian asgi", "granian wsgi"])
def test_hypercorn_and_granian_tell_of_each_request_once(
    row: str, receiver: Receiver, servers: list[Web], tmp_path: Path
) -> None:
    agent, bare, _ = serve(command_of(row, Path(sys.executable).parent), receiver, servers, tmp_path)
    assert agent.status == bare.status


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("row", ["uWSGI prefork threads", "uWSGI lazy-apps"])
def test_uwsgi_tells_of_each_request_once_whether_it_forks_before_or_after(
    row: str, receiver: Receiver, servers: list[Web], tmp_path: Path
) -> None:
    python = pythons.environment(HERE, "uwsgi", "flask")
    agent, bare, _ = serve(command_of(row, python.parent), receiver, servers, tmp_path)
    assert agent.status == bare.status


FLASK = """
import os
from flask import Flask
application = Flask("served")
@application.get("/items/<int:number>")
def item(number):
    return str(os.getpid())
import uwsgi, uwsgidecorators
@uwsgidecorators.postfork
def forked():
    print("their own hook ran in", os.getpid(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_flask_in_a_file_of_uwsgis_and_a_programs_own_hook_after_the_fork(
    receiver: Receiver, servers: list[Web], tmp_path: Path
) -> None:
    python = pythons.environment(HERE, "uwsgi", "flask")
    (tmp_path / "served.py").write_text(FLASK)
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    words = f"{UWSGI} --master --processes 2 --enable-threads --wsgi-file {tmp_path / 'served.py'}".split()
    command = [str(python.parent / words[0]), *words[1:], "--pythonpath", packages.stdout.strip()]
    web = Web(receiver, tmp_path, *command, OTEL_BSP_SCHEDULE_DELAY=PATIENT)
    servers.append(web)
    answered = ask(web, "/items/7", 20)
    end(web.program)
    assert served(receiver) == answered
    assert {span.name for span in receiver.spans} == {"GET /items/<int:number>"}
    assert web.program.stdout.count("their own hook ran in") + web.program.stderr.count("their own hook ran in") == 2
