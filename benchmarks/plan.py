"""How long and how often everything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """A way of loading a server.

    Args:
        prefix: what its figures' names begin with.
        title: what it is called in the progress.
        rounds: turns of every agent; 0 leaves it out.
        seconds: length of a turn.
        connections: how many wrk keeps open.
        rate: requests a second; 0 is as fast as the program answers.
    """

    prefix: str
    title: str
    rounds: int
    seconds: int
    connections: int
    rate: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run.

    Args:
        one: one request after the other: for CPU a request. At a fixed rate the same program uses up to twice the CPU
            a request and 2-3 times as unsteadily (caches gone cold, cores gone to sleep): 36 us from one second to the
            next instead of 16, which hides an agent of 30.
        steady: a fixed rate that keeps the slowest agent (1.5 ms a request) below one busy core: for latency.
        full: more connections than the program can serve at once: for requests a second.
        warm_up_seconds: full speed on every route before anything is measured.
        settle_seconds: silence after which everything has been exported; opentelemetry-sdk waits up to 5 s.
        idle_seconds: how long the idle servers are watched, to know what they use without requests.
        starts: how often `python -c pass` is started under every agent.
        faults: the steady load for every fault of the receiver.
    """

    one: Pace
    steady: Pace
    full: Pace
    faults: Pace
    warm_up_seconds: int
    settle_seconds: float
    idle_seconds: float
    starts: int

    @property
    def paces(self) -> tuple[Pace, ...]:
        """The paces of a web program."""
        return tuple(pace for pace in (self.one, self.steady, self.full) if pace.rounds)


def plan(quick: bool, rounds: int | None = None) -> Plan:
    """The sizes of a full run (about 11 minutes) or of a quick one (about 3).

    Args:
        quick: fewer and shorter turns, no throughput.
        rounds: turns of every agent for CPU a request, where the plan's own are not wanted.
    """
    one, steady, full, faults = (3, 1, 0, 3) if quick else (16, 3, 2, 14)
    return Plan(
        one=Pace("", "one by one", rounds or one, 1, connections=1),
        steady=Pace("steady_", "400 requests/s", steady, 1 if quick else 2, connections=8, rate=400),
        full=Pace("full_", "full speed", full, 1, connections=8),
        faults=Pace("", "faults", faults, 1, connections=8, rate=400),
        warm_up_seconds=1,
        settle_seconds=5.2 if quick else 6.0,
        idle_seconds=2.0 if quick else 5.0,
        starts=4 if quick else 15,
    )


def turns(things: Sequence[T], round_number: int) -> list[T]:
    """The order of a round: nobody always follows the same one, nor is last in a round and first in the next."""
    if round_number % 2 == 0:
        return list(things)
    backwards = list(reversed(things))
    half = len(things) // 2
    return [*backwards[half:], *backwards[:half]]
