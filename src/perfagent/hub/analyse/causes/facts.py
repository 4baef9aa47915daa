"""What causes are ranked from: the last minute or so beside what was before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.analyse.breakdown import Breakdown
    from perfagent.hub.analyse.calls import Calls
    from perfagent.hub.analyse.errors import Cause as Failing
    from perfagent.hub.sources.seen import Seen


class Release(NamedTuple):
    """A new version or a restart."""

    service: str
    before: str
    after: str
    time: float  # seconds since the epoch


class Pool(NamedTuple):
    """A pool of database connections; None for what was not measured.

    Args:
        most: connections that it opens at most.
        now, before: the share of these that was in use, 0..1, on average.
        waiting: requests that wait for a connection now, on average.
        wait_ms, wait_ms_before: how long one waited for it.
        timeouts: how many waited in vain, now.
    """

    service: str
    name: str
    most: float
    now: float | None
    before: float | None
    waiting: float | None = None
    wait_ms: float | None = None
    wait_ms_before: float | None = None
    timeouts: float = 0.0


class Cache(NamedTuple):
    """A cache now and before."""

    service: str
    name: str
    system: str
    hits: float
    misses: float
    hits_before: float
    misses_before: float


@dataclass(slots=True)
class Process:
    """The vital signs of one process, now and before; None for what was not measured.

    Args:
        since: when it first told of itself, seconds since the epoch.
        cpu: cores that it kept busy.
        lag_ms: the 99th percentile of how late its event loop ran what was ready; `stalled` is how long it has been
            stuck at most, s.
        gc: the share of time in which the collector stopped it.
        starved: the share of time in which its main thread was ready to run and had no processor.
        memory: moments and bytes, the oldest first.
    """

    service: str
    instance: str
    since: float = 0.0
    cpu: float | None = None
    cpu_before: float | None = None
    lag_ms: float | None = None
    lag_ms_before: float | None = None
    stalled: float | None = None
    gc: float | None = None
    gc_before: float | None = None
    starved: float | None = None
    memory: list[tuple[float, float]] = field(default_factory=list)


class Repeated(NamedTuple):
    """A statement that ran again and again within single requests of an endpoint.

    Args:
        share: of the endpoint's requests that did so, 0..1.
        mean, mean_before: runs in one of these; before, runs in one request that ran it at all.
    """

    endpoint: int
    operation: int
    share: float
    mean: float
    mean_before: float


class Spans(NamedTuple):
    """What single spans of an operation show."""

    caller: str
    traces: list[str]


@dataclass(slots=True)
class Facts:
    """The facts of one moment.

    Args:
        end: the moment, seconds since the epoch.
        seconds, seconds_before: how long the two stretches are.
        now, before: calls by operation.
        weights: for how many spans one stands, by operation, where some were sampled out.
        broken_down, broken_down_before: where the time of requests went, by endpoint, of a sample of each.
        failing: failed requests by their cause, of now.
        seen: callers and traces of operations.
        told: what databases and other sources say of themselves.
    """

    end: float
    seconds: float
    seconds_before: float
    now: Mapping[int, Calls]
    before: Mapping[int, Calls]
    weights: Mapping[int, float] = field(default_factory=dict)
    broken_down: Mapping[int, Breakdown] = field(default_factory=dict)
    broken_down_before: Mapping[int, Breakdown] = field(default_factory=dict)
    failing: Sequence[Failing] = ()
    seen: Mapping[int, Spans] = field(default_factory=dict)
    repeated: Sequence[Repeated] = ()
    processes: Sequence[Process] = ()
    pools: Sequence[Pool] = ()
    caches: Sequence[Cache] = ()
    releases: Sequence[Release] = ()
    told: Sequence[Seen] = ()
