"""What an expression is made of: a tree with the type of each of its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.expressions.pattern import Pattern

Kind = Literal["number", "text", "truth"]
ALIASES = {
    "service": "service.name",
    "instance": "service.instance.id",
    "version": "service.version",
    "environment": "deployment.environment.name",
    "host": "host.name",
    "route": "http.route",
    "method": "http.request.method",
    "status": "http.response.status_code",
    "error": "error.type",
    "statement": "db.query.summary",
    "table": "db.collection.name",
    "system": "db.system.name",
    "topic": "messaging.destination.name",
}
"""Short names of labels."""
SERVICE = "service.name"
NAME, SEVERITY = "name", "severity"
SHORT = {full: short for short, full in ALIASES.items()}
WINDOW = 120
"""Seconds that an aggregate looks back on by default: two exports of a program that sends once a minute."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number, with a unit or without.

    Args:
        value: as it was written.
        unit: as it was written, a key of `units.LITERALS`; "" for the unit of what it is compared with.
    """

    value: float
    unit: str = ""
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="number", compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A text in quotes."""

    value: str
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="text", compare=False)


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to choose from, behind `in`."""

    values: tuple[str, ...]
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="text", compare=False)


@dataclass(frozen=True, slots=True)
class Label:
    """A label, by its full name; or `name` and `severity` of a sample."""

    key: str
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="text", compare=False)


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a sample, in a rule that says by `name` which samples it is about."""

    at: int = field(default=0, compare=False)
    kind: Kind = field(default="number", compare=False)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A figure of a metric over a window, for each service and the labels in `by`.

    Args:
        function: avg, min, max, sum, count, rate, last, or a percentile such as p95.
        metric: its name.
        where: what the labels of its series must be; None for all.
        by: further labels that make a figure each.
        window: seconds that it looks back on, whole minutes.
    """

    function: str
    metric: str
    where: Node | None = None
    by: tuple[str, ...] = ()
    window: int = WINDOW
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="number", compare=False)

    @property
    def share(self) -> float | None:
        """Of a percentile, 0..1; None for others."""
        return float(self.function[1:]) / 100 if self.function[0] == "p" else None


@dataclass(frozen=True, slots=True)
class Past:
    """A figure against its own past.

    Args:
        function: `change`, the relative difference from `span` ago, or `baseline`, the median of the `span` before.
        inner: the figure.
        span: seconds, whole minutes.
    """

    function: Literal["change", "baseline"]
    inner: Node
    span: int
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="number", compare=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers with `+`, `-`, `*` or `/` between them."""

    sign: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="number", compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two numbers, a label and a text, or a label and a number, compared.

    Args:
        sign: >, >=, <, <=, ==, !=, =~, !~, in or `not in`.
        pattern: made ready, for =~ and !~.
    """

    sign: str
    left: Node
    right: Node
    pattern: Pattern | None = field(default=None, compare=False)
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="truth", compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """Two truths with `and` or `or` between them."""

    word: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="truth", compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a truth."""

    inner: Node
    at: int = field(default=0, compare=False)
    kind: Kind = field(default="truth", compare=False)


Node = Number | Text | Texts | Label | Value | Aggregate | Past | Arithmetic | Comparison | Logic | Not


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition that was read and checked.

    Args:
        text: as it was written.
        root: the whole of it.
        by: labels beyond the service that its violations are told apart by.
    """

    text: str
    root: Node
    by: tuple[str, ...]

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """The figures that it needs, each once."""
        return tuple(dict.fromkeys(one for one in walk(self.root) if isinstance(one, Aggregate)))

    @property
    def about_samples(self) -> bool:
        """Whether it says by `name` and `value` what it is about."""
        return any(isinstance(one, Value) or is_of_sample(one) for one in walk(self.root))

    @property
    def reach(self) -> int:
        """Seconds before a minute that its figures look back on."""
        return reach(self.root)


def is_of_sample(node: Node) -> bool:
    """Whether a node is the name or the severity of a sample."""
    return isinstance(node, Label) and node.key in (NAME, SEVERITY)


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node; what chooses the series of an aggregate is none."""
    if isinstance(node, (Arithmetic, Comparison, Logic)):
        return node.left, node.right
    return (node.inner,) if isinstance(node, (Past, Not)) else ()


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, from left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


DELAY = 600
"""Seconds that a baseline leaves out before the moment that it is compared with: what is wrong now is not yet usual."""


def reach(node: Node) -> int:
    """Seconds before a minute that a node looks back on."""
    if isinstance(node, Aggregate):
        return node.window - 60
    below = max((reach(child) for child in children(node)), default=0)
    if isinstance(node, Past):
        return below + node.span + (DELAY if node.function == "baseline" else 0)
    return below
