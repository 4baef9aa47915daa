"""Graceful shutdown: hooks and sessions of the program, on every way that it ends by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

import perfagent
from perfagent.exits import close_at_exit, on_shutdown
from tests.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunText
    from tests.otlp import Receiver

HOOKS = """
    import sys, time
    from perfagent import close_at_exit, on_shutdown

    class Session:
        def __init__(self, name): self.name = name
        def close(self): print("closed", self.name, flush=True)

    class Failing:
        async def aclose(self): raise OSError("gone")

    @on_shutdown
    def first(): print("first", flush=True)

    kept = close_at_exit(Session("kept"))
    close_at_exit(Session("dropped"))
    failing = close_at_exit(Failing())

    @on_shutdown
    async def last(): print("last", flush=True)
"""
ENDED = ["last", "closed kept", "first"]


def run(text: str, **env: str) -> subprocess.CompletedProcess[str]:
    code = dedent(HOOKS) + dedent(text)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env, check=False
    )


def test_hooks_run_at_the_exit_last_first_and_one_that_fails_stops_no_other() -> None:
    ended = run("print('works')")
    assert (ended.returncode, ended.stdout.split("\n")[:-1]) == (0, ["works", *ENDED])
    assert "Failing.aclose failed at the end of the program: OSError: gone" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_hooks_run_when_the_program_fails() -> None:
    ended = run("1 / 0")
    assert (ended.returncode, ended.stdout.split("\n")[:-1]) == (1, ENDED)
    assert "ZeroDivisionError" in ended.stderr


@pytest.mark.parametrize("agent", [(), ("-m", "perfagent", "run", sys.executable)])
def test_sigterm_unwinds_the_program_and_runs_them(tmp_path: Path, agent: tuple[str, ...]) -> None:
    waiting = "try:\n    print('waits', flush=True); time.sleep(60)\nfinally:\n    print('unwound', flush=True)\n"
    (tmp_path / "app.py").write_text(dedent(HOOKS) + waiting)
    command = [sys.executable, *agent, "app.py"]
    env = {"PERFAGENT_HUB": "off", "PERFAGENT_QUIET": "true"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=env)
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGTERM)
    shown, _ = process.communicate(timeout=60)
    assert (process.returncode, shown.split("\n")[:-1]) == (143, ["unwound", *ENDED])


def test_a_handler_of_the_program_stays() -> None:
    ended = run("")
    assert ended.returncode == 0
    code = "import signal; signal.signal(15, signal.SIG_IGN)\n" + dedent(HOOKS) + "print(signal.getsignal(15).name)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert shown.split("\n")[0] == "SIG_IGN"


def test_children_have_the_hooks_that_they_registered_themselves(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        dedent(HOOKS)
        + dedent("""
        import multiprocessing, os

        def work():
            on_shutdown(lambda: print("child", flush=True))

        if __name__ == "__main__":
            process = multiprocessing.get_context("fork").Process(target=work)
            process.start()
            process.join()
            if not os.fork():
                sys.exit(0)
            os.wait()
        """)
    )
    shown = subprocess.run(
        [sys.executable, "app.py"], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True
    ).stdout
    assert shown.split("\n")[:-1] == ["child", *ENDED]


TERMINATED = """
    import os, signal
    from perfagent import shutdown

    @on_shutdown
    def interrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        print("interrupted", flush=True)
"""


def test_a_sigterm_while_hooks_run_leaves_none_out() -> None:
    ended = run(TERMINATED)
    assert ended.stdout.split("\n")[:-1] == ["interrupted", *ENDED]
    assert "Traceback" not in ended.stderr
    for call in ("shutdown()", "import threading; threading.Thread(target=shutdown).start(); time.sleep(60)"):
        ended = run(f"{TERMINATED}\n    {call}\n    print('goes on')")
        assert (ended.returncode, ended.stdout.split("\n")[:-1]) == (143, ["interrupted", *ENDED])


def test_sigterm_is_heard_though_another_thread_came_first() -> None:
    code = """
        import os, signal, sys, threading, time
        from perfagent import on_shutdown

        thread = threading.Thread(target=on_shutdown, args=(lambda: print("first", flush=True),))
        thread.start()
        thread.join()
        on_shutdown(lambda: print("last", flush=True))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """
    ended = subprocess.run(
        [sys.executable, "-c", dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (143, "last\nfirst\n")


def test_a_hook_that_exits_stops_no_other() -> None:
    assert run("on_shutdown(lambda: sys.exit(3))").stdout.split("\n")[:-1] == ENDED


@pytest.mark.parametrize("agent", [(), ("-m", "perfagent", "run", sys.executable)])
def test_a_forked_child_without_hooks_dies_of_sigterm_as_ever(tmp_path: Path, agent: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text(
        dedent(HOOKS)
        + dedent("""
        import multiprocessing

        def work(ready):
            ready.set()
            time.sleep(60)

        context = multiprocessing.get_context("fork")
        ready = context.Event()
        process = context.Process(target=work, args=(ready,))
        process.start()
        ready.wait()
        process.terminate()
        process.join()
        print(process.exitcode, flush=True)
        """)
    )
    env = {"PERFAGENT_HUB": "off", "PERFAGENT_QUIET": "true"}
    shown = subprocess.run(
        [sys.executable, *agent, "app.py"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=True,
        env=env,
    ).stdout
    assert shown.split("\n")[:-1] == ["-15", *ENDED]


def test_a_hook_that_hangs_does_not_keep_the_program() -> None:
    ended = run("on_shutdown(lambda: time.sleep(60))", SHUTDOWN_TIMEOUT="0.5")
    assert ended.returncode == 1
    assert "SHUTDOWN_TIMEOUT" in ended.stderr or "Timeout" in ended.stderr


def test_what_hooks_record_is_still_sent(receiver: Receiver, run_text: RunText) -> None:
    run_text("""
        import sqlite3
        from perfagent import on_shutdown, shutdown

        connection = sqlite3.connect(":memory:")
        on_shutdown(lambda: connection.execute("select 1"))
        """)
    assert [span.name for span in receiver.wait_for_spans(1)] == ["SELECT"]


def test_shutdown_runs_the_hooks_once_and_says_how_it_went() -> None:
    ended = run("import perfagent; print(perfagent.shutdown()); print(perfagent.shutdown())")
    assert ended.stdout.split("\n")[:-1] == [*ENDED, "False", "True"]


def test_what_cannot_be_called_or_closed_is_refused_with_an_example() -> None:
    with pytest.raises(TypeError, match=r"hook=3 is not accepted: .*on_shutdown\(pool.close\)"):
        on_shutdown(3)  # type: ignore[type-var]
    with pytest.raises(TypeError, match=r"session=3 is not accepted: an object that has close\(\)"):
        close_at_exit(3)


def test_the_names_are_public() -> None:
    assert perfagent.on_shutdown is on_shutdown
    assert set(perfagent.__all__) <= set(dir(perfagent))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = perfagent.nothing  # type: ignore[attr-defined]


def test_what_the_page_shows_works() -> None:
    for number, block in enumerate(blocks("docs/how-to/shutdown.md", "python")):
        ended = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, timeout=60, check=False)
        assert (number, ended.returncode, ended.stderr) == (number, 0, "")
        assert ended.stdout.endswith("closed\n")
