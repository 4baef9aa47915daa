"""The language of rules: what it reads, what it refuses and where, and what it computes; it is never run as code."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent.hub.expressions import tree
from perfagent.hub.expressions.errors import BadExpression, BadPattern
from perfagent.hub.expressions.evaluate import LEAST, Leaves, judge, medians
from perfagent.hub.expressions.parser import parse
from perfagent.hub.expressions.pattern import Pattern
from perfagent.hub.expressions.settling import COUNTER, GAUGE, HISTOGRAM, Metric, settle
from perfagent.hub.expressions.tokens import LONGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.expressions.evaluate import Values

WORDS = st.sampled_from(
    [
        "and",
        "or",
        "not",
        "in",
        "by",
        "(",
        ")",
        ",",
        "==",
        "!=",
        "=~",
        "!~",
        ">",
        ">=",
        "<",
        "<=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "[",
        "]",
        "name",
        "value",
        "severity",
        "service",
        "route",
        "labels",
        "status",
        "avg",
        "p95",
        "rate",
        "sum",
        "count",
        "change",
        "baseline",
        "x",
        "http.server.request.duration",
        "'a'",
        '"b"',
        "'(a+)+$'",
        "'1h'",
        "5",
        "1.5",
        "1s",
        "5%",
        "3MB",
        "1e9",
        "-",
        "--",
        "'it\\'s'",
        "labels['a",
        "b']",
    ]
)
SHOP = ((tree.SERVICE, "shop"),)


def holds(
    text: str, metrics: Mapping[str, Metric], values: Mapping[str, Values], key: tuple[tuple[str, str], ...] = SHOP
) -> list[bool | None]:
    """Whether an expression holds in each minute, by the values of its metrics; those of one service."""
    expression = parse(text)
    settled = settle(expression, lambda one: metrics[one.metric])
    figures = {one: {key: values[one.metric]} for one in expression.aggregates}
    (judged,) = judge(settled, Leaves(figures), len(next(iter(values.values()))))
    return judged.holds


# What is read


@pytest.mark.parametrize(
    "text",
    [
        "name == 'memory_usage_percent' and value > 85",
        "p95(http.server.request.duration, route == '/pay') > 1s",
        "count(http.server.request.duration, status >= 500) / count(http.server.request.duration) > 5%",
        "avg(queue.depth by queue, '5m') > 1.5 * baseline(avg(queue.depth by queue, '5m'), '1d')",
        "change(rate(jobs), '1h') < -50 %",
        "not (avg(a) > 3 or avg(b) < 1MB) and service in ('shop', 'pay')",
        "max('queue/depth', labels['a b'] =~ '(?i)urgent.*') >= 10",
        "severity == 'critical' and labels.category != 'test'",
        "200ms < p99.9(x, by (route, method))",
        "service =~ 'shop-.*' and rate(errors, 10m) > 0.1",
    ],
)
def test_conditions_of_every_form_are_read(text: str) -> None:
    assert parse(text).root.kind == "truth"


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 1, "an expression is wanted, such as name =="),
        ("value > 3", 1, "value of what? Say name == '…'"),
        ("value > 3 and name != 'x'", 11, "this may be about any metric"),
        ("avg(x)", 1, "this is no condition"),
        ("avg(x) > ", 10, "ends where something is missing"),
        ("avg(x) = 3", 8, "one = alone compares nothing; write =="),
        ("avg(x) > 3 && avg(y) > 1", 12, "write and, or, not in words"),
        ("p955(x) > 1", 1, "'p955' is no function; did you mean p95?"),
        ("avg(x) > 3 sec", 12, "'sec' is no unit"),
        ("avg(x) > 1 > 2", 12, "a chain of comparisons"),
        ("avg(x > 3", 7, ") is missing, which closes what begins at column 4"),
        ("avg(x, route > 'a') > 3", 14, "> does not compare texts"),
        ("avg(x, route == '/a' > 3", 22, "a chain of comparisons"),
        ("(avg(x) > 3", 12, ") is missing, which closes what begins at column 1"),
        ("5 > 3", 3, "two numbers compared"),
        ("service == 'a'", 9, "nothing is measured"),
        ("avg(x, route =~ '(a') > 1", 18, "is no pattern: this ( is not closed"),
        ("avg(x, route =~ '(?=a)') > 1", 18, "after (? comes : alone"),
        ("avg(x, '90s') > 1", 8, "a time of whole minutes from 1m to 24h"),
        ("avg(x by a) > avg(x by b)", 15, "by b does not fit by a"),
        ("baseline(5) > 1", 10, "takes a figure"),
        ("avg(x) > __import__('os')", 10, "'__import__' is no function"),
        ("avg(x) > 'it", 10, "does not end"),
    ],
)
def test_what_is_off_is_shown_with_its_place(text: str, column: int, said: str) -> None:
    with pytest.raises(BadExpression) as error:
        parse(text)
    assert said in str(error.value)
    assert error.value.column == column, str(error.value)
    picture = str(error.value).splitlines()
    assert picture[-1].index("^") - 2 == column - 1


def test_length_depth_and_the_number_of_figures_are_bounded() -> None:
    for text, said in (
        ("x" * (LONGEST + 1), "at most 2000 characters"),
        ("(" * 40 + "avg(x) > 1" + ")" * 40, "at most 32 times"),
        ("not " * 40 + "avg(x) > 1", "at most 32 times"),
        ("avg(x) > " + "-" * 40 + "1", "at most 32 times"),
        (" + ".join(f"avg(x{number})" for number in range(11)) + " > 1", "at most 10 figures"),
        ("avg(x, a in (" + ", ".join("'b'" for _ in range(51)) + ")) > 1", "at most 50 texts"),
        ("1 " * 450, "at most 400 words"),
    ):
        with pytest.raises(BadExpression, match=said):
            parse(text)


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=40).map(" ".join)))
def test_no_text_does_anything_but_being_read_or_refused_by_our_error(text: str) -> None:
    try:
        expression = parse(text)
    except BadExpression as error:
        place = error.at
    else:
        place = 0
        is_computed(expression)
    assert 0 <= place <= len(text)


def is_computed(expression: tree.Expression) -> None:
    """Whatever was read gives truths, or is refused for what its metrics are."""
    assert expression.root.kind == "truth"
    for kind in (GAUGE, COUNTER, HISTOGRAM):
        try:
            settled = settle(expression, lambda one, kind=kind: Metric(kind, "s"))  # type: ignore[misc]
        except BadExpression:
            continue
        figures = {one: {SHOP: [1.0, None, 3.0]} for one in expression.aggregates}
        samples = {SHOP: [1.0, None, 3.0]} if expression.about_samples else None
        for judged in judge(settled, Leaves(figures, samples), 3):
            assert set(judged.holds) <= {True, False, None}


# Patterns


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab)", "\\d", "a{2}", "b{0,2}"]), max_size=4),
    st.lists(st.sampled_from(["", "*", "+", "?", "|"]), min_size=4, max_size=4),
    st.text("ab1c", max_size=6),
)
def test_a_pattern_matches_what_it_matches_in_python(parts: list[str], repeats: list[str], text: str) -> None:
    pattern = "".join(
        part + (repeat if not part.endswith("}") or repeat == "|" else "")
        for part, repeat in zip(parts, repeats, strict=False)
    )
    assert Pattern(pattern).matches(text) == bool(re.fullmatch(pattern, text)), pattern


@settings(max_examples=500, deadline=None)
@given(st.text("ab(|)[]*+?{},^$.\\d-01:i", max_size=60), st.text("ab01", max_size=50))
def test_any_pattern_is_accepted_or_refused_by_our_error(pattern: str, text: str) -> None:
    try:
        Pattern(pattern).matches(text)
        place = 0
    except BadPattern as error:
        place = error.at
    assert 0 <= place <= len(pattern)


def test_a_pattern_that_would_make_others_backtrack_takes_steps_in_proportion_to_the_text() -> None:
    class Counted(Pattern):
        steps = 0

        def _closure(self, states: set[int]) -> set[int]:
            found = super()._closure(states)
            self.steps += len(found)
            return found

    for pattern in ("(a+)+$", "(a|a)*b", "(.*.*)*.*x", "(a*)*(a*)*c"):
        one = Counted(pattern)
        assert not one.matches("a" * 100 + "!")
        short, one.steps = one.steps, 0
        assert not one.matches("a" * 400 + "!")
        assert one.steps < 5 * short
    with pytest.raises(BadPattern, match="repeats too much"):
        Pattern("((a{50}){50}){50}")
    with pytest.raises(BadPattern, match="repeats too much"):
        Pattern("((((((){99}){99}){99}){99}){99}){99}")


# What is computed


def test_numbers_take_the_unit_of_what_they_are_compared_with() -> None:
    for text, metric, value in (
        ("avg(x) > 1.5s", Metric(GAUGE, "ms"), 1501),
        ("avg(x) > 1500", Metric(GAUGE, "ms"), 1501),
        ("avg(x) > 1.5s", Metric(GAUGE, "s"), 1.501),
        ("avg(x) > 85%", Metric(GAUGE, "1"), 0.851),
        ("avg(x) > 85%", Metric(GAUGE, "%"), 85.1),
        ("avg(x) > 3MB", Metric(GAUGE, "By"), 3_000_001),
        ("avg(x) > 1s + 500ms", Metric(GAUGE, "s"), 1.51),
        ("avg(x) / 2 > 1s", Metric(GAUGE, "s"), 2.1),
        ("3s < avg(x) * 50%", Metric(GAUGE, "s"), 6.1),
    ):
        assert holds(text, {"x": metric}, {"x": [value, value * 0.9]}) == [True, False], text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("avg(x) > 1s", "a size stands beside a time"),
        ("avg(x) + avg(y) > 1", "a size stands beside a time"),
        ("avg(jobs) > 1", "jobs is a counter, of which avg is not to be had; take rate, sum, count"),
        ("p95(x) > 1", "x is a gauge, of which p95 is not to be had; take avg"),
    ],
)
def test_what_a_metric_cannot_give_is_refused(text: str, said: str) -> None:
    metrics = {"x": Metric(GAUGE, "By"), "y": Metric(GAUGE, "s"), "jobs": Metric(COUNTER, "1")}
    with pytest.raises(BadExpression, match=re.escape(said)):
        settle(parse(text), lambda one: metrics[one.metric])


def test_what_is_unknown_holds_nowhere_and_one_side_of_an_or_is_enough() -> None:
    metrics = {"a": Metric(GAUGE, ""), "b": Metric(GAUGE, "")}
    values: dict[str, Values] = {"a": [5.0, 5.0, None, None, 0.0], "b": [5.0, None, 5.0, None, None]}
    for text, expected in (
        ("avg(a) > 1 and avg(b) > 1", [True, None, None, None, False]),
        ("avg(a) > 1 or avg(b) > 1", [True, True, True, None, None]),
        ("not avg(a) > 1", [False, False, None, None, True]),
        ("avg(a) / avg(b) > 0", [True, None, None, None, None]),
        ("1 / avg(a) > 0", [True, True, None, None, None]),
    ):
        assert holds(text, metrics, values) == expected, text


def test_a_change_and_a_baseline_look_at_the_past_alone() -> None:
    metrics = {"x": Metric(GAUGE, "")}
    rising: Values = [float(number) for number in range(1, 200)]
    found = holds("change(avg(x), '10m') > 100%", metrics, {"x": rising})
    assert found[:10] == [None] * 10
    assert [place for place, one in enumerate(found) if one] == list(range(10, 19))  # 11/1 … 19/9
    assert holds("avg(x) > 1.2 * baseline(avg(x), '2h')", metrics, {"x": rising})[:LEAST] == [None] * LEAST


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=60, max_size=200))
def test_a_baseline_is_the_median_of_the_span_that_ended_a_while_before(values: list[float | None]) -> None:
    found = medians(values, 80, 10)
    for place, value in enumerate(found):
        known = [one for one in values[max(place - 89, 0) : max(place - 9, 0)] if one is not None]
        assert value == (pytest.approx(statistics.median(known)) if len(known) >= LEAST else None)


def test_a_figure_by_service_is_compared_with_each_part_of_it() -> None:
    expression = parse("avg(x by queue) > 2 * avg(y)")
    settled = settle(expression, lambda one: Metric(GAUGE, ""))
    first, second = expression.aggregates
    queues = {tuple(sorted((("queue", queue), *SHOP))): [value] for queue, value in (("a", 5.0), ("b", 3.0))}
    judged = judge(settled, Leaves({first: queues, second: {SHOP: [2.0]}}), 1)  # type: ignore[dict-item]
    assert {dict(one.key)["queue"]: one.holds for one in judged} == {"a": [True], "b": [False]}
    assert [one.limits for one in judged] == [[4.0], [4.0]]
