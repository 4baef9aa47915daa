"""Puts all numbers of an expression into the units of what they are compared with, once it is known what these are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.expressions import tree
from perfagent.hub.expressions.errors import BadExpression
from perfagent.hub.expressions.tree import (
    Aggregate,
    Arithmetic,
    Comparison,
    Label,
    Logic,
    Node,
    Not,
    Number,
    Past,
    Value,
)
from perfagent.hub.expressions.units import LITERALS, PLAIN, SHARE, WORDS, Unit, of_metric

if TYPE_CHECKING:
    from collections.abc import Callable

GAUGE, LEVEL, COUNTER, HISTOGRAM, SUMMARY = "gauge", "updown", "counter", "histogram", "summary"
LEVELS = ("avg", "min", "max", "sum", "count", "last")
FUNCTIONS: dict[str, tuple[str, ...]] = {
    GAUGE: LEVELS,
    LEVEL: LEVELS,
    COUNTER: ("rate", "sum", "count"),
    HISTOGRAM: ("p95", "avg", "min", "max", "rate", "count", "sum"),
    SUMMARY: ("avg", "rate", "count", "sum"),
}
"""What may be asked of a kind of metric; p95 stands for every percentile."""


class Metric(NamedTuple):
    """What is known of a metric.

    Args:
        kind: gauge, updown, counter, histogram or summary.
        unit: by UCUM.
    """

    kind: str
    unit: str


class Settled(NamedTuple):
    """A condition whose numbers have no units any more.

    Args:
        root: the condition.
        leading: the first comparison of numbers, whose sides a person is told of; None where there is none.
        unit: of these.
        text: what the metrics' own unit is called, such as ms; "" where it has no name.
    """

    root: Node
    leading: Comparison | None
    unit: Unit
    text: str


def settle(expression: tree.Expression, known: Callable[[Aggregate], Metric], value: str = "") -> Settled:
    """An expression in the units of its metrics.

    Args:
        expression: as it was read.
        known: tells what a metric is.
        value: the unit of the samples that it is about, ms, % or "".

    Raises:
        BadExpression: a time is compared with a size, or a metric cannot give what is asked of it.
    """
    return _Settler(expression, known, value).settled()


class _Settler:
    def __init__(self, expression: tree.Expression, known: Callable[[Aggregate], Metric], value: str) -> None:
        self._text, self._root, self._known = expression.text, expression.root, known
        self._value = value
        self._leading: Comparison | None = None
        self._unit = PLAIN

    def settled(self) -> Settled:
        root = self._truth(self._root)
        return Settled(root, self._leading, self._unit, _named(self._unit))

    def _truth(self, node: Node) -> Node:
        if isinstance(node, Not):
            return Not(self._truth(node.inner), node.at)
        if isinstance(node, Logic):
            return Logic(node.word, self._truth(node.left), self._truth(node.right), node.at)
        assert isinstance(node, Comparison)
        if isinstance(node.left, Label):
            return node
        (left, one), (right, other) = self._number(node.left), self._number(node.right)
        left, right, unit = self._aligned(left, one, right, other, node.at)
        made = Comparison(node.sign, left, right, None, node.at)
        if self._leading is None:
            self._leading, self._unit = made, unit or PLAIN
        return made

    def _number(self, node: Node) -> tuple[Node, Unit | None]:
        """A number and its unit; None for one that takes any."""
        if isinstance(node, Number):
            return Number(node.value, "", node.at), LITERALS[node.unit] if node.unit else None
        if isinstance(node, Value):
            return node, of_metric(self._value) if self._value else PLAIN
        if isinstance(node, Aggregate):
            return node, self._of(node)
        if isinstance(node, Past):
            inner, unit = self._number(node.inner)
            return Past(node.function, inner, node.span, node.at), SHARE if node.function == "change" else unit
        assert isinstance(node, Arithmetic)
        (left, one), (right, other) = self._number(node.left), self._number(node.right)
        if node.sign in ("+", "-"):
            left, right, unit = self._aligned(left, one, right, other, node.at)
        elif node.sign == "*":
            left, right, unit = _multiplied(left, one, right, other)
        else:
            left, right, unit = _divided(left, one, right, other)
        return Arithmetic(node.sign, left, right, node.at), unit

    def _of(self, node: Aggregate) -> Unit:
        metric = self._known(node)
        function = "p95" if node.share is not None else node.function
        accepted = FUNCTIONS[metric.kind]
        if function not in accepted:
            shown = ", ".join("p50 … p99" if one == "p95" else one for one in accepted)
            raise BadExpression(
                f"{node.metric} is a {metric.kind}, of which {node.function} is not to be had; take {shown}",
                self._text,
                node.at,
            )
        if function == "count" or (function == "rate" and metric.kind != COUNTER):
            return PLAIN
        return of_metric(metric.unit)

    def _aligned(
        self, left: Node, one: Unit | None, right: Node, other: Unit | None, at: int
    ) -> tuple[Node, Node, Unit | None]:
        """Two sides in one unit."""
        if one is None or other is None:
            return left, right, one if other is None else other
        if one.dimension != other.dimension and {one.dimension, other.dimension} != {"", "share"}:
            raise BadExpression(
                f"{WORDS[one.dimension]} stands beside {WORDS[other.dimension]}: leave the unit out to give the number "
                "in the metric's own, or take another metric",
                self._text,
                at,
            )
        if one.factor == other.factor:
            return left, right, one
        if isinstance(left, Number):
            return Number(left.value * (one.factor / other.factor), "", left.at), right, other
        return left, _scaled(right, other.factor / one.factor), one


def _scaled(node: Node, factor: float) -> Node:
    if factor == 1:
        return node
    if isinstance(node, Number):
        return Number(node.value * factor, "", node.at)
    return Arithmetic("*", Number(factor, "", node.at), node, node.at)


def _multiplied(left: Node, one: Unit | None, right: Node, other: Unit | None) -> tuple[Node, Node, Unit | None]:
    if one is None or other is None:
        return left, right, one if other is None else other
    if one.dimension in ("", "share"):
        return _scaled(left, one.factor), right, other
    return left, (_scaled(right, other.factor) if other.dimension in ("", "share") else right), one


def _divided(left: Node, one: Unit | None, right: Node, other: Unit | None) -> tuple[Node, Node, Unit | None]:
    if other is None:
        return left, right, one
    if one is None:
        return left, right, PLAIN
    if one.dimension == other.dimension:
        return left, _scaled(right, other.factor / one.factor), SHARE
    if other.dimension in ("", "share"):
        return left, _scaled(right, other.factor), one if one.dimension else SHARE
    return left, right, PLAIN


def _named(unit: Unit) -> str:
    return next((name for name, one in LITERALS.items() if one == unit), "")
