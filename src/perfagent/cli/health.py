"""`perfagent health`: whether the services are well, as an exit status for scripts and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.cli import command, figures, output

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.answers import Service
    from perfagent.cli.client import Client

EXAMPLES = """
perfagent health                          # every service that sends to your hub, and the hub itself
perfagent health --service shop           # one alone: in a deployment script, or as a container's probe
perfagent health --service shop --strict  # slow or failing now and then is not good enough
perfagent health --output json
"""


def main(words: list[str]) -> int:
    """Prints a line a service; returns 0 where all are well, 1 where one is not."""
    parser = command.parser("health", "Tells whether the services are well; exits with 1 where one is not.", EXAMPLES)
    parser.add_argument("--service", default="", help="this one alone; one that sent nothing is unhealthy")
    parser.add_argument(
        "--since", type=command.span, default="15m", metavar="TIME", help="judge by this time: 90s, 15m (default), 1h"
    )
    parser.add_argument("--strict", action="store_true", help="degraded counts as unhealthy too")
    return command.serve(parser, words, _tell)


def _tell(client: Client, asked: Namespace) -> int:
    hub = client.health()
    services: list[Service] = [
        one
        for one in client.get("services", from_=asked.since, limit=1000)["items"]
        if asked.service in ("", one["service"])
    ]
    found: list[dict[str, Any]] = [{"service": one["service"], "health": one["health"]} for one in services]
    if asked.service and not found:
        found = [{"service": asked.service, "health": "unhealthy"}]
    bad = {"unhealthy", "degraded"} if asked.strict else {"unhealthy"}
    states = [one["health"] for one in found] + ([] if asked.service else [hub.get("status", "unhealthy")])
    status = 1 if bad.intersection(states) else 0
    if asked.output == "json":
        output.show_json({"healthy": not status, "hub": hub, "services": found})
        return status
    table = output.Table([output.Column("service", wide=True), output.Column("health"), output.Column("", wide=True)])
    for one in services:
        told = f"{figures.rate(one['requests_per_second'])}, {figures.percent(one['error_ratio'])} fail, p95 "
        table.rows.append((one["service"], output.state(one["health"]), told + figures.milliseconds(one["p95_ms"])))
    if asked.service and not services:
        table.rows.append(
            (asked.service, output.state("unhealthy"), f"nothing of it has arrived in the last {asked.since[1:]}")
        )
    if not asked.service:
        checks: dict[str, dict[str, str]] = hub.get("checks") or {}
        wrong = [f"{name}: {check['detail']}" for name, check in checks.items() if check["status"] != "healthy"]
        table.rows.append(("(hub)", output.state(str(hub.get("status", "unhealthy"))), ", ".join(wrong)))
    output.show([table])
    return status
