"""What the program feels of a receiver that is down, hangs or refuses: latency, memory, time to exit."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from . import load, servers, sink
from .agents import Agent
from .figures import Figures
from .plan import Plan, turns
from .servers import PROGRAMS, Program, Server

CASE = "receiver"
_ROUTE = "/queries"


def measure(agent: Agent, plan: Plan, figures: Figures, folder: Path, say: Callable[[str], None]) -> None:
    """Run the programs against a receiver in every mode, and compare with one that answers.

    Args:
        agent: the agent under test; its peers are not measured here.
        plan: how long.
        figures: takes the results, under the cases "receiver <mode>".
        folder: takes the servers' output.
        say: is told of the progress.
    """
    for program in PROGRAMS.values():
        with ExitStack() as stack:
            say(f"{program.title} with the receiver {', '.join(sink.FAULTS)}")
            running = {
                mode: stack.enter_context(
                    servers.running(program, agent, stack.enter_context(sink.running(mode)), folder)
                )
                for mode in (sink.HEALTHY, *sink.FAULTS)
            }
            if program is PROGRAMS["fastapi"]:
                _latency_and_memory(running, agent, plan, figures, say)
            _exit(program, running, agent, plan, figures, say)


def _latency_and_memory(
    running: dict[str, Server], agent: Agent, plan: Plan, figures: Figures, say: Callable[[str], None]
) -> None:
    """p99 at a fixed rate and memory, both after full speed has filled every queue."""
    for server in running.values():
        load.run(server.url + _ROUTE, plan.warm_up_seconds, plan.full.connections)
    time.sleep(plan.settle_seconds)
    full = {mode: server.memory().pss for mode, server in running.items()}
    p99: dict[str, list[float]] = {mode: [] for mode in running}
    pace = plan.faults
    for round_number in range(pace.rounds):
        say(f"receiver faults: round {round_number + 1} of {pace.rounds}")
        for mode in turns(list(running), round_number):
            made = load.run(running[mode].url + _ROUTE, pace.seconds, pace.connections, pace.rate)
            p99[mode].append(made.p99_ms)
    healthy = running[sink.HEALTHY].memory().pss
    for mode, server in running.items():
        case = f"{CASE} {mode}"
        figures.add(case, agent.name, "p99_ms", p99[mode])
        changes = (one - other for one, other in zip(p99[mode], p99[sink.HEALTHY], strict=True))
        figures.add(case, agent.name, "p99_change_ms", changes)
        pss = server.memory().pss
        figures.add(case, agent.name, "pss_mb", [pss])
        figures.add(case, agent.name, "pss_change_mb", [pss - healthy])
        figures.add(case, agent.name, "pss_growth_mb", [pss - full[mode]])


def _exit(
    program: Program,
    running: dict[str, Server],
    agent: Agent,
    plan: Plan,
    figures: Figures,
    say: Callable[[str], None],
) -> None:
    """Seconds from SIGTERM to the end with spans just made, and whether all spans arrived in good health."""
    say(f"{program.title}: SIGTERM")
    for mode, server in running.items():
        load.run(server.url + _ROUTE, 1, plan.full.connections)
        served = sum(server.served().values())
        case = f"{CASE} {mode}"
        figures.add(case, agent.name, f"{program.name}_exit_s", [server.stop()])
        if mode == sink.HEALTHY:
            delivered = server.sink.received().get("server", 0) / served
            figures.add(case, agent.name, f"{program.name}_delivered", [delivered])
