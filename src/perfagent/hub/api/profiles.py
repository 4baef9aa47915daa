"""Profiles: flame graphs, the functions and lines that take the time, two sides compared, files of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from perfagent.hub.api import profiled
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import refuses
from perfagent.hub.api.profile_answers import MS, Flame, Nodes, Tops, common, function_of, hot, unit_of
from perfagent.hub.api.profile_question import KIND, Asked, OfProcess, refuse_elsewhere
from perfagent.hub.api.profiled import MOST_NODES
from perfagent.hub.api.ranges import Within
from perfagent.hub.flame import collapsed, otlp, pprof, speedscope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.hub.store.rows import Row

router = APIRouter(tags=["profiles"])

MOST_CONTEXTS = 20_000


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


@router.get("/profiles", response_model=Success[Choices], responses=refuses(404))
def profiles(
    hub: TheHub,
    within: Within,
    service: OfService = None,
    instance: OfProcess = None,
    type: Annotated[str, Query(pattern=KIND, description="Whose labels are told.", examples=["wall"])] = "wall",  # noqa: A002
) -> Answer:
    """What there are profiles of in the range: types, and the labels to filter them by."""
    refuse_elsewhere(hub)
    known = {
        row["id"]: row for row in hub.store.rows("profiles/resources", service=service, instance=instance, version=None)
    }
    raw = within.seconds <= profiled.RAW_SECONDS
    rows = hub.store.rows(
        "profiles/contexts",
        **profiled.spans(hub.store, within.begin, within.end, raw, within.seconds >= profiled.BY_HOUR),
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


@router.get("/profiles/tree", response_model=Success[Flame], responses=refuses(404))
def profile_tree(
    hub: TheHub,
    question: Asked,
    most: Annotated[int, Query(description="Nodes, those that matter most.", ge=1, le=MOST_NODES)] = MOST_NODES,
) -> Answer:
    """The flame graph of a range, a service, a request, a trace; or of two sides, compared."""
    refuse_elsewhere(hub)
    rows = question.rows("tree", most=most)
    scale = unit_of(question)[1]
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
            told.append(function_of(row))
        columns["function"].append(functions[row["frame"]])
        columns["parent"].append(parent)
        columns["line"].append(row["line"])
        columns["total"].append(row["now"] / scale)
        columns["self"].append(row["own_now"] / scale)
        columns["before"].append(row["before"] * question.factor / scale)
        columns["before_self"].append(row["own_before"] * question.factor / scale)
    nodes = columns if compared else {**columns, "before": None, "before_self": None}
    return success({**common(question), "functions": told, "nodes": nodes, "left_out": len(rows) == most})


MostRows = Annotated[int, Query(description="How many.", ge=1, le=1000)]
By = Annotated[Literal["self", "total"], Query(description="The order.")]


@router.get("/profiles/functions", response_model=Success[Tops], responses=refuses(404))
def profile_functions(question: Asked, most: MostRows = 50, sort: By = "self") -> Answer:
    """The functions that take most, themselves or with what they call."""
    rows = question.rows("functions", most=most, by_total=sort == "total")
    return success({**common(question), "items": [hot(row, question, row["first_line"]) for row in rows]})


@router.get("/profiles/lines", response_model=Success[Tops], responses=refuses(404))
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
    return success({**common(question), "items": [hot(row, question, row["line"]) for row in rows]})


FORMATS: dict[str, tuple[str, str]] = {
    "collapsed": ("text/plain; charset=utf-8", "txt"),
    "speedscope": ("application/json", "speedscope.json"),
    "pprof": ("application/octet-stream", "pb.gz"),
    "otlp": ("application/x-protobuf", "otlp.pb"),
}


def _file(kind: str) -> dict[str, object]:
    """The schema of a file in the description of the interface."""
    if kind == "application/json":
        return {"schema": {"type": "object"}}
    return {"schema": {"type": "string"} if kind.startswith("text/") else {"type": "string", "format": "binary"}}


@router.get(
    "/profiles/export",
    response_class=Response,
    responses=refuses(404)
    | {200: {"description": "The file.", "content": {kind: _file(kind) for kind, _ in FORMATS.values()}}},
)
def profile_export(
    hub: TheHub,
    question: Asked,
    format: Annotated[  # noqa: A002 - the name in the address
        Literal["collapsed", "speedscope", "pprof", "otlp"], Query(description="Of the file.")
    ] = "speedscope",
) -> Response:
    """The stacks as a file: collapsed for flamegraph.pl, speedscope, pprof, or OTLP."""
    refuse_elsewhere(hub)
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
