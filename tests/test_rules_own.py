"""Rules of one's own: declared in a file or set by the interface, judged on what is stored, told as alerts."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.alert.event import Event, Incident
from perfagent.hub.alert.rules import RuleWatcher
from perfagent.hub.api.ranges import Range
from perfagent.hub.conditions.rule import BadRule, read
from perfagent.hub.notify.channel import Channel
from tests.hub import counter, gauge, histogram, metrics, resource

if TYPE_CHECKING:
    from pathlib import Path

    from perfagent.hub.alert.violation import Violation
    from tests.hub import ServedHub, ServeHub

SLOW = {"when": "p95(http.server.request.duration, route == '/pay') > 1s", "for": "2m"}


def minute(ago: int) -> float:
    """How many seconds ago the middle of a minute was, counted from the one that runs."""
    return time.time() - (time.time() // 60 * 60 + 30 - 60 * ago)


def tell(hub: ServedHub, ago: int, *found: dict[str, Any], service: str = "shop") -> None:
    """Sends metrics of a minute."""
    hub.send("metrics", metrics(resource(service), *found))


def look(hub: ServedHub) -> list[Violation]:
    """What the watcher says of the last ten minutes, once the last of these has settled."""
    now = time.time() // 60 * 60 + 30
    return list(RuleWatcher(hub.hub).look(Range(now - 600, now)))


def put(hub: ServedHub, name: str, **fields: Any) -> Any:
    """Makes a rule; returns the answer."""
    return hub.ask(f"rules/{name}", "admin", "PUT", json=fields)


def test_a_rule_fires_once_its_condition_has_held_for_long_enough_and_says_so_in_its_own_words(hub: ServedHub) -> None:
    fields = {
        **SLOW,
        "when": "p95(http.server.request.duration by route, method == 'POST') > 1s",
        "severity": "high",
        "message": "{route} takes {value} in {service} (limit {limit})",
        "advice": "Ask the provider.",
        "runbook": "https://wiki.example/pay",
        "channels": ["ops"],
    }
    assert put(hub, "slow-payments", **fields).status_code == 200
    for ago in range(8, 0, -1):
        for route, slow in (("/pay", ago < 6), ("/fast", False)):
            counts = [0, 0, 20, 0] if slow else [20, 0, 0, 0]
            told = {"http__route": route, "http__request__method": "POST"}
            requests = histogram("http.server.request.duration", [0.1, 1, 2], counts, 5, ago=minute(ago), **told)
            tell(hub, ago, requests)
    (found,) = look(hub)
    assert (found.kind, found.rule, found.service, found.subject) == ("rule", "slow-payments", "shop", "route=/pay")
    assert (found.severity, found.until, found.limit, found.unit) == ("high", None, 1000, "ms")
    assert found.since == time.time() // 60 * 60 - 5 * 60
    assert found.text == "/pay takes 1.95 s in shop (limit 1 s)"
    assert (found.advice, found.details["runbook"], found.details["channels"]) == (
        "Ask the provider.", "https://wiki.example/pay", "ops",
    )  # fmt: skip


def test_a_condition_that_held_for_too_short_or_in_another_service_tells_nobody(hub: ServedHub) -> None:
    put(hub, "deep", when="avg(queue.depth, '1m') > 100", **{"for": "2m"}, services=["shop", "pay*"])
    for ago in range(9, 0, -1):
        tell(hub, ago, gauge("queue.depth", 200 if ago in (7, 6, 3) else 10, ago=minute(ago)))
        tell(hub, ago, gauge("queue.depth", 200, ago=minute(ago)), service="other")
        tell(hub, ago, gauge("queue.depth", 200 if ago > 4 else 10, ago=minute(ago)), service="payments")
    (found,) = look(hub)
    assert (found.service, found.worst) == ("payments", 200)
    assert found.until == time.time() // 60 * 60 - 4 * 60


def test_a_metric_that_a_program_records_by_the_monitor_has_a_limit_by_name_and_value(hub: ServedHub) -> None:
    put(hub, "carts", when="name == 'cart_value' and value < 20 and labels.category == 'business'", **{"for": "1m"})
    put(hub, "memory", when="name == 'memory_usage_percent' and value > 85 and service == 'shop'")
    put(hub, "worst", when="severity == 'critical' and name =~ 'memory.*'")
    for ago in range(6, 0, -1):
        tell(
            hub,
            ago,
            gauge("cart_value", 12.5, "EUR", ago=minute(ago), category="business"),
            gauge("system.memory.utilization", 0.88, ago=minute(ago), state="used"),
        )
        tell(hub, ago, gauge("cart_value", 12.5, "EUR", ago=minute(ago), category="other"))
        tell(hub, ago, gauge("system.memory.utilization", 0.95, ago=minute(ago), state="used"), service="full")
    found = {(one.rule, one.service): one for one in look(hub)}
    assert found.keys() == {("carts", "shop"), ("memory", "shop"), ("worst", "full")}
    assert found["carts", "shop"].worst == 12.5
    assert found["memory", "shop"].value == pytest.approx(88)
    assert "88" in found["memory", "shop"].text


def test_shares_rates_and_the_past_are_computed_over_the_window(hub: ServedHub) -> None:
    share = "count(http.server.request.duration, status >= 500) / count(http.server.request.duration)"
    put(hub, "failing", when=f"{share} > 20% and count(http.server.request.duration) >= 10")
    put(hub, "idle", when="rate(jobs) < 0.5")
    put(hub, "grown", when="change(rate(jobs), '5m') < -50%")
    for ago in range(15, 0, -1):
        for status, calls in ((200, 15), (503, 5 if ago <= 4 else 0)):
            of = {"http__response__status_code": status}
            counts = histogram("http.server.request.duration", [1], [calls, 0], 1, ago=minute(ago), **of)
            tell(hub, ago, counts)
        tell(hub, ago, counter("jobs", 12 if ago <= 3 else 60, ago=minute(ago)))
    found = {one.rule: one for one in look(hub)}
    assert found.keys() == {"failing", "idle", "grown"}
    assert found["failing"].worst == pytest.approx(0.25)
    assert found["idle"].worst == pytest.approx(0.2)
    assert found["grown"].worst == pytest.approx(-0.8)
    assert "25" in found["failing"].text


def test_a_rule_of_a_file_serves_until_one_of_the_interface_takes_its_place(
    serve_hub: ServeHub, tmp_path: Path
) -> None:
    folder = tmp_path / "hub0"
    folder.mkdir()
    table = '[[rule]]\nname = "deep"\nwhen = "avg(queue.depth) > 100"\nfor = "3m"\n'
    off = '[[rule]]\nname = "off"\nwhen = "avg(queue.depth) >> 1"\n'
    (folder / "perfagent.toml").write_text(table + off)
    hub = serve_hub()
    answer = hub.get("rules")
    (deep,) = answer["items"]
    assert (deep["name"], deep["for"], deep["origin"]) == ("deep", "3m", str(folder / "perfagent.toml"))
    (problem,) = answer["problems"]
    assert "rule 2 (off): when: column 19: '>' is not expected here" in problem
    assert hub.refusal("rules/nope") == (404, "not_found", "name")
    refused = hub.ask("rules/deep", "admin", "DELETE")
    assert (refused.status_code, "take it out there" in refused.text) == (409, True)
    assert put(hub, "deep", when="avg(queue.depth) > 5", enabled=False).json()["data"]["origin"] == "api"
    assert not hub.get("rules/deep")["enabled"]
    assert hub.ask("rules/deep", "admin", "DELETE").status_code == 200
    assert hub.get("rules/deep")["when"] == "avg(queue.depth) > 100"
    (folder / "perfagent.toml").write_text(table.replace("100", "1000"))
    assert hub.get("rules/deep")["when"] == "avg(queue.depth) > 1000"


def test_only_admins_change_rules_and_each_change_is_in_the_audit_log(hub: ServedHub) -> None:
    for role in ("viewer", "operator"):
        assert hub.ask("rules/deep", role, "PUT", json={"when": "avg(x) > 1"}).status_code == 403
        assert hub.ask("rules/deep", role, "DELETE").status_code == 403
    assert put(hub, "deep", when="avg(x) > 1").status_code == 200
    hub.ask("rules/deep", "admin", "DELETE")
    made, gone = reversed(hub.get("audit", "admin")["items"])
    assert (made["action"], made["subject"], made["before"], made["after"]["when"]) == (
        "rules.set", "deep", None, "avg(x) > 1",
    )  # fmt: skip
    assert (gone["action"], gone["before"]["when"]) == ("rules.deleted", "avg(x) > 1")


def test_a_condition_that_is_off_is_refused_with_the_place(hub: ServedHub) -> None:
    answer = put(hub, "off", when="p955(x) > 1")
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("not_accepted", "when")
    assert "column 1: 'p955' is no function; did you mean p95?" in error["message"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "a b"}, "name='a b' is not accepted: give letters, digits"),
        ({"name": "cpu_usage_percent"}, "`perfagent thresholds set cpu_usage_percent"),
        ({"when": ""}, "when='' is not accepted: give a condition such as"),
        ({"wen": 1}, "'wen' is no key of a rule; did you mean when?"),
        ({"for": "3x"}, "for='3x' is not accepted: give a time such as 90s, 3m or 1h"),
        ({"for": "3d"}, "at most 24h"),
        ({"severity": "bad"}, "one of low, medium, warning, high, critical"),
        ({"services": "x" * 300}, "services="),
        ({"message": "{nope}"}, "{nope} as one of {value}"),
        ({"runbook": "javascript:alert(1)"}, "begins with https://"),
        ({"enabled": "yes"}, "true or false"),
        ({"metrics": {"x": {"kind": "speed"}}}, "kinds are gauge, updown, counter"),
    ],
)
def test_a_table_that_is_off_names_the_key_and_what_is_accepted(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRule) as error:
        read({"name": "deep", "when": "avg(x) > 1", **fields}, "perfagent.toml: rule 1")
    assert said in str(error.value)
    assert str(error.value).startswith("perfagent.toml: rule 1")


def test_a_rule_says_again_what_it_was_made_of() -> None:
    fields = {
        "name": "deep", "when": "avg(x) > 1", "for": "3m", "severity": "high", "services": ["a"], "message": "{value}",
        "cooldown": "5m", "advice": "go", "runbook": "docs/x.md", "channels": ["ops"], "enabled": False,
        "metrics": {"x": {"kind": "gauge", "unit": "s"}},
    }  # fmt: skip
    assert read(fields).document() == fields
    assert json.dumps(read({"name": "a", "when": "avg(x) > 1", "for": "90s"}).document()["for"]) == '"2m"'


def test_a_rule_that_names_its_channels_tells_these_alone(hub: ServedHub) -> None:
    put(hub, "deep", when="avg(queue.depth) > 100", channels=["ops", "shop-team"])
    put(hub, "deeper", when="avg(queue.depth) > 150")
    for ago in range(6, 0, -1):
        tell(hub, ago, gauge("queue.depth", 200, ago=minute(ago)))
    named, open_to_all = sorted(look(hub), key=lambda one: one.rule)
    channels = [Channel(name, "file", "", {}) for name in ("ops", "shop-team", "others")]

    def who(*violations: Violation) -> list[str]:
        incident = Incident("0" * 16, "warning", "deep", "", ("shop",), 0.0, None, violations, "")
        return [one.name for one in channels if one.wants(Event("fired", 0.0, incident), told=False)]

    assert who(named) == ["ops", "shop-team"]
    assert who(open_to_all) == who(named, open_to_all) == ["ops", "shop-team", "others"]


def test_what_a_rule_finds_is_an_alert_of_the_hub(hub: ServedHub) -> None:
    put(hub, "deep", when="avg(queue.depth) > 100", severity="high", message="{value} wait in {service}")
    for ago in range(6, 0, -1):
        tell(hub, ago, gauge("queue.depth", 200, ago=minute(ago)))
    until = time.monotonic() + 60
    while not (found := [one for one in hub.get("alerts")["items"] if one["rule"] == "deep"]):
        assert time.monotonic() < until, "no alert came of the rule"
        time.sleep(0.2)
    assert (found[0]["severity"], found[0]["text"], found[0]["state"]) == ("high", "200 wait in shop", "firing")
