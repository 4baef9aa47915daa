"""`python -m benchmarks`: measures, prints the tables and the budgets, and ends with 1 where a budget is missed."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import agents, budgets, faults, load, plan, report, start, web
from .agents import Agent
from .figures import Figures
from .plan import Plan
from .servers import PROGRAMS, ServerError

PARTS = (*PROGRAMS, "start", "faults")
RESULTS = Path(__file__).with_name("results")


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for.

    Returns:
        The exit status: 0, 1 where a budget is missed, 2 where nothing could be measured.
    """
    options = _options(arguments)
    # SIGTERM ends the `with` blocks too, and with them every server.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    size = plan.plan(options.quick, options.rounds)
    machine = report.machine()
    figures = Figures()
    try:
        load.require_wrk()
        present = _present(agents.named(options.agents))
        _measure(options.only, present, size, figures)
    except (load.LoadError, ServerError, ValueError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    verdicts = budgets.judge(figures)
    report.show(figures, verdicts)
    print(f"written to {report.write(RESULTS, figures, verdicts, size, arguments, machine)}")
    return 1 if any(verdict.missed for verdict in verdicts) else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What perfagent costs, beside its peers.")
    parser.add_argument("--quick", action="store_true", help="about three minutes, less sure, no throughput")
    parser.add_argument("--only", type=_words, default=list(PARTS), metavar="PART,…", help=f"of {', '.join(PARTS)}")
    parser.add_argument(
        "--agents",
        type=_words,
        default=list(agents.DEFAULT),
        metavar="AGENT,…",
        help=f"of {', '.join(agent.name for agent in agents.AGENTS)}; by default all but the last",
    )
    parser.add_argument("--rounds", type=int, help="turns of every agent for CPU a request")
    options = parser.parse_args(arguments)
    if unknown := [part for part in options.only if part not in PARTS]:
        parser.error(f"--only {','.join(unknown)}: there are {', '.join(PARTS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: at least 1")
    return options


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _present(wanted: list[Agent]) -> list[Agent]:
    """The agents that can run here; says of each other one why it cannot."""
    present = []
    for agent in wanted:
        if reason := agent.missing():
            print(f"benchmarks: left out {agent.name}: {reason}", file=sys.stderr)
        else:
            present.append(agent)
    return present


def _measure(parts: list[str], present: list[Agent], size: Plan, figures: Figures) -> None:
    begin = time.monotonic()

    def say(text: str) -> None:
        seconds = int(time.monotonic() - begin)
        print(f"{seconds // 60:2}:{seconds % 60:02}  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="perfagent-bench-") as folder:
        if "start" in parts:
            start.measure(present, size, figures, say)
        for name, program in PROGRAMS.items():
            if name in parts:
                web.measure(program, present, size, figures, Path(folder), say)
        tested = next((agent for agent in present if agent.name == "perfagent"), None)
        if "faults" in parts and tested:
            faults.measure(tested, size, figures, Path(folder), say)
        say("done")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
