"""The rows that receivers make and the store takes: plain tuples in the order of the tables' columns.

Tuples and not objects: a span costs 16 us to decode and 4 us to store this way; a dataclass each adds 2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple


def identity(*parts: str) -> int:
    """A 63-bit hash of texts: the same in every process and on every machine."""
    joined = "\x00".join(parts).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "big") >> 1


class SpanRow(NamedTuple):
    """One span; the columns of the table `spans`."""

    trace_id: bytes  # 16 bytes
    span_id: bytes  # 8 bytes
    parent_id: bytes | None  # None for the first span of a trace
    resource: int  # Resource.id
    operation: int  # Operation.id
    name: str  # as it was sent
    kind: int  # OTLP: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer
    started: int  # ns since the epoch
    duration: int  # ns
    status: int  # OTLP: 0 unset, 1 ok, 2 error
    status_message: str | None
    status_code: int  # HTTP status, 0 where there is none
    entry: bool  # whether the span is where a request, a job or a message enters its service (kinds 2 and 5, and roots)
    rows: int  # db.response.returned_rows, -1 where unknown
    caller: str | None  # "file:line function", from code.file.path, code.line.number and code.function.name
    weight: float  # how many spans it stands for, from the tracestate's probability (`ot=th:`); 1 where unsampled
    attributes: str  # JSON object
    events: str | None  # JSON [{"time": ns, "name": str, "attributes": {…}}]
    links: str | None  # JSON [{"trace_id": hex, "span_id": hex, "attributes": {…}}]


class LogRow(NamedTuple):
    """One log record; the columns of the table `logs`."""

    time: int  # ns since the epoch; the observed time where the record has none
    resource: int
    scope: str  # the logger's name
    severity: int  # OTLP's severity number, 0 to 24
    severity_text: str
    event: str | None
    body: str
    attributes: str  # JSON object
    trace_id: bytes | None
    span_id: bytes | None


class PointRow(NamedTuple):
    """One metric point as it arrived; `store.deltas` turns cumulative ones into differences before they are stored."""

    series: int  # Series.id
    time: int  # ns since the epoch
    start: int  # ns since the epoch, 0 where unknown
    value: float | None  # gauges and sums
    count: int | None  # type: ignore[assignment]  # histograms and summaries; nobody counts in a row
    total: float | None
    smallest: float | None
    largest: float | None
    buckets: list[int] | None  # explicit: one more than the bounds; exponential: those of `first_bucket` and up
    first_bucket: int | None  # exponential: index, at scale 3, of the first one
    zeros: int | None  # exponential: count of zeros
    exemplars: str | None  # JSON [{"time": ns, "value": n, "trace_id": hex, "span_id": hex}]


class SketchRow(NamedTuple):
    """How the readings of a gauge that became one point were distributed; the columns of the table `sketches`."""

    series: int
    time: int  # ns since the epoch, that of the point
    places: list[int]  # of `hub.sources.compression`
    counts: list[int]


class Resource(NamedTuple):
    """Who sent; the columns of the table `resources`."""

    id: int  # 63-bit hash of the attributes
    service: str
    instance: str  # service.instance.id, or host and process where there is none
    version: str
    environment: str  # deployment.environment.name
    attributes: str  # JSON object, keys sorted


class Operation(NamedTuple):
    """What spans are grouped by; the columns of the table `operations`."""

    id: int  # 63-bit hash of what follows
    service: str
    category: str  # server, consumer, db, cache, http, rpc, producer or internal
    name: str  # "GET /items/{id}", "SELECT items", "GET api.example.com"
    system: str  # db.system.name and its like; ""
    text: str  # the statement without literals; ""


class Series(NamedTuple):
    """One metric with one set of attributes of one resource; the columns of the table `series`."""

    id: int  # 63-bit hash of what follows
    resource: int
    service: str
    scope: str
    name: str
    kind: str  # gauge, sum, histogram, exponential or summary
    unit: str
    description: str
    cumulative: bool
    monotonic: bool
    attributes: str  # JSON object, keys sorted
    bounds: list[float] | None  # explicit histograms


class Frame(NamedTuple):
    """A function; the columns of the table `frames`."""

    id: int  # 63-bit hash of what follows
    function: str
    file: str
    line: int  # where it begins, 0 where unknown


class StackNode(NamedTuple):
    """A function below others in a stack; the columns of the table `stack_nodes`."""

    id: int  # 63-bit hash of its parent and its frame
    parent: int  # 0 for the first of a stack
    frame: int  # Frame.id
    depth: int


class Stack(NamedTuple):
    """Calls from the first to the one that ran; the columns of the table `stacks`."""

    id: int  # 63-bit hash of its last node and its lines
    nodes: list[int]  # StackNode.id
    frames: list[int]  # Frame.id of each
    lines: list[int]  # that each was at


class Path(NamedTuple):
    """A stack with what it is made of, in the same order."""

    stack: Stack
    nodes: list[StackNode]
    frames: list[Frame]


class Context(NamedTuple):
    """What samples are grouped by; the columns of the table `profile_contexts`."""

    id: int  # 63-bit hash of what follows
    kind: str  # wall, cpu, lock, gil, alloc or what else a profiler tells
    unit: str  # nanoseconds, bytes, count
    endpoint: str
    thread: str
    task: str
    state: str


class SampleRow(NamedTuple):
    """Samples of one stack in one window of time; the columns of the table `profile_samples`."""

    time: int  # begin of the window, ns since the epoch
    duration: int  # of the window, ns
    resource: int
    context: int  # Context.id
    stack: int  # Stack.id
    trace_id: bytes | None
    span_id: bytes | None
    value: int  # in the context's unit
    samples: int
    times: list[int] | None  # of the samples, ns since the epoch


@dataclass(slots=True)
class Batch:
    """What one request holds, and what of it was refused.

    Args:
        bytes: size of the request, unpacked; what the queue's limit counts.
        rejected: items left out, because of a limit or because they are malformed.
        reason: why, for the sender.
        own: whether the hub made it itself, so that it is no sign of a program.
        sketches: how readings that became one point were distributed.
        profiles: samples of stacks; their contexts and stacks by identity.
    """

    spans: list[SpanRow] = field(default_factory=list)
    logs: list[LogRow] = field(default_factory=list)
    points: list[PointRow] = field(default_factory=list)
    resources: dict[int, Resource] = field(default_factory=dict)
    operations: dict[int, Operation] = field(default_factory=dict)
    series: dict[int, Series] = field(default_factory=dict)
    bytes: int = 0
    rejected: int = 0
    reason: str = ""
    own: bool = False
    sketches: list[SketchRow] = field(default_factory=list)
    profiles: list[SampleRow] = field(default_factory=list)
    contexts: dict[int, Context] = field(default_factory=dict)
    stacks: dict[int, Path] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """How many spans, log records, points and samples of profiles."""
        return len(self.spans) + len(self.logs) + len(self.points) + len(self.profiles)


Row = dict[str, Any]
"""One row of a query's answer, by column."""
