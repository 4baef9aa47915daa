"""`perfagent thresholds`: limits are shown, changed for all or one service, suggested, and follow what is usual."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent.hub.alert.thresholds import ThresholdWatcher
from perfagent.hub.analyse.thresholds import DEFAULTS, episodes, parse
from perfagent.hub.api.ranges import Range
from perfagent.hub.conditions.suggesting import suggest
from perfagent.hub.conditions.usual import DAY, HOUR, LEAST, PAST, bounds, by_hour, quantile
from tests.hub import gauge, metrics, resource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hub import ServedHub, ServeHub

CPU = DEFAULTS["cpu_usage_percent"]


def limit(hub: ServedHub, name: str) -> dict[str, Any]:
    """A threshold, as the interface gives it."""
    (found,) = (one for one in hub.get("thresholds")["items"] if one["name"] == name)
    return dict(found)


def busy(hub: ServedHub, service: str, minutes: int, percent: float) -> None:
    """A machine that was so busy in each of the last minutes."""
    end = time.time() // 60 * 60
    found = [
        gauge("system.cpu.utilization", percent / 100, ago=time.time() - (end - 60 * minute + 20), state="user")
        for minute in range(minutes, 0, -1)
    ]
    hub.send("metrics", metrics(resource(service), *found))


def firing(hub: ServedHub) -> dict[str, float | None]:
    """Whose CPU is beyond its limit, and what that is."""
    now = time.time()
    found = ThresholdWatcher(hub.hub).look(Range(now - 600, now))
    return {one.service: one.limit for one in found if one.rule == "cpu_usage_percent" and one.until is None}


# The command


@pytest.fixture
def run(hub: ServedHub, run_program: RunProgram, tmp_path: Path) -> Any:
    """Runs the command with an admin's token; returns status, standard output and standard error."""
    env = {"PERFAGENT_HUB_URL": hub.url, "PERFAGENT_HUB_TOKEN": hub.access.token("admin"), "COLUMNS": "150"}
    env["PERFAGENT_HUB_DIR"] = str(tmp_path / "none")

    def go(*words: str, **more: str) -> tuple[int, str, str]:
        program = run_program("perfagent", "thresholds", *words, "--timeout", "60", env={**env, **more})
        return program.wait(), program.stdout, program.stderr

    return go


@pytest.mark.slow
def test_limits_are_listed_set_disabled_and_reset(hub: ServedHub, run: Any) -> None:
    status, out, _ = run()
    assert status == 0
    assert all(name in out for name in DEFAULTS)
    status, out, _ = run("set", "error_rate_percent", "warning=2", "critical=none", "violations=1", "cooldown=1h")
    assert (status, "> 2 %" in out, "changed" in out) == (0, True, True)
    known = limit(hub, "error_rate_percent")
    assert [known[key] for key in ("warning", "critical", "violations", "cooldown_minutes")] == [2, None, 1, 60]
    assert run("set", "error_rate_percent", "warning=9", "--service", "reports")[0] == 0
    (own,) = limit(hub, "error_rate_percent")["services"]
    assert (own["service"], own["warning"], own["violations"]) == ("reports", 9, 1)
    status, out, _ = run("disable", "error_rate_percent", "--output", "json")
    assert not json.loads(out)["enabled"]
    assert run("reset", "error_rate_percent", "--service", "reports")[0] == 0
    assert limit(hub, "error_rate_percent")["services"] == []
    assert run("reset", "error_rate_percent")[0] == 0
    assert not limit(hub, "error_rate_percent")["changed"]
    subjects = [one["subject"] for one in hub.get("audit", "admin")["items"]]
    assert subjects.count("error_rate_percent of reports") == 2


@pytest.mark.slow
def test_what_is_off_is_told_with_the_nearest_name_and_changes_nothing(hub: ServedHub, run: Any) -> None:
    for words, said in (
        (("set", "error_rate", "warning=2"), "'error_rate' is no threshold; did you mean error_rate_percent?"),
        (("set", "error_rate_percent", "warning"), "'warning' changes nothing: give FIELD=VALUE"),
        (("set", "error_rate_percent", "warning=many"), "'many' is no number"),
        (("set", "error_rate_percent", "warning=20"), "critical=10 is less severe than warning=20"),
        (("set", "error_rate_percent", "factor=0.5"), "greater than or equal to 1"),
        (("set", "error_rate_percent"), "set wants what to change"),
        (("enable",), "enable wants the name of a threshold"),
    ):
        status, _, error = run(*words)
        assert (status, said in error) == (2, True), error
    status, _, error = run("disable", "error_rate_percent", PERFAGENT_HUB_TOKEN=hub.access.token("operator"))
    assert (status, "admin" in error) == (2, True)
    assert not any(one["changed"] for one in hub.get("thresholds")["items"])


@pytest.mark.slow
def test_the_past_suggests_limits_and_how_often_they_would_have_fired(hub: ServedHub, run: Any) -> None:
    busy(hub, "shop", 90, 40)
    busy(hub, "other", 90, 35)
    status, out, _ = run("suggest", "cpu_usage_percent", "--hours", "3")
    assert status == 0
    assert "80 % / 95 %" in out
    assert "perfagent thresholds set cpu_usage_percent warning=48 critical=57" in out
    (found,) = json.loads(run("suggest", "cpu_usage_percent", "--output", "json")[1])["items"]
    assert (found["fired"], found["suggested_fired"], found["services"], found["minutes"]) == (0, 0, 2, 180)


# For one service


def test_a_service_has_limits_of_its_own(hub: ServedHub) -> None:
    busy(hub, "shop", 5, 85)
    busy(hub, "batch", 5, 85)
    assert firing(hub) == {"shop": 80, "batch": 80}
    own = {"name": "cpu_usage_percent", "service": "batch", "warning": 90}
    assert hub.ask("thresholds", "admin", "PUT", json={"items": [own]}).status_code == 200
    assert firing(hub) == {"shop": 80}
    off = {"name": "cpu_usage_percent", "enabled": False}
    on = {"name": "cpu_usage_percent", "service": "batch", "enabled": True, "warning": 70}
    assert hub.ask("thresholds", "admin", "PUT", json={"items": [off, on]}).status_code == 200
    assert firing(hub) == {"batch": 70}
    crossed = {"name": "cpu_usage_percent", "service": "batch", "warning": 99}
    refused = hub.ask("thresholds", "admin", "PUT", json={"items": [crossed]})
    assert (refused.status_code, "for service batch: cpu_usage_percent: critical=95" in refused.text) == (409, True)


def test_the_setting_may_say_so_too(serve_hub: ServeHub) -> None:
    setting = {"cpu_usage_percent": {"warning": 60, "services": {"batch": {"warning": 90}}}}
    hub = serve_hub(PERFAGENT_ALERT_THRESHOLDS=json.dumps(setting))
    busy(hub, "shop", 5, 65)
    busy(hub, "batch", 5, 85)
    assert firing(hub) == {"shop": 60}
    for text, said in (
        ('{"cpu_usage_percent": {"services": {"a": {"warn": 1}}}}', "services.a.warn=1 is not accepted: one of the"),
        ('{"cpu_usage_percent": {"services": {"a": {"warning": 99}}}}', "for service a: cpu_usage_percent: critical"),
        ('{"cpu_usage_percent": {"quantile": 2}}', "quantile=2 is not accepted: a number from 0.5 to 0.9999"),
    ):
        with pytest.raises(ValueError, match=said):
            parse(text)


# What is usual


def test_a_dynamic_limit_follows_what_is_usual_within_its_bounds(hub: ServedHub) -> None:
    assert bounds(CPU) == (40, 95)
    change = {"name": "cpu_usage_percent", "dynamic": True, "factor": 1.5, "quantile": 0.5}
    assert hub.ask("thresholds", "admin", "PUT", json={"items": [change]}).status_code == 200
    assert limit(hub, "cpu_usage_percent")["bounds"] == [40, 95]
    end = time.time() // HOUR * HOUR - HOUR  # so that both this hour and the one before have it behind them
    for service, usual, now in (("calm", 30, 50), ("idle", 1, 30), ("wild", 99, 94)):
        found = [
            gauge("system.cpu.utilization", usual / 100, ago=time.time() - (end - 60 * minute + 20), state="user")
            for minute in range(1, 2 * LEAST)
        ]
        hub.send("metrics", metrics(resource(service), *found))
        busy(hub, service, 4, now)
    busy(hub, "new", 4, 70)  # of which nothing is known: the limit is the one that is set
    assert firing(hub) == {"calm": 45}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["cpu_usage_percent", "cache_hit_rate_percent", "response_time_p95_ms"]))
def test_no_past_brings_a_limit_beyond_its_bounds_and_no_minute_is_judged_by_itself(seed: int, name: str) -> None:
    chance = random.Random(seed)
    one = replace(DEFAULTS[name], dynamic=True, factor=chance.choice((1.0, 1.5, 10.0)))
    first = 20 * DAY + chance.randrange(24) * HOUR
    begin = first - chance.choice((HOUR // 2, 3 * HOUR, DAY, PAST))
    times = range(begin, first + 2 * HOUR, 300)
    values = [chance.choice((None, chance.uniform(0, 100), 1e6, 0.0)) for _ in times]
    found = by_hour(one, times, values, first, first + HOUR)
    low_high = bounds(one)
    assert low_high is not None
    for hour, warning in found.items():
        past = [v for t, v in zip(times, values, strict=True) if v is not None and hour - PAST <= t < hour]
        assert warning is not None
        if len(past) < LEAST:
            assert warning == one.warning
        else:
            assert low_high[0] <= warning <= low_high[1]
    # What comes from an hour on does not change the limit of that hour.
    cut = [value if time < first else 5.0 for time, value in zip(times, values, strict=True)]
    assert by_hour(one, times, cut, first, first)[first] == found[first]


def test_each_hour_of_the_day_has_its_own_limit_where_enough_is_known() -> None:
    one = replace(CPU, dynamic=True, quantile=0.5, factor=1.0, critical=None)
    times = range(10 * DAY, 13 * DAY, 60)
    values = [70.0 if time % DAY // HOUR == 9 else 45.0 for time in times]
    found = by_hour(one, times, values, 13 * DAY, 13 * DAY + 23 * HOUR)
    assert {hour % DAY // HOUR: value for hour, value in found.items()} == {
        hour: 70 if hour == 9 else 45 for hour in range(24)
    }


def test_a_quantile_is_linear_between_values() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0, 0.5, 1)] == [1, 2.5, 4]


def test_episodes_take_the_limit_of_each_minute() -> None:
    one = replace(CPU, violations=1, cooldown_minutes=0)
    values = [70.0, 70.0, 70.0, 70.0]
    (found,) = episodes(one, [0, 60, 120, 180], values, [80, 60, 60, 75])
    assert (found.since, found.until, found.limit, found.minutes) == (60, 180, 60, 2)


# What is suggested


def test_a_suggestion_is_above_what_lasted_and_below_where_less_is_worse() -> None:
    latency, cache = DEFAULTS["response_time_p95_ms"], DEFAULTS["cache_hit_rate_percent"]
    spikes = [3000.0 if number % 50 == 0 else 100.0 for number in range(500)]  # single minutes do not violate it
    found = suggest(latency, [spikes])
    assert found is not None
    assert (found.warning, found.critical) == (120, 300)
    hits = suggest(cache, [[90.0] * 100, [96.0] * 100])
    assert hits is not None
    assert (hits.warning, hits.critical) == (75, 53)
    assert suggest(latency, [[100.0] * 59]) is None
    assert suggest(latency, [[0.0] * 100]) is None
    assert suggest(DEFAULTS["health_check"], [[1.0] * 100]) is None
