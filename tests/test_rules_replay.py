"""`perfagent rules test`: the past, replayed by what judges the present; Prometheus fires on the same data."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent.hub.alert.rules import SETTLED, RuleWatcher
from perfagent.hub.analyse.thresholds import parse as parse_setting
from perfagent.hub.api import rules
from perfagent.hub.api.ranges import Range
from perfagent.hub.conditions import showing
from perfagent.hub.conditions.judging import Judge
from perfagent.hub.conditions.lasting import spells
from perfagent.hub.conditions.limits import Limits
from perfagent.hub.conditions.replay import Replay, TooLong
from perfagent.hub.conditions.rule import Rule, read
from perfagent.hub.conditions.rules import declared
from perfagent.hub.expressions.errors import BadExpression
from perfagent.hub.rules import own
from tests.hub import counter, gauge, histogram, metrics, resource, span, traces
from tests.test_docs import blocks
from tests.test_rules import promtool

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hub import ServedHub

MINUTES = 90
SECOND = 1_000_000_000


def rule(name: str, when: str, lasting: str = "0s", **more: Any) -> Rule:
    """A rule without a cooldown, so that it says of every minute whether it fires."""
    return read({"name": name, "when": when, "for": lasting, "cooldown": "0s", **more})


def judge(hub: ServedHub) -> Judge:
    """What judges the rules of a hub."""
    return Judge(hub.hub.store, dict)


# What a rule says of each minute


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=60),
    st.integers(0, 4),
    st.sampled_from([0, 2, 5]),
)
def test_a_rule_fires_in_the_same_minutes_whether_it_is_looked_at_as_they_come_or_later(
    holds: list[bool | None], minutes: int, cooldown: int
) -> None:
    times = [60 * number for number in range(len(holds))]
    values: list[float | None] = [float(number) for number in range(len(holds))]

    def seen(count: int) -> Any:
        return spells(
            times[:count], holds[:count], values[:count], values[:count],
            minutes=minutes, cooldown_minutes=cooldown, rising=True,
        )  # fmt: skip

    whole = seen(len(holds))
    for count in range(1, len(holds) + 1):
        row = holds[max(count - minutes - 1, 0) : count]
        fires = len(row) == minutes + 1 and all(row)
        now = seen(count)
        assert bool(now and now[-1].until is None) == fires
        assert [one.since for one in now] == [one.since for one in whole if one.fired <= 60 * count]
    assert all(later.since - before.until > 60 * cooldown for before, later in pairwise(whole))  # else they are one


@pytest.fixture
def told(hub: ServedHub) -> ServedHub:
    """A hub with an hour and a half of everything that rules are about, whose minutes have gaps."""
    chance = random.Random(7)
    depth = 50.0
    end = time.time() // 60 * 60
    for number in range(MINUTES):
        ago = time.time() - (end - 60 * (MINUTES - number) + 20)
        depth = 50 + (depth - 50) * 0.7 + chance.uniform(-25, 25)
        found = [gauge("queue.depth", depth, ago=ago, queue=queue) for queue in ("a", "b") if chance.random() < 0.9]
        if chance.random() < 0.85:
            found.append(counter("jobs", chance.randrange(120), ago=ago))
        slow, fast = chance.randrange(4), chance.randrange(1, 30)
        told = {"http__route": "/pay", "http__response__status_code": 503 if slow > 2 else 200}
        found.append(histogram("http.server.request.duration", [0.1, 1, 5], [fast, 0, slow, 0], 3.0, ago=ago, **told))
        hub.send("metrics", metrics(resource("shop"), *found))
    return hub


RULES = [
    rule("deep", "avg(queue.depth by queue) > 55", "2m"),
    rule("one", "max(queue.depth, queue == 'a', '1m') > 60 or min(queue.depth) < 30"),
    rule("idle", "rate(jobs) < 1", "1m"),
    rule("slow", "p95(http.server.request.duration) > 1s", "1m"),
    rule("share", "count(http.server.request.duration, status >= 500)/count(http.server.request.duration) > 10%"),
    rule("grown", "change(sum(jobs, '5m'), '10m') > 30%"),
    rule("sample", "name == 'queue.depth' and value > 60", "2m"),
]


@pytest.mark.slow
def test_a_replay_finds_what_was_found_minute_by_minute(told: ServedHub) -> None:
    end = int(time.time() // 60 * 60)
    begin = end - 60 * MINUTES
    whole = judge(told).judge(RULES, begin, end)
    replayed = {
        (one.rule.name, one.subject, minute)
        for one in whole
        for spell in one.spells
        for minute in range(spell.fired - 60, spell.until or end, 60)
    }
    assert {name for name, _, _ in replayed} == {one.name for one in RULES}
    # What a look at each minute sees of what is stored up to then: what came later is taken away, newest first.
    looked = set()
    for until in range(end, begin + 600, -60):
        with told.hub.store.transaction() as cursor:
            cursor.execute("DELETE FROM point_minutes WHERE minute >= ?", [until])
        for one in judge(told).judge(RULES, until - 60, until, 3600):
            if one.spells[-1].until is None:
                looked.add((one.rule.name, one.subject, until - 60))
    assert looked == {one for one in replayed if one[2] >= begin + 600}


def test_a_watcher_tells_of_whole_minutes_that_have_settled(hub: ServedHub) -> None:
    hub.ask("rules/deep", "admin", "PUT", json={"when": "avg(queue.depth, '1m') > 10"})
    end = time.time() // 60 * 60
    hub.send("metrics", metrics(resource("shop"), gauge("queue.depth", 20, ago=time.time() - (end - 20))))
    watcher = RuleWatcher(hub.hub)
    assert list(watcher.look(Range(end - 60, end + SETTLED - 1))) == []
    (found,) = watcher.look(Range(end - 60, end + SETTLED))
    assert (found.since, found.until) == (end - 60, None)
    (found,) = watcher.look(Range(end - 60, end + 60 + SETTLED))  # by a minute later nothing is known of it any more
    assert found.until == end


# Prometheus


REQUESTS = "http.server.request.duration"
# What counts looks back on a minute, within which all is even: where the speed changes within a window, Prometheus
# extrapolates over a sample's length at its begin, and may fire a minute earlier or later.
EXACT = [
    rule("deep", "avg(queue.depth by queue) > 55", "2m", metrics={"queue.depth": {"kind": "gauge"}}),
    rule("total", "sum(queue.depth) > 110", "1m", metrics={"queue.depth": {"kind": "gauge"}}),
    rule("lowest", "not (min(queue.depth, queue in ('a', 'c')) >= 40)", metrics={"queue.depth": {"kind": "gauge"}}),
    rule("busy", "rate(jobs, '1m') > 1.2", "1m", metrics={"jobs": {"kind": "counter"}}),
    rule("slow", "p95(http.server.request.duration, route == '/pay', '1m') > 1s", "1m"),
    rule("mean", f"avg({REQUESTS}, '1m') > 1.5 * 400ms and rate({REQUESTS}, '1m') > 0.1"),
    rule("share", f"count({REQUESTS}, status >= 500, '1m') / count({REQUESTS}, '1m') > 20%"),
    rule("grown", "change(avg(queue.depth), '10m') > 30%", metrics={"queue.depth": {"kind": "gauge"}}),
    rule(
        "unusual", "avg(queue.depth, queue =~ 'a|x.*') > 1.3 * baseline(avg(queue.depth, queue =~ 'a|x.*'), '1h')",
        metrics={"queue.depth": {"kind": "gauge"}},
    ),
    rule("of-shop", "service == 'shop' and (sum(queue.depth) > 100 or rate(jobs, '1m') > 1.5)",
         metrics={"queue.depth": {"kind": "gauge"}, "jobs": {"kind": "counter"}}),
]  # fmt: skip
LONG = 100  # minutes
EACH = 4  # samples a minute, 15 s apart


class Story:
    """The same numbers for both: levels and what is counted, in steps of a minute within which all is even."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.levels: dict[tuple[str, str], list[float]] = {}
        self.counts: dict[tuple[str, str], list[int]] = {}
        for service in ("shop", "other"):
            for queue in ("a", "b"):
                depth, levels = 50.0, []
                for _ in range(LONG):
                    depth = max(depth + chance.choice((-12, -7, 0, 5, 11)), 3)
                    levels.append(depth + 0.25)
                self.levels[service, queue] = levels
            for name in ("jobs", "fast", "slow", "failed"):
                most = {"jobs": 30, "fast": 12, "slow": 3, "failed": 5}[name]
                self.counts[service, name] = [EACH * chance.randrange(most) for _ in range(LONG)]

    def send(self, hub: ServedHub, begin: int) -> None:
        """Tells a hub: four times a minute, each as a difference from the one before."""
        for minute in range(LONG):
            sent: list[dict[str, Any]] = []
            for part in range(EACH):
                ago = time.time() - (begin + 60 * minute + 15 * part + 10)
                for service in ("shop", "other"):
                    found = [gauge("queue.depth", self.levels[service, queue][minute], "", ago=ago, queue=queue)
                             for queue in ("a", "b")]  # fmt: skip
                    fast, slow, failed, jobs = (
                        self.counts[service, name][minute] // EACH for name in ("fast", "slow", "failed", "jobs")
                    )
                    well = {"http__route": "/pay", "http__response__status_code": 200}
                    ill = {"http__route": "/pay", "http__response__status_code": 503}
                    name, bounds = "http.server.request.duration", [0.1, 1, 5]
                    found += [
                        counter("jobs", jobs, ago=ago),
                        histogram(name, bounds, [fast, 0, slow, 0], 0.05 * fast + 3 * slow, ago=ago, **well),
                        histogram(name, bounds, [failed, 0, 0, 0], 0.05 * failed, ago=ago, **ill),
                    ]
                    sent += metrics(resource(service), *found)["resourceMetrics"]
            hub.send("metrics", {"resourceMetrics": sent})

    def series(self) -> list[dict[str, str]]:
        """The same for promtool: running totals, from the first minute on; time 0 is the begin."""
        found = []
        for (service, queue), levels in self.levels.items():
            values = " ".join(f"{level:g}x{EACH - 1}" for level in levels)
            found.append((f'queue_depth{{service_name="{service}",queue="{queue}"}}', f"_ {values}"))
        for service in ("shop", "other"):
            base, of = "http_server_request_duration_seconds", f'service_name="{service}",http_route="/pay"'
            fast, slow, failed, jobs = (
                running(self.counts[service, name]) for name in ("fast", "slow", "failed", "jobs")
            )
            found.append((f'jobs_total{{service_name="{service}"}}', shown(jobs)))
            for code, quick, late in (("200", fast, slow), ("503", failed, [0.0] * len(fast))):
                told = f'{of},http_response_status_code="{code}"'
                both = [one + other for one, other in zip(quick, late, strict=True)]
                for le, counted in (("0.1", quick), ("1", quick), ("5", both), ("+Inf", both)):
                    found.append((f'{base}_bucket{{{told},le="{le}"}}', shown(counted)))
                total = [0.05 * one + 3 * other for one, other in zip(quick, late, strict=True)]
                found += [(f"{base}_count{{{told}}}", shown(both)), (f"{base}_sum{{{told}}}", shown(total))]
        return [{"series": name, "values": values} for name, values in found]


def running(counts: list[int]) -> list[float]:
    """What a counter stands at, every 15 s; it begins with 0."""
    found = [0.0]
    for count in counts:
        found += [found[-1] + count / EACH * (part + 1) for part in range(EACH)]
    return found


def shown(values: list[float]) -> str:
    return " ".join(f"{value:.10g}" for value in values)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_prometheus_fires_in_the_same_minutes_on_the_same_numbers(hub: ServedHub, tmp_path: Path) -> None:
    story = Story(11)
    begin = int(time.time() // 60 * 60) - 60 * LONG - 120
    story.send(hub, begin)
    (tmp_path / "perfagent.toml").write_text("")
    (tmp_path / "rules.yml").write_text(document(EXACT))
    promtool("check", "rules", tmp_path / "rules.yml")
    fired: set[tuple[str, str, str, int]] = set()
    for one in judge(hub).judge(EXACT, begin, begin + 60 * LONG):
        for spell in one.spells:
            for minute in range((spell.fired - begin) // 60, ((spell.until or begin + 60 * LONG) - begin) // 60 + 1):
                fired.add((one.rule.name, one.service, one.labels.get("queue", ""), minute))
    # A rate needs a minute more in Prometheus than the first one has; by then both know the same.
    first = 3
    assert {name for name, _, _, minute in fired if minute >= first} == {one.name for one in EXACT}
    cases = []
    for minute in range(first, LONG + 1):
        for name in (one.name for one in EXACT):
            samples = [
                {"labels": labels(name, service, queue), "value": 1}
                for rule_name, service, queue, when in sorted(fired)
                if rule_name == name and when == minute
            ]
            expression = f'sum by (alertname, service_name, queue) (ALERTS{{alertname="{name}",alertstate="firing"}})'
            cases.append({"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples})
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "15s", "input_series": story.series(), "promql_expr_test": cases}],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests, sort_keys=False))
    promtool("test", "rules", tmp_path / "tests.yml")


def labels(name: str, service: str, queue: str) -> str:
    """The labels of a firing alert, as promtool writes them."""
    more = f', queue="{queue}"' if queue else ""
    return f'{{alertname="{name}", service_name="{service}"{more}}}'


def document(rules: list[Rule]) -> str:
    """The exported file of some rules, all of which Prometheus must have."""
    from perfagent.hub.rules.alerts import Places
    from perfagent.hub.rules.rule import document as written

    problems: list[str] = []
    groups = own.alerts(rules, Places(), problems)
    assert problems == []
    return written(groups)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("avg(orders) > 1", "it is not known what Prometheus calls orders: give its kind and unit"),
        ("max(http.server.request.duration) > 1s", "Prometheus keeps no max of a histogram"),
        ("count(http.server.request.duration, status > 404) > 1", "it has hundreds alone"),
        ("count(http.server.request.duration, route == '/a' or method == 'GET') > 1", "make two rules of it"),
        ("severity == 'critical'", "severity has no counterpart"),
        ("name == 'cart_value' and value > 5", "cart_value is no figure of a threshold"),
        ("name == 'memory_usage_percent' and (value > 5 or value < 1)", "joined by and have a counterpart"),
    ],
)
def test_what_has_no_counterpart_in_prometheus_is_refused_with_the_reason(when: str, said: str) -> None:
    with pytest.raises(BadExpression, match=re.escape(said)):
        own.expression(rule("x", when), "perfagent")


def test_the_export_has_the_rules_of_the_file_and_says_what_it_leaves_out(
    run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "perfagent.toml").write_text(
        "[[rule]]\nname = 'memory'\nwhen = \"name == 'memory_usage_percent' and value > 85 and service == 'shop'\"\n"
        "for = '3m'\nmessage = 'memory of {service}: {value}'\nseverity = 'high'\nrunbook = 'https://wiki/x'\n"
        "[[rule]]\nname = 'carts'\nwhen = 'avg(cart_value) < 20'\n"
        "[rule.metrics.cart_value]\nkind = 'gauge'\nunit = 'EUR'\n"
        "[[rule]]\nname = 'orders'\nwhen = 'avg(orders) < 20'\n"
    )
    words = ("perfagent", "rules", "export", "--project", str(tmp_path), "--directory", str(tmp_path / "rules"))
    program = run_program(*words)
    assert program.wait() == 0, program.stderr
    assert "rule orders is left out: column 1: it is not known what Prometheus calls orders" in program.stderr
    promtool("check", "rules", tmp_path / "rules" / "own_alerts.yml")
    found = yaml.safe_load((tmp_path / "rules" / "own_alerts.yml").read_text())["groups"][0]["rules"]
    assert [(one["alert"], one["for"], one["labels"]["severity"]) for one in found] == [
        ("carts", "0s", "warning"), ("memory", "3m", "high"),
    ]  # fmt: skip
    assert found[0]["expr"] == "avg by (service_name) (avg_over_time(cart_value[120s])) < 20"
    assert "> 0.85" in found[1]["expr"]
    assert found[1]["annotations"]["summary"] == "memory of {{ $labels.service_name }}: {{ $value | humanize }}"


# The command and the interface


def errors(hub: ServedHub) -> None:
    """Ten minutes of a service that fails at 4 % at first, and at 40 % for three minutes."""
    number = 0
    end = time.time() // 60 * 60
    for minute in range(10, 0, -1):
        for count in range(25):
            number += 1
            failed = count < (10 if minute in (6, 5, 4) else 1)
            ago = time.time() - (end - 60 * minute + 20)
            one = span(number, ago=ago, status=500 if failed else 200)
            hub.send("traces", traces(resource("shop"), one))


@pytest.mark.slow
def test_a_threshold_with_other_limits_is_replayed_next_to_the_one_that_is(hub: ServedHub) -> None:
    errors(hub)
    body = {"hours": 1, "thresholds": [{"name": "error_rate_percent", "warning": 50, "critical": 60}]}
    answer = hub.ask("rules/test", "viewer", "POST", json=body)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["data"]["results"]
    assert (result["name"], result["kind"]) == ("error_rate_percent", "threshold")
    assert (result["tried"]["fired"], result["now"]["fired"]) == (0, 1)
    (firing,) = result["now"]["firings"]
    assert (firing["service"], firing["severity"], firing["worst"]) == ("shop", "critical", pytest.approx(40))
    body["thresholds"] = [{"name": "error_rate_percent", "warning": 90}]
    assert hub.ask("rules/test", "viewer", "POST", json=body).status_code == 409
    assert [one["changed"] for one in hub.get("thresholds")["items"] if one["name"] == "error_rate_percent"] == [False]


@pytest.mark.slow
def test_the_command_tells_how_often_when_for_how_long_and_for_whom(
    told: ServedHub, run_program: RunProgram, tmp_path: Path
) -> None:
    token = told.access.token("viewer")
    env = {
        "PERFAGENT_HUB_URL": told.url,
        "PERFAGENT_HUB_TOKEN": token,
        "COLUMNS": "150",
        "PERFAGENT_HUB_DIR": str(tmp_path),
    }
    told.ask("rules/deep", "admin", "PUT", json={"when": "avg(queue.depth) > 50", "cooldown": "0m"})

    def run(*words: str) -> tuple[int, str, str]:
        program = run_program("perfagent", "rules", "test", *words, "--timeout", "60", env=env)
        return program.wait(), program.stdout, program.stderr

    status, out, _ = run("--output", "json")
    (known,) = json.loads(out)["results"]
    assert (status, known["name"], known["now"]) == (0, "deep", None)
    assert known["tried"]["fired"] >= 1
    assert known["tried"]["services"] == {"shop": known["tried"]["fired"]}
    assert sum(one["minutes"] for one in known["tried"]["firings"]) == known["tried"]["minutes"]
    status, out, _ = run("--rule", "deep", "--for", "10m", "--since", "2h", "--output", "json")
    (result,) = json.loads(out)["results"]
    assert result["now"]["fired"] == known["tried"]["fired"]
    assert result["tried"]["minutes"] < result["now"]["minutes"]
    status, out, error = run("avg(queue.depth) > 50", "--max-per-day", "0.5")
    assert status == 1
    assert re.search(r"^tried +\d+ ", out, re.M)
    assert "more than 0.5 a day: tried" in error
    status, _, error = run("avg(queue.depth) >> 50")
    assert (status, "column 19: '>' is not expected here" in error) == (2, True)
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "nobody"\nwhen = "avg(queue.depht) > 1"\n')
    status, out, _ = run("--file", str(tmp_path / "rules.toml"))
    assert status == 0
    assert "nobody: no metric 'queue.depht' was ever told; did you mean queue.depth?" in out
    status, _, error = run("--threshold", "error_rate", "warning=2")
    assert (status, "did you mean error_rate_percent?" in error) == (2, True)
    status, _, error = run("--since", "8d")
    assert (status, "more than 7d" in error) == (2, True)


# The how-to

HOW_TO = "docs/how-to/rules.md"


def test_every_condition_of_the_how_to_is_read_and_every_rule_is_one() -> None:
    conditions = [line for block in blocks(HOW_TO, "text") for line in block.splitlines()]
    assert len(conditions) > 10
    for condition in conditions:
        rule("shown", condition)
    (tables,) = blocks(HOW_TO, "toml")
    problems: list[str] = []
    found = declared([(table, "perfagent.toml") for table in tomllib.loads(tables)["rule"]], problems)
    assert (list(found), problems) == (["slow-payments", "memory", "carts"], [])
    (setting,) = blocks(HOW_TO, "json")
    assert parse_setting(setting)["error_rate_percent"]["services"]["reports"]["warning"] == 8


@pytest.mark.slow
def test_every_command_of_the_how_to_does_what_it_shows(
    told: ServedHub, run_program: RunProgram, tmp_path: Path
) -> None:
    (tables,) = blocks(HOW_TO, "toml")
    (tmp_path / "perfagent.toml").write_text(tables)
    told.ask("rules/slow-payments", "admin", "PUT", json={"when": "p95(http.server.request.duration) > 1s"})
    env = {"PERFAGENT_HUB_URL": told.url, "PERFAGENT_HUB_TOKEN": told.access.token("admin")}
    env["PERFAGENT_HUB_DIR"] = str(tmp_path / "none")
    commands = [line for block in blocks(HOW_TO, "sh") for line in block.splitlines()]
    assert len(commands) > 10
    for line in commands:
        program = run_program("sh", "-c", f"{line} --timeout 60", env=env, cwd=tmp_path)
        assert (program.wait(), program.stdout != "") == (0, True), f"{line}\n{program.stderr}"
    known = {one["name"]: one for one in told.get("thresholds")["items"]}
    assert known["response_time_p95_ms"]["dynamic"]
    assert not known["deprecated_calls_per_minute"]["enabled"]
    assert not known["error_rate_percent"]["changed"]


def test_a_replay_whose_patterns_take_too_long_ends_in_time(hub: ServedHub) -> None:
    points = (gauge("orders", 1.0, where=f"{number:04}") for number in range(300))
    hub.send("metrics", metrics(resource("shop"), *points))
    now = int(time.time()) // 60 * 60
    replay = Replay(hub.hub.store, Limits(hub.hub.store), now - 3600, now, 20.0)
    slow, compared = rule("slow", "avg(orders, where =~ '(.*a){90}') > 1"), [0]

    def pause() -> None:
        compared[0] += 1
        if compared[0] > 100:
            raise TooLong

    replay._judge.measure.pause = pause
    with pytest.raises(TooLong):
        replay.rule(slow)


def test_replays_leave_threads_for_what_else_is_asked(hub: ServedHub) -> None:
    with rules.AT_ONCE, rules.AT_ONCE:
        response = hub.ask("rules/test", "viewer", "POST", json={})
        assert (response.status_code, response.json()["error"]["code"]) == (409, "conflict")
    assert hub.ask("rules/test", "viewer", "POST", json={}).status_code == 200


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ms", "unknown"), (0.0, "", "0"), (3.25, "", "3.25"), (999.4, "", "999.4"), (12_345.0, "", "12,345"),
        (-2_000_000.0, "", "-2,000,000"), (1.5, "s", "1.5 s"), (92.0, "%", "92 %"), (6e7, "B", "60 MB"),
        (4e15, "", "4,000,000,000,000,000"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_people_write_it(value: float | None, unit: str, text: str) -> None:
    assert showing.shown(value, unit) == text
