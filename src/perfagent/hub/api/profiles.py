"""Profiles: flame graphs, the functions and lines that take the time, two sides compared, files of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import Field

from perfagent.hub.api import profiled, sides
from perfagent.hub.api.context import PLAIN, OfService, TheHub, TraceId
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused
from perfagent.hub.api.profiled import MOST_NODES, Question, Side, Wanted
from perfagent.hub.api.ranges import Range, Within
from perfagent.hub.flame import collapsed, otlp, pprof, speedscope
from perfagent.hub.flame.stacks import origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.hub.hub import Hub
    from perfagent.hub.store.rows import Row

router = APIRouter(tags=["profiles"])

MS = 1e6  # ns
MOST_CONTEXTS = 20_000
MOST_SAMPLES = 20_000  # of a trace
Origin = Literal["own", "library", "stdlib", "native"]
KIND = r"^[a-z][a-z0-9_.-]{0,39}$"


class About(Model):
    """One side of a question."""

    label: str = Field(description="What it is.", examples=["-15m..now"])
    from_: float = Field(alias="from", description="Begin.", examples=[1789000000.0])
    to: float = Field(description="End.", examples=[1789000900.0])
    total: float = Field(description="Sum of all samples, in `unit`.", examples=[61200.0])
    samples: int = Field(description="How many samples that are.", examples=[6120])
    processes: int = Field(description="Processes that sent them.", examples=[2])
    seconds: float = Field(description="How long these were looked at, all together.", examples=[900.0])
    requests: float = Field(description="Requests in that time; 0 where that is not known.", examples=[1200.0])


class Function(Model):
    """A function."""

    name: str = Field(examples=["load_items"])
    file: str = Field(examples=["shop/items.py"])
    line: int = Field(description="Where it begins; 0 where unknown.", examples=[28])
    origin: Origin = Field(description="Whose code it is.", examples=["own"])


class Nodes(Model):
    """The nodes of a flame graph, a list a column: each after the one that it is below."""

    function: list[int] = Field(description="Its place in `functions`.", examples=[[0, 1]])
    parent: list[int] = Field(description="The node that it is below; -1 for none.", examples=[[-1, 0]])
    line: list[int] = Field(description="The line that it was at most; 0 where unknown.", examples=[[12, 31]])
    total: list[float] = Field(description="With all that it called.", examples=[[61200.0, 42000.0]])
    self: list[float] = Field(description="Without.", examples=[[0.0, 42000.0]])
    before: list[float] | None = Field(description="`total` of the other side, made comparable.", examples=[None])
    before_self: list[float] | None = Field(description="`self` of the other side.", examples=[None])


class Flame(Model):
    """A flame graph."""

    type: str = Field(description="What is summed.", examples=["wall"])
    unit: str = Field(description="ms, bytes or count.", examples=["ms"])
    now: About = Field(description="What was asked for.")
    before: About | None = Field(description="What it is compared with.")
    per: Literal["request", "second"] = Field(
        description="What both sides have as much of, where two are compared.", examples=["request"]
    )
    functions: list[Function] = Field(description="The functions of the nodes.")
    nodes: Nodes
    left_out: bool = Field(description="Whether smaller nodes are not shown.", examples=[False])


class Hot(Model):
    """A function and its sums."""

    id: str = Field(description="Identity of the function.", examples=["6917529027641081856"])
    name: str = Field(examples=["load_items"])
    file: str = Field(examples=["shop/items.py"])
    line: int = Field(description="Of a function where it begins; of a line the line.", examples=[28])
    origin: Origin = Field(examples=["own"])
    self: float = Field(description="Without what it called.", examples=[42000.0])
    total: float = Field(description="With it.", examples=[43000.0])
    before_self: float | None = Field(description="Of the other side, made comparable.", examples=[None])
    before: float | None = Field(examples=[None])


class Tops(Model):
    """Functions or lines, those first that take most."""

    type: str = Field(examples=["wall"])
    unit: str = Field(examples=["ms"])
    now: About
    before: About | None
    per: Literal["request", "second"] = Field(examples=["request"])
    items: list[Hot]


class Kind(Model):
    """A type of profiles that there is."""

    type: str = Field(examples=["wall"])
    unit: str = Field(examples=["ms"])
    total: float = Field(examples=[61200.0])
    samples: int = Field(examples=[6120])


class Label(Model):
    """A value to filter by."""

    value: str = Field(examples=["GET /cart/{id}"])
    total: float = Field(description="Of the type that was asked for.", examples=[42000.0])


class Choices(Model):
    """What there are profiles of."""

    types: list[Kind]
    endpoints: list[Label]
    threads: list[Label]
    tasks: list[Label]
    states: list[Label]
    services: list[Label]
    processes: list[Label]
    versions: list[Label]
    latest: float | None = Field(description="Begin of the last window that has come.", examples=[1789000000.0])


class Moment(Model):
    """Samples of one stack at one time."""

    offset_ms: float = Field(description="After the begin.", examples=[3.2])
    duration_ms: float = Field(description="What the sample stands for.", examples=[10.0])
    stack: int = Field(description="Its place in `stacks`.", examples=[0])
    thread: str = Field(examples=["MainThread"])
    task: str = Field(examples=["handle"])
    state: str = Field(examples=["running"])
    span_id: str | None = Field(examples=["00f067aa0ba902b7"])


class Chart(Model):
    """The samples of one trace over time."""

    type: str = Field(examples=["wall"])
    started: float = Field(description="Of the trace.", examples=[1789000000.25])
    duration_ms: float = Field(examples=[84.2])
    functions: list[Function]
    stacks: list[list[int]] = Field(description="From the first call on: places in `functions`.", examples=[[[0, 1]]])
    lines: list[list[int]] = Field(description="The lines that these were at.", examples=[[[12, 31]]])
    moments: list[Moment]


async def _wanted(
    type: Annotated[  # noqa: A002 - the name in the address
        str, Query(description="What is summed: wall, cpu, lock, gil, alloc.", pattern=KIND, examples=["wall"])
    ] = "wall",
    endpoint: Annotated[
        str | None, Query(description="Only for this request, job or message.", max_length=255, pattern=PLAIN)
    ] = None,
    thread: Annotated[str | None, Query(description="Only this thread.", max_length=255, pattern=PLAIN)] = None,
    task: Annotated[str | None, Query(description="Only this asyncio task.", max_length=255, pattern=PLAIN)] = None,
    state: Annotated[
        str | None, Query(description="Only in this state: running, waiting, lock …", max_length=255, pattern=PLAIN)
    ] = None,
    trace_id: Annotated[str | None, Query(description="Only of this trace.", pattern=r"^[0-9a-f]{32}$")] = None,
    span_id: Annotated[
        str | None, Query(description="Only of this span of `trace_id`.", pattern=r"^[0-9a-f]{16}$")
    ] = None,
) -> Wanted:
    if span_id and not trace_id:
        raise Refused(400, "bad_request", "span_id needs the trace_id that it is of", "span_id")
    trace, span = (bytes.fromhex(one) if one else None for one in (trace_id, span_id))
    return Wanted(type, endpoint, thread, task, state, trace, span)


OfProcess = Annotated[
    str | None, Query(description="Only this process: `service.instance.id`.", max_length=255, pattern=PLAIN)
]
OfVersion = Annotated[str | None, Query(description="Only this release.", max_length=255, pattern=PLAIN)]
Before = Annotated[
    str | None,
    Query(
        description="What to compare with, in the forms of GET compare: a range such as `-2h..-1h`, a version, an "
        "instance, `before-start`.",
        max_length=255,
        pattern=PLAIN,
        examples=["-2h..-1h"],
    ),
]
After = Annotated[
    str | None,
    Query(description="In place of `from` and `to`, in the same forms.", max_length=255, pattern=PLAIN),
]


def _question(
    hub: TheHub,
    within: Within,
    wanted: Annotated[Wanted, Depends(_wanted)],
    service: OfService = None,
    instance: OfProcess = None,
    version: OfVersion = None,
    before: Before = None,
    after: After = None,
) -> Question:
    of = (service, instance, version)
    now = _side(hub, after, of, "after") if after else _range(hub, within, of)
    other = _side(hub, before, of, "before") if before else None
    return Question(hub.store, wanted, now, other, hub.settings.retention_hours * 3600)


Asked = Annotated[Question, Depends(_question)]


def _own(hub: Hub) -> None:
    """Refuses where there cannot be any; what only adds to another view is empty there."""
    if hub.remote is not None:
        message = "this hub reads from Prometheus and Jaeger, which have no profiles; ask a hub that programs send to"
        raise Refused(501, "not_here", message)


def _range(hub: Hub, within: Range, of: tuple[str | None, str | None, str | None]) -> Side:
    service, instance, version = of
    rows = hub.store.rows("profiles/resources", service=service, instance=instance, version=version)
    return Side("the range", within, [row["id"] for row in rows], service, not instance and not version)


def _side(hub: Hub, text: str, of: tuple[str | None, str | None, str | None], field: str) -> Side:
    found = sides.choose(hub, text, of[0], field)
    side = _range(hub, found.within, of)
    side.label = found.label
    if found.resources is not None:
        chosen = set(found.resources)
        # A version or a process that is named stands for itself, whatever the filter says.
        rows = hub.store.rows("profiles/resources", service=of[0], instance=None, version=None)
        side.resources = [row["id"] for row in rows if row["id"] in chosen]
        side.whole = False
    return side


def _about(side: Side, scale: float, factor: float = 1.0) -> Answer:
    return {
        "label": side.label,
        "from": side.within.begin,
        "to": side.within.end,
        "total": side.total * factor / scale,
        "samples": side.samples,
        "processes": side.processes,
        "seconds": side.seconds,
        "requests": side.requests,
    }


def _unit(question: Question) -> tuple[str, float]:
    """The unit of an answer, and how much of the store's one of it is."""
    return ("bytes", 1.0) if question.wanted.kind.startswith("alloc") else ("ms", MS)


def _common(question: Question) -> Answer:
    unit, scale = _unit(question)
    before = question.before
    return {
        "type": question.wanted.kind,
        "unit": unit,
        "now": _about(question.now, scale),
        "before": _about(before, scale, question.factor) if before else None,
        "per": question.per,
    }


@router.get("/profiles", response_model=Success[Choices])
def profiles(
    hub: TheHub,
    within: Within,
    service: OfService = None,
    instance: OfProcess = None,
    type: Annotated[str, Query(pattern=KIND, description="Whose labels are told.", examples=["wall"])] = "wall",  # noqa: A002
) -> Answer:
    """What there are profiles of in the range: types, and the labels to filter them by."""
    _own(hub)
    known = {
        row["id"]: row for row in hub.store.rows("profiles/resources", service=service, instance=instance, version=None)
    }
    raw = within.seconds <= profiled.RAW_SECONDS
    rows = hub.store.rows(
        "profiles/contexts",
        **profiled.spans(hub.store, within.begin, within.end, raw),
        trace_id=None,
        span_id=None,
        resources=list(known),
        most=MOST_CONTEXTS,
    )
    kinds: dict[str, Answer] = {}
    for row in rows:
        scale = MS if row["unit"] == "nanoseconds" else 1.0
        unit = "ms" if row["unit"] == "nanoseconds" else row["unit"] if row["unit"] == "bytes" else "count"
        kind = kinds.setdefault(row["kind"], {"type": row["kind"], "unit": unit, "total": 0.0, "samples": 0})
        kind["total"] += row["value"] / scale
        kind["samples"] += row["samples"]
    shown = [row for row in rows if row["kind"] == type]
    labels: dict[str, Callable[[Row], str]] = {
        "endpoints": lambda row: str(row["endpoint"]),
        "threads": lambda row: str(row["thread"]),
        "tasks": lambda row: str(row["task"]),
        "states": lambda row: str(row["state"]),
        "services": lambda row: str(known[row["resource"]]["service"]),
        "processes": lambda row: str(known[row["resource"]]["instance"]),
        "versions": lambda row: str(known[row["resource"]]["version"]),
    }
    order = ("wall", "cpu", "lock", "gil", "alloc")
    types = sorted(kinds.values(), key=lambda one: order.index(one["type"]) if one["type"] in order else 9)
    latest = max((row["latest"] / 1e9 for row in rows), default=None)
    return success({"types": types, **{name: _labels(shown, of) for name, of in labels.items()}, "latest": latest})


def _labels(rows: Sequence[Row], of: Callable[[Row], str]) -> list[Answer]:
    sums: dict[str, float] = {}
    for row in rows:
        if value := of(row):
            sums[value] = sums.get(value, 0.0) + row["value"] / (MS if row["unit"] == "nanoseconds" else 1.0)
    return [{"value": value, "total": total} for value, total in sorted(sums.items(), key=lambda one: -one[1])[:200]]


@router.get("/profiles/tree", response_model=Success[Flame])
def profile_tree(
    hub: TheHub,
    question: Asked,
    most: Annotated[int, Query(description="Nodes, those that matter most.", ge=1, le=MOST_NODES)] = MOST_NODES,
) -> Answer:
    """The flame graph of a range, a service, a request, a trace; or of two sides, compared."""
    _own(hub)
    rows = question.rows("tree", most=most)
    scale = _unit(question)[1]
    functions: dict[int, int] = {}
    told: list[Answer] = []
    places: dict[int, int] = {0: -1}
    columns: dict[str, list[Any]] = {name: [] for name in Nodes.model_fields}
    compared = question.before is not None
    for row in rows:
        parent = places.get(row["parent"])
        if parent is None:  # as much as the one above, which fell behind the last one that is shown
            continue
        places[row["node"]] = len(columns["parent"])
        if row["frame"] not in functions:
            functions[row["frame"]] = len(told)
            told.append(_function(row))
        columns["function"].append(functions[row["frame"]])
        columns["parent"].append(parent)
        columns["line"].append(row["line"])
        columns["total"].append(row["now"] / scale)
        columns["self"].append(row["own_now"] / scale)
        columns["before"].append(row["before"] * question.factor / scale)
        columns["before_self"].append(row["own_before"] * question.factor / scale)
    nodes = columns if compared else {**columns, "before": None, "before_self": None}
    return success({**_common(question), "functions": told, "nodes": nodes, "left_out": len(rows) == most})


def _function(row: Row) -> Answer:
    return {"name": row["function"], "file": row["file"], "line": row["first_line"], "origin": origin(row["file"])}


MostRows = Annotated[int, Query(description="How many.", ge=1, le=1000)]
By = Annotated[Literal["self", "total"], Query(description="The order.")]


@router.get("/profiles/functions", response_model=Success[Tops])
def profile_functions(question: Asked, most: MostRows = 50, sort: By = "self") -> Answer:
    """The functions that take most, themselves or with what they call."""
    rows = question.rows("functions", most=most, by_total=sort == "total")
    return success({**_common(question), "items": [_hot(row, question, row["first_line"]) for row in rows]})


@router.get("/profiles/lines", response_model=Success[Tops])
def profile_lines(
    question: Asked,
    function: Annotated[
        int | None, Query(description="Of this function, by its identity; all when left out.", ge=0, le=2**63 - 1)
    ] = None,
    most: MostRows = 50,
    sort: By = "self",
) -> Answer:
    """The lines that take most, of one function or of all."""
    rows = question.rows("lines", most=most, by_total=sort == "total", frame=function)
    return success({**_common(question), "items": [_hot(row, question, row["line"]) for row in rows]})


def _hot(row: Row, question: Question, line: int) -> Answer:
    scale, compared = _unit(question)[1], question.before is not None
    return {
        "id": str(row["frame"]),
        **_function(row),
        "line": line,
        "self": row["own_now"] / scale,
        "total": row["now"] / scale,
        "before_self": row["own_before"] * question.factor / scale if compared else None,
        "before": row["before"] * question.factor / scale if compared else None,
    }


FORMATS: dict[str, tuple[str, str]] = {
    "collapsed": ("text/plain; charset=utf-8", "txt"),
    "speedscope": ("application/json", "speedscope.json"),
    "pprof": ("application/octet-stream", "pb.gz"),
    "otlp": ("application/x-protobuf", "otlp.pb"),
}


@router.get(
    "/profiles/export",
    response_class=Response,
    responses={200: {"description": "The file.", "content": {kind: {} for kind, _ in FORMATS.values()}}},
)
def profile_export(
    hub: TheHub,
    question: Asked,
    format: Annotated[  # noqa: A002 - the name in the address
        Literal["collapsed", "speedscope", "pprof", "otlp"], Query(description="Of the file.")
    ] = "speedscope",
) -> Response:
    """The stacks as a file: collapsed for flamegraph.pl, speedscope, pprof, or OTLP."""
    _own(hub)
    wanted = question.wanted
    service = question.now.service or ""
    name = " ".join(part for part in (service, wanted.endpoint, wanted.kind) if part)
    found = profiled.profile(hub.store, question, name)
    body: bytes
    if format == "collapsed":
        body = collapsed.write(found).encode()
    elif format == "speedscope":
        body = orjson.dumps(speedscope.document(found))
    elif format == "pprof":
        body = pprof.encode(found)
    else:
        body = otlp.encode(found, service)
    kind, ending = FORMATS[format]
    headers = {"Content-Disposition": f'attachment; filename="profile-{wanted.kind}.{ending}"'}
    return Response(body, media_type=kind, headers=headers)


@router.get("/profiles/traces/{trace_id}", response_model=Success[Chart])
def profile_chart(
    hub: TheHub,
    trace_id: TraceId,
    type: Annotated[str, Query(pattern=KIND, description="wall or cpu.", examples=["wall"])] = "wall",  # noqa: A002
) -> Answer:
    """The samples of one trace over time: a flame chart; empty where none was taken in it."""
    wanted = bytes.fromhex(trace_id)
    rows = hub.store.rows("profiles/trace", trace_id=wanted, kind=type, most=MOST_SAMPLES)
    stacks: dict[tuple[Any, ...], int] = {}
    moments: list[Answer] = []
    for row in rows:
        key = (tuple(row["frames"]), tuple(row["lines"]))
        place = stacks.setdefault(key, len(stacks))
        times = row["times"] or [row["time"]]
        each = row["value"] / len(times)
        for at in times:
            moments.append({
                "at": at, "for": each, "stack": place, "thread": row["thread"], "task": row["task"],
                "state": row["state"], "span_id": row["span_id"].hex() if row["span_id"] else None,
            })  # fmt: skip
    moments.sort(key=lambda one: one["at"])
    spans = hub.store.rows("traces/spans", trace_id=wanted, most=2000)
    first = min([row["started"] for row in spans] + [one["at"] for one in moments[:1]], default=0)
    last = max(
        [row["started"] + row["duration"] for row in spans] + [one["at"] + one["for"] for one in moments], default=first
    )
    functions: dict[tuple[str, str, int], int] = {}
    told: list[list[int]] = []
    for calls in profiled.calls_of(hub.store, stacks):
        told.append([functions.setdefault(call[:3], len(functions)) for call in calls])
    return success(
        {
            "type": type,
            "started": first / 1e9,
            "duration_ms": (last - first) / MS,
            "functions": [
                {"name": name, "file": file, "line": line, "origin": origin(file)} for name, file, line in functions
            ],
            "stacks": told,
            "lines": [list(lines) for _, lines in stacks],
            "moments": [
                {
                    "offset_ms": (one["at"] - first) / MS,
                    "duration_ms": one["for"] / MS,
                    **{name: one[name] for name in ("stack", "thread", "task", "state", "span_id")},
                }
                for one in moments[:MOST_SAMPLES]
            ],
        }
    )
