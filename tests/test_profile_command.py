"""`perfagent profile` tells what a command or a process and its children use, and passes everything else through."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.profiler import recording
from perfagent.profiler.tree import Reading, Tree

if TYPE_CHECKING:
    from tests.conftest import RunProgram

BURN = "import time\nend = time.process_time() + {0}\nwhile time.process_time() < end: pass\n"


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(dedent(text))
    return str(path)


@pytest.mark.slow
def test_a_command_and_its_children_are_told_over_time(run_program: RunProgram, tmp_path: Path) -> None:
    child = BURN.format(0.6)
    path = script(
        tmp_path,
        f"""
        import subprocess, sys, threading, time
        subprocess.run([sys.executable, "-c", {child!r}])
        held = bytearray(80_000_000)
        for place in range(0, len(held), 4096):
            held[place] = 1
        open("written", "wb").write(bytes(6_000_000))
        threading.Thread(target=time.sleep, args=(1,)).start()
        files = [open("written") for _ in range(30)]
        time.sleep(1)
        """,
    )
    options = ("--interval", "0.1", "--json", str(tmp_path / "a.json"))
    program = run_program("perfagent", "profile", *options, "--", "python", path, cwd=tmp_path)
    assert program.check() == ""
    found = document(tmp_path / "a.json")
    totals, summary, samples = found["totals"], found["summary"], found["samples"]
    assert totals["cpu_seconds"] >= 0.6  # the child's, which has ended, is in it
    assert summary["rss_bytes"]["max"] > 80e6
    assert summary["uss_bytes"]["max"] > 80e6
    assert found["peak_rss_bytes"] >= summary["rss_bytes"]["max"] > summary["rss_bytes"]["min"]
    assert summary["processes"]["max"] >= 2
    assert summary["threads"]["max"] >= 2
    assert summary["descriptors"]["max"] >= 30
    assert totals["written_bytes"] >= 6_000_000
    assert totals["voluntary_switches"] > 0
    assert len({len(column) for column in samples.values()}) == 1
    assert len(samples["time_seconds"]) > 8
    assert max(value for value in samples["cpu_percent"] if value is not None) > 20
    assert "memory (RSS)" in program.stderr
    assert "exit status 0" in program.stderr


def test_without_children_they_are_left_out(run_program: RunProgram, tmp_path: Path) -> None:
    path = script(tmp_path, f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(0.8)!r}])")
    options = ("--no-children", "--json", str(tmp_path / "a.json"), "--interval", "0.1")
    run_program("perfagent", "profile", *options, "--", "python", path).check()
    found = document(tmp_path / "a.json")
    assert found["totals"]["cpu_seconds"] < 0.6
    assert found["summary"]["processes"]["max"] == 1


@pytest.mark.parametrize(("code", "status"), [("exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_commands_exit_status_is_passed_on(code: str, status: int, run_program: RunProgram) -> None:
    assert run_program("perfagent", "profile", "python", "-c", code).wait() == status


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_signals_reach_the_command_and_the_report_follows(name: str, run_program: RunProgram, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        f"""
        import signal, sys, time
        signal.signal(signal.{name}, lambda *_: sys.exit(33))
        print("ready", flush=True)
        time.sleep(60)
        """,
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup, which a command keeps
    try:
        program = run_program("perfagent", "profile", "--json", str(tmp_path / "a.json"), "python", path)
    finally:
        signal.signal(signal.SIGHUP, before)
    program.wait_for_output("ready")
    os.kill(program.pid, getattr(signal, name))
    assert program.wait() == 33
    assert document(tmp_path / "a.json")["exit_status"] == 33


def test_a_command_is_ended_after_the_duration(run_program: RunProgram, tmp_path: Path) -> None:
    options = ("--duration", "0.5", "--json", str(tmp_path / "a.json"))
    program = run_program("perfagent", "profile", *options, "sleep", "60")
    assert program.wait() == 0
    found = document(tmp_path / "a.json")
    assert found["exit_status"] == 128 + signal.SIGTERM
    assert found["duration_seconds"] >= 0.5
    assert "--duration" in program.stderr


@pytest.mark.slow
def test_a_running_process_is_looked_at_until_it_ends_or_enough_is_seen(
    run_program: RunProgram, tmp_path: Path
) -> None:
    burning = run_program("python", "-c", BURN.format(300))
    options = ("--duration", "1", "--interval", "0.1", "--output", "json")
    found = json.loads(run_program("perfagent", "profile", *options, str(burning.pid)).check())
    assert burning.running
    assert found["exit_status"] is None
    assert found["command"][-2:] == ["-c", BURN.format(300)]
    assert found["summary"]["cpu_percent"]["max"] > 20
    watching = run_program("perfagent", "profile", "--progress", "on", str(burning.pid))
    watching.wait_for_output("memory")
    burning.stop()
    watching.check()
    assert "memory (RSS)" in watching.stdout


def test_ctrl_c_gives_what_was_seen_so_far(run_program: RunProgram) -> None:
    sleeping = run_program("sleep", "60")
    program = run_program("perfagent", "profile", "--progress", "on", str(sleeping.pid))
    program.wait_for_output("memory")
    os.kill(program.pid, signal.SIGINT)
    assert program.wait() == 0
    assert "memory (RSS)" in program.stdout
    assert sleeping.running


def test_a_process_that_cannot_be_looked_at_is_told_in_one_line(run_program: RunProgram) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    try:
        zombie = run_program("perfagent", "profile", str(ended.pid))
        assert zombie.wait() == 2
        assert "zombie" in zombie.stderr
    finally:
        ended.wait()
    gone = run_program("perfagent", "profile", "2147483646")
    assert gone.wait() == 2
    assert gone.stderr == "perfagent: there is no process 2147483646\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as somebody else")
def test_what_another_users_process_hides_is_told(tmp_path: Path) -> None:
    sleeping = subprocess.Popen(["sleep", "60"])
    pid = sleeping.pid
    code = f"""if True:
        import os
        from perfagent.profiler.tree import Tree
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        tree = Tree({pid})
        found = tree.read()
        print(found.rss > 0, found.descriptors, found.read, sorted(tree.denied))
    """
    try:
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        sleeping.kill()
        sleeping.wait()
    assert shown.stdout == "True None None ['descriptors', 'io', 'pages']\n", shown.stderr


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--", "no-such-command"), 127, "no such command"),
        (("--", "/etc/passwd"), 126, "cannot be run"),
        (("--picture", "a.gif", "--", "true"), 2, ".svg, .png, .pdf"),
        (("--json", "/no/such/folder/a.json", "--", "true"), 2, "no folder"),
        (("--interval", "0", "--", "true"), 2, "positive number of seconds"),
        ((), 2, "a process id or a command"),
        (("0",), 2, "no process id"),
        (("--compare", "/no/such/file", "/no/such/file"), 2, "No such file"),
        (("--compare", "/etc/passwd", "/etc/passwd"), 2, "--json run.json"),  # not over the file that was named
    ],
)
def test_wrong_words_are_told(words: tuple[str, ...], status: int, told: str, run_program: RunProgram) -> None:
    program = run_program("perfagent", "profile", *words)
    assert program.wait() == status
    assert told in program.stderr
    assert "Traceback" not in program.stderr


@pytest.mark.slow
def test_the_picture_has_the_figures_and_the_command_as_it_is(run_program: RunProgram, tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    code = "import time; price = '$a$ < $b$'; time.sleep(0.8)"
    run_program("perfagent", "profile", "--picture", str(path), "--interval", "0.1", "python", "-c", code).check()
    tree = ElementTree.parse(path)
    text = path.read_text()
    assert tree.getroot().tag.endswith("svg")
    for label in ("CPU, % of a core", "memory, MB", "RSS", "descriptors", "$a$ &lt; $b$"):
        assert label in text
    png = tmp_path / "a.png"
    run_program("perfagent", "profile", "--picture", str(png), "python", "-c", code).check()
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_profile_that_got_worse_by_a_tenth_fails(run_program: RunProgram, tmp_path: Path) -> None:
    for name, size in (("small", 20), ("large", 60)):
        code = f"held = bytearray({size}_000_000)\nfor at in range(0, len(held), 4096): held[at] = 1\n" + BURN.format(
            0.3
        )
        run_program(
            "perfagent", "profile", "--json", str(tmp_path / name), "--interval", "0.1", "python", "-c", code
        ).check()
    compare = ("perfagent", "profile", "--compare")
    worse = run_program(*compare, "small", "large", cwd=tmp_path)
    assert worse.wait() == 1
    assert "memory, peak" in worse.stdout.splitlines()[-1]
    better = run_program(*compare, "small", "small", "--output", "json", cwd=tmp_path)
    assert json.loads(better.check())["worse"] is False
    assert run_program(*compare, "small", "large", "--tolerance", "1000", cwd=tmp_path).wait() == 0


def test_a_missing_package_is_named_with_its_extra(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("raise ImportError(\"No module named 'psutil'\", name='psutil')")
    program = run_program("perfagent", "profile", "true", env={"PYTHONPATH": str(tmp_path)})
    assert program.wait() == 2
    assert 'pip install "perfagent[profile]"' in program.stderr


def test_a_long_recording_is_thinned_and_keeps_its_peak() -> None:
    found = recording.Recording(0.5)
    for number in range(9000):
        found.add(Reading(number * 0.5, 1, 1, 10**9 if number == 4001 else number * 1000, number * 0.25))
    assert len(found.times) < recording.MOST
    summary = found.summary()
    assert summary["rss_bytes"].largest == 10**9
    assert summary["cpu_percent"].mean == pytest.approx(50, rel=0.01)
    assert summary["rss_bytes"].growth == pytest.approx(1000 * 120, rel=0.01)


def test_a_leak_shows_as_growth_in_spite_of_the_start_and_of_peaks() -> None:
    points = [(t / 2, 50e6 + t / 2 * 100_000 + (80e6 if t % 10 == 0 else 0)) for t in range(10, 100)]
    points = [(t / 2, 5e6 * t) for t in range(10)] + points
    assert recording.growth(points) == pytest.approx(6e6, rel=0.1)
    assert recording.growth(points[:7]) is None


def test_no_cpu_time_is_lost_or_counted_twice_when_children_end() -> None:
    code = f"""if True:
        import os, subprocess, sys, time
        input()
        for _ in range(3):
            subprocess.run([sys.executable, "-c", {BURN.format(0.2)!r}])
        print("done", flush=True)
        input()
    """
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        tree = Tree(process.pid)
        tree.read()
        process.stdin.write(b"\n")
        process.stdin.flush()
        os.set_blocking(process.stdout.fileno(), False)
        values = []
        while process.stdout.read(10) is None:
            reading = tree.read()
            assert reading is not None
            values.append(reading.cpu)
        last = tree.read()
        assert last is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        _pid, _status, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    whole = usage.ru_utime + usage.ru_stime
    assert 0.6 <= last.cpu <= whole + 0.05
    assert values == sorted(values)
