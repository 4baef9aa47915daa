"""A finding, and the facts that findings are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.analyse.breakdown import Breakdown
    from perfagent.hub.analyse.calls import Calls
    from perfagent.hub.analyse.changes import Change
    from perfagent.hub.analyse.errors import Cause

SEVERITIES = ("low", "medium", "high", "critical")
ENOUGH_CALLS = 10


@dataclass(slots=True)
class Finding:
    """One thing found; the fields are those of the interface."""

    kind: str
    type: str  # bottleneck, anomaly or optimisation
    severity: str
    title: str
    evidence: str
    impact: str
    recommendation: str
    confidence: float
    service: str
    link: str
    metrics: dict[str, float] = field(default_factory=dict)

    def answer(self) -> dict[str, Any]:
        """As the interface gives it."""
        return asdict(self)


class Repeated(NamedTuple):
    """A statement or call that ran again and again within single requests of an endpoint, in a sample of traces."""

    endpoint: Calls
    inner: Calls
    requests: int  # with at least 5 runs
    seen: int  # of the endpoint, in the sample
    mean: float
    most: int
    share: float  # of the time of these requests
    caller: str | None
    trace_id: bytes


@dataclass(slots=True)
class Process:
    """What a process' metrics say of a range; None for what is unknown.

    Args:
        lag_calls: how often the event loop's lag was measured.
        cpu: cores that it kept busy, on average.
        memory: its first and its last level in bytes, where it grew steadily in between.
        gc_share: share of the time in which the collector stopped it.
    """

    service: str
    instance: str
    lag_p99_ms: float | None = None
    lag_longest_ms: float | None = None
    lag_calls: float = 0
    gc_p99_ms: float | None = None
    gc_share: float | None = None
    cpu: float | None = None
    memory: tuple[float, float] | None = None
    memory_hours: float = 0.0
    dropped: float = 0.0
    internal_errors: float = 0.0


class Cache(NamedTuple):
    """A cache's figures in a range; None where unknown."""

    service: str
    name: str
    system: str
    hits: float
    misses: float
    size: float | None
    most: float | None
    evictions: float


class Deprecated(NamedTuple):
    """What is deprecated and still called by the program's own code; `library` is "" where it is the program's too."""

    service: str
    what: str
    library: str
    place: str
    calls: float


@dataclass(slots=True)
class Facts:
    """What findings are made of, for one range."""

    seconds: float
    calls: Sequence[Calls] = ()
    breakdowns: Mapping[int, Breakdown] = field(default_factory=dict)
    repeated: Sequence[Repeated] = ()
    causes: Sequence[Cause] = ()
    processes: Sequence[Process] = ()
    caches: Sequence[Cache] = ()
    deprecated: Sequence[Deprecated] = ()
    changes: Sequence[Change] = ()


def severity(value: float, limits: tuple[float, float, float, float]) -> str | None:
    """The severity of a value, given from where each begins; None below all of them."""
    reached = [name for name, limit in zip(SEVERITIES, limits, strict=True) if value >= limit]
    return reached[-1] if reached else None


def sure(observations: float) -> float:
    """How sure a number of observations makes: n / (n + 10)."""
    return round(observations / (observations + 10), 2)
