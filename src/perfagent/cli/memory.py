"""`perfagent memory`: runs a script as Python does, and tells which of its lines hold the memory.

What running processes keep is asked of their hub: see `references`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile

from perfagent.cli import arguments, ending, memory_table
from perfagent.cli.command import limit, seconds

EPILOG = """\
examples:
  perfagent memory app.py --port 8000
  perfagent memory --frames 15 --top 30 -m package.module
  perfagent memory --snapshot leak.json --every 60 server.py      leak-1.json, leak-2.json, … and leak.json at the end
  perfagent memory --compare leak-1.json leak-2.json
  perfagent memory --service shop                       what its running processes keep more and more of
  perfagent memory --service shop --type app.Order      what holds objects of that class there

exit status: the script's; of --compare 0, or 1 with --tolerance where more memory is held; 2 wrong words"""
BOOTSTRAP = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "profiler", "bootstrap")
RUNNING = ("--pid", "--type", "--service")  # first: then it is about processes that run
VALUED = ("--top", "--frames", "--snapshot", "--every", "--output", "--python", "--tolerance")


def main(words: list[str]) -> int:
    """Runs a script with its allocations traced, or compares two snapshots; returns the exit status."""
    if words and words[0].partition("=")[0] in RUNNING:
        from perfagent.cli import references

        return references.main(words)
    words, program = _split(words)
    parser = _parser()
    asked = parser.parse_args(words)
    if asked.compare:
        return _compare(asked)
    if not program or program == ["-m"]:
        parser.error(
            "a script or `-m MODULE` is needed: `perfagent memory app.py`; "
            "of a service that runs: `perfagent memory --service NAME`"
        )
    if asked.every and not asked.snapshot:
        parser.error("--every needs --snapshot FILE, which names the files")
    return _run(asked, program)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Our options, and the program: from the first word on that is none of ours."""
    if "--compare" in words:
        return words, []
    place = 0
    while place < len(words):
        word = words[place]
        if word == "--":
            return words[:place], words[place + 1 :]
        if word == "-m" or not word.startswith("-"):
            return words[:place], words[place:]
        place += 2 if word in VALUED else 1
    return words, []


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser(
        "memory",
        usage="perfagent memory [options] SCRIPT [ARGUMENT …] | [options] -m MODULE [ARGUMENT …] | "
        "--compare BEFORE AFTER",
        description="Runs a Python script exactly as `python SCRIPT` does, and tells at its end which lines held most "
        "memory, at the end and at the peak: the script's own lines first. It runs several times slower meanwhile.",
        epilog=EPILOG,
    )
    parser.add_argument("--top", type=limit, default=10, metavar="N", help="how many lines are shown (10)")
    parser.add_argument(
        "--frames",
        type=_frames,
        default=5,
        metavar="N",
        help="calls kept of each allocation, from 1 to 100 (5): more find your own line behind deeper libraries, and "
        "take longer",
    )
    parser.add_argument(
        "--peak", action=argparse.BooleanOptionalAction, default=True, help="look for the lines of the peak (default)"
    )
    parser.add_argument("--snapshot", default="", metavar="FILE", help="save what is held at the end, for --compare")
    parser.add_argument(
        "--every", type=seconds, default=0, metavar="SECONDS", help="and snapshots FILE-1, FILE-2 … while it runs"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table", help="json is for machines")
    parser.add_argument("--python", default=sys.executable, metavar="FILE", help="the interpreter (perfagent's own)")
    parser.add_argument("--compare", nargs=2, metavar=("BEFORE", "AFTER"), help="two snapshots: what grew, by line")
    parser.add_argument(
        "--tolerance", type=float, metavar="PERCENT", help="with --compare: exit with 1 where all grew by more"
    )
    return parser


def _frames(text: str) -> int:
    return arguments.whole(text, 1, 100, "is not from 1 to 100")


def _run(asked: argparse.Namespace, program: list[str]) -> int:
    from perfagent.profiler.command import Command, CommandError

    if asked.snapshot:
        folder = os.path.dirname(os.path.abspath(asked.snapshot))
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            return ending.told(f"--snapshot {asked.snapshot}: there is no folder {folder} to write to", 2)
    folder = tempfile.mkdtemp(prefix="perfagent-memory-")
    report = os.path.join(folder, "report.json")
    try:
        command = Command([asked.python, *program], _environment(asked, program, report))
        try:
            while not command.wait(3600):
                pass
        finally:
            if command.status is None:
                command.stop()
        _tell(asked, program, report)
        return command.status or 0
    except CommandError as error:
        return ending.told(str(error), error.status)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(asked: argparse.Namespace, program: list[str], report: str) -> dict[str, str]:
    environ = dict(os.environ)  # what the program gets, with our own part taken out again by the bootstrap
    before = environ.get("PYTHONPATH")
    plan = {
        "report": report,
        "program": program,
        "folder": os.getcwd(),
        "pythonpath": before,
        "frames": asked.frames,
        "peak": asked.peak,
        "every": asked.every,
        "snapshot": os.path.abspath(asked.snapshot) if asked.snapshot else "",
    }
    environ["PERFAGENT_MEMORY_PLAN"] = json.dumps(plan)
    environ["PYTHONPATH"] = BOOTSTRAP + os.pathsep + before if before else BOOTSTRAP
    return environ


def _tell(asked: argparse.Namespace, program: list[str], path: str) -> None:
    from perfagent.profiler import sites

    try:
        report = sites.read(path)
    except FileNotFoundError:
        ending.told("the program left no report: it ended at once, by os._exit or by a signal, or was no Python", 0)
        return
    if asked.snapshot:
        shutil.copyfile(path, asked.snapshot)
    if asked.output == "json":
        print(json.dumps(report))
    else:
        memory_table.show(report, asked.top, sys.stderr)


def _compare(asked: argparse.Namespace) -> int:
    from perfagent.profiler import sites

    try:
        before, after = (sites.read(path) for path in asked.compare)
    except ValueError as error:
        return ending.told(str(error), 2)
    found = sites.growth(before, after)
    if asked.output == "json":
        memory_table.show_growth_json(before, after, found)
    else:
        memory_table.show_growth(before, after, found, asked.top)
    more: float = after["held_bytes"] - before["held_bytes"]
    return 1 if asked.tolerance is not None and more > before["held_bytes"] * asked.tolerance / 100 else 0
