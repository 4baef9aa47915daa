"""Drift: the test is as strict as it says, and sees what it should."""

from __future__ import annotations

import math
import random
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from perfagent.monitor import Drift, Drifts, PerformanceMonitor, drift
from perfagent.monitor.drift import compare, compare_features
from perfagent.runtime.metric import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=12)


def naive_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest distance of the two distribution functions, at every value."""
    return max(
        abs(sum(x <= value for x in one) / len(one) - sum(y <= value for y in other) / len(other))
        for value in {*one, *other}
    )


def naive_probability(statistic: float, n: int, m: int) -> float:
    """By trying every order of n and m values."""
    orders = list(combinations(range(n + m), n))
    as_large = 0
    for places in orders:
        others = [place for place in range(n + m) if place not in places]
        as_large += naive_distance(places, others) >= statistic - 1e-12
    return as_large / len(orders)


@given(SAMPLES, SAMPLES)
def test_statistic_and_effect_are_what_a_naive_computation_gives(live: list[float], baseline: list[float]) -> None:
    found = compare(live, baseline)
    assert found.statistic == pytest.approx(naive_distance(live, baseline))
    dominance = sum((x > y) - (x < y) for x in live for y in baseline) / (len(live) * len(baseline))
    assert found.effect_size == pytest.approx(dominance, abs=1e-12)
    assert 0 <= found.p_value <= 1


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 6))
def test_the_exact_p_value_is_that_of_every_order_tried(data: st.DataObject, n: int, m: int) -> None:
    values = data.draw(st.permutations(range(n + m)))
    found = compare(values[:n], values[n:])
    assert found.p_value == pytest.approx(naive_probability(found.statistic, n, m))


@pytest.mark.parametrize(
    ("n", "m", "statistic", "p_value"),
    # Tables of the Smirnov test: P(D >= d) times the number of orders is a whole number.
    [(5, 5, 1.0, 2 / 252), (5, 5, 0.8, 20 / 252), (4, 4, 1.0, 2 / 70), (3, 3, 1.0, 2 / 20)],
)
def test_small_samples_have_the_p_values_of_the_tables(n: int, m: int, statistic: float, p_value: float) -> None:
    assert drift.probability(round(statistic * math.lcm(n, m)), n, m) == pytest.approx(p_value)


@pytest.mark.parametrize(("n", "m"), [(200, 200), (150, 260), (199, 200), (100, 400)])
def test_the_limit_agrees_with_the_exact_p_value(n: int, m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for statistic in (0.08, 0.1, 0.13, 0.16, 0.2):
        steps = round(statistic * math.lcm(n, m))
        exact = drift.probability(steps, n, m)
        with monkeypatch.context() as patched:
            patched.setattr(drift, "EXACT", 0)
            limit = drift.probability(steps, n, m)
        assert limit == pytest.approx(exact, rel=0.25, abs=0.02), (statistic, exact, limit)


@pytest.mark.slow
def test_it_agrees_with_scipy_where_that_is_installed() -> None:
    stats = pytest.importorskip("scipy.stats")
    drawn = random.Random(3)
    for n, m in ((8, 13), (60, 60), (150, 200), (1000, 700)):
        live, baseline = [drawn.gauss(0.2, 1) for _ in range(n)], [drawn.gauss(0, 1) for _ in range(m)]
        found, expected = compare(live, baseline), stats.ks_2samp(live, baseline)
        assert found.statistic == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue, rel=0.1)


@pytest.mark.parametrize(("n", "m", "rounds"), [(20, 30, 1500), (120, 120, 500), (400, 500, 400)])
def test_of_samples_of_one_distribution_it_calls_few_drifted(n: int, m: int, rounds: int) -> None:
    drawn = random.Random(f"{n} {m}")

    def sample(size: int) -> list[float]:
        return [drawn.lognormvariate(0, 1) for _ in range(size)]

    share = sum(compare(sample(n), sample(m), 0.1).drifted for _ in range(rounds)) / rounds
    spread = 4 * math.sqrt(0.1 * 0.9 / rounds)  # 1 in 30,000 tests fails by chance, and this one is seeded
    assert 0.05 - spread < share < 0.1 + spread  # the test is discrete: at most the threshold, and not far from it


def test_it_sees_a_shift_and_a_spread_and_tells_their_size() -> None:
    drawn = random.Random(5)
    usual = [drawn.gauss(0, 1) for _ in range(300)]
    shifted = [compare([drawn.gauss(0.5, 1) for _ in range(300)], usual) for _ in range(40)]
    assert sum(one.drifted for one in shifted) >= 39
    # P(X > Y) of two normal values half a deviation apart is 0.638: delta is 0.276.
    assert sum(one.effect_size for one in shifted) / len(shifted) == pytest.approx(0.276, abs=0.06)
    wider = compare([drawn.gauss(0, 2) for _ in range(300)], usual)
    assert wider.drifted
    assert abs(wider.effect_size) < 0.15
    assert compare([9.0] * 30, [9.0] * 30).p_value == 1.0


def test_many_features_without_drift_stay_quiet_and_the_drifted_ones_are_named() -> None:
    drawn = random.Random(7)
    quiet = 0
    for _ in range(60):
        live = {f"f{number}": [drawn.random() for _ in range(40)] for number in range(30)}
        baseline = {name: [drawn.random() for _ in range(40)] for name in live}
        quiet += not compare_features(live, baseline).drifted
    assert quiet >= 52  # uncorrected, 60 times 30 tests at 5 % would leave about 13
    live["f3"] = [value + 0.6 for value in live["f3"]]
    live["f8"] = [value + 0.9 for value in live["f8"]]
    found = compare_features(live, baseline)
    assert found.drifted
    assert set(found.drifted_features) == {"f3", "f8"}


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg() -> None:
    raw = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5}
    assert drift._adjusted(raw) == pytest.approx({"a": 0.04, "b": 0.16 / 3, "c": 0.16 / 3, "d": 0.5})


def test_the_monitor_takes_both_forms_and_arrays_and_keeps_the_statistic() -> None:
    numpy = pytest.importorskip("numpy")
    monitor = PerformanceMonitor()
    one = monitor.detect_model_drift(numpy.array([1.0, 2.0, 3.0]), (1, 2, 3))
    many = monitor.detect_model_drift({"age": range(50)}, {"age": range(100, 150)})
    assert isinstance(one, Drift)
    assert isinstance(many, Drifts)
    assert (one.drifted, many.drifted_features) == (False, ("age",))
    assert monitor.get_metrics_summary()["metrics"]["drift.age"]["current"] == 1.0
    gauge = registry.instruments[("perfagent.monitor", "perfagent.drift.statistic")]
    assert gauge.of({"feature": "age"}).value == 1.0


@pytest.mark.parametrize(
    ("live", "baseline", "threshold", "kind", "message"),
    [
        ([], [1], 0.05, ValueError, "live is empty"),
        ([1], [], 0.05, ValueError, "baseline is empty"),
        ([1.0, float("nan")], [1], 0.05, ValueError, "live has 1 of 2 values that are NaN or infinite"),
        ([1], [float("inf")], 0.05, ValueError, "baseline has 1 of 1"),
        (["a"], [1], 0.05, TypeError, "no number"),
        ("12", [1], 0.05, TypeError, "live='12'"),
        (3, [1], 0.05, TypeError, "live=3"),
        ([1], [1], 0, ValueError, "threshold=0 .* such as 0.05"),
        ([1], [1], "5%", ValueError, "threshold='5%'"),
        ({"a": [1]}, [1], 0.05, TypeError, "two kinds"),
        ({"a": [1]}, {"b": [1]}, 0.05, ValueError, r"live has \['a'\] and baseline has \['b'\]"),
        ({}, {}, 0.05, ValueError, "at least one"),
        ({"a": []}, {"a": [1]}, 0.05, ValueError, "feature 'a': live is empty"),
    ],
)
def test_what_cannot_be_compared_is_told(
    live: object, baseline: object, threshold: object, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        PerformanceMonitor().detect_model_drift(live, baseline, threshold)  # type: ignore[call-overload]
