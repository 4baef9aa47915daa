"""Comparisons of versions, starts and ranges: noise passes, what got slower is found, and each says how surely."""

from __future__ import annotations

import math
import time
from random import Random
from typing import Any

import pytest

from perfagent.hub.analyse.comparison import GATED, compare
from perfagent.hub.analyse.estimates import Estimate, gap, long_run, percentiles, ratio
from perfagent.hub.analyse.side import Called, Side, Subject
from perfagent.hub.analyse.student import below, below_quickly, discoveries, reach, two_sided
from tests.hub import resource, span, traces
from tests.noise import correlated, run

pytest_plugins = ["tests.hub"]


def send_version(
    hub: Any, version: str, begin: float, *, slower: float = 1.0, lines: int = 2, seconds: int = 60, seed: int = 1
) -> None:
    """Sends what a version of the shop did from `begin` seconds ago on: ten orders a second, each with its queries."""
    random = Random(seed)
    who = resource("shop", f"shop-{version}", service__version=version)
    spans = []
    for number in range(seconds * 10):
        ago, trace = begin - number / 10, random.getrandbits(60)
        lasts = random.lognormvariate(math.log(20 * slower), 0.25)
        spans.append(span(trace, "GET /orders", ago=ago, ms=lasts))
        for line in range(lines):
            spans.append(
                span(
                    trace + line + 1, "SELECT", trace=trace, parent=trace, kind=3, ago=ago - 0.001,
                    ms=random.lognormvariate(math.log(4), 0.2), db__system__name="sqlite",
                    db__query__text="SELECT * FROM lines WHERE id = ?",
                )
            )  # fmt: skip
    for place in range(0, len(spans), 2000):
        hub.send("traces", traces(who, *spans[place : place + 2000]))


def found(answer: dict[str, Any], name: str, figure: str) -> dict[str, Any]:
    """One figure of an answer."""
    return next(one for one in answer["differences"] if (one["name"], one["figure"]) == (name, figure))


# The statistics


def test_the_t_distribution_is_the_one_of_the_tables() -> None:
    for freedom, t in ((1, 12.706), (4, 2.776), (10, 2.228), (30, 2.042)):
        assert two_sided(t, freedom) == pytest.approx(0.05, abs=1e-4)
    for freedom in (3, 5, 12, 60):
        assert two_sided(reach(freedom), freedom) == pytest.approx(0.05, abs=0.002)
        for t in (-4.0, -1.0, 0.0, 0.5, 2.0):
            assert below_quickly(t, freedom) == pytest.approx(below(t, freedom), abs=0.003)
    assert two_sided(1.959964, 5000) == pytest.approx(0.05, abs=1e-5)


def test_false_discovery_rates_are_those_of_benjamini_and_hochberg() -> None:
    assert discoveries([0.01, 0.04, 0.03, 0.2]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.2])
    assert discoveries([]) == []


@pytest.mark.parametrize(("rho", "most"), [(0.0, 0.07), (0.3, 0.08), (0.6, 0.09)])
def test_correlated_blocks_are_not_taken_for_independent_ones(rho: float, most: float) -> None:
    import numpy as np

    random = np.random.default_rng(3)
    rejected = naive = 0
    for _ in range(600):
        values = correlated(60, rho, 1.0, random).tolist()
        middle = sum(values) / 60
        residuals = [value - middle for value in values]
        variance, freedom = long_run(residuals)
        rejected += two_sided(middle * 60 / math.sqrt(variance), freedom) < 0.05
        naive += two_sided(middle * 60 / math.sqrt(sum(one * one for one in residuals)), 59) < 0.05
    assert rejected / 600 <= most
    if rho == 0.6:
        assert naive / 600 > 0.25  # which is what happens otherwise


def test_a_percentile_comes_with_an_error_that_shrinks_with_the_calls() -> None:
    few, many = run(1, blocks=15), run(1, blocks=120)
    busy = Subject("shop", "endpoint", "GET /busy")
    errors = []
    for side in (few, many):
        p50, p95 = percentiles(side.called[busy].counts, (0.5, 0.95))
        assert p50 is not None
        assert p95 is not None
        assert p50.value == pytest.approx(40, rel=0.08)
        assert p95.value == pytest.approx(40 * math.exp(1.645 * 0.5), rel=0.1)
        errors.append(p50.error)
    assert errors[1] < errors[0]
    assert percentiles([{}] * 20, (0.5,)) == [None]
    assert ratio([1.0] * 3, [1.0] * 3, relative=True) is None


def test_two_estimates_are_as_far_apart_as_their_values() -> None:
    apart = gap(Estimate(100, 0.02, 20), Estimate(115, 0.02, 20))
    assert apart.change == pytest.approx(0.15)
    assert apart.low < 0.15 < apart.high
    assert apart.p < 0.001
    assert gap(Estimate(0, 0, 4, relative=False), Estimate(0, 0, 4, relative=False)).p == 1


@pytest.mark.slow
def test_98_of_100_pairs_that_differ_by_noise_alone_pass() -> None:
    pairs, failed, told = 200, 0, 0
    for number in range(pairs):
        rho, deviation = ((0.0, 0.02), (0.3, 0.05), (0.5, 0.05), (0.7, 0.05))[number % 4]
        sides = (run(2 * number + turn, rho=rho, deviation=deviation, blocks=40) for turn in (1, 2))
        comparison = compare(*sides)
        failed += bool(comparison.failing(GATED))
        told += any(one.verdict in ("worse", "better") for one in comparison.differences)
    assert failed <= 0.02 * pairs
    assert told <= 0.05 * pairs


@pytest.mark.slow
def test_15_percent_more_in_a_busy_endpoint_are_found_19_of_20_times() -> None:
    pairs, hit = 100, 0
    for number in range(pairs):
        before, after = run(5000 + number), run(7000 + number, slower=1.15)
        failing = compare(before, after).failing(("latency",))
        hit += any(one.subject.name == "GET /busy" for one in failing)
        assert all(one.subject.name == "GET /busy" for one in failing[:1])
    assert hit >= 0.95 * pairs


def test_what_is_faster_is_better_and_a_dead_cache_is_worse() -> None:
    faster = compare(run(1), run(2, slower=0.6)).differences
    assert {one.verdict for one in faster if one.subject.name == "GET /busy" and one.aspect == "latency"} == {"better"}
    before, after = run(3), run(4)
    cache = (Subject("shop", "cache", "prices"), "hit rate")
    hits, lookups = after.ratios[cache]
    after.ratios[cache] = ([one * 0.3 for one in hits], lookups)
    comparison = compare(before, after)
    assert [one.subject.kind for one in comparison.failing(("cache",))] == ["cache"]
    assert comparison.failing(GATED) == []


def test_errors_memory_and_statements_a_request_are_compared() -> None:
    before, after = run(5), run(6)
    busy, statement = Subject("shop", "endpoint", "GET /busy"), Subject("shop", "query", "SELECT b")
    after.called[busy].errors = [one + 0.1 * sum(counts.values()) for one, counts in zip(
        after.called[busy].errors, after.called[busy].counts, strict=True)]  # fmt: skip
    after.called[statement].counts = [
        {bucket: 10 * calls for bucket, calls in counts.items()} for counts in after.called[statement].counts
    ]
    memory = (Subject("shop", "process"), "memory")
    after.levels[memory] = [value and value * 1.3 for value in after.levels[memory]]
    comparison = compare(before, after)
    assert {(one.aspect, one.subject.name) for one in comparison.failing(("errors", "queries", "memory"))} == {
        ("errors", "GET /busy"), ("queries", "SELECT b"), ("memory", ""),
    }  # fmt: skip


def test_too_few_calls_say_nothing_and_names_of_services_need_not_agree() -> None:
    counts: list[dict[int, float]] = [{200: 1.0} for _ in range(20)]
    before, after = Side("a", 0, 20, 1, 20), Side("b", 0, 20, 1, 20)
    before.called[Subject("old", "endpoint", "GET /")] = Called(counts, [0.0] * 20)
    after.called[Subject("new", "endpoint", "GET /")] = Called(counts, [0.0] * 20)
    comparison = compare(before, after)
    assert [one.verdict for one in comparison.differences] == ["few"]
    assert comparison.tested == 0
    assert comparison.new == comparison.gone == []


def test_a_side_survives_json_and_loses_its_warm_up() -> None:
    import json

    side = run(8)
    again = Side.of_document(json.loads(json.dumps(side.document())))
    assert again == side
    assert again.without_first(600).count == 50
    assert again.without_first(600).begin == 600
    with pytest.raises(ValueError, match="format"):
        Side.of_document({**side.document(), "format": "another"})


# The interface


def test_a_warm_up_that_leaves_nothing_of_a_side_compares_nothing() -> None:
    subject = Subject("shop", "endpoint", "GET /")
    counts = [{100: 50.0} for _ in range(10)]
    failing = Called(counts, [5.0] * 10)
    before = Side("before", 0, 10, 1, 10, called={subject: Called(counts[:5] + [{}] * 5, [5.0] * 5 + [0.0] * 5)})
    after = Side("after", 10, 20, 1, 10, called={subject: failing})
    for one, two in (
        (before.without_first(5), after),
        (after, before.without_first(5)),
        (before.without_first(99), after),
    ):
        assert not compare(one, two).failing(("errors",))


@pytest.fixture
def two(serve_hub: Any) -> Any:
    """A hub that saw 2.3.0, then 2.4.0, whose orders take half as much time again and run three queries, not two."""
    hub = serve_hub()
    send_version(hub, "2.3.0", 260)
    send_version(hub, "2.4.0", 70, slower=1.5, lines=3, seed=2)
    return hub


def test_versions_are_compared_by_endpoint_and_statement(two: Any) -> None:
    answer = two.get("compare", before="2.3.0", after="shop@2.4.0")
    assert answer["verdict"] == "worse"
    orders = found(answer, "GET /orders", "p50")
    assert orders["verdict"] == "worse"
    assert orders["low"] <= 0.5 <= orders["high"]
    assert orders["certainty"] > 0.999
    assert orders["link"].startswith("#/endpoints/")
    assert answer["differences"][0]["name"] == "GET /orders"
    more = next(one for one in answer["differences"] if one["aspect"] == "queries")
    assert (round(more["before"], 1), round(more["after"], 1), more["verdict"]) == (2.0, 3.0, "worse")
    assert answer["before"]["requests"] == answer["after"]["requests"] == 600
    assert two.get("compare", before="2.4.0", after="2.3.0")["verdict"] == "better"
    assert two.get("compare", before="2.3.0", after="2.4.0", tolerance=0.9)["verdict"] == "same"


def test_ranges_instances_and_starts_are_compared(two: Any) -> None:
    now = time.time()
    ranges = two.get("compare", before=f"{now - 258:.0f}..{now - 202:.0f}", after="-68s..now", service="shop")
    assert ranges["verdict"] == "worse"
    assert two.get("compare", before="shop-2.3.0", after="shop-2.4.0")["verdict"] == "worse"
    starts = two.get("compare", before="before-start", after="start", warm_up=5)
    assert starts["before"]["label"] == "before the last start"
    assert two.get("compare", before="-1h..now", after="-1h..now")["verdict"] == "same"
    side = Side.of_document(two.get("compare/side", of="2.3.0"))
    assert sum(side.requests("shop")) == 600


def test_moments_are_read_with_a_z_on_every_python(two: Any) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    answer = two.get("compare", before=f"{moment}..-30m", after="-30m..now")
    assert answer["before"]["begin"] == pytest.approx(time.time() - 3600, abs=120)
    for never in ("9999999990..9999999999", "0..9999999999"):
        assert two.get("compare", before=never, after="-30m..now")["verdict"] in ("nothing", "same", "worse", "better")


def test_what_is_no_side_is_refused_with_what_there_is(two: Any) -> None:
    answer = two.ask("compare", params={"before": "9.9", "after": "2.4.0"})
    assert answer.status_code == 404
    assert "shop@2.3.0" in answer.json()["error"]["message"]
    assert two.refusal("compare", before="yesterday..now", after="2.4.0") == (400, "bad_request", "before")
    assert two.refusal("compare", before="-1h..-2h", after="2.4.0") == (400, "out_of_range", "before")
    assert two.refusal("compare", before="2.3.0", after="baseline:none") == (404, "not_found", "after")
    assert two.get("compare", before="-9d..-8d", after="2.4.0")["verdict"] == "nothing"
