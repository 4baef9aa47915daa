"""Baselines: what was normal for a while, kept under a name, by the hour of the day, and how the last hour compares."""

from __future__ import annotations

import math
import shlex
import time
from random import Random
from typing import Any

import pytest

from perfagent.cli import main
from perfagent.hub.analyse.baselines import by_hour, normal, of_season, regressions
from perfagent.hub.api import baseline
from tests.hub import resource, span, traces
from tests.test_docs import blocks

pytest_plugins = ["tests.hub"]

HOUR = 3600.0
DAY = 24 * HOUR


def hours(days: int, seed: int = 1, level: float = 100.0) -> tuple[list[float], list[float | None]]:
    """A figure by the hour that is twice as high at noon as at night."""
    random = Random(seed)
    times = [HOUR * hour for hour in range(24 * days)]
    return times, [
        level * (1 - 0.33 * math.cos(2 * math.pi * (time % DAY) / DAY)) + random.gauss(0, 4) for time in times
    ]


def test_normal_is_robust_and_says_how_much_it_is_made_of() -> None:
    found = normal([10.0, 11, 12, None, 13, 14, 1e9])
    assert found is not None
    assert (found.n, found.median) == (6, 12.5)
    assert found.spread == pytest.approx(1.4826 * 1.5)
    assert normal([None, None]) is None


def test_an_hour_is_compared_with_the_same_hours_of_the_day() -> None:
    times, values = hours(5)
    night = [one for one in of_season(times, values, [6 * DAY + 2 * HOUR]) if one is not None]
    assert len(night) == 5
    assert max(night) < 100
    assert len(of_season(times[:12], values[:12], [HOUR])) == 12  # half a day tells no season
    by = {one["hour"]: one["median"] for one in by_hour(times, values)}
    assert by[12] > 1.5 * by[0]


def test_from_two_weeks_on_days_of_the_week_are_told_apart() -> None:
    times, values = hours(28)
    weekend = [None if value is None else value * (0.3 if (time // DAY) % 7 == 2 else 1) for time, value in
               zip(times, values, strict=True)]  # fmt: skip
    saturday_noon = of_season(
        times, weekend, [30 * DAY + 12 * HOUR]
    )  # the third day of a week that began on a Thursday
    assert len(saturday_noon) == 4
    assert all(value is not None and value < 60 for value in saturday_noon)


def minute(level: float, seed: int) -> list[float | None]:
    """A figure of each minute of an hour."""
    random = Random(seed)
    return [level + random.gauss(0, 3) for _ in range(60)]


def test_noon_is_no_regression_and_a_regression_at_noon_is_one() -> None:
    times, values = hours(6)
    now = [8 * DAY + 12 * HOUR + 60 * number for number in range(60)]
    (fine,) = regressions(times, {"p95": values}, now, {"p95": minute(133, 1)}, {"p95": "lower"})
    assert (fine.verdict, fine.seasonal) == ("same", True)
    (bad,) = regressions(times, {"p95": values}, now, {"p95": minute(170, 2)}, {"p95": "lower"})
    assert bad.verdict == "worse"
    assert bad.certainty is not None
    assert bad.certainty > 0.98
    assert bad.change == pytest.approx(0.28, abs=0.06)


def test_a_regression_is_more_than_15_percent_in_the_wrong_direction() -> None:
    times = [60.0 * number for number in range(60)]
    now = [one + HOUR for one in times]
    before = {name: minute(100, place) for place, name in enumerate(("p95", "hits", "rate", "near", "failures"))}
    before["failures"] = [0.0] * 60
    after = {
        "p95": minute(120, 7), "hits": minute(120, 8), "rate": minute(200, 9), "near": minute(112, 10),
        "failures": minute(30, 11),
    }  # fmt: skip
    better: Any = {"p95": "lower", "hits": "higher", "rate": "neither", "near": "lower", "failures": "lower"}
    found = {one.metric: one.verdict for one in regressions(times, before, now, after, better)}
    assert found == {"p95": "worse", "hits": "better", "rate": "same", "near": "same", "failures": "worse"}
    strict = {one.metric: one.verdict for one in regressions(times, before, now, after, better, most=0.05)}
    assert strict["near"] == "worse"
    unknown = regressions(times, {}, now, after, {"p95": "lower"})
    assert unknown[0].verdict == "unknown"


def test_noise_alone_is_no_regression_49_of_50_times() -> None:
    told = 0
    for seed in range(150):
        random = Random(seed)
        away, values = 0.0, []
        for _ in range(120):
            away = 0.6 * away + 0.8 * random.gauss(0, 20)
            values.append(100 + away)
        times = [60.0 * number for number in range(120)]
        (found,) = regressions(times[:60], {"p95": values[:60]}, times[60:], {"p95": values[60:]}, {"p95": "lower"})
        told += found.verdict in ("worse", "better")
    assert told <= 3


# The interface


def send_hours(hub: Any, begin: int, end: int, ms: float, seed: int) -> None:
    """Sends ten requests a minute from `begin` to `end` minutes ago."""
    random = Random(seed)
    spans = [
        span(
            random.getrandbits(60),
            "GET /orders",
            ago=60.0 * ago - 6 * place,
            ms=random.lognormvariate(math.log(ms), 0.2),
        )
        for ago in range(begin, end, -1)
        for place in range(10)
    ]
    hub.send("traces", traces(resource("shop"), *spans))


@pytest.fixture
def steady(serve_hub: Any) -> Any:
    """A hub with 70 minutes of orders that took 20 ms each, and a baseline of them called `calm`."""
    hub = serve_hub()
    send_hours(hub, 72, 1, 20, 1)
    made = hub.ask("baseline", "operator", "POST", json={"duration_minutes": 70, "service": "shop", "name": "calm"})
    assert made.status_code == 201, made.text
    return hub


def test_a_baseline_is_kept_under_its_name_and_found_again(steady: Any) -> None:
    (one,) = steady.get("baselines")["items"]
    assert (one["name"], one["service"]) == ("calm", "shop")
    assert one["minutes"] >= 60
    found = steady.get("baseline", service="shop", name="calm")
    assert {figure["verdict"] for figure in found["figures"]} <= {"same", "unknown"}
    assert steady.refusal("baseline", service="shop", name="other") == (404, "not_found", "name")
    assert steady.refusal("baseline") == (404, "not_found", "service")
    assert steady.get("compare", before="baseline:calm", after="-1h..now", service="shop")["verdict"] == "same"
    assert steady.ask("baseline", "viewer", "POST", json={}).status_code == 403


def test_what_got_slower_since_is_worse_than_the_baseline(steady: Any, capsys: pytest.CaptureFixture[str]) -> None:
    send_hours(steady, 58, 1, 60, 2)  # three times as slow, besides what there was
    send_hours(steady, 58, 1, 60, 3)
    found = steady.get("baseline", service="shop")
    p95 = next(one for one in found["figures"] if one["metric"] == "response_time_p95_ms")
    assert p95["verdict"] == "worse"
    assert any(one["verdict"] == "worse" and one["name"] == "GET /orders" for one in found["differences"])
    where = ["--url", steady.url, "--token", steady.access.token("operator"), "--service", "shop"]
    assert main(["baseline", "show", *where]) == 1
    assert "worse" in capsys.readouterr().out
    assert main(["baseline", "establish", "--minutes", "75", "--name", "slow", *where]) == 0
    assert main(["baseline", "list", *where]) == 0
    told = capsys.readouterr().out
    assert "slow" in told
    assert "calm" in told


def test_baselines_are_good_for_seven_days(steady: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "time", lambda: time.time() + 8 * DAY)
    assert steady.get("baselines")["items"] == []
    assert steady.refusal("baseline", service="shop")[0] == 404


def test_the_commands_of_the_guide_work(steady: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in blocks("docs/how-to/baselines.md", "sh") for line in block.splitlines()]
    where = ["--url", steady.url, "--token", steady.access.token("operator")]
    for line in lines:
        assert main([*shlex.split(line)[1:], *where]) == 0, (line, capsys.readouterr())
    assert "before-release" in capsys.readouterr().out
