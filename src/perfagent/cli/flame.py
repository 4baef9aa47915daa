"""`perfagent flame`: which functions and lines the time goes to, of a service, a command or a running process."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfagent.cli import arguments, command, comparable, ending, flame_shown, output
from perfagent.cli.client import Client, HubError
from perfagent.cli.flame_fetched import NothingError, fetch
from perfagent.hub.flame import collapsed, drawing, otlp, pprof, speedscope

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.hub.flame.stacks import Profile

EXAMPLES = """
perfagent flame                                             # of everything, in the last 15 minutes
perfagent flame --service shop --endpoint "GET /cart" --last 1h
perfagent flame --type cpu --file cart.svg                  # also .html, .pb.gz (pprof), .speedscope.json, .txt
perfagent flame --service shop --compare 2.3.0 2.4.0        # two releases, per request
perfagent flame --compare "before last hour" "last hour"
perfagent flame -- python import_orders.py --all            # runs a command, and tells when it has ended
perfagent flame --pid 4711 --duration 10                    # a process that runs
"""
FORMATS = ("table", "json", "speedscope", "pprof", "collapsed", "otlp", "svg", "html")
ENDINGS = {
    ".svg": "svg", ".html": "html", ".pb.gz": "pprof", ".pprof": "pprof", ".speedscope.json": "speedscope",
    ".otlp.pb": "otlp", ".txt": "collapsed", ".folded": "collapsed", ".json": "json",
}  # fmt: skip
BINARY = ("pprof", "otlp")
VALUED = {
    "--service", "--endpoint", "--version", "--instance", "--thread", "--task", "--state",
    "--trace", "--last", "--type",
    "--most", "--pid", "--duration", "--rate", "--output", "--file", "--url", "--token", "--timeout",
}  # fmt: skip


def main(words: list[str]) -> int:
    """Shows or writes a profile; returns 0, that of the command that it ran, 1 where there is no sample, 2, or 3."""
    words, program = _split(words)
    parser = _parser()
    asked = parser.parse_args(words)
    asked.output = _format(asked)
    if program and (asked.pid or asked.compare):
        parser.error("a command, --pid and --compare: one of them at a time")
    if asked.file and asked.output == "table":
        parser.error(f"--file writes a format: name one by --output, or by the file's ending: {', '.join(ENDINGS)}")
    if asked.output in BINARY and not asked.file and sys.stdout.isatty():
        parser.error(f"--output {asked.output} is no text: give --file, or send standard output to a file")
    if program:
        return _guarded(lambda: _ran(asked, program))
    if asked.pid:
        return _guarded(lambda: _attached(asked))
    body = _compared if asked.compare else _asked
    return command.serve(parser, words, lambda client, _: _guarded(lambda: body(client, asked)))


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The options, and the command behind them: after `--`, or from the first word that is neither option nor value."""
    place = 0
    while place < len(words):
        word = words[place]
        if word == "--":
            return words[:place], words[place + 1 :]
        if word == "--compare":
            place += 3
        elif word in VALUED:
            place += 2
        elif word.startswith("-"):
            place += 1
        else:
            return words[:place], words[place:]
    return words, []


def _parser() -> argparse.ArgumentParser:
    parser = command.parser(
        "flame",
        "Tells which functions and lines the time goes to, from the profiles that the hub keeps; of a command that it "
        "runs (perfagent flame [options] -- COMMAND …); or of a process that runs already (--pid).",
        EXAMPLES,
        formats=FORMATS,
    )
    parser.add_argument("--file", default="", metavar="FILE", help="write it there; the ending tells the format")
    parser.add_argument("--type", default="wall", metavar="TYPE", help="wall, cpu, lock, gil or alloc (default: wall)")
    parser.add_argument("--most", type=command.limit, default=15, metavar="N", help="functions shown (default: 15)")
    parser.add_argument("--lines", action="store_true", help="show lines in place of functions")
    of = parser.add_argument_group("of what the hub keeps")
    for name, text in (
        ("service", "of this service"),
        ("endpoint", 'for this request, job or message, such as "GET /cart"'),
        ("version", "of this release"),
        ("instance", "of this process (service.instance.id)"),
        ("thread", "in this thread"),
        ("task", "in this asyncio task"),
        ("state", "in this state: running, waiting, lock, sleep, network, gil"),
        ("trace", "of this trace"),
    ):
        of.add_argument(f"--{name}", default="", metavar=name.upper(), help=text)
    of.add_argument("--last", type=command.span, default="15m", metavar="TIME", help="such as 15m, 1h, 2d (15m)")
    of.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two releases, instances or ranges, as `perfagent compare` has it",
    )
    live = parser.add_argument_group("of a process")
    live.add_argument("--pid", type=arguments.process, default=0, metavar="PID", help="look at a process that runs")
    live.add_argument("--duration", type=command.seconds, default=10.0, metavar="SECONDS", help="for so long (10)")
    live.add_argument("--rate", type=_rate, default=100, metavar="HZ", help="looks a second, 1 to 500 (100)")
    live.add_argument("--native", action="store_true", help="frames of C, C++ and Rust too; needs py-spy")
    return parser


def _format(asked: Namespace) -> str:
    name = str(asked.file)
    if asked.output != "table" or not name:
        return str(asked.output)
    for end, found in ENDINGS.items():
        if name.endswith(end):
            return found
    raise SystemExit(ending.told(f"{name!r} tells no format: give --output, or one of {', '.join(ENDINGS)}", 2))


def _rate(text: str) -> int:
    return arguments.whole(text, 1, 500, "is not from 1 to 500 looks a second")


def _guarded(body: Any) -> int:
    from perfagent.cli.flame_process import ProcessError

    try:
        status: int = body()
        return status
    except NothingError as error:
        return ending.told(str(error), 1)
    except ProcessError as error:
        return ending.told(str(error), error.status)


def _filters(asked: Namespace) -> dict[str, object]:
    named = {name: getattr(asked, name) for name in ("service", "endpoint", "version", "instance")}
    labels = {name: getattr(asked, name) for name in ("thread", "task", "state")}
    return {**named, **labels, "trace_id": asked.trace, "type": asked.type}


def _asked(client: Client, asked: Namespace) -> int:
    filters = _filters(asked)
    found = fetch(client, asked, filters, from_=asked.last)
    if not found.samples:
        raise NothingError(_nothing(client, asked))
    _write(asked, found)
    return 0


def _nothing(client: Client, asked: Namespace) -> str:
    there = client.get("profiles", from_=asked.last, service=asked.service, type=asked.type)
    kinds = [one["type"] for one in there["types"]]
    if not kinds and asked.service:
        others = {one["service"] for one in client.get("services", from_=asked.last)["items"]} - {asked.service}
        if others:
            known = ", ".join(sorted(others))
            return f"{asked.service!r} has sent no profile in the last {asked.last[1:]}; other services are {known}"
    if asked.type not in kinds:
        has = f"there is {', '.join(kinds)}" if kinds else "no process has sent one; is PERFAGENT_PROFILER on?"
        return f"no profile of type {asked.type} in the last {asked.last[1:]}: {has}"
    endpoints = ", ".join(repr(one["value"]) for one in there["endpoints"][:5])
    return f"no sample of that in the last {asked.last[1:]}; requests with samples are {endpoints or 'none'}"


def _compared(client: Client, asked: Namespace) -> int:
    before, after = map(comparable.words, asked.compare)
    if asked.output not in ("table", "json") or asked.file:
        return ending.told("two sides are compared as a table or as json (--output), not as a file of stacks", 2)
    path = "profiles/lines" if asked.lines else "profiles/functions"
    filters = {**_filters(asked), "trace_id": ""}
    found = client.get(path, before=before, after=after, most=200, **filters)
    if not found["items"]:
        raise NothingError(f"neither {asked.compare[0]!r} nor {asked.compare[1]!r} has a sample of that")
    if asked.output == "json":
        output.show_json(found)
    else:
        output.show(flame_shown.compared(found, asked.compare, asked.most))
    return 0


def _ran(asked: Namespace, program: list[str]) -> int:
    from perfagent.cli import flame_process

    found, status = flame_process.run(program, asked.rate)
    profile = found.get(asked.type)
    if profile is None or not profile.samples:
        has = f"; it has {', '.join(found)}" if found else ": it ended before it could be looked at, or is no Python"
        ending.told(f"no sample of type {asked.type} of {program[0]}{has}", 1)
        return status or 1
    _write(asked, profile, sys.stderr if asked.output == "table" else None)
    return status


def _attached(asked: Namespace) -> int:
    from perfagent.cli import flame_process

    client: Client | None
    try:
        client = Client.find(asked.url, asked.token, asked.timeout, "operator")
    except HubError:
        client = None
    _write(asked, flame_process.attach(client, asked))
    return 0


def _write(asked: Namespace, profile: Profile, stream: Any = None) -> None:
    """Shows the profile, or writes it as what was asked for."""
    kind = asked.output
    if kind == "table":
        parts = flame_shown.table(profile, asked.most, asked.lines)
        if stream is None:
            output.show(parts)
        else:
            stream.write(output.render(parts, output.terminal_width(), colour=stream.isatty()))
        return
    if kind in BINARY:
        content = pprof.encode(profile) if kind == "pprof" else otlp.encode(profile, asked.service)
    else:
        content = _text(kind, profile, asked).encode()
    if asked.file and asked.file != "-":
        Path(asked.file).write_bytes(content)
        print(f"perfagent: {asked.file}: {kind}, {len(content):,} bytes", file=sys.stderr)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)


def _text(kind: str, profile: Profile, asked: Namespace) -> str:
    if kind == "speedscope":
        return json.dumps(speedscope.document(profile)) + "\n"
    if kind == "collapsed":
        return collapsed.write(profile)
    if kind == "svg":
        return drawing.svg(profile)
    if kind == "html":
        return drawing.html(profile)
    return json.dumps(flame_shown.document(profile, asked.most), indent=2) + "\n"
