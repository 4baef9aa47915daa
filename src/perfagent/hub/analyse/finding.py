"""A finding, and the facts that findings are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.analyse.durations import MS, PER_OCTAVE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.analyse.breakdown import Breakdown
    from perfagent.hub.analyse.calls import Calls
    from perfagent.hub.analyse.causes import Cause as Likely
    from perfagent.hub.analyse.changes import Change
    from perfagent.hub.analyse.durations import Durations
    from perfagent.hub.analyse.economy import Economy
    from perfagent.hub.analyse.errors import Cause
    from perfagent.hub.sources.seen import Seen

SEVERITIES = ("low", "medium", "high", "critical")
ENOUGH_CALLS = 10


@dataclass(slots=True)
class Finding:
    """One thing found; the fields are those of the interface.

    Args:
        type: bottleneck, anomaly or optimisation.
        subject: what it is about within its service: an operation's identity, an instance, a cache's name.
        requests_per_day: how many requests it touches.
        seconds_per_day: of waiting that are saved where it is repaired; 0 where that is unknown.
        steps: what to do, in this order.
        effort: low, medium or high.
        traces: requests that show it, 32 hexadecimal digits each.
        place: where in the program, "file:line function"; "" where unknown.
        stack: the stack at that place, as Python prints it; "" where unknown.
        first_seen, last_seen: within the range, seconds since the epoch.
    """

    kind: str
    type: str
    severity: str
    title: str
    evidence: str
    impact: str
    recommendation: str
    confidence: float
    service: str
    link: str
    metrics: dict[str, float] = field(default_factory=dict)
    subject: str = ""
    requests_per_day: float = 0.0
    seconds_per_day: float = 0.0
    steps: tuple[str, ...] = ()
    effort: str = "medium"
    traces: tuple[str, ...] = ()
    place: str = ""
    stack: str = ""
    first_seen: float | None = None
    last_seen: float | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """The same for the same thing found in another range."""
        return self.kind, self.service, self.subject

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
    loop: str | None = None  # that makes the runs: file, line and function


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


class Died(NamedTuple):
    """A process that ended without a word; what its flight recorder left behind."""

    service: str
    time: float  # its last sign of life, seconds since the epoch
    text: str
    answering: str  # the oldest request that was under way, "" where there was none
    out_of_memory: bool
    trace_id: bytes | None


class Notice(NamedTuple):
    """What an agent noticed by itself: all events of one kind about one subject in a range."""

    kind: str  # the event's name without "perfagent."
    service: str
    subject: str
    text: str
    attributes: Mapping[str, Any]
    trace_id: bytes | None
    first_seen: float  # seconds since the epoch
    last_seen: float
    times: int  # that it was seen

    @property
    def place(self) -> str:
        """`file:line function`; "" where it has none."""
        path, line = self.attributes.get("code.file.path"), self.attributes.get("code.line.number")
        return f"{path}:{line} {self.attributes.get('code.function.name', '')}".rstrip() if path else ""


class Retried(NamedTuple):
    """A call that was tried again and again within single requests, mostly in vain, in a sample of traces."""

    endpoint: Calls
    inner: Calls
    requests: int  # with at least 3 tries of which 2 failed
    tries: float  # in one of these, on average
    failed: float  # of the tries, 0..1
    total: float  # ns of all tries
    trace_id: bytes


class Pool(NamedTuple):
    """How full the connection pools of a service were lately."""

    service: str
    share: float  # 0..1, on average
    fullest: float  # 0..1, of one minute


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
    """What findings are made of, for one range.

    Args:
        seconds: how long it is.
        end: when it ends, seconds since the epoch.
        released: new versions in it, each with what became worse since.
        told: what databases say of themselves.
        likely: causes of what is wrong at its end.
        recent: the calls of the last minutes.
    """

    seconds: float
    calls: Sequence[Calls] = ()
    breakdowns: Mapping[int, Breakdown] = field(default_factory=dict)
    repeated: Sequence[Repeated] = ()
    causes: Sequence[Cause] = ()
    processes: Sequence[Process] = ()
    died: Sequence[Died] = ()
    notices: Sequence[Notice] = ()
    end: float = 0.0
    caches: Sequence[Cache] = ()
    economies: Sequence[Economy] = ()
    deprecated: Sequence[Deprecated] = ()
    changes: Sequence[Change] = ()
    retried: Sequence[Retried] = ()
    pools: Sequence[Pool] = ()
    released: Sequence[tuple[Change, Sequence[Change]]] = ()
    told: Sequence[Seen] = ()
    likely: Sequence[Likely] = ()
    recent: Mapping[int, Calls] = field(default_factory=dict)


def severity(value: float, limits: tuple[float, float, float, float]) -> str | None:
    """The severity of a value, given from where each begins; None below all of them."""
    reached = [name for name, limit in zip(SEVERITIES, limits, strict=True) if value >= limit]
    return reached[-1] if reached else None


DAY = 86_400


def excess_ms(durations: Durations, limit: float) -> float:
    """ms that calls took beyond a limit, all together: what is saved where none takes longer."""
    whole = 0.0
    for bucket, calls in durations.counts.items():
        middle = 2 ** ((bucket + 0.5) / PER_OCTAVE) / MS
        whole += calls * max(middle - limit, 0.0)
    return whole


def sure(observations: float) -> float:
    """How sure a number of observations makes: n / (n + 10)."""
    return round(observations / (observations + 10), 2)
