"""Compression: fewer rows, exact counts and sums, percentiles within 2 % of the exact ones whatever the data are."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent.hub.sources import points as rows
from perfagent.hub.sources.compression import ACCURACY, Compressor, Sketch, place_of, value_of
from perfagent.hub.sources.source import Point
from tests.hub import ServedHub

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hub import ServeHub

pytest_plugins = ["tests.hub"]
SHARES = (0.5, 0.9, 0.95, 0.99)
ALLOWED = 0.02
SHAPES: dict[str, Callable[[random.Random], float]] = {
    "lognormal": lambda chance: chance.lognormvariate(3, 1),
    "bimodal": lambda chance: chance.gauss(5, 0.5) if chance.random() < 0.7 else chance.gauss(900, 40),
    "heavy-tailed": lambda chance: 0.1 * chance.paretovariate(1.1),
    "of both signs": lambda chance: chance.gauss(0, 100),
}


def exact(values: list[float], share: float) -> float:
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_percentiles_of_a_sketch_are_within_two_percent_of_the_exact_ones(shape: str) -> None:
    chance = random.Random(20)
    values = [SHAPES[shape](chance) for _ in range(20_000)]
    whole = Sketch()
    for begin in range(0, len(values), 1000):  # as parts that are merged
        part = Sketch()
        for value in values[begin : begin + 1000]:
            part.add(value)
        whole.merge(part)
    assert sum(whole.counts.values()) == len(values)
    for share in SHARES:
        wanted = exact(values, share)
        assert abs(whole.quantile(share) - wanted) <= ALLOWED * abs(wanted), share


@settings(max_examples=500, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300, max_value=1e300), st.sampled_from([1, -1]))
def test_no_value_is_further_from_its_place_than_the_bound(size: float, sign: int) -> None:
    value = sign * size
    place = place_of(value)
    assert abs(value_of(place) - value) <= ACCURACY * abs(value) * (1 + 1e-9)
    assert place_of(value * 2) - place == sign * 32, "places are in the order of values"


def test_a_sketch_of_nothing_and_of_zeros() -> None:
    assert Sketch().quantile(0.5) is None
    zeros = Sketch()
    zeros.add(0.0, 3)
    assert zeros.quantile(0.99) == 0.0


def compressed(kind: str, values: list[float], window: int) -> tuple[list[object], list[object]]:
    compressor, whose = Compressor(), rows.owner("db", "postgresql", {})
    points, sketches = [], []
    for number, value in enumerate(values):
        now = 1_000_000 + 15.0 * number
        batch = compressor.take(now)
        points += batch.points
        sketches += batch.sketches
        compressor.add(whose, [Point("p", value, "1", kind, {"disk": "sda"})], now, (window - 0.5) * 15)  # type: ignore[arg-type]
    last = compressor.take(0, everything=True)
    return points + last.points, sketches + last.sketches


def test_a_counter_keeps_its_last_total_and_a_gauge_count_sum_smallest_and_largest() -> None:
    points, sketches = compressed("counter", [1.0, 5.0, 9.0, 11.0, 20.0, 21.0], 3)
    assert [point.value for point in points] == [9.0, 21.0]
    assert not sketches
    points, sketches = compressed("gauge", [3.0, 1.0, 8.0, 2.0, 2.0, 2.0], 3)
    assert [(p.value, p.count, p.total, p.smallest, p.largest) for p in points] == [
        (4.0, 3, 12.0, 1.0, 8.0),
        (2.0, 3, 6.0, 2.0, 2.0),
    ]
    assert len(sketches) == 1, "of readings that are all alike the row says all"


def test_a_third_to_two_thirds_of_the_rows_are_saved() -> None:
    chance = random.Random(4)
    for window in (3, 4):
        for kind, least, most in (("gauge", 0.30, 0.55), ("counter", 0.60, 0.80)):
            values = [chance.lognormvariate(0, 1) for _ in range(1200)]
            points, sketches = compressed(kind, sorted(values) if kind == "counter" else values, window)
            saved = 1 - (len(points) + len(sketches)) / len(values)
            assert least <= saved <= most, (kind, window, saved)


def put(served: ServedHub, batch: object) -> None:
    served.hub.store.append([batch])  # type: ignore[list-item]


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["lognormal", "bimodal", "heavy-tailed"])
def test_the_interface_answers_the_same_from_compressed_readings(serve_hub: ServeHub, shape: str) -> None:
    served, chance, compressor = serve_hub(), random.Random(7), Compressor()
    now = time.time() // 3600 * 3600 - 3600
    values = [SHAPES[shape](chance) for _ in range(2_000)]
    whose = rows.owner("compressed", "python", {})
    for number, value in enumerate(values):
        moment, point = now + number, Point("queue.wait", value, "ms", "gauge", {"queue": "mail"})
        compressor.add(whose, [point], moment, 4.0)
        if number % 500 == 499:
            put(served, compressor.take(moment))
    put(served, compressor.take(0, everything=True))
    answers = {}
    for stat in ("p50", "p90", "p95", "p99", "avg", "min", "max", "count"):
        told = served.get(
            "metrics/query", name="queue.wait", service="compressed", stat=stat, attribute="queue=mail",
            from_=now, to=now + 7 * 86400,
        )  # fmt: skip
        assert told["step"] >= 3600, "one step holds all"
        (line,) = told["series"]
        answers[stat] = next(value for value in line["values"] if value is not None)
    for stat in ("p50", "p90", "p95", "p99"):
        wanted = exact(values, int(stat[1:]) / 100)
        assert abs(answers[stat] - wanted) <= ALLOWED * abs(wanted), stat
    assert answers["avg"] == pytest.approx(sum(values) / len(values))
    assert (answers["min"], answers["max"], answers["count"]) == (min(values), max(values), len(values))
    assert compressor.stored < 0.7 * compressor.readings
