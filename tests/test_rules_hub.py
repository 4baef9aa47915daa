"""The hub evaluates the thresholds that Prometheus' rules are made of, from the same metrics."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.analyse.thresholds import DEFAULTS
from perfagent.hub.optimise.rule import BUILT_IN
from perfagent.hub.rules.figures import FIGURES, HEALTH_ROUTES, TELEMETRY
from tests.hub import SECOND, counter, gauge, histogram, metrics, resource, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hub import ServedHub

MINUTES = range(1, 6)


def minutes() -> Iterator[float]:
    """How many seconds ago the middle of each of the last minutes was: no two in one, if a minute ends meanwhile."""
    middle = time.time() // 60 * 60 + 30
    for minute in MINUTES:
        yield time.time() - (middle - 60 * minute)


def found(hub: ServedHub, **params: Any) -> dict[str, tuple[str, float]]:
    """The alerts: severity and worst value by threshold."""
    return {one["rule"]: (one["severity"], one["worst"]) for one in hub.alerts(**params)}


def total(name: str, value: float, ago: float, /, **attributes: str) -> dict[str, Any]:
    """A counter that has counted so much since its process began an hour ago."""
    made = counter(name, value, ago=ago, **attributes)
    made["sum"]["aggregationTemporality"] = 2
    for point in made["sum"]["dataPoints"]:
        point["startTimeUnixNano"] = str(int(point["timeUnixNano"]) - 3600 * SECOND)
    return made


def test_pauses_lags_pages_and_lost_telemetry_violate_their_thresholds(hub: ServedHub) -> None:
    for ago in minutes():
        hub.send(
            "metrics",
            metrics(
                resource("shop"),
                histogram("perfagent.gc.pause", [0.1, 1], [10, 5, 0], 3.6, ago=ago),  # 6 % of a minute
                gauge("replication_lag_seconds", 61, ago=ago),
                counter("perfagent.telemetry.dropped", 1, ago=ago, signal="span", reason="queue_full"),
                counter("perfagent.telemetry.exported", 99, ago=ago, signal="span"),
                histogram("browser.web_vital.lcp", [6000, 10_000, 30_000], [2, 0, 8, 0], 160_000, "ms", ago=ago),
            ),
        )
    assert found(hub) == {
        "gc_pause_percent": ("warning", pytest.approx(6)),
        "replication_lag_ms": ("critical", 61_000),
        "telemetry_dropped_percent": ("warning", pytest.approx(1)),
        "page_load_ms": ("warning", 30_000),
    }


def test_a_machine_is_as_busy_as_its_processors_are_whatever_its_collector_calls_their_states(hub: ServedHub) -> None:
    for minute in MINUTES:
        ago = 60.0 * minute
        processors = [
            gauge("system.cpu.utilization", value, ago=ago, cpu=cpu, state=state)
            for cpu in ("cpu0", "cpu1")
            for state, value in (("user", 0.06), ("system", 0.04), ("wait", 0.1), ("idle", 0.8))
        ]
        memory = [
            gauge("system.memory.utilization", value, ago=ago, state=state)
            for state, value in (("used", 0.1), ("cached", 0.88), ("free", 0.02))
        ]
        hub.send("metrics", metrics(resource("host"), *processors, *memory))
        full = [
            gauge("system.cpu.utilization", value, ago=ago, state=state)
            for state, value in (("user", 1.8), ("idle", 0.2))
        ]
        hub.send(
            "metrics", metrics(resource("full"), *full, gauge("system.memory.utilization", 0.85, ago=ago, state="used"))
        )
    assert found(hub, service="host") == {}
    assert found(hub, service="full") == {
        "cpu_usage_percent": ("warning", pytest.approx(90)),
        "memory_usage_percent": ("warning", pytest.approx(85)),
    }


def test_budgets_and_deprecations_are_told_as_soon_as_they_are_seen(hub: ServedHub) -> None:
    for ago in minutes():
        hub.send(
            "metrics",
            metrics(
                resource("shop"),
                gauge("service_error_budget_remaining", 200, ago=ago, service="api"),
                gauge("service_error_budget_remaining", 500, ago=ago, service="worker"),
                total("service_errors_total", 800, ago, service="api"),
                counter("deprecated_function_calls_total", 2, ago=ago, function="old_price"),
            ),
        )
    assert found(hub) == {
        "error_budget_remaining_percent": ("warning", pytest.approx(20)),
        "deprecated_calls_per_minute": ("low", 2),
    }


@pytest.mark.slow
def test_deprecated_calls_that_grow_are_told_where_there_was_an_hour_before(hub: ServedHub) -> None:
    # The hour before the last: one a minute; the last one: two a minute. Of a newcomer nothing is known before.
    for minute in range(1, 135, 3):
        calls = 3.0 if minute > 60 else 6.0
        hub.send(
            "metrics",
            metrics(
                resource("shop"), counter("deprecated_function_calls_total", calls, ago=60.0 * minute, function="old")
            ),
        )
        if minute < 90:
            newcomer = counter("deprecated_function_calls_total", calls, ago=60.0 * minute, function="old")
            hub.send("metrics", metrics(resource("new"), newcomer))
    (growth,) = (one for one in hub.alerts(hours=1) if one["rule"] == "deprecated_calls_growth_percent")
    assert growth["service"] == "shop"
    assert growth["value"] == pytest.approx(100, abs=10)


def test_a_breaker_is_open_until_it_was_tried_and_not_for_ever(hub: ServedHub) -> None:
    name = "circuit_breaker_state_transitions_total"
    for minute in reversed(MINUTES):
        ago = 60.0 * minute
        hub.send(
            "metrics",
            metrics(
                resource("shop"),
                total(name, 0 if minute > 3 else 1, ago, name="payments", state="open"),
                total(name, 1, ago, name="tried", state="open"),
                total(name, 1, ago, name="tried", state="half_open"),
                total(name, 1, ago, name="tried", state="closed"),
            ),
        )
    (alert,) = hub.alerts()
    assert (alert["rule"], alert["worst"], alert["until"]) == ("open_breakers", 1, None)
    states = (total(name, 1, 0.5, name="payments", state=state) for state in ("open", "half_open", "closed"))
    hub.send("metrics", metrics(resource("shop"), *states))
    # What opened before the hub knew of it is no news.
    hub.send("metrics", metrics(resource("old"), total(name, 3, 60, name="x", state="open")))
    (alert,) = hub.alerts()
    assert (alert["service"], alert["state"], alert["value"]) == ("shop", "resolved", 1)


@pytest.mark.slow
def test_processes_that_end_young_are_restarts_and_a_release_is_none(hub: ServedHub) -> None:
    for number in range(6):
        who = resource("shop", f"crash-{number}")
        hub.send("metrics", metrics(who, gauge("process.uptime", 20.0, "s", ago=240.0 + 60 * number)))
    for number in range(8):
        old, new = resource("payments", f"old-{number}"), resource("payments", f"new-{number}")
        hub.send("metrics", metrics(old, gauge("process.uptime", 90_000.0, "s", ago=400)))
        for minute in range(6):
            hub.send("metrics", metrics(new, gauge("process.uptime", 360 - 60.0 * minute, "s", ago=60.0 * minute)))
    (alert,) = hub.alerts()
    assert (alert["rule"], alert["service"], alert["severity"]) == ("restarts", "shop", "critical")
    assert alert["worst"] == 6


def test_a_health_route_that_fails_three_minutes_in_a_row_is_critical(hub: ServedHub) -> None:
    number = 0
    for minute in MINUTES:
        for service, route, status in (
            ("shop", "/health/ready", 503),
            ("payments", "/healthz", 503 if minute == 2 else 200),
            ("kitchen", "/healthy-food", 503),
        ):
            number += 1
            one = span(number, f"GET {route}", ago=60.0 * minute, status=status)
            hub.send("traces", traces(resource(service), one))
    health = [one for one in hub.alerts() if one["rule"] == "health_check"]
    assert [(one["service"], one["severity"]) for one in health] == [("shop", "critical")]


def test_what_prometheus_alone_evaluates_is_about_silence_and_collectors() -> None:
    alone = {one.name for one in DEFAULTS.values() if one.measure.endswith("in Prometheus alone")}
    telemetry = {figure.threshold for figure in FIGURES if figure.file == TELEMETRY}
    assert alone == telemetry - {"telemetry_dropped_percent"}
    assert HEALTH_ROUTES == "/(health|healthz|healthcheck|livez|readyz)(/.*)?"  # as alerts/health.sql has them


def test_what_several_admins_change_at_once_is_all_kept(hub: ServedHub) -> None:
    service = [f"shop-{number}" for number in range(8)]

    def change(number: int) -> set[int]:
        body = {"items": [{"name": "error_rate_percent", "service": service[number], "warning": 1.0}]}
        rule = {"when": "avg(orders) > 1"}
        optimise = {"items": [{"name": list(BUILT_IN)[number % len(BUILT_IN)], "priority": 40 + number}]}
        objective = {"name": f"slo-{number}", "service": "shop", "indicator": "availability", "objective": 99.0}
        hub.hub.objectives.declarations.put(objective)
        return {
            hub.ask("thresholds", "admin", "PUT", json=body).status_code,
            hub.ask(f"rules/own-{number}", "admin", "PUT", json=rule).status_code,
            hub.ask("optimisations", "admin", "PUT", json=optimise).status_code,
        }

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(change, range(8))) == {200}
    known = {one["name"]: one for one in hub.get("thresholds")["items"]}
    assert sorted(one["service"] for one in known["error_rate_percent"]["services"]) == service
    assert [one["name"] for one in hub.get("rules")["items"]] == [f"own-{number}" for number in range(8)]
    assert len(hub.hub.objectives.declarations.all()) == 8
    assert all(one["priority"] in range(40, 48) for one in hub.get("optimisations")["items"])
