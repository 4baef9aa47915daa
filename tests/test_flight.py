"""The flight recorder: whatever ends a process, what it was doing is told, once, by those that are left."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from perfagent.flight import death, files, layout
from perfagent.settings import Settings
from tests.agent import agent_env
from tests.program import clean_environment

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.hubs import Home
    from tests.otlp import LogRecord, Receiver
    from tests.program import Program
    from tests.web import StartWeb

APP = Path(__file__).parent / "apps" / "dying_app.py"
SOURCE = APP.parent.parent.parent / "src"
PYTHONS = [sys.executable, *map(str, sorted(Path.home().glob(".pyenv/versions/3.1[0-9].*/bin/python")))]
KILLED = "was ended by SIGKILL"


def deaths(receiver: Receiver, n: int = 1) -> list[LogRecord]:
    return receiver.wait_for_logs(n, timeout=60, where=lambda record: record.event_name == death.EVENT)


def ask(port: int, path: str) -> bytes:
    """The answer; "" where the connection breaks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()


def ask_meanwhile(port: int, path: str) -> threading.Thread:
    thread = threading.Thread(target=ask, args=(port, path), daemon=True)
    thread.start()
    return thread


def flights(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if files.ENDING in path.name]


def wait_for(place: Path, text: str) -> Path:
    """The file of the process that is doing so, as its own thread has noted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in flights(place):
            found = death.read(str(path))
            if found is not None and any(text in str(one) for one in found.under_way):
                return path
        time.sleep(0.02)
    raise AssertionError([str(death.read(str(path))) for path in flights(place)])


@pytest.fixture
def serve(run_program: RunProgram, receiver: Receiver, tmp_path: Path, free_port: int) -> Serve:
    return Serve(run_program, receiver, tmp_path, free_port)


class Serve:
    """The program that dies, of one process with a thread a request."""

    def __init__(self, run_program: RunProgram, receiver: Receiver, place: Path, port: int) -> None:
        self.run_program, self.receiver, self.place, self.port = run_program, receiver, place, port

    def __call__(self, **env: str) -> Program:
        env = agent_env(self.receiver, PERFAGENT_FLIGHT_DIR=str(self.place), **env)
        program = self.run_program("perfagent", "run", "python", str(APP), str(self.port), env=env)
        program.wait_for_port(self.port)
        return program


@pytest.mark.slow
def test_a_killed_process_is_told_of_by_the_next_start_with_its_request_and_the_query_that_ran(serve: Serve) -> None:
    program = serve()
    assert ask(serve.port, "/items")
    ask_meanwhile(serve.port, "/report")
    wait_for(serve.place, "in with recursive")
    pid = program.pid
    program.process.kill()
    program.wait()
    assert not [one for one in serve.receiver.logs if one.event_name == death.EVENT]
    asked = {"PERFAGENT_FLIGHT_DIR": str(serve.place), "OTEL_EXPORTER_OTLP_ENDPOINT": serve.receiver.url}
    doctor = serve.run_program("perfagent", "doctor", sys.executable, env=asked)
    doctor.wait(60)
    assert f"process {pid} of tested was killed or crashed while it answered GET /report" in doctor.stdout

    again = serve()
    (told,) = deaths(serve.receiver)
    assert told.severity == 17
    assert told.attributes["process.pid"] == pid
    assert told.attributes["service.name"] == "tested"
    (request,) = told.attributes["perfagent.process.requests"]
    assert request.startswith("GET /report, ")
    assert "old, in with recursive n(i) as (select ?" in request
    assert "canary" not in str(told)
    assert told.attributes["perfagent.process.answered"][0].startswith("GET /items 200 in ")
    assert told.attributes["perfagent.process.memory"] > 5e6
    assert told.attributes["perfagent.process.out_of_memory"] is False
    assert told.trace_id
    assert f"process {pid} of tested was killed or crashed while it answered GET /report" in again.stderr
    again.terminate()
    assert not flights(serve.place)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "reason"), [("/crash", "was killed or crashed"), ("/exit", "ended itself by os._exit(3)")]
)
def test_a_request_that_ends_its_process_at_once_is_told_of(serve: Serve, path: str, reason: str) -> None:
    first = serve()
    assert ask(serve.port, path) == b""
    first.wait()
    second = serve()
    (told,) = deaths(serve.receiver)
    assert told.attributes["perfagent.process.end"] == reason
    (request,) = told.attributes["perfagent.process.requests"]
    assert request.startswith(f"GET {path}, ")
    if path == "/exit":
        assert told.attributes["process.exit.code"] == 3
    second.terminate()


@pytest.mark.slow
def test_a_worker_of_gunicorn_that_is_killed_is_told_of_while_the_others_go_on(
    start_web: StartWeb, tmp_path: Path
) -> None:
    command = ("gunicorn", "-b", "127.0.0.1:PORT", "--no-control-socket", "-w", "2", "-k", "gthread", "--threads", "2")
    web = start_web(*command, "tests.apps.dying_app:app", PERFAGENT_FLIGHT_DIR=str(tmp_path))
    ask_meanwhile(web.port, "/report")
    path = wait_for(tmp_path, "in with recursive")
    pid = int(path.name.partition("-")[0])
    os.kill(pid, signal.SIGKILL)
    (told,) = deaths(web.receiver)
    assert told.attributes["process.pid"] == pid
    assert told.attributes["perfagent.process.end"] == KILLED
    assert "GET /report, " in told.attributes["perfagent.process.requests"][0]
    answers = {ask(web.port, "/items") for _ in range(20)}
    assert b"" not in answers
    assert str(pid).encode() not in answers
    web.program.terminate()
    assert len([one for one in web.receiver.logs if one.event_name == death.EVENT]) == 1
    assert not flights(tmp_path)


@pytest.mark.slow
def test_the_hub_tells_of_the_last_process_of_a_service(
    home: Home, run_program: RunProgram, tmp_path: Path, free_port: int
) -> None:
    env = home.env(PERFAGENT_FLIGHT_DIR=str(tmp_path / "flights"), OTEL_BSP_SCHEDULE_DELAY="100")
    program = run_program("perfagent", "run", "python", str(APP), str(free_port), env=env)
    program.wait_for_port(free_port)
    assert ask(free_port, "/items")
    home.get("hub", timeout=60)  # it boots
    home.wait_for_spans(1)
    ask_meanwhile(free_port, "/report")
    wait_for(tmp_path / "flights", "in with recursive")
    program.process.kill()
    deadline = time.monotonic() + 60
    found: list[dict[str, object]] = []
    while not found:
        assert time.monotonic() < deadline, home.log
        time.sleep(0.1)
        found = [one for one in home.get("insights?from=-10m", timeout=60)["items"] if one["kind"] == "process_died"]
    (insight,) = found
    assert insight["title"] == "a process of tested died"
    assert f"process {program.pid} of tested was killed or crashed while it answered GET /report" in str(
        insight["evidence"]
    )
    (process,) = home.get("processes?from=-10m")["items"]
    assert process["pid"] == program.pid
    assert not flights(tmp_path / "flights")


ENDS = {
    "the end of the program": "",
    "sys.exit": "import sys; sys.exit(3)",
    "an exception": "raise ValueError",
    "os._exit": "import os; os._exit(0)",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "SIGINT": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(9)",
    "a forked child": "import os\nif not os.fork(): os._exit(0)\nos.wait()",
    "another program": f"import os; os.execv({sys.executable!r}, [{sys.executable!r}, '-S', '-c', ''])",
}
REQUEST = """
from wsgiref.util import setup_testing_defaults
from wsgiref.handlers import SimpleHandler
import io, time
def app(environ, start):
    start("200 OK", [])
    return [b"x"]
def request(app=app):
    environ = {}
    setup_testing_defaults(environ)
    handler = SimpleHandler(io.BytesIO(), io.BytesIO(), io.StringIO(), environ)
    handler.run(app)
request()
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ENDS)
def test_an_orderly_end_leaves_no_file(way: str, run_program: RunProgram, receiver: Receiver, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(f"{REQUEST}\nimport os; print(len(os.listdir({str(tmp_path)!r})))\n{ENDS[way]}\n")
    env = agent_env(receiver, PERFAGENT_FLIGHT_DIR=str(tmp_path))
    program = run_program("perfagent", "run", "python", str(script), env=env)
    program.wait()
    assert program.stdout == "2\n", "there was a file beside the script"
    left = [path for path in flights(tmp_path) if death.read(str(path)) is not None]
    assert not left
    assert "perfagent:" not in program.stderr


@pytest.mark.slow
def test_a_forked_child_writes_a_file_of_its_own_and_its_parent_tells_the_signal(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        f"""{REQUEST}
import os, signal
def dies(environ, start):
    os.kill(os.getpid(), signal.SIGKILL)
child = os.fork()
if not child:
    request(dies)
print(child, os.waitpid(child, 0), flush=True)
time.sleep(60)
"""
    )
    env = agent_env(receiver, PERFAGENT_FLIGHT_DIR=str(tmp_path))
    program = run_program("perfagent", "run", "python", str(script), env=env)
    (told,) = deaths(receiver)
    child = told.attributes["process.pid"]
    assert program.stdout == f"{child} ({child}, 9)\n"
    assert told.attributes["perfagent.process.end"] == KILLED
    assert told.attributes["perfagent.process.requests"][0].startswith("GET /, ")


@pytest.mark.slow
def test_no_descriptor_is_taken_from_the_program(run_text: RunText) -> None:
    code = f"""{REQUEST}
import os
print(sorted(map(int, os.listdir("/proc/self/fd")))[:4], os.open("/", 0))
"""
    with_us = run_text(code)
    assert with_us.stdout == run_text(code, bare=True).stdout
    assert with_us.stdout == run_text(code, PERFAGENT_FLIGHT="off").stdout


@pytest.mark.slow
def test_it_can_be_turned_off_and_does_without_a_place(run_text: RunText, tmp_path: Path) -> None:
    for env in ({"PERFAGENT_FLIGHT": "off"}, {"PERFAGENT_FLIGHT_DIR": "/proc/nowhere"}):
        code = f"{REQUEST}\nimport os; print(os.path.exists({str(tmp_path / 'flights')!r}))\ntime.sleep(0.5)"
        run = run_text(code, **{"PERFAGENT_FLIGHT_DIR": str(tmp_path / "flights"), **env})
        assert run.stdout == "False\n"
        assert run.stderr == ""


@pytest.mark.slow
def test_a_request_that_its_program_forgets_gives_its_slot_back(tmp_path: Path) -> None:
    code = """
    from perfagent import settings
    from perfagent.flight import death, layout
    from perfagent.runtime import flight
    from perfagent.runtime.http import ServerSpan
    from perfagent.runtime.span import Scope

    def request():
        return ServerSpan(Scope("test"), None, "GET", "http", "/kept", "1.1", b"localhost", b"", None)

    forgotten = [request() for _ in range(layout.SLOTS)]
    assert request().slot == -1
    kept = forgotten.pop()
    forgotten.clear()
    flight.recorder._look()
    told = death.read(flight.recorder.path)
    assert len(told.under_way) == 1, len(told.under_way)
    assert len({request().slot for _ in range(20)}) == 20
    kept.finish()
    kept.finish()
    assert len(flight.recorder.free) == len(set(flight.recorder.free)) == layout.SLOTS - 20
    """
    for python in PYTHONS:
        env = clean_environment({"PERFAGENT_FLIGHT_DIR": str(tmp_path), "PERFAGENT_STRICT": "true"})
        start = "from perfagent.runtime import flight; from perfagent import settings;"
        start += "flight.install(settings.current(), print)"
        done = subprocess.run(
            [python, "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {start}\n{textwrap.dedent(code)}"],
            env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{python}: {done.stderr}"


def test_a_number_that_another_process_has_by_now_does_not_keep_a_file_alive(tmp_path: Path) -> None:
    mine, ticks, namespace = files.identity(os.getpid()).split("-")
    (tmp_path / f"{mine}-{ticks}-{namespace}.flight").touch()
    earlier = tmp_path / f"{mine}-{int(ticks) - 1}-{namespace}.flight"
    earlier.touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "a-b-c.flight").touch()
    assert list(files.dead(str(tmp_path))) == [str(earlier)]


def test_of_those_that_find_a_file_one_tells_and_if_that_dies_another(tmp_path: Path) -> None:
    name = tmp_path / "1-1-1.flight"
    name.touch()
    mine = files.claim(str(name))
    assert mine
    assert files.claim(str(name)) == ""
    assert list(files.dead(str(tmp_path))) == []
    os.rename(mine, f"{name}.1-1-1")
    assert list(files.dead(str(tmp_path))) == [f"{name}.1-1-1"]


def test_a_file_that_was_cut_short_or_is_something_else_is_no_death(tmp_path: Path) -> None:
    path = tmp_path / "1-1-1.flight"
    for content in (b"", layout.MAGIC, b"x" * layout.SIZE, os.urandom(layout.SIZE)):
        path.write_bytes(content)
        assert death.read(str(path)) is None
    path.write_bytes(layout.MAGIC + os.urandom(layout.SIZE))
    with contextlib.suppress(AssertionError):  # whatever stands there, reading it raises nothing
        assert death.read(str(path))


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    place = tmp_path / "flights"
    place.mkdir()
    place.chmod(0o777)
    settings = Settings({"PERFAGENT_FLIGHT_DIR": str(place)})
    assert files.folder(settings) == ""
    place.chmod(0o700)
    assert files.folder(settings) == str(place)


def test_memory_that_ran_out_is_told(tmp_path: Path) -> None:
    counts = tmp_path / "memory.events"
    counts.write_text("low 0\noom 1\noom_kill 4\n")
    raw = bytearray(layout.SIZE)
    raw[: len(layout.MAGIC)] = layout.MAGIC
    layout.VITAL.pack_into(raw, layout.VITAL_AT, 0, 5, 1_900_000_000, 3, 0, 9, layout.BY_PARENT)
    head = layout.text({"service": "shop", "pid": 4711, "oom": counts})
    raw[layout.TEXT_AT : layout.TEXT_AT + len(head)] = head
    path = tmp_path / "1-1-1.flight"
    path.write_bytes(raw)
    found = death.read(str(path))
    assert found is not None
    assert found.out_of_memory
    assert str(found) == (
        "process 4711 of shop was ended by SIGKILL while no request was under way; memory 1.9 GB. Out of memory: the "
        "kernel killed a process for it"
    )


def test_a_request_that_no_look_has_seen_is_given_no_age() -> None:
    found = death.Death({"pid": "1", "service": "shop"}, 0, 0, "was ended by SIGHUP")
    young = death.Flight("GET /slow", 0.0, "7", 0, b"", b"")
    found.under_way = [young]
    assert str(found) == "process 1 of shop was ended by SIGHUP while it answered GET /slow (begun after the last look)"
    assert str(young) == "GET /slow, begun after the last look, thread 7"


def test_the_page_tells_the_attributes_and_limits_as_they_are() -> None:
    text = (APP.parent.parent.parent / "docs/how-to/flight-recorder.md").read_text()
    page = " ".join(text.split())
    found = death.Death({"pid": "1"}, 0, 0, "")
    found.exit_code = 0
    for name in found.attributes():
        assert f"`{name}`" in page or name in ("service.name", "perfagent.process.started"), name
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert yaml.safe_load(example)["env"][0]["name"] == next(
        one.name for one in Settings.options() if one.attribute == "flight_directory"
    )
    assert f"more than {layout.SLOTS} requests" in page
    assert f"{round(layout.SIZE / 1024) // 8 * 8} KB" in page
