"""`perfagent budget`: runs tests against their budgets, records budgets, and holds a hub's endpoints against them."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from perfagent.cli import arguments, ending

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import MutableMapping

ACTIONS = ("record", "check", "compare")
EXITS = "exit status: 0 within, 1 over a budget, 2 wrong words, 3 no hub answers; of a test run that of its command"
EXAMPLES = f"""examples:
  perfagent budget pytest                               # the tests, against perfagent.toml and what was recorded
  perfagent budget --report used.json pytest -n 4       # with what each test used, for `check` and `compare`
  perfagent budget record pytest                        # writes perfagent-budgets.json: what the tests use now
  perfagent budget check used.json                      # a report of another run, against the budgets of this folder
  perfagent budget check --service shop --since 1h      # what a hub has seen of the endpoints, against their budgets
  perfagent budget compare main.json branch.json        # two reports or recorded files: what became more

{EXITS}"""
SETTINGS = {
    "OTEL_PYTHON_LOG_CORRELATION": "false",
    "PERFAGENT_DEPRECATIONS": "false",
    "PERFAGENT_FLIGHT": "false",
    "PERFAGENT_PIPELINE": "lean",
    "PERFAGENT_VITALS": "false",
}
"""As perfagent.testing.start has them, for the agent that starts with the process."""
NOT_MEASURED = "logging,structlog,loguru,neighbours"


def main(words: list[str]) -> int:
    """Becomes the tests, or judges what is told of others."""
    if words and words[0] in ("check", "compare"):
        from perfagent.cli import budget_check

        return budget_check.main(words)
    recording = bool(words) and words[0] == "record"
    asked = _parsed(words[1:] if recording else words, recording)
    if not asked.command:
        given = " record" if recording else ""
        return ending.told(f"budget{given} needs a command, such as `perfagent budget{given} pytest`", 2)
    prepare(os.environ, asked, recording)
    from perfagent.cli.run import become

    sys.stdout.flush()
    sys.stderr.flush()
    return become(asked.command)


def _parsed(words: list[str], recording: bool) -> Namespace:
    command = next((place for place, word in enumerate(words) if _begins_command(words, place)), len(words))
    name = "budget record" if recording else "budget"
    parser = arguments.parser(
        name,
        "Runs the tests and writes budgets of what they use: counts as they are, times and memory with headroom."
        if recording
        else "Runs COMMAND, which runs pytest, and fails the tests that use more than their budget or their endpoint's "
        "allows: queries, repeated queries, outgoing calls, cache calls, time, CPU time, memory. Budgets are in "
        "[budgets] of perfagent.toml or [tool.perfagent.budgets] of pyproject.toml, in markers of tests, and in "
        "perfagent-budgets.json. With perfagent in the tests' environment, `pytest --perfagent` is the same.",
        EXAMPLES,
        usage=f"perfagent {name} [options] COMMAND [ARGUMENT …]"
        + ("" if recording else "\n       perfagent budget check|compare|record --help"),
    )
    if recording:
        parser.add_argument("--file", default="perfagent-budgets.json", help="where to (default: %(default)s)")
    else:
        parser.add_argument(
            "--output", choices=("auto", "text", "github"), default="auto", help="github: annotations, a job's summary"
        )
        parser.add_argument("--report", default="", metavar="FILE", help="write what each test used, as JSON")
        parser.add_argument("--budgets", default="", metavar="FILE", help="recorded budgets, of another name")
    asked = parser.parse_args(words[:command])
    rest = words[command:]
    asked.command = rest[1:] if rest[:1] == ["--"] else rest
    return asked


def _begins_command(words: list[str], place: int) -> bool:
    """Whether the command begins at a place: after the options and their values."""
    word, before = words[place], words[place - 1] if place else ""
    takes_value = before.startswith("--") and "=" not in before and before != "--"
    return word == "--" or not (word.startswith("-") or takes_value)


def prepare(environ: MutableMapping[str, str], asked: Namespace, recording: bool) -> None:
    """Makes the environment one in which pytest is measured, whatever starts it."""
    from perfagent.launch import environment

    for name, value in SETTINGS.items():
        environ.setdefault(name, value)
    left_alone = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    environ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = ",".join(filter(None, (left_alone, NOT_MEASURED)))
    if not any(environ.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT") for part in ("", "TRACES_")):
        environ.setdefault("PERFAGENT_HUB", "off")
        if environ["PERFAGENT_HUB"] == "off":
            for signal in ("TRACES", "METRICS", "LOGS"):
                environ.setdefault(f"OTEL_{signal}_EXPORTER", "none")
    options = ["-p", "perfagent.pytest_plugin", "--perfagent"]
    if recording:
        options.append(f"--perfagent-record={os.path.abspath(asked.file)}")
    else:
        options.append(f"--perfagent-output={asked.output}")
        for name in ("report", "budgets"):
            path = getattr(asked, name)
            if path:
                options.append(f"--perfagent-{name}={os.path.abspath(path)}")
    environ["PYTEST_ADDOPTS"] = " ".join(filter(None, (environ.get("PYTEST_ADDOPTS", ""), shlex.join(options))))
    environment.enter(environ)
