"""Start time of `python -c pass` under every agent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from . import sink
from .agents import Agent
from .figures import Figures
from .plan import Plan, turns

CASE = "start"


def measure(agents: list[Agent], plan: Plan, figures: Figures, say: Callable[[str], None]) -> None:
    """Start the shortest program under the agents in turns, with a receiver that answers.

    Args:
        agents: who takes part.
        plan: how often.
        figures: takes wall time and CPU time in ms, exit included, under the case "start".
        say: is told of the progress.
    """
    wall: dict[str, list[float]] = {agent.name: [] for agent in agents}
    cpu: dict[str, list[float]] = {agent.name: [] for agent in agents}
    with sink.running() as receiver:
        for agent in agents:
            _start(agent, receiver.url)  # compiles what is not yet compiled
        for round_number in range(plan.starts):
            say(f"python -c pass: round {round_number + 1} of {plan.starts}")
            for agent in turns(agents, round_number):
                wall_seconds, cpu_seconds = _start(agent, receiver.url)
                wall[agent.name].append(wall_seconds * 1e3)
                cpu[agent.name].append(cpu_seconds * 1e3)
    for agent in agents:
        figures.add(CASE, agent.name, "wall_ms", wall[agent.name])
        figures.add(CASE, agent.name, "cpu_ms", cpu[agent.name])
        figures.add_difference(CASE, agent.name, "wall_ms", "bare", "added_wall_ms")
        figures.add_difference(CASE, agent.name, "cpu_ms", "bare", "added_cpu_ms")


def _start(agent: Agent, url: str) -> tuple[float, float]:
    """Wall and CPU seconds of one run, children included."""
    command = agent.command([sys.executable, "-c", "pass"])
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=agent.environ(url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _pid, _status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = 0  # reaped here: Popen shall not wait for it again
    return seconds, usage.ru_utime + usage.ru_stime
