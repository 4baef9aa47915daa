"""What answers about profiles are made of: sides, functions, the nodes of a flame graph, hot functions and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from perfagent.hub.api.envelope import Answer, Model
from perfagent.hub.flame.stacks import origin

if TYPE_CHECKING:
    from perfagent.hub.api.profiled import Question, Side
    from perfagent.hub.store.rows import Row

MS = 1e6  # ns
Origin = Literal["own", "library", "stdlib", "native"]


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


def unit_of(question: Question) -> tuple[str, float]:
    """The unit of an answer, and how much of the store's one of it is."""
    return ("bytes", 1.0) if question.wanted.kind.startswith("alloc") else ("ms", MS)


def common(question: Question) -> Answer:
    """What every answer to a question says first: type, unit and the two sides."""
    unit, scale = unit_of(question)
    before = question.before
    return {
        "type": question.wanted.kind,
        "unit": unit,
        "now": _about(question.now, scale),
        "before": _about(before, scale, question.factor) if before else None,
        "per": question.per,
    }


def function_of(row: Row) -> Answer:
    """A row's function."""
    return {"name": row["function"], "file": row["file"], "line": row["first_line"], "origin": origin(row["file"])}


def hot(row: Row, question: Question, line: int) -> Answer:
    """A row's function with its sums, at a line."""
    scale, compared = unit_of(question)[1], question.before is not None
    return {
        "id": str(row["frame"]),
        **function_of(row),
        "line": line,
        "self": row["own_now"] / scale,
        "total": row["now"] / scale,
        "before_self": row["own_before"] * question.factor / scale if compared else None,
        "before": row["before"] * question.factor / scale if compared else None,
    }
