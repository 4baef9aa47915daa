"""Judges a condition minute by minute, for each service and whatever else its figures are told apart by.

A figure without a value in a minute is unknown there; so is what is computed of it, and an unknown condition does not
hold. In an `or` one side that holds is enough. PromQL is the same in this, where an expression without an element fires
nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.expressions import tree
from perfagent.hub.expressions.labels import label_holds, numbers_hold
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perfagent.hub.expressions.settling import Settled

Values = list[float | None]
Truths = list[bool | None]
Key = tuple[tuple[str, str], ...]
"""Labels and their texts, in the order of the labels."""
LEAST = 60
"""Minutes with a value that a baseline needs: an hour."""


class Leaves(NamedTuple):
    """What an expression is made of, measured.

    Args:
        figures: the values of each aggregate in each minute, by key.
        samples: those of `value`, by key; None where the expression is about none.
        severities: of these samples, "none", "warning" or "critical", each minute.
        name: of the samples.
    """

    figures: Mapping[Aggregate, Mapping[Key, Values]]
    samples: Mapping[Key, Values] | None = None
    severities: Mapping[Key, Sequence[str]] = {}
    name: str = ""


class Judged(NamedTuple):
    """What came of a condition for one key.

    Args:
        key: whom it is about.
        holds: whether it holds in each minute; None where that is unknown.
        values: what a person is told of each minute: the side of the first comparison that is no number.
        limits: the other side.
        rising: whether more is worse.
    """

    key: Key
    holds: Truths
    values: Values
    limits: Values
    rising: bool


def judge(settled: Settled, leaves: Leaves, length: int) -> list[Judged]:
    """What came of a condition.

    Args:
        settled: the condition, in the units of its metrics.
        leaves: what it is made of.
        length: how many minutes there are.
    """
    return [_judge(settled, _Reader(leaves, key, length)) for key in keys(settled.root, leaves)]


def keys(root: Node, leaves: Leaves) -> list[Key]:
    """Whom a condition is about: every key of the figures that are told apart by most labels."""
    if leaves.samples is not None:
        return sorted(leaves.samples)
    figures = [node for node in tree.walk(root) if isinstance(node, Aggregate)]
    most = max((len(node.by) for node in figures), default=0)
    return sorted({key for node in figures if len(node.by) == most for key in leaves.figures.get(node, {})})


def _judge(settled: Settled, reader: _Reader) -> Judged:
    values: Values = [None] * reader.length
    limits, rising = values, True
    leading = settled.leading
    if leading is not None:
        first, second = leading.left, leading.right
        rising = leading.sign in (">", ">=", "==", "!=")
        if isinstance(first, Number):
            first, second, rising = second, first, leading.sign not in (">", ">=")
        values, limits = reader.numbers(first), reader.numbers(second)
    return Judged(reader.key, reader.truths(settled.root), values, limits, rising)


class _Reader:
    """Reads the tree for one key.

    Args:
        leaves: the measured parts.
        key: whom it is about.
        length: how many minutes there are.
    """

    def __init__(self, leaves: Leaves, key: Key, length: int) -> None:
        self._leaves, self.key, self.length = leaves, key, length
        self._labels = dict(key)

    def truths(self, node: Node) -> Truths:
        """Whether a condition holds in each minute."""
        if isinstance(node, Not):
            return [None if one is None else not one for one in self.truths(node.inner)]
        if isinstance(node, Logic):
            pairs = zip(self.truths(node.left), self.truths(node.right), strict=True)
            decides = node.word == "or"
            return [
                decides if one is decides or other is decides else None if one is None or other is None else not decides
                for one, other in pairs
            ]
        assert isinstance(node, Comparison)
        if isinstance(node.left, Label):
            if node.left.key == tree.SEVERITY:
                known = {text: label_holds(node, text) for text in ("none", "warning", "critical")}
                return [known[text] for text in self._leaves.severities.get(self.key, ["none"] * self.length)]
            text = self._leaves.name if node.left.key == tree.NAME else self._labels.get(node.left.key, "")
            return [label_holds(node, text)] * self.length
        return _compared(node.sign, self.numbers(node.left), self.numbers(node.right))

    def numbers(self, node: Node) -> Values:
        """A number in each minute; None where it is unknown."""
        if isinstance(node, Number):
            return [node.value] * self.length
        if isinstance(node, Value):
            return list((self._leaves.samples or {}).get(self.key) or self._nothing())
        if isinstance(node, Aggregate):
            known = self._leaves.figures.get(node, {})
            if self._leaves.samples is None and len(node.by) + 1 == len(self.key):
                return known.get(self.key) or self._nothing()
            wanted = (tree.SERVICE, *node.by)
            return known.get(tuple(sorted((one, self._labels.get(one, "")) for one in wanted))) or self._nothing()
        if isinstance(node, Past):
            inner = self.numbers(node.inner)
            back = node.span // 60
            return changes(inner, back) if node.function == "change" else medians(inner, back, tree.DELAY // 60)
        assert isinstance(node, Arithmetic)
        return _computed(node.sign, self.numbers(node.left), self.numbers(node.right))

    def _nothing(self) -> Values:
        return [None] * self.length


def _compared(sign: str, left: Values, right: Values) -> Truths:
    return [
        None if one is None or other is None else numbers_hold(sign, one, other)
        for one, other in zip(left, right, strict=True)
    ]


_COMPUTE: dict[str, Callable[[float, float], float | None]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": lambda one, other: one / other if other else None,
}
LARGEST = 1e300
"""Beyond it a number is unknown: what overflows means nothing."""


def _computed(sign: str, left: Values, right: Values) -> Values:
    compute = _COMPUTE[sign]
    found: Values = []
    for one, other in zip(left, right, strict=True):
        value = None if one is None or other is None else compute(one, other)
        found.append(value if value is not None and -LARGEST < value < LARGEST else None)
    return found


def changes(values: Values, back: int) -> Values:
    """The relative difference of each value from the one `back` minutes before."""
    found: Values = [None] * min(back, len(values))
    for before, now in zip(values, values[back:], strict=False):
        found.append(None if before is None or now is None or before == 0 else now / before - 1)
    return found


def medians(values: Values, span: int, delay: int) -> Values:
    """For each minute the median of `span` minutes that end `delay` minutes before; None with less than an hour."""
    found: Values = []
    known: list[float] = []
    for place in range(len(values)):
        entering, leaving = place - delay, place - delay - span
        if entering >= 0 and (value := values[entering]) is not None:
            insort(known, value)
        if leaving >= 0 and (value := values[leaving]) is not None:
            del known[bisect_left(known, value)]
        middle = len(known) // 2
        if len(known) < LEAST:
            found.append(None)
        else:
            found.append(known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2)
    return found
