"""An expression as PromQL, or why it cannot be one.

A figure becomes what Prometheus computes of the same points over the same window, so that a rule fires on the same
data in both. What has no exact counterpart is refused rather than put nearly right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.expressions import tree
from perfagent.hub.expressions.errors import BadExpression
from perfagent.hub.expressions.evaluate import LEAST
from perfagent.hub.expressions.settling import COUNTER, HISTOGRAM, SUMMARY, Metric, settle
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
    Text,
    Texts,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "==", "=~": "!~", "!~": "=~",
            "in": "not in", "not in": "in"}  # fmt: skip
FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
ESCAPED = re.compile(r"[\\^$.|?*+()[\]{}]")


class Exposed(NamedTuple):
    """A metric as Prometheus has it.

    Args:
        name: without `_total`, `_bucket` and the like.
        metric: its kind and unit.
        total: the name of a counter.
    """

    name: str
    metric: Metric
    total: str


def write(expression: tree.Expression, exposed: Callable[[str], Exposed | None], services: Sequence[str] = ()) -> str:
    """The PromQL of an expression, whose elements are what fires.

    Args:
        expression: about figures; what is about samples is for `rules.own`.
        exposed: tells what a metric is called in Prometheus; None for one that is not known.
        services: patterns of the services that it is about.

    Raises:
        BadExpression: it has no counterpart; the text says which part, and why.
    """
    return _Writer(expression, exposed, services).text()


def label(key: str) -> str:
    """What Prometheus calls a label: what is no letter, digit or _ becomes _."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    return f"key_{name}" if name[:1].isdigit() else name


def quoted(text: str) -> str:
    """A text as a string of PromQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class _Writer:
    def __init__(
        self, expression: tree.Expression, exposed: Callable[[str], Exposed | None], services: Sequence[str]
    ) -> None:
        self._expression, self._services = expression, services
        self._exposed: dict[str, Exposed] = {}
        self._extra: list[str] = []
        for one in expression.aggregates:
            known = exposed(one.metric)
            if known is None:
                raise BadExpression(
                    f"it is not known what Prometheus calls {one.metric}: give its kind and unit in the rule, such as "
                    f'metrics = {{ "{one.metric}" = {{ kind = "gauge", unit = "s" }} }}',
                    expression.text,
                    one.at,
                )
            self._exposed[one.metric] = known

    def text(self) -> str:
        """All of it."""
        settled = settle(self._expression, lambda one: self._exposed[one.metric].metric)
        return self._truth(settled.root)

    def _refuse(self, message: str, node: Node) -> BadExpression:
        return BadExpression(message, self._expression.text, node.at)

    # Truths: vectors whose elements are those that hold

    def _truth(self, node: Node, turned: bool = False) -> str:
        if isinstance(node, Not):
            return self._truth(node.inner, not turned)
        if isinstance(node, Logic):
            return self._joined(node, turned)
        assert isinstance(node, Comparison)
        if isinstance(node.left, Label):
            raise self._refuse("a label by itself chooses nothing: put it into the figure, or behind and", node)
        sign = OPPOSITE[node.sign] if turned else node.sign
        left: Node = node.left
        right = node.right
        if isinstance(left, Number):
            left, right, sign = right, left, FLIPPED.get(sign, sign)
        if isinstance(right, Number):
            return f"{self._inner(left)} {sign} {right.value:.12g}"
        return f"{self._inner(left)} {sign} {self._match(left, right)}{self._inner(right)}"

    def _joined(self, node: Logic, turned: bool) -> str:
        word = {"and": "or", "or": "and"}[node.word] if turned else node.word
        sides = [node.left, node.right]
        about = [one for one in sides if _labels_alone(one)]
        if about:
            if word == "or" or len(about) == 2:
                raise self._refuse("a label beside or has no counterpart: make two rules of it", node)
            (figure,) = (one for one in sides if one not in about)
            return self._chosen(figure, about[0], turned)
        if word == "or" and _by(sides[0]) != _by(sides[1]):
            raise self._refuse("or between figures by different labels has no counterpart: give the same to both", node)
        sides.sort(key=lambda one: -len(_by(one)))  # elements of the first stay, and these tell most apart
        left, right = (self._truth(one, turned) for one in sides)
        match = "" if _by(sides[0]) == _by(sides[1]) else f"on ({', '.join(_shared(sides[0], sides[1]))}) "
        return f"({left})\n{word} {match}({right})"

    def _chosen(self, figure: Node, node: Node, turned: bool) -> str:
        """A condition whose figures are of chosen labels alone: elsewhere they have no element, and nothing fires."""
        told = {one.left.key for one in tree.walk(node) if isinstance(one, Comparison) and isinstance(one.left, Label)}
        for one in tree.walk(figure):
            if isinstance(one, Aggregate) and not told <= {tree.SERVICE, *one.by}:
                raise self._refuse(f"{one.function} of {one.metric} has not that label: put it into by, too", node)
        before = self._extra
        self._extra = [*before, *self._matchers(node, turned)]
        text = self._truth(figure, turned)
        self._extra = before
        return text

    # Numbers

    def _inner(self, node: Node) -> str:
        text = self._number(node)
        return f"({text})" if isinstance(node, Arithmetic) else text

    def _number(self, node: Node) -> str:
        if isinstance(node, Number):
            return f"{node.value:.12g}"
        if isinstance(node, Aggregate):
            return self._aggregate(node, "")
        if isinstance(node, Past):
            return self._past(node)
        if isinstance(node, Value):
            raise self._refuse("value and figures together have no counterpart: make two rules of it", node)
        assert isinstance(node, Arithmetic)
        left, right = self._inner(node.left), self._inner(node.right)
        match = self._match(node.left, node.right)
        if node.sign == "/" and not isinstance(node.right, Number):
            right = f"({right} != 0)"
        return f"{left} {node.sign} {match}{right}"

    def _match(self, left: Node, right: Node) -> str:
        one, other = _by(left), _by(right)
        if isinstance(left, Number) or isinstance(right, Number) or one == other:
            return ""
        side = "group_left" if len(one) > len(other) else "group_right"
        return f"on ({', '.join(_shared(left, right))}) {side} "

    def _past(self, node: Past) -> str:
        figures = [one for one in tree.walk(node.inner) if isinstance(one, (Aggregate, Past))]
        inner = self._number(node.inner)
        if node.function == "change":
            if len(figures) != 1 or figures[0] is not node.inner:
                raise self._refuse("change of what is computed of figures has no counterpart; take one figure", node)
            assert isinstance(figures[0], Aggregate)
            before = self._aggregate(figures[0], f" offset {node.span}s")
            return f"({inner} / ({before} != 0) - 1)"
        over = f"({inner})[{node.span}s:1m] offset {tree.DELAY}s"
        return f"(quantile_over_time(0.5, {over}) and count_over_time({over}) >= {LEAST})"

    def _aggregate(self, node: Aggregate, offset: str) -> str:
        known = self._exposed[node.metric]
        kind = known.metric.kind
        by = ", ".join(label(one) for one in (tree.SERVICE, *node.by))
        chosen = self._selector(node)
        window = f"[{node.window}s]{offset}"

        def series(suffix: str) -> str:
            return f"{known.total if suffix == '_total' else known.name + suffix}{chosen}{window}"

        function = node.function
        if node.share is not None:
            return f"histogram_quantile({node.share:g}, sum by ({by}, le) (rate({series('_bucket')})))"
        if kind in (HISTOGRAM, SUMMARY):
            if function in ("min", "max"):
                raise self._refuse(f"Prometheus keeps no {function} of a histogram; take p99 or avg", node)
            if function == "avg":
                total, count = (f"sum by ({by}) (rate({series(suffix)}))" for suffix in ("_sum", "_count"))
                return f"({total} / ({count} != 0))"
            suffix = "_sum" if function == "sum" else "_count"
            return f"sum by ({by}) ({'rate' if function == 'rate' else 'increase'}({series(suffix)}))"
        if kind == COUNTER:
            return f"sum by ({by}) ({'rate' if function == 'rate' else 'increase'}({series('_total')}))"
        if function == "count":
            return f"count by ({by}) (last_over_time({series('')}))"
        if function == "last":
            return f"avg by ({by}) (last_over_time({series('')}))"
        inner = function if function in ("min", "max") else "avg"
        return f"{function} by ({by}) ({inner}_over_time({series('')}))"

    # Labels

    def _selector(self, node: Aggregate) -> str:
        matchers = self._matchers(node.where, turned=False) if node.where is not None else []
        matchers += self._extra
        if self._services:
            pattern = "|".join(_glob(one) for one in self._services)
            matchers.insert(0, f"service_name=~{quoted(pattern)}")
        return "{" + ", ".join(matchers) + "}" if matchers else ""

    def _matchers(self, node: Node, turned: bool) -> list[str]:
        if isinstance(node, Not):
            return self._matchers(node.inner, not turned)
        if isinstance(node, Logic):
            word = {"and": "or", "or": "and"}[node.word] if turned else node.word
            if word == "or":
                raise self._refuse("or between labels has no counterpart: take in or =~, or make two rules of it", node)
            return [*self._matchers(node.left, turned), *self._matchers(node.right, turned)]
        assert isinstance(node, Comparison)
        assert isinstance(node.left, Label)
        sign = OPPOSITE[node.sign] if turned else node.sign
        name, right = label(node.left.key), node.right
        if isinstance(right, Texts):
            pattern = "|".join(_literal(one) for one in right.values)
            return [f"{name}{'=~' if sign == 'in' else '!~'}{quoted(pattern)}"]
        if isinstance(right, Number):
            return [f"{name}=~{quoted(self._hundreds(node, sign, right.value))}"]
        assert isinstance(right, Text)
        return [f"{name}{'=' if sign == '==' else sign}{quoted(right.value)}"]

    def _hundreds(self, node: Comparison, sign: str, value: float) -> str:
        """A pattern for status codes: Prometheus compares labels as texts."""
        if sign == "==" and value == int(value):
            return f"{int(value)}"
        first = int(value // 100)
        if sign in (">=", "<") and value == first * 100 and 1 <= first <= 9:
            return f"[{first}-9].." if sign == ">=" else f"[0-{first - 1}].."
        raise self._refuse(f"labels are texts in Prometheus: of {sign} it has hundreds alone, such as >= 500", node)


def _labels_alone(node: Node) -> bool:
    return not any(isinstance(one, (Aggregate, Value)) for one in tree.walk(node))


def _by(node: Node) -> frozenset[str]:
    return frozenset(key for one in tree.walk(node) if isinstance(one, Aggregate) for key in one.by)


def _shared(left: Node, right: Node) -> list[str]:
    return [label(one) for one in (tree.SERVICE, *sorted(_by(left) & _by(right)))]


def _literal(text: str) -> str:
    return ESCAPED.sub(r"\\\g<0>", text)


def _glob(pattern: str) -> str:
    """A pattern of the shell as a regular expression."""
    return "".join(".*" if one == "*" else "." if one == "?" else _literal(one) for one in pattern)
