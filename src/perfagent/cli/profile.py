"""`perfagent profile`: CPU, memory, I/O, threads and descriptors of a process or a command, over time."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from perfagent.cli import arguments, ending, profile_table
from perfagent.cli.command import seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.profiler.command import Command
    from perfagent.profiler.recording import Recording
    from perfagent.profiler.tree import Reading, Tree

EPILOG = """\
examples:
  perfagent profile -- python app.py
  perfagent profile --json run.json --picture run.svg -- make test
  perfagent profile --duration 60 4711
  perfagent profile --compare before.json after.json

exit status: that of the command; of a process 0; of --compare 1 where something got worse; 2 wrong words or a process
that cannot be looked at; 126, 127 a command that cannot be run, is not found"""
INSTALL = 'pip install "perfagent[profile]"'


def main(words: list[str]) -> int:
    """Profiles a process or a command, or compares two profiles; returns the exit status."""
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], words[at + 1 :]
    else:
        words, command = _split(words)
    parser = _parser()
    asked = parser.parse_args(words)
    if asked.compare:
        return _compare(asked)
    if command and asked.pid is None:
        return _profile(asked, command)
    if asked.pid is None or command:
        parser.error(
            "a process id or a command is needed: `perfagent profile 4711`, `perfagent profile -- python app.py`"
        )
    return _profile(asked, [])


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """A command may stand without `--`: from the first word on that is neither an option nor its value nor a number."""
    valued = {"--interval", "--duration", "--json", "--picture", "--tolerance", "--output", "--progress"}
    if "--compare" in words:
        return words, []
    place = 0
    while place < len(words):
        word = words[place]
        if word in valued:
            place += 2
        elif word.startswith("-") or word.isdigit():
            place += 1
        else:
            return words[:place], words[place:]
    return words, []


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser(
        "profile",
        usage="perfagent profile [options] PID | [options] -- COMMAND [ARGUMENT …] | --compare BEFORE AFTER",
        description="Tells what a process and its children use over time: CPU, memory, I/O, threads, file descriptors, "
        "context switches. Until it ends, Ctrl-C, or --duration.",
        epilog=EPILOG,
    )
    parser.add_argument("pid", nargs="?", type=_pid, metavar="PID", help="the process; or a command after --")
    parser.add_argument("--interval", type=seconds, default=0.5, metavar="SECONDS", help="between two readings (0.5)")
    parser.add_argument(
        "--duration", type=seconds, metavar="SECONDS", help="stop after that; a command is ended by SIGTERM then"
    )
    parser.add_argument(
        "--children", action=argparse.BooleanOptionalAction, default=True, help="count its descendants, too (default)"
    )
    parser.add_argument("--json", default="", metavar="FILE", help="write every sample there; - is standard output")
    parser.add_argument("--picture", default="", metavar="FILE", help="draw it: .svg, .png or .pdf")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="json is for machines")
    parser.add_argument(
        "--progress", choices=("auto", "on", "off"), default="auto", help="a live line on standard error (a terminal)"
    )
    parser.add_argument("--compare", nargs=2, metavar=("BEFORE", "AFTER"), help="two files of --json")
    parser.add_argument(
        "--tolerance", type=_percent, default=10.0, metavar="PERCENT", help="what is not worse yet (10)"
    )
    return parser


def _pid(text: str) -> int:
    return arguments.process(text, "; a command goes after --")


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage from 0 to 10000")
    return value


def _profile(asked: argparse.Namespace, command: list[str]) -> int:
    try:
        _check_outputs(asked)
        from perfagent.profiler.command import CommandError
        from perfagent.profiler.tree import TargetError
    except ImportError as error:
        if error.name not in ("psutil", "matplotlib"):
            raise
        return ending.told(f"`perfagent profile` needs {error.name}, which is not installed here: {INSTALL}", 2)
    except ValueError as error:
        return ending.told(str(error), 2)
    try:
        return _profile_command(asked, command) if command else _profile_process(asked)
    except CommandError as error:
        return ending.told(str(error), error.status)
    except TargetError as error:
        return ending.told(str(error), 2)


def _check_outputs(asked: argparse.Namespace) -> None:
    """Whether what is asked for can be written, before a program is run for it."""
    from perfagent.profiler import picture

    if asked.picture:
        picture.check(asked.picture)
    for path in (asked.json, asked.picture):
        if path not in ("", "-"):
            _check_writable(path)


def _profile_process(asked: argparse.Namespace) -> int:
    from perfagent.profiler.command import End
    from perfagent.profiler.tree import Tree

    tree = Tree(asked.pid, asked.children)
    return _watch(asked, tree, End(asked.pid).wait, None, tree.root.cmdline() or [tree.root.name()])


def _profile_command(asked: argparse.Namespace, command: list[str]) -> int:
    from perfagent.profiler.command import Command
    from perfagent.profiler.tree import TargetError, Tree

    run = Command(command)
    try:
        tree = Tree(run.pid, asked.children)
        return _watch(asked, tree, run.wait, run, command)
    except TargetError:
        while not run.wait(1):
            pass
        return ending.told(f"{command[0]} ended before it could be looked at", run.status or 0)
    finally:
        if run.status is None:
            run.stop()


def _check_writable(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise ValueError(f"{path}: there is no folder {folder}")
    if os.path.isdir(path) or not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise ValueError(f"{path} cannot be written")


def _watch(
    asked: argparse.Namespace, tree: Tree, wait: Callable[[float], bool], run: Command | None, command: list[str]
) -> int:
    from perfagent.profiler import picture, recording, watching

    before = watching.own_cpu()
    line = Progress(asked.progress, run is not None)
    found = watching.watch(tree, asked.interval, asked.duration or 0, wait, line.tell)
    line.clear()
    own = watching.own_cpu() - before
    notes = _notes(tree)
    peak = int(max((one for one in found.columns["rss_bytes"] if one is not None), default=0))
    status = 0
    if run is not None:
        stopped = run.status is None
        if stopped:
            run.stop()
            notes.append(f"the command was ended by SIGTERM after {asked.duration:g} s (--duration)")
        peak = max(peak, run.peak)
        if run.usage is not None and not stopped and asked.children:
            found.totals["cpu"] = max(found.totals.get("cpu", 0), run.usage.ru_utime + run.usage.ru_stime)
        if not found.times:
            notes.append("it ended before it could be looked at")
        status = 0 if stopped and run.status == 128 + 15 else run.status or 0
    told = recording.document(found, tree.root.pid, command, None if run is None else run.status, peak, own, notes)
    _write(asked, told)
    if asked.picture:
        picture.draw(told, asked.picture)
    if asked.output == "table" and asked.json != "-":
        profile_table.show(told, shlex.join(command), sys.stdout if run is None else sys.stderr)
    return status


def _notes(tree: Tree) -> list[str]:
    names = {"descriptors": "file descriptors", "io": "I/O", "pages": "PSS and USS"}
    hidden = [text for name, text in names.items() if name in tree.denied]
    return [f"{', '.join(hidden)} of another user's process can be read by root alone"] if hidden else []


def _write(asked: argparse.Namespace, told: dict[str, Any]) -> None:
    text = json.dumps(told)
    if asked.json not in ("", "-"):
        with open(asked.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    if asked.json == "-" or asked.output == "json":
        print(text)


class Progress:
    """A line on the terminal that tells the last reading.

    Args:
        wanted: on, off, or auto, which is where standard error is a terminal that the command does not write to.
        is_command: whether there is a command in the same terminal.
    """

    def __init__(self, wanted: str, is_command: bool) -> None:
        free = sys.stderr.isatty() and not (is_command and sys.stdout.isatty())
        self.shown = wanted == "on" or (wanted == "auto" and free)
        self._cpu: float | None = None

    def tell(self, recording: Recording, reading: Reading) -> None:
        """Replaces the line."""
        if not self.shown:
            return
        cpu = recording.columns["cpu_percent"][-1]
        self._cpu = self._cpu if cpu is None else cpu
        print(
            f"\r\x1b[K{profile_table.line(recording.duration, self._cpu, reading)}", end="", file=sys.stderr, flush=True
        )

    def clear(self) -> None:
        """Takes the line away."""
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _compare(asked: argparse.Namespace) -> int:
    from perfagent.profiler import comparison, recording

    try:
        before, after = (recording.read(path) for path in asked.compare)
    except ValueError as error:
        return ending.told(str(error), 2)
    found = comparison.differences(before, after, asked.tolerance / 100)
    if asked.output == "json":
        profile_table.show_differences_json(found, asked.tolerance)
    else:
        profile_table.show_differences(found, asked.tolerance)
    return 1 if any(one.worse for one in found) else 0
