"""What the hub concludes from telemetry: percentiles, trees, changes, findings, thresholds, trends; no database."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent.hub.analyse import chance, changes, findings, health, trends
from perfagent.hub.analyse.breakdown import Piece, break_down
from perfagent.hub.analyse.calls import Calls
from perfagent.hub.analyse.correlations import correlate
from perfagent.hub.analyse.durations import Durations, bucket_of, explicit_quantile, heat_map, merged, upper_bound
from perfagent.hub.analyse.errors import causes, failure
from perfagent.hub.analyse.finding import Cache, Facts, Process, Repeated
from perfagent.hub.analyse.thresholds import DEFAULTS, changed, episodes, pooled
from perfagent.hub.analyse.tree import Node, Tree, build

MS = 1_000_000  # ns
MINUTE = 60
WIDTH = 2 ** (1 / 8)  # of a bucket: 9 %


def durations(milliseconds: list[float], errors: int = 0, weight: float = 1.0) -> Durations:
    """Calls that took so long, as roll-ups count them."""
    found = Durations(len(milliseconds) * weight, errors * weight, sum(milliseconds) * MS * weight)
    for one in milliseconds:
        bucket = bucket_of(one * MS)
        found.counts[bucket] = found.counts.get(bucket, 0) + weight
        found.longest = max(found.longest, round(one * MS))
    return found


def calls(operation: int, found: Durations, category: str = "server", name: str = "", seen: float = 0.0) -> Calls:
    """Calls of an operation of the shop."""
    return Calls(operation, "shop", category, name or f"GET /{operation}", "", "", seen, found)


def lognormal(median: float, sigma: float, count: int, seed: int) -> list[float]:
    """Durations in ms as programs have them."""
    random = Random(seed)
    return [random.lognormvariate(math.log(median), sigma) for _ in range(count)]


# Durations


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
@settings(max_examples=200, deadline=None)
def test_a_percentile_is_within_a_bucket_of_the_true_one(values: list[float], share: float) -> None:
    found = durations(values).quantile(share)
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    assert found is not None
    assert true / WIDTH * 0.999 <= found <= true * WIDTH * 1.001


def test_percentiles_ask_for_several_shares_at_once_and_know_of_no_calls() -> None:
    found = durations([1.0] * 50 + [100.0] * 50)
    assert found.quantiles(0.25, 0.75) == [found.quantile(0.25), found.quantile(0.75)]
    assert Durations().quantiles(0.5, 0.95) == [None, None]


def test_weights_change_counts_and_not_percentiles() -> None:
    values = lognormal(20, 0.7, 500, 1)
    all_of_them, tenfold = durations(values), durations(values, weight=10)
    assert tenfold.calls == 10 * all_of_them.calls
    assert tenfold.quantiles(0.5, 0.95) == pytest.approx(all_of_them.quantiles(0.5, 0.95))
    assert tenfold.mean_ms == pytest.approx(all_of_them.mean_ms)


def test_durations_add_up() -> None:
    first, second = lognormal(5, 0.5, 300, 1), lognormal(50, 0.5, 200, 2)
    whole = merged([durations(first, 3), durations(second, 4)])
    assert (whole.calls, whole.errors) == (500, 7)
    assert whole.counts == durations(first + second).counts


def test_a_heat_map_keeps_every_call_within_40_rows() -> None:
    columns = [durations(lognormal(5, 2, 400, seed)).counts for seed in range(6)]
    bounds, cells = heat_map(columns)
    assert len(bounds) <= 40
    assert bounds == sorted(bounds)
    assert [sum(column) for column in cells] == [400] * 6
    values = lognormal(5, 2, 400, 0)
    assert sum(cells[0][: len(bounds) // 2]) == sum(one <= bounds[len(bounds) // 2 - 1] for one in values)


def test_the_bounds_of_buckets_hold_their_durations() -> None:
    for duration in (2, 1000, 123_456_789, 10**12):
        assert upper_bound(bucket_of(duration) - 1) <= duration <= upper_bound(bucket_of(duration)) * (1 + 1e-9)


def test_a_quantile_of_explicit_bounds_lies_in_its_bucket() -> None:
    assert explicit_quantile([1, 2, 4], [0, 100, 0, 0], 0.5) == pytest.approx(1.5)
    assert explicit_quantile([1, 2, 4], [0, 0, 0, 10], 0.99, largest=9.0) == pytest.approx(9.0, rel=0.1)
    assert explicit_quantile([1, 2, 4], [0, 0, 0, 0], 0.5) is None


# Chance


def test_the_rank_test_rarely_sees_a_difference_where_there_is_none() -> None:
    seen = sum(
        chance.rank_sum(
            durations(lognormal(20, 0.6, 80, seed)).counts, durations(lognormal(20, 0.6, 80, 1000 + seed)).counts
        )
        < 0.05
        for seed in range(300)
    )
    assert 3 <= seen <= 30  # 5 % of 300 are 15


def test_the_rank_test_sees_a_shift() -> None:
    before, after = durations(lognormal(20, 0.6, 200, 1)), durations(lognormal(27, 0.6, 200, 2))
    assert chance.rank_sum(before.counts, after.counts) < 1e-4


def test_sampling_weakens_the_evidence() -> None:
    before, after = durations(lognormal(20, 0.6, 60, 1), weight=10), durations(lognormal(24, 0.6, 60, 2), weight=10)
    honest = chance.rank_sum(before.counts, after.counts, scale=0.1)
    assert honest > chance.rank_sum(before.counts, after.counts) * 1000


def test_proportions_agree_with_fishers_exact_test() -> None:
    assert chance.proportions(3, 4, 1, 4) == pytest.approx(0.4857, abs=1e-3)  # Fisher's lady, two-sided
    assert chance.proportions(0, 100, 0, 100) == 1.0
    assert chance.proportions(10, 1000, 60, 1000) < 1e-6


def test_a_share_of_few_is_uncertain() -> None:
    assert chance.at_least(1, 3) == pytest.approx(0.0615, abs=1e-3)  # Wilson
    assert chance.at_least(330, 1000) == pytest.approx(0.3016, abs=1e-3)


def test_a_trend_is_seen_through_outliers_and_noise_is_none() -> None:
    random = Random(1)
    times = [float(60 * minute) for minute in range(60)]
    rising = [100 + minute + random.gauss(0, 5) for minute in range(60)]
    rising[10] = 5000.0
    line = chance.trend(times, rising)
    assert line.p < 1e-6
    assert line.slope * 60 == pytest.approx(1.0, rel=0.2)
    false = sum(chance.trend(times, [random.gauss(100, 5) for _ in times]).p < 0.01 for _ in range(100))
    assert false <= 5


def test_a_wandering_series_is_rarely_called_a_trend() -> None:
    random, false = Random(3), 0
    for _ in range(100):
        level, values = 0.0, []
        for _ in range(60):
            level = 0.8 * level + random.gauss(0, 1)
            values.append(level)
        false += chance.trend([float(one) for one in range(60)], values).p < 0.01
    assert false <= 12  # without the correction for neighbours: about 30


def test_rank_correlation_knows_order_and_ties() -> None:
    assert chance.rank_correlation([1, 2, 3, 4, 5], [10, 20, 30, 40, 50])[0] == pytest.approx(1.0)
    assert chance.rank_correlation([1, 2, 3, 4, 5], [5, 4, 3, 2, 1])[0] == pytest.approx(-1.0)
    assert chance.rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) == (0.0, 1.0)


# Trees


def node(number: int, parent: int | None, started: float, ms: float, process: int = 1, **more: int) -> Node:
    """A span that began `started` ms after the trace."""
    identity = number.to_bytes(8, "big")
    above = parent.to_bytes(8, "big") if parent else None
    return Node(number, identity, above, round(started * MS), round(ms * MS), process, **more)


def figures(tree: Tree) -> dict[int, tuple[float, float, int]]:
    """Self time and critical time in ms, and depth, of each span."""
    return {one.row: (one.self_time / MS, one.critical / MS, one.depth) for one in tree.nodes}


def test_self_time_is_what_no_child_covers() -> None:
    tree = build([node(1, None, 0, 100), node(2, 1, 10, 30), node(3, 1, 20, 40), node(4, 3, 30, 10)])
    assert figures(tree) == {1: (50, 50, 0), 2: (30, 10, 1), 3: (30, 30, 1), 4: (10, 10, 2)} | {
        2: (30, 0, 1), 1: (50, 60, 0)
    }  # fmt: skip
    assert [one.row for one in tree.nodes] == [1, 2, 3, 4]


def test_the_critical_path_follows_the_child_that_was_waited_for() -> None:
    # Two calls side by side: the longer one is waited for. Then a third.
    tree = build([node(1, None, 0, 100), node(2, 1, 10, 20), node(3, 1, 10, 50), node(4, 1, 70, 20)])
    assert {row: critical for row, (_, critical, _) in figures(tree).items()} == {1: 30, 2: 0, 3: 50, 4: 20}


def test_what_outlives_its_parent_in_the_same_process_was_not_waited_for() -> None:
    tree = build([node(1, None, 0, 100), node(2, 1, 90, 500)])
    assert figures(tree)[1][1] == 100
    assert figures(tree)[2][1] == 0


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_the_spans_each_is_there_once_and_the_critical_path_is_as_long_as_the_trace(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 30))
    spans = [
        node(
            number,
            data.draw(st.sampled_from([None, *range(1, count + 3)])),
            data.draw(st.integers(0, 50)),
            data.draw(st.integers(0, 80)),
            process=data.draw(st.integers(1, 3)),
            kind=data.draw(st.integers(0, 5)),
        )
        for number in range(1, count + 1)
    ]
    tree = build(spans)
    assert sorted(one.row for one in tree.nodes) == list(range(1, count + 1))
    assert tree.main is not None
    assert sum(one.critical for one in tree.nodes) == tree.main.duration
    assert all(0 <= one.self_time <= one.duration and one.critical >= 0 for one in tree.nodes)
    places = {id(one): place for place, one in enumerate(tree.nodes)}
    assert all(one.parent is None or places[id(one.parent)] < places[id(one)] for one in tree.nodes)


def test_missing_parents_cycles_and_copies_are_answered() -> None:
    orphan = build([node(1, None, 0, 100), node(2, 99, 10, 20)])
    assert (len(orphan.roots), orphan.whole, orphan.main and orphan.main.row) == (2, False, 1)
    circle = build([node(1, 3, 0, 100), node(2, 1, 10, 20), node(3, 2, 12, 5), node(4, 4, 0, 1)])
    assert (sorted(one.row for one in circle.roots), circle.whole) == ([1, 4], False)
    twice = build([node(1, None, 0, 100), node(2, 1, 10, 20), node(2, 1, 10, 20)])
    assert (len(twice.nodes), twice.whole) == (2, True)
    assert build([]).main is None


@pytest.mark.slow
def test_a_hundred_thousand_spans_deep_or_wide_are_no_problem() -> None:
    many = 100_000
    deep = build(
        [node(number, number - 1 or None, number / 1000, 1000 - number / 500) for number in range(1, many + 1)]
    )
    assert deep.nodes[-1].depth == many - 1
    wide = build([node(1, None, 0, many), *(node(number, 1, number, 0.5) for number in range(2, many + 1))])
    assert len(wide.nodes) == many


def test_a_clock_that_is_off_is_moved_into_the_call_and_one_that_is_right_is_not() -> None:
    # A server whose clock is 5 s behind: its span seems to begin before it was called.
    tree = build([
        node(1, None, 0, 100, 1, kind=2), node(2, 1, 10, 60, 1, kind=3),
        node(3, 2, -5000, 40, 2, kind=2), node(4, 3, -4990, 10, 2, kind=3),
    ])  # fmt: skip
    moved = {one.row: one for one in tree.nodes}
    assert moved[3].started == 20 * MS  # the middle of the call
    assert moved[4].started == 30 * MS  # as much later than its parent as before
    assert moved[3].shift == moved[4].shift == 5020 * MS
    assert tree.started == 0
    late = build([node(1, None, 0, 100, 1, kind=4), node(2, 1, 5000, 40, 2, kind=5)])  # a message is taken later
    assert [one.shift for one in late.nodes] == [0, 0]


def test_time_is_broken_down_by_what_the_request_waited_for() -> None:
    pieces = [
        Piece(node(1, None, 0, 100, kind=2), b"t", 10, "server"),
        Piece(node(2, 1, 10, 30, kind=3), b"t", 20, "db"),
        Piece(node(3, 1, 40, 20, kind=3), b"t", 20, "db"),
        Piece(node(4, 1, 60, 30, kind=3), b"t", 30, "http"),
        Piece(node(5, 4, 65, 20, process=2, kind=2), b"t", 40, "server"),
        Piece(node(6, 5, 66, 10, process=2, kind=3), b"t", 50, "db"),
    ]
    found = break_down(pieces, [10])[10]
    assert {part: time / MS for part, time in found.parts.items()} == {"own": 20, "queries": 50, "calls": 30}
    assert found.duration == sum(found.parts.values())
    assert (found.inner[20].calls, found.inner[20].most, found.inner[30].calls) == (2, 2, 1)


# Changes


def side(*many: Calls, seconds: float = 3600) -> changes.Side:
    """One of two ranges."""
    return changes.Side({one.operation: one for one in many}, seconds)


def test_a_slower_endpoint_is_said_once_with_both_figures() -> None:
    before = side(calls(1, durations(lognormal(20, 0.5, 400, 1))), calls(2, durations(lognormal(30, 0.5, 400, 2))))
    after = side(calls(1, durations(lognormal(50, 0.5, 400, 3))), calls(2, durations(lognormal(30, 0.5, 400, 4))))
    (change,) = changes.compare(before, after, {}, 0)
    assert (change.kind, change.subject, change.unit) == ("slower", "GET /1", "ms")
    assert isinstance(change.before, float)
    assert isinstance(change.after, float)
    assert change.after / change.before == pytest.approx(2.5, rel=0.25)
    assert change.test
    assert change.p is not None
    assert change.p < 1e-6


def test_hours_that_are_alike_show_no_change() -> None:
    said = []
    for seed in range(60):
        before = side(*(calls(one, durations(lognormal(20, 0.8, 60, 100 * seed + one))) for one in range(8)))
        after = side(*(calls(one, durations(lognormal(20, 0.8, 60, 50_000 + 100 * seed + one))) for one in range(8)))
        said += changes.compare(before, after, {}, 0)
    assert len(said) <= 2  # one comparison in a hundred may err


def test_few_calls_and_small_differences_are_no_change() -> None:
    few = side(calls(1, durations([10.0] * 20))), side(calls(1, durations([90.0] * 20)))
    assert changes.compare(*few, {}, 0) == []
    small = (
        side(calls(1, durations(lognormal(20, 0.3, 5000, 1)))),
        side(calls(1, durations(lognormal(22, 0.3, 5000, 2)))),
    )
    assert changes.compare(*small, {}, 0) == []
    sampled = side(calls(1, durations([10.0] * 5, weight=100))), side(calls(1, durations([90.0] * 5, weight=100)))
    assert changes.compare(*sampled, {1: 100.0}, 0) == []


def test_a_slow_tail_is_seen_although_the_median_stays() -> None:
    values = lognormal(20, 0.2, 1000, 1)
    slow = [one * 10 if place % 10 == 0 else one for place, one in enumerate(lognormal(20, 0.2, 1000, 2))]
    (change,) = changes.compare(side(calls(1, durations(values))), side(calls(1, durations(slow))), {}, 0)
    assert (change.kind, "p95" in change.text) == ("slower", True)


def test_errors_new_and_gone_endpoints_are_changes() -> None:
    quick = [5.0] * 400
    before = side(calls(1, durations(quick, 2)), calls(2, durations(quick)), calls(4, durations(quick)))
    after = side(calls(1, durations(quick, 40)), calls(3, durations(quick), seen=100.0), calls(4, durations(quick)))
    found = {(one.kind, one.subject) for one in changes.compare(before, after, {}, begin=50.0)}
    assert found == {("errors", "GET /1"), ("gone", "GET /2"), ("new", "GET /3")}


def test_versions_and_restarts_are_told_apart() -> None:
    old = [changes.Process("shop", "a", "1.0", 100.0), changes.Process("pay", "b", "2", 100.0)]
    new = [changes.Process("shop", "c", "1.1", 1000.0), changes.Process("pay", "d", "2", 1000.0)]
    found = {(one.kind, one.service, one.before, one.after) for one in changes.releases(old + new, 500, 2000)}
    assert found == {("version", "shop", "1.0", "1.1"), ("restart", "pay", 1.0, 1.0)}
    assert changes.releases(old, 0, 2000) == []  # the first start is no restart
    assert changes.last_start(old + new, 2000) == 1000.0
    assert changes.last_start(old, 2000) is None


# Findings


def found_kinds(facts: Facts) -> list[tuple[str, str]]:
    """Kind and severity of each finding."""
    return [(one.kind, one.severity) for one in findings.find(facts)]


def test_nothing_is_found_in_a_healthy_program_or_in_few_calls() -> None:
    healthy = [calls(1, durations(lognormal(20, 0.4, 500, 1), 1)), calls(2, durations([2.0] * 500), "db")]
    assert found_kinds(Facts(3600, healthy)) == []
    few = [calls(1, durations([9000.0] * 5, 5)), calls(2, durations([9000.0] * 5), "db")]
    assert found_kinds(Facts(3600, few, caches=[Cache("shop", "c", "", 1, 50, None, None, 0)])) == []


def test_each_problem_is_found_with_its_severity() -> None:
    slow, query = calls(1, durations([1500.0] * 50)), calls(2, durations([700.0] * 50), "db", "SELECT orders")
    call = calls(3, durations([600.0] * 50), "http", "GET api.example.com")
    failing = calls(4, durations([5.0] * 200, 40))
    process = Process(
        "shop", "shop-1", lag_p99_ms=600, lag_calls=500, dropped=12, memory=(100e6, 300e6), memory_hours=3
    )
    facts = Facts(
        3600,
        [slow, query, call, failing],
        repeated=[Repeated(slow, query, 30, 30, 25.0, 40, 0.5, "shop/x.py:1 f", b"t")],
        processes=[process],
        caches=[Cache("shop", "prices", "", 100, 900, 128, 128, 50)],
    )
    assert sorted(found_kinds(facts)) == [
        ("blocked_loop", "high"), ("cache", "low"), ("dropped", "medium"), ("errors", "critical"),
        ("memory_growth", "high"), ("n_plus_one", "high"), ("slow_call", "medium"), ("slow_endpoint", "high"),
        ("slow_query", "high"),
    ]  # fmt: skip
    for one in findings.find(facts):
        assert one.title
        assert one.evidence
        assert one.impact
        assert one.recommendation
        assert one.link.startswith("#/")
        assert 0 < one.confidence <= 1
    assert findings.find(facts)[0].severity == "critical"


def test_failures_are_put_down_to_the_span_that_failed_first() -> None:
    def row(
        trace: int, number: int, parent: int | None, entry: bool, name: str, message: str, error: str
    ) -> dict[str, object]:
        attributes = f'{{"exception.type": "{error}", "exception.message": "{message}"}}'
        return {
            "trace_id": bytes([trace]), "span_id": bytes([trace, number]),
            "parent_id": bytes([trace, parent]) if parent else None, "operation": number, "service": "shop",
            "category": "server" if entry else "db", "name": name, "started": 1000 * trace + number, "entry": entry,
            "status_code": 500 if entry else 0, "status_message": None, "weight": 1.0, "error_type": "",
            "events": f'[{{"name": "exception", "attributes": {attributes}}}]', "caller": None,
        }  # fmt: skip

    rows = []
    for trace in range(1, 6):
        rows.append(row(trace, 1, None, True, "GET /", "server error", "HTTPException"))
        rows.append(row(trace, 2, 1, False, "SELECT items", f"no answer from replica {trace}", "TimeoutError"))
    (cause,) = causes(map(failure, rows))
    assert (cause.endpoint, cause.error, cause.place, cause.requests) == ("GET /", "TimeoutError", "SELECT items", 5)
    assert cause.trace_id == bytes([5])
    assert causes([failure({**rows[0], "events": "no JSON at all exception"})])[0].error == "HTTP 500"


# Health and thresholds


def test_health_falls_with_errors_and_slowness_and_knows_no_requests() -> None:
    good = health.judge(health.Signs(durations(lognormal(20, 0.4, 500, 1))), DEFAULTS)
    assert (good.state, good.reasons) == ("healthy", [])
    assert good.score == 100
    bad = health.judge(health.Signs(durations([3000.0] * 100, 30), lag_p99_ms=900), DEFAULTS)
    assert bad.state == "unhealthy"
    assert bad.score is not None
    assert bad.score < 50
    assert len(bad.reasons) == 3
    assert health.judge(health.Signs(Durations()), DEFAULTS).score is None
    one_of_three = health.judge(health.Signs(durations([10.0] * 3, 1)), DEFAULTS)
    assert one_of_three.score is not None
    assert one_of_three.score > 60  # that may be chance


def minutes(count: int) -> list[int]:
    """Starts of minutes."""
    return [MINUTE * one for one in range(count)]


def test_an_episode_needs_its_minutes_in_a_row_and_ends_with_the_first_good_one() -> None:
    limit = DEFAULTS["error_rate_percent"]
    values = [0.0, 6, 6, 1, 6, 7, 12, 6, 1, 1]
    (one,) = episodes(limit, minutes(10), values)
    assert (one.since, one.until, one.severity, one.worst) == (4 * MINUTE, 8 * MINUTE, "warning", 12)
    (lasting,) = episodes(limit, minutes(5), [0.0, 11, 12, None, 13])
    assert (lasting.since, lasting.until, lasting.severity, lasting.limit) == (MINUTE, None, "critical", 10)


def test_what_returns_within_the_cooldown_is_the_same_alert() -> None:
    limit = DEFAULTS["error_rate_percent"]
    soon = [6.0] * 3 + [0.0] * 5 + [6.0] * 3 + [0.0]
    late = [6.0] * 3 + [0.0] * 20 + [6.0] * 3 + [0.0]
    assert len(episodes(limit, minutes(len(soon)), soon)) == 1
    assert len(episodes(limit, minutes(len(late)), late)) == 2


def test_a_limit_from_below_is_violated_from_below() -> None:
    limit = DEFAULTS["cache_hit_rate_percent"]
    (one,) = episodes(limit, minutes(4), [80.0, 60, 55, 45])
    assert (one.since, one.worst, one.severity) == (MINUTE, 45, "warning")
    (failed,) = episodes(DEFAULTS["health_check"], minutes(4), [1.0, 0.0, 0.0, 0.0])
    assert failed.severity == "critical"


def test_ratios_are_told_of_enough_and_over_some_minutes_where_there_are_few() -> None:
    assert pooled([1, 0, 1], [5, 5, 5], 10) == [None, 10.0, 10.0]
    assert pooled([1], [3], 10) == [None]


def test_thresholds_change_one_by_one_and_refuse_a_wrong_order() -> None:
    new = changed(
        DEFAULTS, {"error_rate_percent": {"warning": 1.0, "unknown": 3}, "of_another_version": {"warning": 1}}
    )
    assert (new["error_rate_percent"].warning, new["error_rate_percent"].critical) == (1.0, 10)
    assert DEFAULTS["error_rate_percent"].warning == 5
    with pytest.raises(ValueError, match="critical=10 is less severe than warning=20"):
        changed(DEFAULTS, {"error_rate_percent": {"warning": 20.0}})
    with pytest.raises(ValueError, match="at most warning"):
        changed(DEFAULTS, {"cache_hit_rate_percent": {"critical": 90.0}})


# Trends and correlations


def test_a_trend_has_a_direction_that_depends_on_what_is_better() -> None:
    times = [float(60 * one) for one in range(40)]
    rising: list[float | None] = [100.0 + 3 * one for one in range(40)]
    assert trends.judge(times, rising, "lower").direction == "degrading"
    assert trends.judge(times, rising, "higher").direction == "improving"
    assert trends.judge(times, rising, "neither").direction == "rising"
    assert trends.judge(times[:9], rising[:9], "lower").direction == "unknown"
    assert trends.judge(times, rising, "lower", limit=397.0).reaches_limit_in_hours == pytest.approx(1.0, rel=0.05)
    level = [100.0 + one % 3 for one in range(40)]
    assert trends.judge(times, level, "lower").direction == "stable"


def test_figures_correlate_by_their_changes_and_not_by_their_levels() -> None:
    random = Random(5)
    load = [random.gauss(50, 10) for _ in range(120)]
    series: dict[str, list[float | None]] = {
        "load": list(load),
        "lag": [2 * one + random.gauss(0, 5) for one in load],
        "first": [one + random.gauss(0, 3) for one in range(120)],
        "second": [one + random.gauss(0, 3) for one in range(120)],  # rises as well, for no common reason
    }
    (found,) = correlate(series)
    assert {found.first, found.second} == {"load", "lag"}
    assert found.coefficient > 0.8
    assert correlate({name: values[:20] for name, values in series.items()}) == []


def test_random_figures_do_not_correlate() -> None:
    random = Random(7)
    said = [correlate({str(name): [random.gauss(0, 1) for _ in range(60)] for name in range(8)}) for _ in range(20)]
    assert sum(map(len, said)) == 0
