"""Start time of `python -c pass` under every agent, and under perfagent where a hub of the user's runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import hubs, sink
from .agents import Agent
from .figures import Figures
from .plan import Plan, turns

CASE = "start"
HUB_CASE = "start, hub"
# Nobody says where to send: it finds the hub of the folder that is given in place of the receiver's address.
WITH_HUB = Agent("perfagent and a hub", ("perfagent", "run"), {"PERFAGENT_HUB_DIR": "{url}"})


def measure(agents: list[Agent], plan: Plan, figures: Figures, say: Callable[[str], None]) -> None:
    """Start the shortest program under the agents in turns, with a receiver that answers.

    Args:
        agents: who takes part.
        plan: how often.
        figures: takes wall time and CPU time in ms, exit included, under the case "start".
        say: is told of the progress.
    """
    everybody = [*agents, WITH_HUB] if any(agent.name == "perfagent" for agent in agents) else agents
    wall: dict[str, list[float]] = {agent.name: [] for agent in everybody}
    cpu: dict[str, list[float]] = {agent.name: [] for agent in everybody}
    with (
        sink.running() as receiver,
        tempfile.TemporaryDirectory(prefix="hub-") as folder,
        hubs.running(Path(folder)),
    ):
        places = {agent.name: folder if agent is WITH_HUB else receiver.url for agent in everybody}
        for agent in everybody:
            _start(agent, places[agent.name])  # compiles what is not yet compiled
        for round_number in range(plan.starts):
            say(f"python -c pass: round {round_number + 1} of {plan.starts}")
            for agent in turns(everybody, round_number):
                wall_seconds, cpu_seconds = _start(agent, places[agent.name])
                wall[agent.name].append(wall_seconds * 1e3)
                cpu[agent.name].append(cpu_seconds * 1e3)
    for agent in agents:
        _report(figures, CASE, agent.name, wall[agent.name], cpu[agent.name])
    if WITH_HUB in everybody:
        _report(figures, HUB_CASE, "bare", wall["bare"], cpu["bare"])
        _report(figures, HUB_CASE, "perfagent", wall[WITH_HUB.name], cpu[WITH_HUB.name])


def _report(figures: Figures, case: str, name: str, wall: list[float], cpu: list[float]) -> None:
    figures.add(case, name, "wall_ms", wall)
    figures.add(case, name, "cpu_ms", cpu)
    figures.add_difference(case, name, "wall_ms", "bare", "added_wall_ms")
    figures.add_difference(case, name, "cpu_ms", "bare", "added_cpu_ms")


def _start(agent: Agent, url: str) -> tuple[float, float]:
    """Wall and CPU seconds of one run, children included."""
    command = agent.command([sys.executable, "-c", "pass"])
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=agent.environ(url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _pid, _status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = 0  # reaped here: Popen shall not wait for it again
    return seconds, usage.ru_utime + usage.ru_stime
