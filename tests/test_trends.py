"""Trends: what is said of a series is true as often as its confidence says."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from perfagent.cli import main
from perfagent.hub.analyse.posterior import believe
from perfagent.hub.analyse.season import without_season
from perfagent.hub.analyse.trends import judge
from tests.hub import gauge, metrics, resource, span, traces
from tests.noise import KINDS, course

pytest_plugins = ["tests.hub"]

HOUR = 3600.0


def said(seed: int, stable: float) -> tuple[str, float, str]:
    """What is said of a random series, how surely, and what is true."""
    found = course(seed, stable)
    trend = judge(found.times, found.values, "neither")
    assert trend.confidence is not None
    if found.move >= 0:
        true = "rising" if found.move / (1 + found.move) >= 0.1 else "stable"
    else:
        true = "falling" if found.move <= -0.1 else "stable"
    return trend.direction, trend.confidence, true


@pytest.mark.slow
def test_of_those_said_with_09_nine_of_ten_are_right() -> None:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for seed in range(500):
        direction, confidence, true = said(seed, 0.5)
        bins.setdefault(min(int(confidence * 10), 9), []).append((confidence, direction == true))
    for level, entries in sorted(bins.items()):
        told = sum(confidence for confidence, _ in entries) / len(entries)
        right = sum(right for _, right in entries) / len(entries)
        # Three standard errors, and five points for truths that are more or less common than was assumed.
        slack = 3 * math.sqrt(told * (1 - told) / len(entries)) + 0.05
        assert abs(right - told) <= slack, f"{level / 10:.1f}: said {told:.3f}, right {right:.3f} of {len(entries)}"
    assert len(bins[9]) >= 150  # and it dares to say so often


@pytest.mark.slow
@pytest.mark.parametrize("stable", [0.3, 0.7])
def test_what_is_said_with_certainty_is_right_however_often_things_move(stable: float) -> None:
    entries = [
        (confidence, direction == true)
        for direction, confidence, true in (said(seed, stable) for seed in range(2000, 2200))
        if confidence >= 0.9
    ]
    right = sum(right for _, right in entries) / len(entries)
    told = sum(confidence for confidence, _ in entries) / len(entries)
    assert right >= 0.93
    assert right >= told - 0.03


def test_noise_of_every_kind_is_called_a_trend_with_certainty_hardly_ever() -> None:
    wrong, seen = 0, dict.fromkeys(KINDS, 0)
    seed = 0
    while sum(seen.values()) < 150:
        seed += 1
        found = course(seed, stable=1.0)
        if found.move:
            continue
        seen[found.kind] += 1
        trend = judge(found.times, found.values, "lower")
        assert trend.confidence is not None
        wrong += trend.direction != "stable" and trend.confidence >= 0.9
    assert min(seen.values()) >= 10
    assert wrong <= 3


def test_a_morning_is_no_trend_and_a_trend_under_a_season_is_found() -> None:
    random = Random(4)
    times = [HOUR * hour for hour in range(72)]
    wave = [100 + 50 * math.sin(2 * math.pi * hour / 24) + random.gauss(0, 2) for hour in range(72)]
    assert judge(times, wave, "lower").direction == "stable"
    rising = [value + 0.6 * hour for hour, value in enumerate(wave)]
    found = judge(times, rising, "lower")
    assert found.direction == "degrading"
    assert found.confidence is not None
    assert found.confidence > 0.95
    assert found.change_low is not None
    assert found.change_high is not None
    assert found.change_low < 0.43 < found.change_high
    rest, fitted = without_season(times, wave)
    assert fitted == 6
    assert max(rest) - min(rest) < 20


def test_a_step_is_a_trend_and_one_spike_is_none() -> None:
    random = Random(5)
    times = [60.0 * number for number in range(60)]
    step = [100 + (30 if number >= 40 else 0) + random.gauss(0, 4) for number in range(60)]
    found = judge(times, step, "lower")
    assert found.direction == "degrading"
    assert found.change == pytest.approx(0.3, abs=0.08)
    spike = [100 + (500 if number == 50 else 0) + random.gauss(0, 4) for number in range(60)]
    assert judge(times, spike, "lower").direction == "stable"


def test_series_without_noise_without_height_and_with_gaps_are_judged() -> None:
    times = [60.0 * number for number in range(40)]
    assert judge(times, [0.0] * 40, "lower").direction == "stable"
    assert judge(times, [5.0] * 40, "lower", limit=10).forecast is not None
    assert judge(times, [float(number) for number in range(40)], "lower").direction == "degrading"
    gaps: list[float | None] = [None if number % 3 else 100.0 + 2 * number for number in range(40)]
    assert judge(times, gaps, "lower").direction == "degrading"
    negative = [-100.0 - number for number in range(40)]
    assert judge(times, negative, "neither").direction == "falling"
    alone: list[float | None] = [None] * 40
    assert judge(times, alone, "lower").direction == "unknown"


def test_chances_add_up_and_the_interval_grows_with_its_share() -> None:
    found = course(7)
    belief = believe(found.times, found.values, 0.1)
    assert belief.falls + belief.stays + belief.rises == pytest.approx(1)
    narrow, wide = belief.interval(0.5), belief.interval(0.95)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert belief.moves_below(wide[0]) == pytest.approx(0.025, abs=0.015)


@pytest.fixture
def growing(serve_hub: Any) -> Any:
    """A hub with a process whose memory grows by 1 MB a minute from 100 MB, for an hour."""
    hub = serve_hub()
    who = resource("shop")
    for ago in range(62, 1, -1):
        reading = gauge("process.memory.usage", 100e6 + 1e6 * (62 - ago), unit="By", ago=60.0 * ago + 5)
        hub.send("metrics", metrics(who, reading))
    return hub


def test_trends_tell_when_a_limit_is_reached(growing: Any) -> None:
    (found,) = growing.get("trends", metric="memory_bytes", limit=220e6)["items"]
    assert found["direction"] == "degrading"
    assert found["confidence"] > 0.95
    forecast = found["forecast"]
    assert forecast["reached"] == "expected"
    assert forecast["earliest_hours"] <= forecast["hours"] <= forecast["latest_hours"]
    assert forecast["hours"] == pytest.approx(1.0, abs=0.25)
    (found,) = growing.get("trends", metric="memory_bytes", limit=1e12)["items"]
    assert (found["forecast"]["reached"], found["reaches_limit_in_hours"]) == ("not", None)
    assert growing.refusal("trends", limit=5)[2] == "limit"


def test_the_command_tells_trends_and_fails_for_what_degrades(growing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--url", growing.url, "--token", growing.access.token("viewer"), "--hours", "1"]
    assert main(["trends", *where, "--metric", "memory_bytes", "--limit", "220e6"]) == 0
    told = capsys.readouterr().out
    assert "degrading" in told
    assert "220 MB in" in told
    assert main(["trends", *where, "--fail-on-degrading"]) == 1
    assert "memory_bytes" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["trends", *where, "--limit", "soon"])


def test_no_rate_rises_from_the_time_before_a_program_was_there(serve_hub: Any) -> None:
    hub = serve_hub()
    for ago in range(4, 0, -1):
        hub.send("traces", traces(resource("shop"), span(ago, ago=60.0 * ago + 5)))
    (found,) = hub.get("trends", metric="requests_per_second", hours=1)["items"]
    assert found["points"] < 10
    assert found["direction"] == "unknown"
    assert next(value for value in found["values"] if value is not None) > 0
