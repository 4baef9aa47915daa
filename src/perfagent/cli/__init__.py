"""The command line: one module a command, imported when the command is given."""

from __future__ import annotations

import sys

GROUPS = {
    "measure a program": {
        "run": "start a program with its performance measured",
        "doctor": "check that a program would be measured and stored, and tell what is not",
        "config": "show every setting, its value and where it came from",
        "profile": "CPU and memory of a process or a command over time, as JSON and a picture",
        "flame": "which functions and lines take the time: of a service, a request, a command, a process",
        "memory": "where a script's memory comes from: the lines that hold most of it",
        "load": "put load on a Kafka topic or a URL at a steady rate, and judge what comes of it",
    },
    "see what it does": {
        "top": "what happens now, in a view that stays",
        "status": "the hub and the services that send to it",
        "dashboard": "the last hours: rate, errors, duration, what changed",
        "traces": "search requests, or show one with all its spans",
        "deprecations": "lines that call what is deprecated, those to change first",
        "report": "a report as JSON, CSV or HTML",
        "health": "is everything healthy; for scripts",
        "slo": "objectives: what is left of each error budget, and what spent it",
        "optimise": "optimisation rules: what they advise or do, and what came of it",
        "replication-lag": "how far a replica of a database is behind its primary",
        "index": "indexes that a database lacks or has in vain, with the plan that proves it; make one",
    },
    "judge it": {
        "alerts": "what is wrong: show it, act on it, silence it, maintenance windows; for scripts",
        "budget": "budgets of tests: run them with, record, check a hub's endpoints against, compare",
        "compare": "two versions, runs or ranges of time: what got slower, by how much, how surely; fails when worse",
        "baseline": "what is normal: keep it under a name, and compare the last hour with it",
        "trends": "what gets better or worse, how surely, and when a limit is reached",
        "detect": "anomalies and change points of a series of values, without thresholds",
    },
    "keep it": {
        "mcp": "the hub's tools for a coding assistant: traces, findings, profiles",
        "hub": "the local page and store: start, stop, open, export",
        "notify": "who is told of alerts: whether that works, what was told, a message to try it",
        "rules": "alert rules for Prometheus, from the same limits, rules and objectives; how often they would fire",
        "thresholds": "the limits that alerts are made of: show, change, have them suggested",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after `perfagent`; those of the process when left out.

    Returns:
        The exit status: 0, or 2 where the words are off.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from perfagent import __version__

        print(f"perfagent {__version__}")
        return 0
    if words[0] not in COMMANDS:
        from difflib import get_close_matches

        near = [f"did you mean {one}? " for one in get_close_matches(words[0], COMMANDS, 1)]
        there = ", ".join(COMMANDS)
        print(f"perfagent: {words[0]!r} is no command; {''.join(near)}there are: {there}", file=sys.stderr)
        return 2
    module = __import__(f"perfagent.cli.{words[0].replace('-', '_')}", fromlist=["main"])
    if words[0] == "run":  # becomes the program: nothing is loaded that it does not need
        status: int = module.main(words[1:])
        return status
    from perfagent.cli import ending

    return ending.run(lambda: module.main(words[1:]))


def _help() -> str:
    groups = "\n\n".join(
        f"{title}\n" + "\n".join(f"  {name:<15} {text}" for name, text in commands.items())
        for title, commands in GROUPS.items()
    )
    return (
        "usage: perfagent COMMAND …\n\n"
        "Measures a Python program that it starts, without a change to it, and shows it in a page on this machine.\n\n"
        f"{groups}\n\n"
        "examples:\n"
        "  perfagent run python app.py\n"
        "  perfagent run uvicorn shop.app:app\n"
        "  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 perfagent run gunicorn shop:app\n\n"
        "`perfagent COMMAND --help` tells more."
    )
