"""`perfagent memory` names the lines that hold the memory, and the script notices nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunProgram

LEAK = """
import json
import sys

kept = []


def handle(number):
    kept.append(json.loads('{"id": %d, "text": "%s"}' % (number + 1000, "x" * 500)))
    return bytearray(10_000)


for number in range(int(sys.argv[1])):
    handle(number)
"""


def script(folder: Path, text: str, name: str = "app.py") -> Path:
    path = folder / name
    path.write_text(dedent(text))
    return path


def report(run_program: RunProgram, folder: Path, *words: str) -> dict[str, Any]:
    program = run_program("perfagent", "memory", "--snapshot", str(folder / "report.json"), *words, cwd=folder)
    program.check()
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


@pytest.mark.slow
def test_the_line_that_leaks_is_the_first_of_what_grew(run_program: RunProgram, tmp_path: Path) -> None:
    script(tmp_path, LEAK)
    for name, requests in (("few.json", "200"), ("many.json", "3000")):
        run_program("perfagent", "memory", "--snapshot", name, "app.py", requests, cwd=tmp_path).check()
    compared = run_program("perfagent", "memory", "--compare", "few.json", "many.json", cwd=tmp_path).check()
    assert compared.splitlines()[2].startswith("app.py:9 ")
    assert "json/decoder.py" in compared.splitlines()[2]
    told = run_program(
        "perfagent", "memory", "--compare", "few.json", "many.json", "--output", "json", cwd=tmp_path
    ).check()
    first = json.loads(told)["sites"][0]
    assert (first["file"], first["line"], first["own"]) == ("app.py", 9, True)
    assert 2800 * 500 < first["growth"] < 2800 * 1500
    assert first["blocks"] >= 2800
    limit = ("perfagent", "memory", "--compare", "few.json", "many.json", "--tolerance")
    assert run_program(*limit, "10", cwd=tmp_path).wait() == 1
    assert run_program(*limit, "100000", cwd=tmp_path).wait() == 0


@pytest.mark.slow
def test_the_lines_of_the_peak_are_told_though_they_hold_nothing_at_the_end(
    run_program: RunProgram, tmp_path: Path
) -> None:
    script(
        tmp_path,
        """
        import time
        def work():
            rows = [bytearray(100_000) for _ in range(400)]
            time.sleep(1)
        work()
        """,
    )
    found = report(run_program, tmp_path, "app.py")
    assert found["peak_bytes"] > 40_000_000
    assert found["held_bytes"] < 5_000_000
    assert found["peak_sites_bytes"] > 30_000_000
    assert (found["peak_sites"][0]["file"], found["peak_sites"][0]["line"]) == ("app.py", 4)
    assert found["peak_sites"][0]["size"] > 30_000_000
    without = report(run_program, tmp_path, "--no-peak", "app.py")
    assert without["peak_sites"] == []


def test_own_code_comes_before_what_it_calls_and_perfagent_is_not_in_it(
    run_program: RunProgram, tmp_path: Path
) -> None:
    script(tmp_path, LEAK)
    program = run_program("perfagent", "memory", "--top", "3", "app.py", "500", cwd=tmp_path)
    program.check()
    assert program.stdout == ""
    rows = program.stderr.split("at the end\n")[1].splitlines()
    assert rows[1].startswith("app.py:9 ")
    found = report(run_program, tmp_path, "app.py", "500")
    for one in found["sites"]:
        assert "perfagent" not in one["file"]
        assert "tracemalloc" not in one["file"]


SEEN = """
import atexit, json, multiprocessing, os, pickle, sys, threading
class Row:
    pass
def double(number):
    return 2 * number
if __name__ == "__main__":
    atexit.register(print, "bye")
    told = {
        "argv": sys.argv, "path": sys.path, "name": __name__, "file": __file__,
        "main": sys.modules["__main__"].Row is Row,
        "spec": getattr(__spec__, "name", None), "pickle": type(pickle.loads(pickle.dumps(Row()))).__module__,
        "flags": str(sys.flags),
        "environment": dict(os.environ), "threads": threading.active_count(), "xoptions": sys._xoptions,
        "pool": [multiprocessing.get_context(kind).Pool(1).map(double, [4]) for kind in ("spawn", "fork")],
        "child": os.popen(f"{sys.executable} -c 'import tracemalloc; print(tracemalloc.is_tracing())'").read(),
        "orig": sys.orig_argv[1:],
    }
    print(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", [("app.py", "-x", "--top", "5"), ("-m", "package.app", "a b")])
def test_the_script_sees_what_it_sees_without(words: tuple[str, ...], run_program: RunProgram, tmp_path: Path) -> None:
    script(tmp_path, SEEN)
    (tmp_path / "package").mkdir()
    script(tmp_path / "package", SEEN)
    (tmp_path / "own").mkdir()
    script(tmp_path / "own", "print('user site')", "sitecustomize.py")
    env = {"PYTHONPATH": str(tmp_path / "own"), "PERFAGENT_FLIGHT_DIR": str(tmp_path)}
    plain = run_program("python", *words, cwd=tmp_path, env=env).check()
    traced = run_program("perfagent", "memory", *words, cwd=tmp_path, env=env)
    first, told, last = traced.check().splitlines()[0], *traced.stdout.splitlines()[-2:]
    assert (first, last) == ("user site", "bye")
    before, after = json.loads(plain.splitlines()[-2]), json.loads(told)
    assert before == after


def test_a_failure_is_told_as_ever_and_the_report_follows(run_program: RunProgram, tmp_path: Path) -> None:
    script(tmp_path, "def fail():\n    raise ValueError('no')\nfail()\n")
    plain, traced = (run_program(*words, "app.py", cwd=tmp_path) for words in (("python",), ("perfagent", "memory")))
    assert (plain.wait(), traced.wait()) == (1, 1)
    assert traced.stderr.startswith(plain.stderr)
    assert "held at the end" in traced.stderr


def test_the_exit_status_is_the_scripts(run_program: RunProgram, tmp_path: Path) -> None:
    script(tmp_path, "raise SystemExit(7)")
    assert run_program("perfagent", "memory", "app.py", cwd=tmp_path).wait() == 7
    missing = run_program("perfagent", "memory", "missing.py", cwd=tmp_path)
    assert missing.wait() == 2
    assert "can't open file" in missing.stderr


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_gives_the_report_of_what_was_so_far(
    name: str, status: int, run_program: RunProgram, tmp_path: Path
) -> None:
    script(tmp_path, "import time\nheld = bytearray(9_000_000)\nprint('ready', flush=True)\ntime.sleep(60)\n")
    program = run_program("perfagent", "memory", "app.py", cwd=tmp_path)
    program.wait_for_output("ready")
    os.kill(program.pid, getattr(signal, name))
    assert program.wait() == status
    assert "app.py:2 " in program.stderr
    assert "9.0 MB" in program.stderr


@pytest.mark.slow
def test_a_killed_program_is_told_by_its_last_peak(run_program: RunProgram, tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import os, signal, time
        held = bytearray(9_000_000)
        time.sleep(2)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    program = run_program("perfagent", "memory", "app.py", cwd=tmp_path)
    assert program.wait() == 137
    assert "app.py:3 " in program.stderr
    assert "ended without telling" in program.stderr


@pytest.mark.slow
def test_snapshots_are_taken_while_a_server_runs(run_program: RunProgram, tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import os, time
        held = []
        while not os.path.exists("leak-3.json"):
            held.append(bytearray(50_000))
            time.sleep(0.01)
        """,
    )
    options = ("--snapshot", "leak.json", "--every", "0.5")
    run_program("perfagent", "memory", *options, "app.py", cwd=tmp_path).check()
    told = run_program("perfagent", "memory", "--compare", "leak-1.json", "leak-3.json", cwd=tmp_path).check()
    assert told.splitlines()[2].startswith("app.py:5 ")
    assert (tmp_path / "leak.json").exists()


def test_python_warns_of_no_fork_with_threads(run_program: RunProgram, tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import gc, os, time
        for _ in range(3):
            if not os.fork():
                os._exit(0)
            os.wait()
            gc.collect()
            time.sleep(0.2)
            gc.collect()
            time.sleep(0.1)
        """,
    )
    newest = next((path for path in sorted(Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python"))), None)
    python = str(newest or sys.executable)
    program = run_program("perfagent", "memory", "--python", python, "app.py", cwd=tmp_path)
    program.check()
    assert "Warning" not in program.stderr
    assert "held at the end" in program.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "a script or `-m MODULE` is needed"),
        (("-m",), "a script or `-m MODULE` is needed"),
        (("--frames", "0", "app.py"), "from 1 to 100"),
        (("--top", "many", "app.py"), "from 1 to 1000"),
        (("--every", "1", "app.py"), "--every needs --snapshot"),
        (("--snapshot", "/no/such/a.json", "app.py"), "no folder"),
        (("--compare", "/etc/passwd", "/etc/passwd"), "--snapshot leak.json"),  # not over the file that was named
        (("--compare", "/no/such", "/no/such"), "No such file"),
    ],
)
def test_wrong_words_are_told(words: tuple[str, ...], told: str, run_program: RunProgram) -> None:
    program = run_program("perfagent", "memory", *words)
    assert program.wait() == 2
    assert told in program.stderr
    assert "Traceback" not in program.stderr
