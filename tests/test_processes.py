"""Process models: whatever starts, forks, signals or ends a process, each operation is sent once, by its own process.

No test waits for the background thread: what a process has to tell arrives before it is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.otlp import hang
from tests.web import ROOT

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver, Span
    from tests.program import Program
    from tests.web import StartWeb, Web

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

PATIENT = "30000"  # ms between two exports: only the way out of the process can be in time
QUERY = """
import sqlite3
def query():
    connection = sqlite3.connect(":memory:")
    connection.execute("select 1")
    connection.close()
"""
GUNICORN = ("gunicorn", "-b", "127.0.0.1:PORT", "--no-control-socket", "-w", "2")


class Run:
    """Runs code under the agent, and bare for comparison."""

    def __init__(self, run_program: RunProgram, receiver: Receiver, directory: Path) -> None:
        self.run_program = run_program
        self.receiver = receiver
        self.script = directory / "program.py"

    def start(self, code: str, *options: str, python: str = "python", **env: str) -> Program:
        """The code after `QUERY`, in a file of its own, as multiprocessing wants it."""
        self.script.write_text(QUERY + textwrap.dedent(code))
        env = agent_env(self.receiver, **{"OTEL_BSP_SCHEDULE_DELAY": PATIENT, **env})
        return self.run_program("perfagent", "run", python, *options, str(self.script), env=env)

    def both(self, code: str) -> Program:
        """The program, ended; its status and output are what they are without us."""
        program = self.start(code)
        program.wait()
        bare = self.run_program("python", str(self.script))
        assert program.wait() == bare.wait(), program.stderr
        assert program.stdout == bare.stdout
        assert "perfagent:" not in program.stderr
        return program


@pytest.fixture
def run(run_program: RunProgram, receiver: Receiver, tmp_path: Path) -> Run:
    return Run(run_program, receiver, tmp_path)


def once(receiver: Receiver, kind: str = "CLIENT") -> Counter[object]:
    """How many spans of a kind came from each process; none came twice, and each process has an identity of its own."""
    spans: list[Span] = [span for span in receiver.spans if span.kind == kind]
    assert len({span.span_id for span in spans}) == len(spans)
    identities = {(span.resource["process.pid"], span.resource["service.instance.id"]) for span in spans}
    assert len(identities) == len({process for process, _ in identities}) == len({own for _, own in identities})
    return Counter(span.resource["process.pid"] for span in spans)


def ask(web: Web, times: int) -> Counter[object]:
    """How many requests each process has answered."""
    return Counter(int(web.ask("/").body) for _ in range(times))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options",
    [
        ("-k", "sync", "tests.apps.process_app:wsgi"),
        ("-k", "gthread", "--threads", "3", "tests.apps.process_app:wsgi"),
        # Of two gevent workers, one may ignore SIGTERM for as long as it is idle, without us too.
        ("-k", "gevent", "-w", "1", "tests.apps.process_app:wsgi"),
        ("-k", "uvicorn_worker.UvicornWorker", "tests.apps.process_app:asgi"),
        ("--preload", "tests.apps.process_app:wsgi"),
        ("--max-requests", "5", "tests.apps.process_app:wsgi"),
    ],
    ids=" ".join,
)
def test_gunicorns_workers_send_each_of_their_requests_once(
    options: tuple[str, ...], receiver: Receiver, start_web: StartWeb
) -> None:
    web = start_web(*GUNICORN, *options, OTEL_BSP_SCHEDULE_DELAY=PATIENT)
    workers = 1 if "gevent" in options else 2
    web.program.wait_until(lambda: web.program.stderr.count("Booting worker") >= workers, "did not boot")
    answered = ask(web, 30)
    assert web.program.terminate() == 0
    assert once(receiver, "SERVER") == answered
    assert len(answered) > (5 if "--max-requests" in options else 0)


def test_uvicorns_workers_send_each_of_their_requests_once(receiver: Receiver, start_web: StartWeb) -> None:
    target = ("tests.apps.process_app:asgi", "--port", "PORT", "--workers", "2")
    web = start_web("uvicorn", *target, OTEL_BSP_SCHEDULE_DELAY=PATIENT, OTEL_SERVICE_NAME="")
    answered = ask(web, 30)
    web.program.terminate()
    assert once(receiver, "SERVER") == answered
    assert {span.resource["service.name"] for span in receiver.spans} == {"tests"}


def test_uvicorns_reload_loses_and_doubles_nothing(receiver: Receiver, start_web: StartWeb, tmp_path: Path) -> None:
    source = (ROOT / "tests" / "apps" / "process_app.py").read_text()
    (tmp_path / "reloaded.py").write_text(source)
    command = ("uvicorn", "--app-dir", str(tmp_path), "--reload", "--reload-dir", str(tmp_path))
    web = start_web(*command, "reloaded:asgi", "--port", "PORT", OTEL_BSP_SCHEDULE_DELAY=PATIENT)
    answered = ask(web, 3)

    def reloads() -> bool:
        # Over and over: what changes before uvicorn's first look at the file is no change.
        (tmp_path / "reloaded.py").write_text(f"{source}# {time.time()}\n")
        return "Reloading" in web.program.stderr

    web.program.wait_until(reloads, "did not reload")
    while len(answered) < 2:
        assert web.program.running
        try:
            answered += ask(web, 1)
        except OSError:  # between the two
            continue
    web.program.terminate()
    assert once(receiver, "SERVER") == answered


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_send_each_of_their_queries_once(method: str, run: Run, receiver: Receiver) -> None:
    program = run.both(f"""
        import multiprocessing, os
        from concurrent.futures import ProcessPoolExecutor

        def work(number):
            query()

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            query()
            children = [context.Process(target=work, args=(number,)) for number in range(2)]
            for child in children:
                child.start()
            for child in children:
                child.join()
            print([child.exitcode for child in children])
            with context.Pool(2) as pool:  # ends its workers by SIGTERM
                pool.map(work, range(4), chunksize=1)
            with ProcessPoolExecutor(2, mp_context=context) as executor:
                list(executor.map(work, range(4)))
            query()
    """)
    sent = once(receiver)
    assert sent.total() == 12
    assert sent[program.pid] == 2
    assert {span.resource["service.name"] for span in receiver.spans} == {"tested"}


def test_a_fork_neither_sends_what_its_parent_has_waiting_nor_shares_its_identity(run: Run, receiver: Receiver) -> None:
    program = run.both("""
        import os
        for _ in range(5):
            query()
        child = os.fork()
        query()
        if child:
            print(os.waitpid(child, 0)[1])
    """)
    sent = once(receiver)
    assert sent.pop(program.pid) == 6
    assert list(sent.values()) == [1]


def test_a_child_that_leaves_through_its_parents_request_does_not_send_it_too(run: Run, receiver: Receiver) -> None:
    run.both("""
        import os, sys
        from flask import Flask
        app = Flask("forking")

        @app.get("/")
        def forking():
            child = os.fork()
            query()
            if not child:
                sys.exit(0)
            os.waitpid(child, 0)
            return "parent"

        print(app.test_client().get("/").data)
    """)
    (request,) = [span for span in receiver.spans if span.kind == "SERVER"]
    assert once(receiver).total() == 2
    assert {span.parent_id for span in receiver.spans if span.kind == "CLIENT"} == {request.span_id}
    active = {point.resource["process.pid"]: point.value for point in receiver.metric("http.server.active_requests")}
    assert set(active.values()) == {0}


def test_a_fork_while_we_import_something_leaves_no_child_that_waits_for_it_for_good(
    run: Run, receiver: Receiver
) -> None:
    program = run.start("""
        import os, sys, time
        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == "http.client":
                    importing.append(name)
                    time.sleep(0.5)
        importing = []
        sys.meta_path.insert(0, Slow())
        query()
        while not importing:
            time.sleep(0.001)
        child = os.fork()
        if not child:
            import http.client
            query()
            sys.exit(0)
        deadline = time.monotonic() + 60
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        print(ended[1], *set(importing))
    """, OTEL_BSP_SCHEDULE_DELAY="20")  # fmt: skip
    assert program.check() == "0 http.client\n"
    assert sorted(once(receiver).values()) == [1, 1]


WAYS_OUT = {
    "the end": "",
    "sys.exit": "import sys; sys.exit(3)",
    "an exception": "raise LookupError",
    "os._exit": "import os; os._exit(4)",
    "os._exit in a thread": "import os, threading, time; threading.Timer(0, os._exit, (5,)).start(); time.sleep(9)",
    "a thread's end": "import threading, time; threading.Timer(0.1, query).start()",
    "an exit handler": "import atexit; atexit.register(query)",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM); print('never')",
    "SIGTERM, raised": "import signal; signal.raise_signal(signal.SIGTERM); print('never')",
    "SIGTERM to the group": "import os, signal; os.setpgrp(); os.killpg(0, signal.SIGTERM); print('never')",
    "SIGTERM, ignored": "import signal; signal.signal(15, signal.SIG_IGN); signal.raise_signal(15); print('on')",
    "SIGTERM, handled": "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); signal.raise_signal(15)",
    "SIGTERM, awaited": "from signal import *;pthread_sigmask(SIG_BLOCK, [15]); raise_signal(15); print(sigwait([15]))",
    "SIGINT": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "exec": "import os, sys; os.execvp('echo', ['echo', 'another program'])",
    "exec of nothing": "import os\ntry: os.execvp('no-such-program', ['x'])\nexcept OSError as error: print(error)",
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_OUT)
def test_the_last_spans_arrive_and_the_exit_status_is_the_programs_own(way: str, run: Run, receiver: Receiver) -> None:
    program = run.both("query()\n" + WAYS_OUT[way])
    assert once(receiver) == {program.pid: 2 if way in ("a thread's end", "an exit handler") else 1}


@pytest.mark.parametrize(
    "wait",
    [
        "threading.Event().wait()",
        "lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "[libc.sleep(60) for _ in iter(int, 1)]",
        "[None for _ in iter(int, 1)]",
        "multiprocessing.Semaphore(0).acquire()",
    ],
)
def test_sigterm_is_heard_whatever_the_main_thread_waits_for(wait: str, run: Run, receiver: Receiver) -> None:
    program = run.start(f"""
        import ctypes, multiprocessing, threading
        libc = ctypes.CDLL(None)
        query()
        print("ready", flush=True)
        {wait}
    """)
    program.wait_for_output("ready")
    assert program.terminate() == -signal.SIGTERM
    assert once(receiver) == {program.pid: 1}


def test_the_program_finds_the_default_disposition_and_gets_it_back(run: Run, receiver: Receiver) -> None:
    program = run.both("""
        import os, signal
        def handler(number, frame):
            print("handled")
        print(signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGTERM, handler))
        os.kill(os.getpid(), signal.SIGTERM)
        print(signal.signal(signal.SIGTERM, signal.SIG_DFL) is handler, signal.getsignal(signal.SIGTERM))
        query()
        os.kill(os.getpid(), signal.SIGTERM)
        print("never")
    """)
    assert program.wait() == -signal.SIGTERM
    assert once(receiver) == {program.pid: 1}


def test_sigterm_to_a_child_is_not_heard_by_its_parent(run: Run, receiver: Receiver) -> None:
    program = run.both("""
        import os, signal, time
        query()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            query()
            os.write(writer, b"x")
            time.sleep(60)
        os.read(reader, 1)
        os.kill(child, signal.SIGTERM)
        print(os.waitpid(child, 0)[1])
        time.sleep(0.2)
    """)
    sent = once(receiver)
    assert sent.pop(program.pid) == 1
    assert list(sent.values()) == [1]


def test_a_daemon_that_forks_twice_and_closes_every_descriptor_goes_on_being_measured(
    run: Run, receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    program = run.start(f"""
        import os, signal, time
        query()
        if os.fork():
            os._exit(0)
        os.setsid()
        query()
        if os.fork():
            os._exit(0)
        os.closerange(3, 4096)
        with open({str(file)!r}, "wb", buffering=0) as output:
            query()
            time.sleep(0.5)  # the descriptors of the agent would be this file's by now
            output.write(b"only this")
            query()
        os.kill(os.getpid(), signal.SIGTERM)
    """, OTEL_BSP_SCHEDULE_DELAY="100")  # fmt: skip
    assert program.wait() == 0
    receiver.wait_for_spans(4, where=lambda span: span.kind == "CLIENT")
    assert sorted(once(receiver).values()) == [1, 1, 2]
    assert file.read_bytes() == b"only this"


def test_a_python_program_that_the_program_starts_is_a_process_of_its_own(run: Run, receiver: Receiver) -> None:
    program = run.both("""
        import subprocess, sys
        query()
        if len(sys.argv) == 1:
            subprocess.run([sys.executable, __file__, "child"], check=True, preexec_fn=lambda: None)
            subprocess.run(["true"], check=True)
    """)
    sent = once(receiver)
    assert sent.pop(program.pid) == 1
    assert list(sent.values()) == [1]


def test_a_receiver_that_hangs_holds_up_neither_forks_nor_the_exit(run: Run, receiver: Receiver) -> None:
    receiver.fault = hang()
    program = run.start(
        """
        import os, sys, time
        query()
        time.sleep(0.3)
        for number in range(100):
            child = os.fork()
            if not child:
                os._exit(number % 3)
            assert os.waitpid(child, 0)[1] >> 8 == number % 3
        sys.exit(5)
        """,
        PERFAGENT_EXIT_TIMEOUT="300",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    assert program.wait(60) == 5
    assert "perhaps lost: 1 span\n" in program.stderr


def newer_pythons() -> list[str]:
    """Interpreters that warn of a fork with threads: this one, those on PATH, those of pyenv."""
    found = [sys.executable] if sys.version_info >= (3, 12) else []
    found += [path for name in ("python3.12", "python3.13", "python3.14") if (path := shutil.which(name))]
    found += sorted(str(path) for path in Path.home().glob(".pyenv/versions/3.1[2-9].*/bin/python"))
    return [
        path for path in found if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    ]


@pytest.mark.parametrize("python", newer_pythons() or [None], ids=lambda path: str(path)[-24:])
def test_python_does_not_warn_of_our_threads_at_a_fork(python: str | None, run: Run, receiver: Receiver) -> None:
    if python is None:
        pytest.skip("no Python from 3.12 on is here")
    code = """
        import multiprocessing, os, pty, time

        if __name__ == "__main__":
            query()
            time.sleep(0.3)  # the threads have started and sent
            for fork in (os.fork, lambda: pty.fork()[0], os.fork):
                child = fork()
                if not child:
                    if not os.fork():
                        query()
                        os._exit(0)
                    os.wait()
                    os._exit(0)
                os.waitpid(child, 0)
            child = multiprocessing.get_context("fork").Process(target=query)
            child.start()
            child.join()
            query()
    """
    program = run.start(code, "-W", "always::DeprecationWarning", python=python, OTEL_BSP_SCHEDULE_DELAY="100")
    program.check()
    assert program.stderr == ""
    assert once(receiver).total() == 6
    bare = "import _thread, os, time; _thread.start_new_thread(time.sleep, (9,)); os.fork() or os._exit(0)"
    warned = subprocess.run([python, "-W", "always", "-c", bare], capture_output=True, text=True, check=False)
    assert "multi-threaded" in warned.stderr


def test_the_process_that_watches_over_semaphores_is_not_measured(run: Run, receiver: Receiver) -> None:
    program = run.both("""
        import multiprocessing.resource_tracker as tracker, os, time
        if __name__ == "__main__":
            tracker.ensure_running()
            process = f"/proc/{tracker._resource_tracker._pid}"
            while "resource_tracker" not in open(f"{process}/cmdline").read():
                time.sleep(0.01)
            time.sleep(0.3)
            print(len(os.listdir(f"{process}/task")))
            query()
    """)
    assert once(receiver) == {program.pid: 1}


def test_fork_and_kill_look_as_they_did(run: Run) -> None:
    run.both("""
        import inspect, os, signal
        print(os.fork.__name__, os._exit.__name__, os.kill.__doc__, inspect.signature(signal.signal))
        print(os.execve in os.supports_fd)
    """)
    assert os.fork.__name__ == "fork"


def test_a_program_that_closes_every_descriptor_finds_nothing_of_ours_in_its_files(
    run: Run, receiver: Receiver, tmp_path: Path
) -> None:
    program = run.start(f"""
        import os, signal, time
        query()
        time.sleep(0.5)  # there is a connection now
        os.closerange(3, 4096)
        files = [open({str(tmp_path)!r} + f"/{{number}}", "wb", buffering=0) for number in range(8)]
        query()
        time.sleep(0.5)
        for file in files:
            file.write(b"only this")
        query()
        os.kill(os.getpid(), signal.SIGTERM)
    """, OTEL_BSP_SCHEDULE_DELAY="50")  # fmt: skip
    assert program.wait() == -signal.SIGTERM
    assert once(receiver) == {program.pid: 3}
    assert {(tmp_path / str(number)).read_bytes() for number in range(8)} == {b"only this"}


def test_the_first_process_of_a_container_survives_sigterm_and_its_children_do_not(
    run: Run, run_program: RunProgram, receiver: Receiver
) -> None:
    container = ("unshare", "--map-root-user", "--pid", "--fork", "--mount-proc")
    if not shutil.which("unshare") or subprocess.run([*container, "true"], check=False).returncode:
        pytest.skip("no process namespace can be made here")
    run.script.write_text(QUERY + textwrap.dedent("""
        import os, signal, time
        query()
        os.kill(os.getpid(), signal.SIGTERM)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            query()
            os.write(writer, b"x")
            time.sleep(60)
        os.read(reader, 1)
        os.kill(child, signal.SIGTERM)
        print(os.getpid(), os.waitpid(child, 0)[1])
        query()
    """))  # fmt: skip
    env = agent_env(receiver, OTEL_BSP_SCHEDULE_DELAY=PATIENT)
    program = run_program(*container, "perfagent", "run", "python", str(run.script), env=env)
    assert program.check() == f"1 {signal.SIGTERM:d}\n"
    assert sorted(once(receiver).values()) == [1, 2]


WHILE_IT_IMPORTS = """
import os, sys, time
from perfagent.runtime import outbox

folder = os.path.join(os.path.dirname(__file__), "slow_feature")
os.mkdir(folder)
open(os.path.join(folder, "__init__.py"), "w").write("import time; time.sleep(0.5); from slow_feature import part")
open(os.path.join(folder, "part.py"), "w").close()
outbox.deferred.append(lambda: __import__("slow_feature"))
while "slow_feature" not in sys.modules:
    time.sleep(0.01)
from gevent import monkey; monkey.patch_all()
import sqlite3
sqlite3.connect(":memory:").execute("select 1")
outbox.wake()
until = time.monotonic() + 60
while "slow_feature.part" not in sys.modules and time.monotonic() < until:
    time.sleep(0.01)
print("slow_feature.part" in sys.modules)
"""


def test_an_import_of_ours_survives_that_gevent_patches_threads(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(WHILE_IT_IMPORTS)
    assert program.stdout == "True\n"
    assert [span.name for span in receiver.spans] == ["SELECT"]
