"""`perfagent status`: the hub and the services that send to it, in one look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.cli import command, figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.answers import Service
    from perfagent.cli.client import Client
    from perfagent.cli.output import Part

EXAMPLES = """
perfagent status
perfagent status --output json
perfagent status --url https://perfagent.example
"""


def main(words: list[str]) -> int:
    """Prints where the hub is, what it holds and who sends; returns 0, or 1 where a service is unhealthy."""
    parser = command.parser("status", "Shows the hub and the services that send to it, in one look.", EXAMPLES)
    return command.serve(parser, words, _tell)


def _tell(client: Client, asked: Namespace) -> int:
    hub = client.get("hub")
    services: list[Service] = client.get("services", limit=1000)["items"]
    if asked.output == "json":
        output.show_json({"hub": hub, "services": services})
    else:
        output.show([*_hub(client, hub), "", *_services(services)])
    return 1 if any(one["health"] == "unhealthy" for one in services) else 0


def _hub(client: Client, hub: dict[str, Any]) -> list[Part]:
    counts, received = hub.get("counts") or {}, hub.get("received") or {}
    kept = ", ".join(f"{figures.count(counts.get(name))} {name}" for name in ("spans", "logs", "points"))
    oldest = hub.get("oldest")
    lost = {name: received.get(name) for name in ("refused", "failed") if received.get(name)}
    lines: list[Part] = [
        [Mark("page   ", "dim"), Mark(client.page, "bold")],
        [
            Mark("hub    ", "dim"),
            f"perfagent {hub.get('version', '?')}, up {figures.lasting(hub.get('uptime_seconds') or 0)}, "
            f"{figures.size(hub.get('memory_bytes'))} of memory",
        ],
        [
            Mark("holds  ", "dim"),
            f"{kept}; {figures.size(hub.get('database_bytes'))} in {hub.get('directory', '?')}",
            f", the oldest from {figures.ago(oldest)}" if oldest else "",
        ],
    ]
    for one in hub.get("remotes") or ():
        lag = one.get("lag_seconds")
        told = f"{one['name']} at {one['url']}"
        told += f", the newest {figures.lasting(lag)} old" if lag is not None else ", nothing yet"
        lines.append([Mark("reads  ", "dim"), told])
    if lost:
        told = ", ".join(f"{figures.count(number)} {name}" for name, number in lost.items())
        lines.append([Mark("lost   ", "dim"), Mark(f"{told} since it started", "bad")])
    return lines + [[Mark("note   ", "dim"), Mark(str(note), "warn")] for note in hub.get("notes") or ()]


def _services(services: list[Service]) -> list[Part]:
    if not services:
        return ["Nothing has arrived yet. Start a program with `perfagent run python app.py`."]
    table = Table(
        [
            Column("service", wide=True),
            Column("health"),
            Column("rate", right=True),
            Column("errors", right=True),
            Column("p95", right=True),
            Column("processes", right=True, drop=1),
            Column("version", drop=3),
            Column("environment", drop=4),
            Column("last seen", drop=2),
        ]
    )
    for one in services:
        table.rows.append(
            (
                one["service"],
                output.state(one["health"]),
                figures.rate(one["requests_per_second"]),
                output.failing(one["error_ratio"]),
                figures.milliseconds(one["p95_ms"]),
                f"{one['alive']} of {one['instances']}",
                one["version"] or "",
                one["environment"] or "",
                figures.ago(one["last_seen"]),
            )
        )
    return [table]
