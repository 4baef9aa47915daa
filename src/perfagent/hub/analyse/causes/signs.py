"""What is abnormal in a process, a pool or a cache now: the signs that tell slow code from what slows all code."""

from __future__ import annotations

from itertools import pairwise
from statistics import correlation
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse.chance import proportions

if TYPE_CHECKING:
    from perfagent.hub.analyse.calls import Calls
    from perfagent.hub.analyse.causes.facts import Cache, Facts, Pool, Process

BUSY = 0.8  # cores; one thread that holds the interpreter lock makes about 1
BUSIER = 0.3  # cores more than before
LATE_MS = 100.0  # p99 of the event loop
STUCK = 0.5  # s
LATER = 3.0  # times before
FULL = 0.9  # of a pool, on average
STARVED = 0.2  # of the time
WAIT_MS = 50.0  # for a connection of a pool
COLLECTING = 0.1  # of the time
LOOKUPS = 20
COLD = 0.5  # of the hit ratio of before that is left
DOWN = 0.2  # of the calls of a cache that fail
DOWN_CALLS = 5
GROWN = 1.2  # times
GROWN_BYTES = 30e6
HALVES_RISE = 0.25  # of the growth that must be in the later half: what only started up does not go on growing
LEAK_POINTS = 4
LEAK_SECONDS = 25.0
STEADY = 0.94  # correlation of memory with time
WARM_UP = 30.0  # s after a process' first sign in which its memory grows anyway


def is_busy(one: Process) -> bool:
    """Whether a process keeps a core busy, more than before."""
    if one.cpu is None or one.cpu < BUSY:
        return False
    return one.cpu_before is None or one.cpu >= one.cpu_before + BUSIER


def is_blocked(one: Process) -> bool:
    """Whether its event loop runs what is ready too late, more than before."""
    if one.stalled is not None and one.stalled >= STUCK:
        return True
    return one.lag_ms is not None and one.lag_ms >= LATE_MS and one.lag_ms >= LATER * (one.lag_ms_before or 0.0)


def is_starved(one: Process) -> bool:
    """Whether its main thread waits for a processor: what is late then is so because the machine is busy."""
    return one.starved is not None and one.starved >= STARVED


def collects(one: Process) -> bool:
    """Whether the garbage collector takes a noticeable share of its time, more than before."""
    return one.gc is not None and one.gc >= COLLECTING and one.gc >= 2 * (one.gc_before or 0.0)


def is_full(one: Pool) -> bool:
    """Whether those who want a connection of a pool have to wait for it, more than before."""
    if one.timeouts >= 1:
        return True
    if one.wait_ms is not None:
        return one.wait_ms >= WAIT_MS and one.wait_ms >= LATER * (one.wait_ms_before or 0.0)
    return one.now is not None and one.now >= FULL and (one.before is None or one.before <= one.now - 0.2)


def is_cold(one: Cache) -> bool:
    """Whether a cache finds much less than before, or is not asked any more, beyond what chance explains."""
    lookups, before = one.hits + one.misses, one.hits_before + one.misses_before
    if before < LOOKUPS or one.hits_before / before < 0.2:
        return False
    if lookups < LOOKUPS:
        return False  # what is not asked is told by the calls that fail, not by how few there are
    if one.hits / lookups > COLD * one.hits_before / before:
        return False
    return proportions(one.hits_before, before, one.hits, lookups) < 1e-4


class Growth(NamedTuple):
    """Memory that grows."""

    first: float  # bytes
    last: float
    seconds: float

    @property
    def per_second(self) -> float:
        """Bytes a second."""
        return (self.last - self.first) / max(self.seconds, 1.0)


def growth(one: Process) -> Growth | None:
    """How the memory of a process has grown lately, where that is steady and goes on; None elsewhere.

    From its lowest recent level on: steady means that at most one step in five falls, that it still grows in the later
    half, and that the last level is the highest but for 2 %.
    """
    points = [point for point in one.memory if point[0] >= one.since + WARM_UP]
    if len(points) < LEAK_POINTS:
        return None
    lowest = min(range(len(points)), key=lambda place: (points[place][1], -place))
    points = points[lowest:]
    if len(points) < LEAK_POINTS:
        return None
    levels = [level for _, level in points]
    first, last, middle = levels[0], levels[-1], levels[len(levels) // 2]
    grown = last - first
    if points[-1][0] - points[0][0] < LEAK_SECONDS:
        return None
    if last < GROWN * first or grown < GROWN_BYTES or last < 0.98 * max(levels):
        return None
    steps = [after - before for before, after in pairwise(levels)]
    falls = sum(step < 0 for step in steps)
    if falls > (len(levels) - 1) / 5 or last - middle < HALVES_RISE * grown:
        return None
    # One step that makes most of the growth is a large load, not a leak; what is far from a line is a warming-up.
    if max(steps) > 0.6 * grown or correlation([time for time, _ in points], levels) < STEADY:
        return None
    return Growth(first, last, points[-1][0] - points[0][0])


def is_down(facts: Facts, one: Calls) -> bool:
    """Whether calls of a cache fail that did not fail before."""
    if one.category != "cache" or one.durations.calls < DOWN_CALLS or (one.durations.error_ratio or 0.0) < DOWN:
        return False
    old = facts.before.get(one.operation)
    return old is None or (old.durations.error_ratio or 0.0) < 0.6 * (one.durations.error_ratio or 0.0)


def of_service(facts: Facts, service: str) -> list[Process]:
    """The processes of a service."""
    return [one for one in facts.processes if one.service == service]


LOCKED = (
    "lock timeout", "database is locked", "table is locked", "deadlock", "could not obtain lock", "lock wait timeout",
    "lock not available", "locknotavailable", "55p03", "40p01",
)  # fmt: skip
NO_CONNECTION = (
    "queuepool limit", "pooltimeout", "too many clients", "too many connections", "pool is exhausted", "pool exhausted",
    "couldn't get a connection", "connection pool", "timed out while waiting for a connection", "poolerror",
)  # fmt: skip


def speaks_of(text: str, words: tuple[str, ...]) -> bool:
    """Whether an error's type or message has one of some words in it."""
    low = text.lower()
    return any(word in low for word in words)
