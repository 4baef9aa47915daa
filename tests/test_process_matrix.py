"""Ways to run a program, over the versions of Python: what it did is told once each, and its end is its own.

The count of what was done is the client's or the program's own, never ours: the answers that came, by the process that
each names, and a line that a program writes into a file for each of its queries. What a process has to tell arrives
with its end: no row waits for the background thread.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
import zipapp
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests import pythons
from tests.agent import agent_env
from tests.matrices import record
from tests.program import Program, find_free_port
from tests.web import ROOT, Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.otlp import Receiver, Span

PATIENT = "30000"  # ms between two exports: only the way out of the process can be in time
LONGER = 8.0  # seconds that a program's end may take longer than without the agent, on a busy machine
HERE = "{}.{}".format(*sys.version_info)
PACKAGES = ("gunicorn", "gevent", "uvicorn", "uvicorn-worker", "hypercorn", "trio", "granian", "uwsgi", "waitress")
PACKAGES = (*PACKAGES, "packaging", "flask", "celery", "redis")  # gunicorn's gevent worker asks for packaging

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
    # Under Python 3.13 its workers hang, without us too, and under others now and then at the end: see NEVER_ENDS.
    "uWSGI osafterfork": f"{UWSGI} --master --processes 2 --enable-threads --py-call-osafterfork --module {WSGI}",
    "uWSGI mount": f"{UWSGI} --master --enable-threads --manage-script-name --mount /={WSGI}",
    "waitress": f"waitress-serve --listen 127.0.0.1:PORT {WSGI}",
}  # fmt: skip
NEVER_ENDS = ("uWSGI osafterfork",)
"""Of a dozen starts without the agent, four do not end on SIGTERM: how it ends is nobody's measure."""


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
    elif command[0].endswith("granian"):
        shown = "Started worker"
    elif "-w" in command and command[0].endswith("gunicorn"):
        shown, workers = "Booting worker", 1 if "gevent" in command else 2
    program = web.program
    program.wait_until(
        lambda: not shown or (program.stdout + program.stderr).count(shown) >= workers, f"has not {workers} workers"
    )


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
    uwsgi, endless = command[0].endswith("uwsgi"), command[1:] in [SERVERS[row].split()[1:] for row in NEVER_ENDS]
    delay = "100" if uwsgi else PATIENT  # uWSGI skips the exit of a worker that it holds for busy, whatever it does
    web = Web(receiver, directory / "agent", *command, OTEL_BSP_SCHEDULE_DELAY=delay, PYTHONPATH=str(ROOT))
    servers.append(web)
    wait_for_workers(web, command)
    answered = ask(web, "/", 30)
    waits = "trio" not in command
    if waits:
        answered += ask(web, "/query", 8, at_once=4)
    if uwsgi and {"--enable-threads", "--threads"} & set(command):
        receiver.wait_for_spans(answered.total(), where=lambda span: span.kind == "SERVER")
    if endless:
        web.program.stop()
        agent = Ended(0, 0)
    else:
        agent = end(web.program)
    assert served(receiver) == answered, web.program.stderr
    told = [line for line in web.program.stderr.splitlines() if line.startswith("perfagent:")]
    assert all("--enable-threads" in line for line in told), told
    if waits:
        queries = [span for span in receiver.spans if span.kind == "CLIENT"]
        parents = {span.span_id for span in receiver.spans if span.attributes.get("url.path") == "/query"}
        assert {span.parent_id for span in queries} == parents
        assert len(queries) == len(parents) == 8
    if endless:
        return agent, agent, answered.total()
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
@pytest.mark.parametrize(
    ("version", "row"),
    [
        (version, row)
        for version in pythons.found()
        for row in SERVERS
        if (version, row) != ("3.13", "uWSGI osafterfork")
    ],
)
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


PRELUDE = """\
import os, sqlite3, sys, time
def query():
    connection = sqlite3.connect(":memory:")
    connection.execute("select 1")
    connection.close()
    try:
        with open(os.environ["DONE"], "a") as file:
            file.write(f"{os.getpid()}\\n")
    except OSError:  # ulimit -f 0
        pass
"""
POOLED = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def work(number):
    query()
    return number
if __name__ == "__main__":
    context = multiprocessing.get_context(METHOD)
    children = [context.Process(target=work, args=(number,)) for number in range(2)]
    for child in children: child.start()
    for child in children: child.join()
    print([child.exitcode for child in children])
    with context.Pool(2) as pool:
        print(pool.map(work, range(4), chunksize=1))
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        print(list(executor.map(work, range(4))))
    query()
"""
PROGRAMS = {
    "multiprocessing fork": POOLED.replace("METHOD", "'fork'"),
    "multiprocessing spawn": POOLED.replace("METHOD", "'spawn'"),
    "multiprocessing forkserver": POOLED.replace("METHOD", "'forkserver'"),
    "os.fork, the child ends by os._exit": "query()\nif not os.fork(): query(); os._exit(3)\nprint(os.wait()[1])",
    "os.fork, the child ends by sys.exit": "query()\nif not os.fork(): query(); sys.exit(3)\nprint(os.wait()[1])",
    "os.fork, the child ends by an exception": "query()\nif not os.fork(): query(); 1/0\nprint(os.wait()[1])",
    "os.fork, the child is killed by SIGTERM": "import signal\nquery()\nif not os.fork(): query(); "
    "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)\nprint(os.wait()[1])",
    "os.fork of a thread": "import threading\ndef run():\n    query()\n    if not os.fork(): query(); os._exit(0)\n"
    "    print(os.wait()[1])\nthread = threading.Thread(target=run); thread.start(); thread.join()",
    "forks of forks": "for _ in range(3):\n    if not os.fork(): query(); continue\n    os.wait(); break\nquery()",
    "subprocess": "import subprocess\nquery()\nif len(sys.argv) == 1: "
    "print(subprocess.run([sys.executable, __file__, 'child']).returncode)",
    "subprocess by a shell": "import subprocess\nquery()\nif len(sys.argv) == 1: "
    "print(subprocess.call(f'cd / && {sys.executable} {__file__} child; exit 4', shell=True))",
    "os.posix_spawn": "query()\nif len(sys.argv) == 1: print(os.waitpid(os.posix_spawn(sys.executable, "
    "[sys.executable, __file__, 'child'], os.environ), 0)[1])",
    "os.exec of itself": "query()\nif len(sys.argv) == 1: os.execv(sys.executable, [sys.executable, __file__, 'more'])",
    "an exception": "query()\nraise LookupError('ours')",
    "sys.exit": "query()\nsys.exit(3)",
    "SIGKILL of itself after a while": "import signal\nquery()\nfor _ in range(40): time.sleep(0.05)\n"
    "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGINT": "import signal\nquery()\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)",
    "SIGSEGV": "import signal\nquery()\nfor _ in range(40): time.sleep(0.05)\nos.kill(os.getpid(), signal.SIGSEGV)",
    "a daemon thread at work": "import threading\ndef run():\n    while True: time.sleep(0.001)\n"
    "threading.Thread(target=run, daemon=True).start()\nquery()",
}  # fmt: skip
ANOTHER = "setpriv --reuid={0} --regid={0} --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
"""Another user, who may read all there is (the interpreter may be in root's home) and write nothing."""
WAYS = {
    "a script": "PYTHON PROGRAM",
    "python -c": "PYTHON -c SOURCE",
    "python -m": "PYTHON -m program",
    "python - < script": "sh -c 'exec \"$0\" - < \"$1\"' PYTHON PROGRAM",
    "python < script": "sh -c 'exec \"$0\" < \"$1\"' PYTHON PROGRAM",
    "a zipapp": "PYTHON ZIPAPP",
    "an executable zipapp": "ZIPAPP",
    "a folder": "PYTHON FOLDER",
    "a shell that starts Python": "sh -c '\"$0\" \"$1\"; exit $?' PYTHON PROGRAM",
    "perfagent run twice": "perfagent run PYTHON PROGRAM",
    "env -i would clear it, env keeps it": "env MORE=1 PYTHON PROGRAM",
    "nice": "nice -n 1 PYTHON PROGRAM",
    "setsid": "setsid --wait PYTHON PROGRAM",
    "no home": "env -u HOME PYTHON PROGRAM",
    "a home that cannot be": "env HOME=/dev/null/none PYTHON PROGRAM",
    "ulimit -n 32": "sh -c 'ulimit -n 32; exec \"$0\" \"$1\"' PYTHON PROGRAM",
    "ulimit -n 12": "sh -c 'ulimit -n 12; exec \"$0\" \"$1\"' PYTHON PROGRAM",
    "ulimit -v 200 MB": "sh -c 'ulimit -v 200000; exec \"$0\" \"$1\"' PYTHON PROGRAM",
    "ulimit -s 256 kB": "sh -c 'ulimit -s 256; exec \"$0\" \"$1\"' PYTHON PROGRAM",
    "ulimit -f 0": "sh -c 'ulimit -f 0; exec \"$0\" \"$1\"' PYTHON PROGRAM",
    "every descriptor closed": "sh -c 'exec \"$0\" \"$1\" <&- >&- 2>&-' PYTHON PROGRAM",
    "a user who may write nowhere": f"{ANOTHER.format(54321)} PYTHON PROGRAM",
    "ulimit -u 1": f"prlimit --nproc=1 {ANOTHER.format(54322)} PYTHON PROGRAM",
}  # fmt: skip
UNCOUNTED = ("ulimit -f 0", "every descriptor closed")
"""The program has no file to count in."""


class Place:
    """A folder that every user may read, with a program in it and the file that counts what the program did.

    Args:
        folder: where.
        code: the program, after `PRELUDE`.
    """

    def __init__(self, folder: Path, code: str) -> None:
        self.source = PRELUDE + code
        self.program = folder / "program.py"
        self.program.write_text(self.source)
        main = folder / "folder"
        main.mkdir()
        (main / "__main__.py").write_text(self.source)
        self.archive = folder / "program.pyz"
        zipapp.create_archive(main, self.archive, interpreter="/usr/bin/env python")
        self.folder = folder
        self.done = folder / "done"

    def words(self, way: str, python: Path) -> list[str]:
        """The words of a command, with what they stand for."""
        meant = {
            "PYTHON": str(python),
            "PROGRAM": str(self.program),
            "SOURCE": self.source,
            "ZIPAPP": str(self.archive),
            "FOLDER": str(self.folder / "folder"),
        }
        return [meant.get(word, word) for word in shlex.split(way)]

    def run(self, command: list[str], env: dict[str, str], run_program: RunProgram) -> tuple[Program, float]:
        """The program, ended, and how long it took from the last thing that it did; all that it did is in `done`."""
        self.done.write_text("")
        self.done.chmod(0o666)
        program = run_program(*command, env={"DONE": str(self.done), **env}, cwd=self.folder)
        program.wait(60)
        return program, time.time() - self.done.stat().st_mtime

    @property
    def counted(self) -> Counter[object]:
        """How many queries each process has made."""
        return Counter(int(line) for line in self.done.read_text().split())


def _may_become_another() -> bool:
    words = [*ANOTHER.format(54321).split(), "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users may read, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def compare(
    place: Place, command: list[str], receiver: Receiver, run_program: RunProgram, told: int | None = None
) -> dict[str, object]:
    """Runs a command bare and under the agent; asserts that all it did is told, and that it ended as ever.

    Args:
        told: how many spans, where the program cannot count itself.
    """
    bare, bare_took = place.run(command[2:] if command[0] == "perfagent" else command, {}, run_program)
    # A busy machine may take longer than the 2 s after which the agent gives up; the end is judged below.
    env = agent_env(receiver, OTEL_BSP_SCHEDULE_DELAY="500", PERFAGENT_EXIT_TIMEOUT="5000")
    agent, took = place.run(["perfagent", "run", *command], env, run_program)
    assert (agent.process.returncode, agent.stdout) == (bare.process.returncode, bare.stdout), agent.stderr
    assert "perfagent:" not in agent.stderr
    sent = served(receiver, "CLIENT")
    if told is None:
        assert sent == place.counted
        assert sent
    else:
        assert sent.total() == told
    for _ in range(3):  # on a busy machine
        if took < bare_took + LONGER:
            break
        took = place.run(["perfagent", "run", *command], env, run_program)[1]
    else:
        raise AssertionError(f"its end took {took:.2f} s, bare {bare_took:.2f} s")
    figures = {"done": sent.total(), "told": sent.total(), "exit": f"{agent.process.returncode}"}
    return {**figures, "end_bare": f"{bare_took:.2f} s", "end_with_the_agent": f"{took:.2f} s"}


@pytest.mark.nightly
@pytest.mark.parametrize("row", PROGRAMS)
@pytest.mark.parametrize("version", pythons.found())
def test_a_program_tells_of_each_query_once_in_whatever_processes_it_makes(
    row: str, version: str, receiver: Receiver, run_program: RunProgram, folder: Path
) -> None:
    python = pythons.environment(version)
    place = Place(folder, PROGRAMS[row])
    figures = compare(place, place.words("PYTHON PROGRAM", python), receiver, run_program)
    record("processes", f"{row}, Python {version}", **figures)


@pytest.mark.nightly
@pytest.mark.parametrize("row", WAYS)
@pytest.mark.parametrize("version", pythons.found())
def test_a_program_is_told_of_however_it_is_started(
    row: str, version: str, receiver: Receiver, run_program: RunProgram, folder: Path
) -> None:
    python = pythons.environment(version)
    place = Place(folder, "query()\nprint('out', flush=True)\nsys.exit(3)\n")
    if "setpriv" in WAYS[row] and not _may_become_another():
        pytest.skip("only root can become another user")
    figures = compare(
        place, place.words(WAYS[row], python), receiver, run_program, told=1 if row in UNCOUNTED else None
    )
    record("processes", f"{row}, Python {version}", **figures)


READ_ONLY = ("unshare", "--mount", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "sh")


@pytest.mark.slow
@pytest.mark.parametrize("hub", ["off", "auto"])
def test_on_a_disk_that_cannot_be_written_to_a_program_is_measured_and_runs_as_ever(
    hub: str, receiver: Receiver, run_program: RunProgram, folder: Path
) -> None:
    if subprocess.run([*READ_ONLY, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can make a disk read-only")
    place = Place(folder, "query()\nprint(os.access('.', os.W_OK))\nsys.exit(3)\n")
    env = agent_env(receiver, DONE=str(place.done), HOME=str(folder), PERFAGENT_HUB=hub)
    if hub == "auto":  # a hub that cannot be: it has nowhere to write to
        del env["OTEL_EXPORTER_OTLP_ENDPOINT"]
    program = run_program(*READ_ONLY, "perfagent", "run", "python", str(place.program), env=env, cwd=folder)
    assert program.wait(60) == 3
    assert program.stdout == "False\n"
    assert "Traceback" not in program.stderr
    if hub == "auto":
        assert "Read-only file system" in program.stderr
    else:
        assert program.stderr == ""
        assert len(receiver.spans) == 1
    record("processes", f"a read-only disk, PERFAGENT_HUB={hub}", done=1, told=len(receiver.spans), exit="3")


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", pythons.found())
def test_celery_in_forked_workers_tells_of_each_task_once(
    version: str, receiver: Receiver, redis_url: str, tmp_path: Path, run_program: RunProgram
) -> None:
    python = python_of(version)
    env = agent_env(
        receiver, BROKER=redis_url.rsplit("/", 1)[0] + "/9", PYTHONPATH=str(ROOT), HOME=str(tmp_path),
        OTEL_BSP_SCHEDULE_DELAY=PATIENT,
    )  # fmt: skip
    words = "celery -A tests.apps.celery_app worker --without-gossip --without-mingle --loglevel INFO --concurrency 2"
    first, *rest = words.split()
    worker = run_program("perfagent", "run", str(python.parent / first), *rest, "--max-tasks-per-child", "4", env=env)
    worker.wait_for_output(" ready.", 60)
    sends = (
        "from tests.apps.celery_app import pid; "
        "print(*[sent.get(timeout=30) for sent in [pid.delay() for _ in range(20)]])"
    )
    client = run_program(str(python), "-c", sends, env=env, cwd=ROOT)
    answered = Counter(int(number) for number in client.check(60).split())
    assert worker.terminate(60) == 0
    assert served(receiver, "CONSUMER") == answered
    assert len(answered) > 2
    record("processes", f"Celery prefork, 4 tasks a child, Python {version}", done=20, told=20, exit="0")
