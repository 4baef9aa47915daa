"""Objectives in the hub: exact counts, budgets, burn rates, alerts as Prometheus', run-time changes, the command."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.alert.objectives import Objectives as Watcher
from perfagent.hub.api.ranges import Range
from perfagent.hub.objectives.counts import WINDOWS, Count
from perfagent.hub.objectives.status import Status
from perfagent.hub.rules.burn import BURNS, FAST, LEAST_BAD, SLOW
from perfagent.hub.rules.objectives import BOUNDS, BadObjective, Objective, setting
from perfagent.runtime.metric import SECONDS
from tests.hub import histogram, metrics, resource, span, traces

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hub import ServedHub, ServeHub

MINUTE, HOUR, DAY = 60, 3600, 86_400
DURATION = "http.server.request.duration"
TABLES = """
[[slo]]
name = "shop-availability"
service = "shop"
objective = 99.0
indicator = "availability"

[[slo]]
name = "items-latency"
service = "shop"
route = "/items"
objective = 90.0
indicator = "latency"
threshold_ms = 250
window_days = 7
"""


def requests(
    good: int, bad: int = 0, *, slow: int = 0, ago: float = 30.0, route: str = "/items", code: str = "503"
) -> list[dict[str, Any]]:
    """Points of the histogram: quick good requests, failed ones, and slow good ones, of so many seconds ago."""
    found = []
    for status, quick, late in (("200", good, slow), (code, bad, 0)):
        if quick + late:
            counts = [0] * (len(BOUNDS) + 1)
            counts[1], counts[8] = quick, late  # up to 10 ms; 500 to 750 ms
            told = {"http__route": route, "http__request__method": "GET", "http__response__status_code": int(status)}
            found.append(histogram(DURATION, list(BOUNDS), counts, quick * 0.007 + late * 0.6, ago=ago, **told))
    return found


def send(hub: ServedHub, *points: list[dict[str, Any]], service: str = "shop") -> None:
    hub.send("metrics", metrics(resource(service), *[one for part in points for one in part]))


@pytest.fixture
def shop(serve_hub: ServeHub, tmp_path: Path) -> ServedHub:
    """A hub in whose folder two objectives are declared."""
    (tmp_path / "hub0").mkdir()
    (tmp_path / "hub0" / "perfagent.toml").write_text(TABLES)
    return serve_hub()


def by_name(hub: ServedHub) -> dict[str, Any]:
    return {one["name"]: one for one in hub.get("objectives")["items"]}


def look(hub: ServedHub) -> list[Any]:
    now = time.time()
    return list(Watcher(hub.hub).look(Range(now - HOUR, now)))


def test_the_bounds_that_the_hub_accepts_are_those_that_the_agent_counts_by() -> None:
    assert BOUNDS == SECONDS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "shop:99.9",
            [{"name": "shop-availability", "service": "shop", "objective": 99.9, "indicator": "availability"}],
        ),
        (
            "My Shop:99<250, api:95<1000ms",
            [
                {
                    "name": "my-shop-latency",
                    "service": "My Shop",
                    "objective": 99.0,
                    "indicator": "latency",
                    "threshold_ms": 250.0,
                },
                {
                    "name": "api-latency",
                    "service": "api",
                    "objective": 95.0,
                    "indicator": "latency",
                    "threshold_ms": 1000.0,
                },
            ],
        ),
        ('{"name": "a"}', [{"name": "a"}]),
        ('[{"name": "a"}, {"name": "b"}]', [{"name": "a"}, {"name": "b"}]),
    ],
)
def test_the_quick_start_stands_for_tables(text: str, found: list[dict[str, Any]]) -> None:
    assert setting(text) == found


@pytest.mark.parametrize("text", ["shop", "shop=99.9", "[1]", "{", "shop:99.9<fast"])
def test_a_quick_start_that_is_off_says_what_is_accepted(text: str) -> None:
    with pytest.raises(BadObjective, match=r"give shop:99\.9 or shop:99<250"):
        setting(text)


def test_counts_are_exact_and_the_budget_is_what_they_leave(shop: ServedHub) -> None:
    send(shop, requests(980, 4, slow=16), requests(500, 0, ago=2 * HOUR), requests(490, 6, ago=40 * HOUR))
    send(shop, requests(1000, 30, route="/other", code="500"))
    send(shop, requests(7, 7), service="another")
    found = by_name(shop)["shop-availability"]
    assert (found["requests"], found["bad"]) == (3026, 40)
    assert found["basis"] == "histogram"
    assert found["budget_requests"] == pytest.approx(30.26)
    assert found["budget_remaining_percent"] == pytest.approx((1 - 40 / 30.26) * 100)
    assert found["budget_minutes"] == pytest.approx(432)
    assert (found["state"], found["forecast"]["at"]) == ("spent", None)
    assert found["burn_rates"]["5m"] == pytest.approx(34 / 2030 / 0.01)
    assert found["burn_rates"]["1h"] == found["burn_rates"]["5m"]
    assert found["burn_rates"]["6h"] == pytest.approx(34 / 2530 / 0.01)
    assert found["burn_rates"]["3d"] == pytest.approx(40 / 3026 / 0.01)
    assert sum(day["bad"] for day in found["days"]) == 40
    latency = by_name(shop)["items-latency"]
    assert (latency["requests"], latency["bad"]) == (1996, 16)
    assert latency["budget_remaining_percent"] == pytest.approx((1 - 16 / 199.6) * 100)
    assert latency["state"] == "ok"


def test_the_page_of_an_objective_tells_what_spent_the_budget_and_when(shop: ServedHub) -> None:
    send(shop, requests(900, 2), requests(100, 18, route="/orders", code="500", ago=30 * HOUR))
    send(shop, requests(0, 5, route="/orders", code="504"))
    found = shop.get("objectives/shop-availability")
    (worst, other) = found["endpoints"]
    assert (worst["method"], worst["route"], worst["requests"], worst["bad"]) == ("GET", "/orders", 123, 23)
    assert worst["codes"] == [{"code": "500", "bad": 18}, {"code": "504", "bad": 5}]
    assert worst["spent_percent"] == pytest.approx(23 / 10.25 * 100)
    assert (other["route"], other["bad"]) == ("/items", 2)
    assert sum(event["bad"] for event in found["events"]) == 18  # 7 of 907 are within what is allowed
    left = [share for _, share in found["left"]]
    assert left[0] == pytest.approx((1 - 18 / 10.25) * 100)
    assert left[-1] == pytest.approx(found["budget_remaining_percent"])
    assert [line["limit"] for line in found["lines"]] == pytest.approx([14.4, 6, 3, 1])


def test_a_service_without_the_histogram_is_counted_by_its_spans(shop: ServedHub) -> None:
    found = [span(n + 1, "GET /items", ms=400 if n < 3 else 20, status=500 if n < 2 else 200) for n in range(40)]
    shop.send("traces", traces(resource("shop"), *found))
    items = by_name(shop)
    assert {one["basis"] for one in items.values()} == {"spans"}
    assert (items["shop-availability"]["requests"], items["shop-availability"]["bad"]) == (40, 2)
    assert items["items-latency"]["bad"] == 3
    (worst,) = shop.get("objectives/shop-availability")["endpoints"]
    assert (worst["method"], worst["route"], worst["bad"]) == ("GET", "/items", 2)


def test_the_failures_of_an_objective_are_those_of_its_route(serve_hub: ServeHub, tmp_path: Path) -> None:
    (tmp_path / "hub0").mkdir()
    table = (
        '[[slo]]\nname = "items"\nservice = "shop"\nroute = "/items"\nobjective = 99.0\nindicator = "availability"\n'
    )
    (tmp_path / "hub0" / "perfagent.toml").write_text(table)
    hub = serve_hub()
    failed = [
        span(number, f"GET {route}", ago=30, ms=5, status=500)
        for number, route in ((1, "/items"), (2, "/old/items"), (3, "/old/items"))
    ]
    hub.send("traces", traces(resource("shop"), *failed))
    found = hub.get("objectives/items")
    assert [(one["endpoint"], one["requests"]) for one in found["causes"]] == [("GET /items", 1)]


def test_the_link_of_a_service_with_an_odd_name_leads_to_it(serve_hub: ServeHub, tmp_path: Path) -> None:
    (tmp_path / "hub0").mkdir()
    table = '[[slo]]\nname = "odd"\nservice = "shop & co"\nobjective = 99.0\nindicator = "availability"\n'
    (tmp_path / "hub0" / "perfagent.toml").write_text(table)
    hub = serve_hub()
    send(hub, requests(90, 10), service="shop & co")
    (worst,) = hub.get("objectives/odd")["endpoints"]
    assert worst["link"] == "#/endpoints?service=shop%20%26%20co&sort=errors"


def test_without_requests_an_objective_is_idle_and_says_nothing(shop: ServedHub) -> None:
    found = by_name(shop)["shop-availability"]
    assert (found["state"], found["budget_remaining_percent"], found["burn_rates"]["5m"]) == ("idle", None, None)
    assert found["forecast"] == {"at": None, "basis": "there were no requests"}
    assert look(shop) == []


def stands(objective: Objective, **windows: Count) -> Status:
    """An objective whose other windows have no requests."""
    return Status(objective, "histogram", 1e9, {name: windows.get(f"w{name}", Count(0, 0)) for name in WINDOWS}, {})


@pytest.mark.parametrize("line", BURNS, ids=lambda line: f"{line.long}-{line.short}")
def test_each_line_of_the_table_fires_beyond_its_limit_in_both_windows_alone(line: Any) -> None:
    one = Objective("a", "shop", 99.0, "availability")
    limit = line.factor(one) * one.budget
    over, under = Count(limit * 1.01 * 1e5, 1e5), Count(limit * 0.99 * 1e5, 1e5)

    def fires(long: Count, short: Count) -> bool:
        status = stands(one, **{f"w{line.long}": long, f"w{line.short}": short})
        return line in [firing.burn for firing in status.firing()]

    assert fires(over, over)
    assert not fires(over, under)
    assert not fires(under, over)
    assert not fires(Count(LEAST_BAD - 1, LEAST_BAD - 1), over)
    assert fires(Count(LEAST_BAD, LEAST_BAD), over)


def test_a_budget_that_burns_fast_is_one_critical_violation_with_what_burns_it(shop: ServedHub) -> None:
    send(shop, requests(200, 1), requests(0, 60, route="/orders"))
    failed = [span(n + 1, "POST /orders", status=503) for n in range(3)]
    shop.send("traces", traces(resource("shop"), *failed))
    found = {one.rule: one for one in look(shop)}
    assert set(found) == {FAST, SLOW}  # 23 % of all: within an hour also more than a day's and three days' share
    fast = found[FAST]
    assert (fast.kind, fast.service, fast.subject, fast.severity) == ("slo", "shop", "shop-availability", "critical")
    assert fast.value == pytest.approx(61 / 261 * 100)
    assert fast.limit == pytest.approx(14.4)
    assert fast.details["window"] == "1h"
    assert "it is GET /orders (98 %), GET /items (2 %)" in fast.text
    assert "most of them: HTTP 503" in fast.text
    assert len(fast.traces) == 1
    assert time.time() - 10 * MINUTE < fast.since <= time.time()
    assert by_name(shop)["shop-availability"]["state"] == "spent"


def test_a_few_failures_of_a_quiet_service_page_nobody(shop: ServedHub) -> None:
    send(shop, requests(1, LEAST_BAD - 1))
    assert by_name(shop)["shop-availability"]["burn_rates"]["1h"] > 50
    assert look(shop) == []
    send(shop, requests(0, 1))
    shop.hub.objectives._kept.clear()
    assert {one.rule for one in look(shop)} == {FAST, SLOW}


def test_what_burnt_an_hour_ago_and_burns_no_more_pages_nobody(shop: ServedHub) -> None:
    send(shop, requests(0, 500, ago=45 * MINUTE), requests(2000, 0))
    assert [one.details["window"] for one in look(shop) if one.rule == FAST] == []


def test_the_forecast_is_linear_in_the_last_day_and_says_so() -> None:
    one, now = Objective("a", "shop", 99.0, "availability"), 1e9
    hours = {int(now // HOUR * HOUR) - hour * HOUR: Count(0.0 if hour else 20.0, 100.0) for hour in range(40)}
    burning = Status(one, "histogram", now, {"1d": Count(20, 800)}, hours)
    assert burning.remaining == pytest.approx(0.5)
    at, basis = burning.forecast()
    assert at == pytest.approx(now + 0.5 * 30 / 2.5 * DAY)
    assert basis.startswith("burnt 2.5 times as fast as allowed in the last 24 hours")
    assert Status(one, "histogram", now, {"1d": Count(4, 800)}, hours).forecast().at is None


def test_a_declaration_that_is_off_is_told_and_the_others_serve(serve_hub: ServeHub, tmp_path: Path) -> None:
    (tmp_path / "hub0").mkdir()
    file = tmp_path / "hub0" / "perfagent.toml"
    file.write_text(TABLES.replace("threshold_ms = 250", "threshold_ms = 300"))
    hub = serve_hub(PERFAGENT_SLO="shop:99.9, api:99.5, pay:101")
    found = hub.get("objectives")
    assert {one["name"]: one["origin"] for one in found["items"]} == {
        "shop-availability": str(file),
        "api-availability": "PERFAGENT_SLO",
    }
    problems = "\n".join(found["problems"])
    assert f"{file}: slo 2 (items-latency): threshold_ms=300 is not accepted" in problems
    assert "PERFAGENT_SLO: slo 1 (shop-availability): name='shop-availability' is not accepted" in problems
    assert "PERFAGENT_SLO: slo 3 (pay-availability): objective=101.0 is not accepted" in problems
    file.write_text(TABLES)
    assert set(by_name(hub)) == {"shop-availability", "items-latency", "api-availability"}


def test_run_time_changes_win_are_kept_and_audited_and_can_be_taken_back(shop: ServedHub) -> None:
    body = {"service": "shop", "indicator": "availability", "objective": 95, "window_days": 7}
    assert shop.ask("objectives/shop-availability", "operator", "PUT", json=body).status_code == 403
    changed = shop.ask("objectives/shop-availability", "admin", "PUT", json=body)
    assert changed.status_code == 200, changed.text
    assert changed.json()["data"]["origin"] == "run time"
    assert by_name(shop)["shop-availability"]["objective"] == 95
    assert shop.hub.store.document("objectives") == {
        "shop-availability": {"name": "shop-availability", **body, "objective": 95.0}
    }
    gone = shop.ask("objectives/shop-availability", "admin", "DELETE").json()["data"]
    assert gone == {"name": "shop-availability", "serves": True}
    assert by_name(shop)["shop-availability"]["objective"] == 99
    refused = shop.ask("objectives/shop-availability", "admin", "DELETE")
    assert refused.status_code == 409
    assert "perfagent.toml: take it out there" in refused.json()["error"]["message"]
    assert shop.refusal("objectives/nobody") == (404, "not_found", "name")
    actions = [(one["action"], one["subject"]) for one in shop.get("audit", "admin")["items"]]
    assert actions == [("objectives.deleted", "shop-availability"), ("objectives.set", "shop-availability")]
    off = shop.ask("objectives/new", "admin", "PUT", json={**body, "indicator": "latency", "threshold_ms": 300})
    assert off.status_code == 400


def test_the_command_lists_shows_and_exits_with_1_where_a_budget_is_spent(
    shop: ServedHub, run_program: RunProgram
) -> None:
    env = {"PERFAGENT_HUB_URL": shop.url, "PERFAGENT_HUB_TOKEN": shop.access.token("viewer"), "COLUMNS": "160"}
    send(shop, requests(1000, 4))
    program = run_program("perfagent", "slo", env=env)
    assert program.wait() == 0, program.stderr
    assert "shop-availability  ok" in program.stdout
    send(shop, requests(0, 30, route="/orders"))
    shop.hub.objectives._kept.clear()
    program = run_program("perfagent", "slo", "list", "--output", "json", env=env)
    assert program.wait() == 1
    told = json.loads(program.stdout)
    assert told["spent"] is True
    assert told["objectives"][0]["name"] == "shop-availability"
    program = run_program("perfagent", "slo", "show", "shop-availability", env=env)
    assert program.wait() == 1
    assert "GET /orders" in program.stdout
    assert "SloBurnsSlowly: burns" in program.stdout
    program = run_program("perfagent", "slo", "show", "nobody", env=env)
    assert program.wait() == 2
    assert "no objective nobody; there are: items-latency, shop-availability" in program.stderr
