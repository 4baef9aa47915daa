"""CPU, latency, throughput and memory of the web programs under every agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from . import load, servers, sink
from .agents import Agent
from .figures import Figures
from .load import Load
from .plan import Pace, Plan, turns
from .processes import Memory
from .servers import Program, Server


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a server had used and answered at one moment."""

    at: float
    cpu_seconds: float
    served: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Turn:
    """One load of one server."""

    route: str
    begin: _Mark
    load: Load


def measure(
    program: Program, agents: list[Agent], plan: Plan, figures: Figures, folder: Path, say: Callable[[str], None]
) -> None:
    """Run one program under all agents at once and load them in turns.

    Args:
        program: the web program.
        agents: who takes part.
        plan: how long.
        figures: takes the results, under the cases "<program>" and "<program> <route>".
        folder: takes the servers' output.
        say: is told of the progress.
    """
    with ExitStack() as stack:
        say(f"{program.title}: starting under {', '.join(agent.name for agent in agents)}")
        running = [
            stack.enter_context(servers.running(program, agent, stack.enter_context(sink.running()), folder))
            for agent in agents
        ]
        for server in running:
            for route in servers.ROUTES:
                load.run(server.url + route, plan.warm_up_seconds, plan.full.connections)
        time.sleep(plan.settle_seconds)
        idle = _idle_cpu(running, plan.idle_seconds)
        for server in running:
            figures.add(program.name, server.agent.name, "idle_cpu_ms_per_s", [idle[server] * 1e3])
        memory: dict[Server, list[Memory]] = {server: [] for server in running}
        for pace in plan.paces:
            _take_turns(running, pace, plan.settle_seconds, idle, figures, say)
            for server in running:
                memory[server].append(server.memory())
        for server in running:
            figures.add(program.name, server.agent.name, "pss_mb", (held.pss for held in memory[server]))
            figures.add(program.name, server.agent.name, "rss_mb", (held.rss for held in memory[server]))
    _compare(program, figures)


def _idle_cpu(running: list[Server], seconds: float) -> dict[Server, float]:
    """CPU seconds a second of each server without requests."""
    begin = {server: (time.monotonic(), server.cpu_seconds()) for server in running}
    time.sleep(seconds)
    return {server: (server.cpu_seconds() - cpu) / (time.monotonic() - at) for server, (at, cpu) in begin.items()}


def _take_turns(
    running: list[Server],
    pace: Pace,
    settle_seconds: float,
    idle: dict[Server, float],
    figures: Figures,
    say: Callable[[str], None],
) -> None:
    """Load the servers in turns and keep CPU a request, latency, throughput and what arrived.

    A server's CPU time of a turn is all that it uses from the start of this turn to the start of its next one, so that
    spans that leave late are paid for; what it uses anyway while the others have the load is taken off.
    """
    taken: dict[Server, list[_Turn]] = {server: [] for server in running}
    for server in running:
        if server.agent.exports:
            server.sink.received()  # forgets what came before
    for route in servers.ROUTES:
        say(f"{running[0].program.title} {route}, {pace.title}: {pace.rounds} rounds")
        for round_number in range(pace.rounds):
            for server in turns(running, round_number):
                begin = _mark(server)
                made = load.run(server.url + route, pace.seconds, pace.connections, pace.rate)
                taken[server].append(_Turn(route, begin, made))
    time.sleep(settle_seconds)
    for server in running:
        end = _mark(server)
        _keep(server, taken[server], end, pace, idle[server], figures)
        if server.agent.exports:
            _keep_arrived(server, taken[server][0].begin.served, end.served, pace, figures)


def _mark(server: Server) -> _Mark:
    served = server.served()
    return _Mark(time.monotonic(), server.cpu_seconds(), served)


def _keep(server: Server, taken: list[_Turn], end: _Mark, pace: Pace, idle: float, figures: Figures) -> None:
    """Keep the figures of one server's turns."""
    ends = [*(turn.begin for turn in taken[1:]), end]
    for route in servers.ROUTES:
        pairs = [(turn, mark) for turn, mark in zip(taken, ends, strict=True) if turn.route == route]
        rows = {
            "cpu_us": [_cpu_a_request(turn, mark, idle, pace.connections) * 1e6 for turn, mark in pairs],
            "p50_ms": [turn.load.p50_ms for turn, _ in pairs],
            "p99_ms": [turn.load.p99_ms for turn, _ in pairs],
            "requests_per_s": [turn.load.per_second for turn, _ in pairs],
        }
        for what, rounds in rows.items():
            figures.add(f"{server.program.name} {route}", server.agent.name, pace.prefix + what, rounds)


def _cpu_a_request(turn: _Turn, end: _Mark, idle: float, connections: int) -> float:
    """CPU seconds a request, by the program's own count; raises LoadError where wrk's count is another one."""
    served = end.served[turn.route] - turn.begin.served[turn.route]
    # The difference allowed is what wrk cut off at its end.
    if not 0 <= served - turn.load.requests <= connections:
        raise load.LoadError(f"{turn.route}: wrk counted {turn.load.requests} requests, the program {served}")
    waiting = max(0.0, end.at - turn.begin.at - turn.load.seconds)
    return (end.cpu_seconds - turn.begin.cpu_seconds - idle * waiting) / served


def _keep_arrived(server: Server, before: dict[str, int], after: dict[str, int], pace: Pace, figures: Figures) -> None:
    """Keep how many spans came in for a request and for a query: 1 is right, less is work left undone."""
    received = server.sink.received()
    served = {route: number - before[route] for route, number in after.items()}
    requests = sum(served.values())
    rows = {
        "spans_per_request": received.get("server", 0) / requests,
        "spans_per_query": received.get("query", 0) / (5 * served["/queries"]),
        "other_spans_per_request": received.get("other", 0) / requests,
        "metric_points": received.get("points", 0),
        "bytes_per_request": received["bytes"] / requests,
    }
    for what, value in rows.items():
        figures.add(server.program.name, server.agent.name, pace.prefix + what, [value])


def _compare(program: Program, figures: Figures) -> None:
    """Add what each agent costs over no agent, and how perfagent's cost relates to its peers'."""
    for route in servers.ROUTES:
        case = f"{program.name} {route}"
        for agent in figures.agents(case):
            figures.add_difference(case, agent, "cpu_us", "bare", "added_cpu_us")
            figures.add_difference(case, agent, "steady_cpu_us", "bare", "steady_added_cpu_us")
            figures.add_ratio(case, agent, "full_requests_per_s", "bare", "throughput_ratio")
        for peer in figures.agents(case):
            if peer not in ("bare", "perfagent"):
                figures.add_ratio(case, "perfagent", "added_cpu_us", peer, f"added_cpu_ratio_to_{peer}")
    for agent in figures.agents(program.name):
        figures.add_difference(program.name, agent, "pss_mb", "bare", "added_pss_mb")
