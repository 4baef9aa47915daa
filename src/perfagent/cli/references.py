"""`perfagent memory --pid N` and `--type CLASS`: what a running process keeps, and what holds it, as its hub knows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from perfagent.cli import command, figures, output
from perfagent.cli.client import RefusedError, segment
from perfagent.cli.output import Column, Table

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client

EXAMPLES = """
perfagent memory --service shop                       # what its processes keep more and more of
perfagent memory --service shop --type app.Order      # what holds objects of that class, asked of the process itself
perfagent memory --pid 4001 --type app.Order
"""
LONGEST = 60.0  # seconds until a process has answered
PAUSE = 0.3  # seconds between two looks for its answer


def main(words: list[str]) -> int:
    """Shows it; returns 1 where something grows, or 0."""
    parser = command.parser(
        "memory", "Shows what running processes keep, as the hub that they report to knows.", EXAMPLES
    )
    parser.add_argument("--pid", type=int, metavar="N", help="of the process")
    parser.add_argument("--service", default="", help="of the process")
    parser.add_argument("--type", default="", metavar="CLASS", help="what holds objects of this class: app.Order")
    asked = parser.parse_args(words)
    return command.serve(parser, words, _run, "operator" if asked.type else "viewer")


def _run(client: Client, asked: Namespace) -> int:
    found = [
        one
        for one in client.get("agents", service=asked.service, limit=1000)["items"]
        if one["alive"] and (asked.pid is None or one["pid"] == asked.pid)
    ]
    if not found:
        raise RefusedError(404, "no such process reports to this hub; `perfagent status` lists those that do")
    if asked.type:
        return _references(client, asked, found[0])
    return _leaks(client, asked, found)


def _leaks(client: Client, asked: Namespace, agents: list[dict[str, Any]]) -> int:
    leaks = [
        {"service": agent["service"], "pid": agent["pid"], **leak}
        for agent in agents
        for leak in client.get(f"processes/{segment(agent['instance'])}/memory")["leaks"]
    ]
    if asked.output == "json":
        output.show_json({"items": leaks})
        return int(bool(leaks))
    if not leaks:
        print("nothing has grown steadily in the last hour")
        return 0
    rows = [
        [
            f"{one['service']} {one['pid'] or ''}",
            one["holder"],
            one["type"],
            figures.size(one["bytes_per_hour"]),
            one["endpoint"],
            f"{one['place']} {one['function']}".strip(),
        ]
        for one in leaks
    ]
    columns = [
        Column("process"), Column("keeps", wide=True), Column("of", wide=True, drop=2), Column("an hour", right=True),
        Column("left by", drop=1), Column("made at", wide=True),
    ]  # fmt: skip
    output.show([Table(columns, list(rows))])
    return 1


def _references(client: Client, asked: Namespace, agent: dict[str, Any]) -> int:
    path = f"agents/{segment(agent['instance'])}/commands"
    command_id = client.post(path, {"command": "references", "value": asked.type})["id"]
    deadline = time.monotonic() + LONGEST
    while True:
        one = next((each for each in client.get(path)["items"] if each["id"] == command_id), None)
        if one is not None and one["state"] in ("done", "failed"):
            break
        if time.monotonic() > deadline:
            raise RefusedError(504, f"process {agent['pid']} of {agent['service']} has not answered in {LONGEST:.0f} s")
        time.sleep(PAUSE)
    if one["state"] == "failed":
        raise RefusedError(404, str(one["result"]))
    found = one["result"]
    if asked.output == "json":
        output.show_json(found)
        return 0
    lines: list[output.Line] = [f"{asked.type} in process {agent['pid']} of {agent['service']}", ""]
    for way in [*(each["steps"] for each in found["paths"]), found["held_by"]]:
        if way:
            lines += [f"{'  ' * depth}{_step(step)}" for depth, step in enumerate(way, 1)] + [""]
    count = found["objects"]
    lines.append(
        f"{'some' if count is None else figures.count(count)} objects live; {figures.count(found['looked_at'])} were "
        f"looked at in {found['seconds']:.1f} s"
    )
    output.show(lines)
    return 0


def _step(step: dict[str, Any]) -> str:
    size = f", {step['size']:,} entries" if "size" in step else ""
    return f"{step['name'] or '->'}  {step['type']}{size}"
