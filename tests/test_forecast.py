"""Forecasts: four of five limits are reached within the interval that was told."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

import pytest

from perfagent.hub.analyse.forecast import SETTLED, forecast

HOUR = 3600.0


class Future(NamedTuple):
    """A series, what comes after it, and a limit."""

    kind: str
    times: list[float]
    values: list[float]
    step: float
    known: int
    limit: float


def future(seed: int) -> Future:
    """Random growth with noise of one of five kinds."""
    random = Random(seed)
    kind = random.choice(("white", "correlated", "season", "heavy"))
    known = 96 if kind == "season" else random.choice((30, 60, 120))
    step = HOUR if kind == "season" else 60.0
    rho = {"correlated": random.choice((0.5, 0.8)), "season": 0.2}.get(kind, 0.0)
    rise = random.uniform(0.1, 0.6)
    noise = 100 * math.exp(random.uniform(math.log(0.005), math.log(0.08)))
    limit = 100 * (1 + rise + random.uniform(0.05, 1.0))
    swing = random.uniform(0, 15) if kind == "season" else 0.0
    phase, away, values = random.uniform(0, 2 * math.pi), random.gauss(0, 1), []
    for number in range(known * 11):
        shock = random.gauss(0, 1)
        if kind == "heavy":
            shock /= math.sqrt(3 * random.gammavariate(1.5, 1 / 1.5))  # Student's t, 3 degrees of freedom
        away = rho * away + math.sqrt(1 - rho * rho) * shock
        course = swing * math.sin(2 * math.pi * number * step / 86_400 + phase)
        values.append(100 * (1 + rise * number / (known - 1)) + course + noise * away)
    return Future(kind, [number * step for number in range(len(values))], values, step, known, limit)


def reached(one: Future) -> float:
    """Hours from the last known point until the mean of five points is at the limit."""
    for number in range(one.known, one.known + 10 * (one.known - 1)):
        lately = one.values[number - SETTLED + 1 : number + 1]
        if sum(lately) / SETTLED >= one.limit:
            return (number - one.known + 1) * one.step / HOUR
    return math.inf


@pytest.mark.slow
def test_four_of_five_limits_are_reached_within_the_interval() -> None:
    inside: dict[str, list[bool]] = {}
    off = []
    for seed in range(360):
        one = future(seed)
        if sum(one.values[one.known - SETTLED : one.known]) / SETTLED >= one.limit:
            continue
        found = forecast(one.times[: one.known], one.values[: one.known], one.limit)
        assert found is not None
        true = reached(one)
        earliest = found.within_hours if found.earliest_hours is None else found.earliest_hours
        latest = math.inf if found.latest_hours is None else found.latest_hours
        inside.setdefault(one.kind, []).append(earliest <= true <= latest)
        if found.hours is not None and true < math.inf:
            off.append(abs(found.hours - true) / true)
    every = [one for entries in inside.values() for one in entries]
    assert 0.74 <= sum(every) / len(every) <= 0.9, inside
    for kind, entries in inside.items():
        assert sum(entries) / len(entries) >= 0.68, kind
    assert sorted(off)[len(off) // 2] < 0.1


def test_what_stays_level_reaches_no_limit_in_time() -> None:
    for seed in range(20):
        random = Random(seed)
        values = [100 + random.gauss(0, 3) for _ in range(60)]
        found = forecast([60.0 * number for number in range(60)], values, 200.0)
        assert found is not None
        assert (found.reached, found.hours) == ("not", None)
        assert found.within_hours == pytest.approx(9.83, abs=0.01)
        assert found.chance <= 0.2


def test_limits_are_reached_from_above_and_may_be_reached_already() -> None:
    times = [HOUR * number for number in range(48)]
    budget = [100.0 - number + (number % 3) * 0.1 for number in range(48)]
    left = forecast(times, budget, 0.0, falling=True)
    assert left is not None
    assert left.reached == "expected"
    assert left.hours == pytest.approx(53, abs=6)
    spent = forecast(times, budget, 60.0, falling=True)
    assert spent is not None
    assert (spent.reached, spent.hours) == ("already", 0.0)


def test_one_look_is_as_good_as_another_and_few_points_say_nothing() -> None:
    times = [60.0 * number for number in range(30)]
    values = [100 + number + 3 * math.sin(number * 12.9) for number in range(30)]
    assert forecast(times, values, 200.0) == forecast(times, values, 200.0)
    assert forecast(times[:9], values[:9], 200.0) is None
    soon = forecast(times, values, 200.0, within_days=1 / 24)
    assert soon is not None
    assert (soon.reached, soon.within_hours) == ("not", 1.0)
