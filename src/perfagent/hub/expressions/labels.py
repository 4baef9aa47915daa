"""What a condition says of names and labels, where it is known what these are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.expressions import tree
from perfagent.hub.expressions.tree import Comparison, Label, Logic, Node, Not, Number, Text, Texts

if TYPE_CHECKING:
    from collections.abc import Iterable


def could_be_anything(root: Node) -> bool:
    """Whether a condition may hold for samples of no matter what name: such a rule would read every metric there is."""
    return fold(root, "\0", "none") is not False


def names(root: Node, known: Iterable[str]) -> list[str]:
    """The names of samples that a condition may be about.

    Args:
        root: the condition.
        known: all names that there are.
    """
    severities = ("none", "warning", "critical")
    return [name for name in known if any(fold(root, name, severity) is not False for severity in severities)]


def fold(node: Node, name: str, severity: str) -> bool | None:
    """What is known of a condition by the name and the severity of a sample alone; None for nothing."""
    if isinstance(node, Not):
        inner = fold(node.inner, name, severity)
        return None if inner is None else not inner
    if isinstance(node, Logic):
        sides = (fold(node.left, name, severity), fold(node.right, name, severity))
        decides = node.word == "or"
        if decides in sides:
            return decides
        return None if None in sides else not decides
    if isinstance(node, Comparison) and isinstance(node.left, Label) and tree.is_of_sample(node.left):
        return label_holds(node, name if node.left.key == tree.NAME else severity)
    return None


def label_holds(node: Comparison, text: str) -> bool:
    """Whether the text of a label is as a comparison wants it; "" stands for a label that is not there."""
    right = node.right
    if isinstance(right, Texts):
        return (text in right.values) == (node.sign == "in")
    if isinstance(right, Number):
        try:
            return numbers_hold(node.sign, float(text), right.value)
        except ValueError:
            return False
    assert isinstance(right, Text)
    if node.pattern is not None:
        return node.pattern.matches(text) == (node.sign == "=~")
    return (text == right.value) == (node.sign == "==")


def numbers_hold(sign: str, left: float, right: float) -> bool:
    """Whether a comparison of two numbers holds."""
    if sign == "==":
        return left == right
    if sign == "!=":
        return left != right
    if sign in (">", ">="):
        return left > right or (sign == ">=" and left == right)
    return left < right or (sign == "<=" and left == right)
