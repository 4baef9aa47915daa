"""What the hub answers, as far as the command line reads it; the interface's own description is at /openapi.json."""

from __future__ import annotations

from typing import Any, TypedDict


class Totals(TypedDict):
    """Requests of a range of time; rates a second, durations in ms, ratios from 0 to 1."""

    requests: float
    requests_per_second: float
    errors: float
    error_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Range(TypedDict):
    """From when to when, in seconds since the epoch, and how far apart the readings of a series are."""

    # `from` is no name in Python: it is read by its key.
    to: float
    step: float


class Health(TypedDict):
    """A score from 0 to 100, a word, and the reasons for it."""

    score: float | None
    state: str
    reasons: list[str]


class Finding(TypedDict):
    """One thing worth knowing, with its place in the page."""

    kind: str
    severity: str
    title: str
    evidence: str
    impact: str
    recommendation: str
    service: str
    link: str


class Change(TypedDict):
    """What differs from the hour before, or from the last start."""

    kind: str
    subject: str
    text: str
    link: str


class Endpoint(TypedDict):
    """A route of a service."""

    operation: str
    service: str
    name: str
    requests: float
    requests_per_second: float
    errors: float
    error_ratio: float | None
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    share: float | None
    spark: list[float | None]


class Query(TypedDict):
    """A statement without its literals."""

    operation: str
    service: str
    system: str
    summary: str
    text: str
    calls: float
    errors: float
    total_ms: float
    mean_ms: float | None
    p95_ms: float | None
    max_ms: float | None
    repeated: int


class Overview(TypedDict):
    """Everything in one look; `range` also has `from`."""

    range: Range
    services: list[str]
    health: Health
    totals: Totals
    before: Totals
    series: dict[str, list[float | None]]
    saturation: dict[str, float | None]
    changes: dict[str, list[Change]]
    slowest: list[Endpoint]
    queries: list[Query]
    findings: list[Finding]
    findings_total: int


class Service(TypedDict):
    """One service that sends, or did."""

    service: str
    version: str
    environment: str
    instances: int
    alive: int
    requests_per_second: float
    error_ratio: float | None
    p95_ms: float | None
    last_seen: float
    health: str


class Process(TypedDict):
    """One process of a service."""

    service: str
    instance: str
    pid: int | None
    host: str
    alive: bool
    cpu_ratio: float | None
    memory_bytes: float | None
    threads: float | None
    lag_p99_ms: float | None
    requests_per_second: float | None


class Trace(TypedDict):
    """One trace in a list; `started` in seconds since the epoch."""

    trace_id: str
    service: str
    name: str
    started: float
    duration_ms: float
    status_code: int | None
    error: bool
    spans: int
    errors: int
    services: list[str]


class Span(TypedDict):
    """One span of a trace, in the order of the tree."""

    span_id: str
    parent_id: str | None
    service: str
    name: str
    category: str
    offset_ms: float
    duration_ms: float
    self_ms: float
    status: str
    status_message: str | None
    status_code: int | None
    caller: str | None
    depth: int
    attributes: dict[str, Any]
    events: list[dict[str, Any]]


class Deprecation(TypedDict):
    """One line that calls what is deprecated; times in seconds since the epoch."""

    what: str
    message: str | None
    category: str | None
    library: str | None
    version: str | None
    own: bool
    file: str | None
    line: int | None
    function: str | None
    warned_at: str | None
    calls: float
    first_seen: float
    last_seen: float
    service: str


class Repeated(TypedDict):
    """A statement that one trace ran several times."""

    summary: str
    text: str
    times: int
    total_ms: float
    caller: str | None


class WholeTrace(TypedDict):
    """One trace with all its spans."""

    trace_id: str
    name: str
    service: str
    started: float
    duration_ms: float
    services: list[str]
    complete: bool
    left_out: int
    spans: list[Span]
    logs: list[dict[str, Any]]
    repeated: list[Repeated]
