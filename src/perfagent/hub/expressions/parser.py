"""Reads an expression into a tree, and checks that its parts fit together."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from perfagent.hub.expressions import tree
from perfagent.hub.expressions.errors import BadExpression, BadPattern
from perfagent.hub.expressions.labels import could_be_anything
from perfagent.hub.expressions.pattern import Pattern
from perfagent.hub.expressions.tokens import Token, tokens
from perfagent.hub.expressions.tree import (
    Aggregate,
    Arithmetic,
    Comparison,
    Expression,
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
from perfagent.hub.expressions.units import LITERALS

if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST = 32  # parts in parts
MOST_FIGURES = 10  # aggregates of one expression
MOST_TEXTS = 50  # behind `in`
MOST_LABELS = 3  # that figures are told apart by
LONGEST_WINDOW, LONGEST_SPAN = 86_400, 7 * 86_400  # s
FUNCTIONS = ("avg", "min", "max", "sum", "count", "rate", "last", "p50", "p90", "p95", "p99", "change", "baseline")
PERCENTILE = re.compile(r"p\d{1,2}(\.\d{1,2})?")
COMPARISONS = ("==", "!=", "=~", "!~", ">=", "<=", ">", "<")
WORDS = ("and", "or", "not", "in", "by")
EXAMPLES = "name == 'memory_usage_percent' and value > 85, or p95(http.server.request.duration) > 1s"


@lru_cache(maxsize=500)
def parse(text: str) -> Expression:
    """The tree of an expression.

    Raises:
        BadExpression: it cannot be read, or what it says makes no sense; the text shows where.
    """
    return _Parser(text).expression()


class _Parser:
    """Reads one expression, from left to right.

    Args:
        text: the expression.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._place = 0
        self._deep = 0
        self._within = False  # an aggregate's parentheses

    def expression(self) -> Expression:
        if self._now.sort == "end":
            self._refuse(f"an expression is wanted, such as {EXAMPLES}")
        root = self._or()
        if self._now.sort != "end":
            self._refuse(f"{self._shown()} is not expected here; and, or, or the end would be")
        if root.kind != "truth":
            self._refuse("this is no condition: compare it with something, such as … > 5", root.at)
        found = Expression(self._text, root, self._labels(root))
        self._check(found)
        return found

    # What fits together

    def _check(self, found: Expression) -> None:
        figures = [one for one in tree.walk(found.root) if isinstance(one, Aggregate)]
        if len(figures) > MOST_FIGURES:
            self._refuse(f"at most {MOST_FIGURES} figures in one expression", figures[MOST_FIGURES].at)
        has_value = any(isinstance(one, Value) for one in tree.walk(found.root))
        of_sample = any(tree.is_of_sample(one) for one in tree.walk(found.root))
        if has_value and not of_sample:
            value = next(one for one in tree.walk(found.root) if isinstance(one, Value))
            self._refuse("value of what? Say name == '…' and value …, or take a figure such as avg(METRIC)", value.at)
        if not figures and not has_value and not of_sample:
            self._refuse("nothing is measured: take value, or a figure such as avg(METRIC)", found.root.at)
        if (has_value or of_sample) and could_be_anything(found.root):
            self._refuse(
                "this may be about any metric: name must be told by ==, in or =~ wherever it holds", found.root.at
            )
        if (has_value or of_sample) and found.by:
            one = next(one for one in figures if one.by)
            self._refuse("by cannot be used beside name and value; take figures alone", one.at)

    def _labels(self, root: Node) -> tuple[str, ...]:
        """The most labels that a figure has; all others must have some of the same."""
        figures = [one for one in tree.walk(root) if isinstance(one, Aggregate)]
        most = max((one.by for one in figures), key=len, default=())
        for one in figures:
            if not set(one.by) <= set(most):
                self._refuse(f"by {', '.join(one.by)} does not fit by {', '.join(most)}: give the same to both", one.at)
        return most

    # Truths

    def _or(self) -> Node:
        with_depth = self._enter()
        left = self._and()
        while self._word("or"):
            at = self._take().at
            left = Logic("or", self._truth(left), self._truth(self._and()), at)
        self._deep = with_depth
        return left

    def _and(self) -> Node:
        left = self._not()
        while self._word("and"):
            at = self._take().at
            left = Logic("and", self._truth(left), self._truth(self._not()), at)
        return left

    def _not(self) -> Node:
        if not self._word("not"):
            return self._comparison()
        before = self._enter()
        at = self._take().at
        found = Not(self._truth(self._not()), at)
        self._deep = before
        return found

    def _truth(self, node: Node) -> Node:
        if node.kind != "truth":
            self._refuse("and, or, not take conditions: compare this with something, such as … > 5", node.at)
        return node

    def _comparison(self) -> Node:
        left = self._sum()
        now = self._now
        if self._word("in") or (self._word("not") and self._tokens[self._place + 1].text == "in"):
            return self._in(left)
        if now.sort != "sign" or now.text not in COMPARISONS:
            return left
        self._take()
        right = self._sum()
        if self._now.sort == "sign" and self._now.text in COMPARISONS:
            self._refuse("a chain of comparisons means nothing; join two by and")
        return self._compared(now, left, right)

    def _compared(self, sign: Token, left: Node, right: Node) -> Node:
        if isinstance(left, (Text, Number)) and isinstance(right, Label):
            flipped = {">": "<", "<": ">", ">=": "<=", "<=": ">="}.get(sign.text, sign.text)
            if flipped in ("=~", "!~"):
                self._refuse(f"{sign.text} has the label on its left, the pattern on its right", sign.at)
            return self._compared(sign._replace(text=flipped), right, left)
        if left.kind == "truth" or right.kind == "truth":
            self._refuse(f"{sign.text} compares numbers or texts, and a condition is neither", sign.at)
        if isinstance(left, Label) and isinstance(right, (Text, Number)):
            return self._of_label(sign, left, right)
        if left.kind != "number" or right.kind != "number" or sign.text in ("=~", "!~"):
            self._refuse(
                f"{sign.text} compares a number with a number, or a label with a text in quotes; here {_sort(left)} "
                f"stands beside {_sort(right)}",
                sign.at,
            )
        if isinstance(left, Number) and isinstance(right, Number):
            self._refuse("two numbers compared with each other are always the same", sign.at)
        return Comparison(sign.text, left, right, None, sign.at)

    def _of_label(self, sign: Token, left: Label, right: Text | Number) -> Node:
        if isinstance(right, Number):
            if sign.text in ("=~", "!~") or right.unit or tree.is_of_sample(left):
                self._refuse(f"{left.key} is a text: give one in quotes here", right.at)
            return Comparison(sign.text, left, right, None, sign.at)
        if sign.text not in ("==", "!=", "=~", "!~"):
            self._refuse(f"{sign.text} does not compare texts; ==, !=, =~, !~ and in do", sign.at)
        return Comparison(sign.text, left, right, self._pattern(right) if "~" in sign.text else None, sign.at)

    def _in(self, left: Node) -> Node:
        first = self._take()
        sign = "in" if first.text == "in" else "not in"
        if sign == "not in":
            self._take()
        if not isinstance(left, Label):
            self._refuse("in chooses the texts of a label, such as service in ('shop', 'pay')", first.at)
        at = self._now.at
        closing = {"(": ")", "[": "]"}.get(self._now.text if self._now.sort == "sign" else "", "")
        if not closing:
            self._refuse("in wants texts in parentheses, such as ('shop', 'pay')")
        self._take()
        values: list[str] = []
        while True:
            if self._now.sort != "text":
                self._refuse("a text in quotes is wanted here")
            values.append(self._take().text)
            if len(values) > MOST_TEXTS:
                self._refuse(f"at most {MOST_TEXTS} texts; a pattern behind =~ may say it shorter")
            if not self._sign(","):
                break
            self._take()
        self._close(closing, at)
        return Comparison(sign, left, Texts(tuple(values), at), None, first.at)

    def _pattern(self, text: Text) -> Pattern:
        try:
            return Pattern(text.value)
        except BadPattern as error:
            self._refuse(f"{text.value[:80]!r} is no pattern: {error.message}", text.at + 1 + error.at)

    # Numbers

    def _sum(self) -> Node:
        left = self._product()
        while self._sign("+", "-"):
            left = self._arithmetic(left, self._product)
        return left

    def _product(self) -> Node:
        left = self._signed()
        while self._sign("*", "/"):
            left = self._arithmetic(left, self._signed)
        return left

    def _arithmetic(self, left: Node, read: Callable[[], Node]) -> Node:
        sign = self._take()
        right = read()
        for one in (left, right):
            if one.kind != "number":
                self._refuse(f"{sign.text} takes numbers, and {_sort(one)} is none", one.at)
        return Arithmetic(sign.text, left, right, sign.at)

    def _signed(self) -> Node:
        if not self._sign("-"):
            return self._atom()
        before = self._enter()
        at = self._take().at
        inner = self._signed()
        self._deep = before
        if isinstance(inner, Number):
            return Number(-inner.value, inner.unit, at)
        if inner.kind != "number":
            self._refuse(f"- takes a number, and {_sort(inner)} is none", inner.at)
        return Arithmetic("*", Number(-1.0, "", at), inner, at)

    def _atom(self) -> Node:
        token = self._now
        if token.sort == "number":
            return self._number()
        if token.sort == "text":
            self._take()
            return Text(token.text, token.at)
        if self._sign("("):
            self._take()
            found = self._or()
            self._close(")", token.at)
            return found
        if token.sort == "name" and token.text not in WORDS:
            return self._named()
        if token.sort == "end":
            self._refuse("the expression ends where something is missing")
        return self._refuse(f"{self._shown()} is not expected here; a number, a name, a text in quotes or ( would be")

    def _number(self) -> Number:
        token = self._take()
        value = float(token.text)
        unit = ""
        if self._sign("%") or (self._now.sort == "name" and self._now.text not in WORDS):
            unit = self._now.text
            if unit not in LITERALS:
                near = get_close_matches(unit, LITERALS, 1, 0.4)
                hint = f"; did you mean {near[0]}?" if near else ""
                self._refuse(f"{unit[:40]!r} is no unit{hint} There are: {', '.join(LITERALS)}")
            self._take()
        return Number(value, unit, token.at)

    def _named(self) -> Node:
        token = self._take()
        if self._sign("("):
            return self._call(token)
        if self._within:
            return Label(self._full(token), token.at)
        if token.text == "value":
            return Value(token.at)
        if token.text in (tree.NAME, tree.SEVERITY):
            return Label(token.text, token.at)
        return Label(self._full(token), token.at)

    def _full(self, token: Token) -> str:
        """The full name of a label: `labels['any name']`, `labels.x`, a short name, or the name itself."""
        if token.text in ("labels", "attributes"):
            if not self._sign("["):
                self._refuse(f"{token.text} of what? Write {token.text}['NAME'] or {token.text}.NAME", token.at)
            at = self._take().at
            if self._now.sort != "text":
                self._refuse("the name of a label in quotes is wanted here")
            key = self._take().text
            self._close("]", at)
            return tree.ALIASES.get(key, key)
        for prefix in ("labels.", "attributes."):
            if token.text.startswith(prefix):
                key = token.text.removeprefix(prefix)
                return tree.ALIASES.get(key, key)
        return tree.ALIASES.get(token.text, token.text)

    # Functions

    def _call(self, name: Token) -> Node:
        function = "avg" if name.text == "mean" else name.text
        if not (function in FUNCTIONS or (PERCENTILE.fullmatch(function) and 0 < float(function[1:]) < 100)):
            near = get_close_matches(function, FUNCTIONS, 1, 0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            self._refuse(f"{name.text[:60]!r} is no function; {hint}There are: {', '.join(FUNCTIONS)}", name.at)
        if self._within:
            self._refuse("no function is accepted within the parentheses of a figure; compare labels there", name.at)
        opening = self._take().at
        before = self._enter()
        found = self._past(function, name) if function in ("change", "baseline") else self._aggregate(function, name)
        self._deep = before
        self._close(")", opening)
        return found

    def _past(self, function: str, name: Token) -> Past:
        inner = self._sum()
        if inner.kind != "number" or any(isinstance(one, (Value, Past)) for one in tree.walk(inner)):
            self._refuse(f"{function} takes a figure such as avg(METRIC), and a time such as '1h'", inner.at)
        if not any(isinstance(one, Aggregate) for one in tree.walk(inner)):
            self._refuse(f"{function} takes a figure such as avg(METRIC); a number has no past", inner.at)
        span = 3600 if function == "change" else 86_400
        if self._sign(","):
            self._take()
            span = self._seconds(3600 if function == "baseline" else 60, LONGEST_SPAN)
        return Past("change" if function == "change" else "baseline", inner, span, name.at)

    def _aggregate(self, function: str, name: Token) -> Aggregate:
        metric = self._now
        if metric.sort not in ("name", "text") or metric.text in WORDS or not metric.text:
            self._refuse(f"{function} wants the name of a metric first, such as http.server.request.duration")
        if len(metric.text) > 255:
            self._refuse("the name of a metric has at most 255 characters")
        self._take()
        where: Node | None = None
        by: list[str] = []
        window = tree.WINDOW
        while self._sign(",") or self._word("by"):
            if self._sign(","):
                self._take()
            if self._word("by"):
                by += self._by()
            elif self._now.sort in ("text", "number") and self._tokens[self._place + 1].text not in COMPARISONS:
                window = self._seconds(60, LONGEST_WINDOW)
            else:
                self._within = True
                one = self._truth(self._or())
                self._within = False
                where = one if where is None else Logic("and", where, one, one.at)
        if len(set(by)) > MOST_LABELS:
            self._refuse(f"by takes at most {MOST_LABELS} labels", name.at)
        return Aggregate(function, metric.text, where, tuple(sorted(set(by))), window, name.at)

    def _by(self) -> list[str]:
        self._take()
        opened = self._now.at if self._sign("(") else None
        if opened is not None:
            self._take()
        found: list[str] = []
        while True:
            if self._now.sort != "name" or self._now.text in WORDS:
                self._refuse("by wants a label, such as by route")
            key = self._full(self._take())
            if key != tree.SERVICE:  # it is told apart by that anyway
                found.append(key)
            if opened is None or not self._sign(","):
                break
            self._take()
        if opened is not None:
            self._close(")", opened)
        return found

    def _seconds(self, least: int, most: int) -> int:
        """A span of time, in quotes or not."""
        at = self._now.at
        if self._now.sort == "text":
            text = self._take().text
        else:
            number = self._number() if self._now.sort == "number" else None
            text = f"{number.value:g}{number.unit}" if number else ""
        match = re.fullmatch(r"(\d{1,6})(s|m|min|h|d)", text)
        found = int(match[1]) * int(LITERALS[match[2]].factor) if match else 0
        if not least <= found <= most or found % 60:
            self._refuse(f"a time of whole minutes from {least // 60}m to {most // 3600}h is wanted, such as '1h'", at)
        return found

    # Words

    @property
    def _now(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._now
        self._place += token.sort != "end"
        return token

    def _sign(self, *signs: str) -> bool:
        return self._now.sort == "sign" and self._now.text in signs

    def _word(self, word: str) -> bool:
        return self._now.sort == "name" and self._now.text == word

    def _close(self, sign: str, opened: int) -> None:
        if not self._sign(sign):
            column = opened + 1
            self._refuse(f"{sign} is missing, which closes what begins at column {column}; here is {self._shown()}")
        self._take()

    def _enter(self) -> int:
        """Goes one deeper; returns how deep it was, to be put back."""
        before = self._deep
        self._deep += 1
        if self._deep > DEEPEST:
            self._refuse(f"parts are in one another at most {DEEPEST} times; split the rule in two")
        return before

    def _shown(self) -> str:
        return "the end" if self._now.sort == "end" else repr(self._now.text[:40])

    def _refuse(self, message: str, at: int | None = None) -> NoReturn:
        raise BadExpression(message, self._text, self._now.at if at is None else at)


def _sort(node: Node) -> str:
    """What a node is, in words."""
    if isinstance(node, Label):
        return f"the label {node.key}"
    return {"number": "a number", "text": "a text", "truth": "a condition"}[node.kind]
