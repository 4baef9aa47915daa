"""The hub's views over HTTP, against figures that are computed here from the same spans without a database."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.day import Day

from perfagent.hub.store.rows import Batch, Operation, Resource, SpanRow
from tests.hub import ServedHub, counter, gauge, histogram, metrics, resource, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator


MS = 1_000_000  # ns
WIDTH = 2 ** (1 / 8) * 1.001  # of a bucket
HOURS = 3
SPANS = 9000


class Known:
    """A hub with three hours of a shop in it, and the same spans as plain rows."""

    def __init__(self, hub: ServedHub) -> None:
        self.hub = hub
        end = time.time_ns() // (120 * 10**9) * 120 * 10**9  # a whole step: the series then tells exactly the range
        self.day = Day(SPANS, end, HOURS, ends_at=18)  # the same traffic at any hour of the test
        batches = list(self.day.batches())
        hub.hub.store.append(batches)
        self.spans = [row for batch in batches for row in batch.spans]
        self.operations = {key: one for batch in batches for key, one in batch.operations.items()}
        self.end = end // 10**9
        self.begin = self.end - HOURS * 3600
        self.range: dict[str, Any] = {"from_": self.begin, "to": self.end}

    def get(self, path: str, **params: Any) -> Any:
        """The data of an answer for the whole range."""
        return self.hub.get(path, **self.range, **params)

    def of(self, name: str, service: str = "shop") -> list[SpanRow]:
        """The spans of an operation."""
        return [
            row
            for row in self.spans
            if (self.operations[row.operation].name, self.operations[row.operation].service) == (name, service)
            and self.begin <= row.started / 1e9 < self.end
        ]

    def category(self, *categories: str) -> list[SpanRow]:
        """The spans of some categories."""
        return [
            row
            for row in self.spans
            if self.operations[row.operation].category in categories and self.begin <= row.started / 1e9 < self.end
        ]


def true_quantile(rows: list[SpanRow], share: float) -> float:
    """A percentile of durations in ms: the value at its rank."""
    return sorted(row.duration for row in rows)[math.ceil(share * len(rows)) - 1] / MS


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """A hub that nobody changes."""
    with ServedHub(tmp_path_factory.mktemp("day")) as hub:
        yield Known(hub)


def one_of(items: list[dict[str, Any]], **wanted: object) -> dict[str, Any]:
    """The only item with these values."""
    (found,) = [one for one in items if all(one[key] == value for key, value in wanted.items())]
    return found


# Endpoints


def test_endpoints_have_exact_counts_and_percentiles_within_a_bucket(known: Known) -> None:
    items = known.get("endpoints", limit=100)["items"]
    requests = known.category("server")
    assert sum(one["requests"] for one in items) == len(requests)
    assert sum(one["share"] for one in items) == pytest.approx(1)
    assert len(items) == 9
    for item in items:
        rows = known.of(item["name"], item["service"])
        assert item["requests"] == len(rows)
        assert item["errors"] == sum(row.status == 2 for row in rows)
        assert item["requests_per_second"] == pytest.approx(len(rows) / (HOURS * 3600), rel=0.01)
        assert item["mean_ms"] == pytest.approx(sum(row.duration for row in rows) / len(rows) / MS)
        assert item["max_ms"] == pytest.approx(max(row.duration for row in rows) / MS)
        for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
            assert 1 / WIDTH <= item[name] / true_quantile(rows, share) <= WIDTH
        assert sum(item["spark"]) == len(rows)
    totals = [one["total_ms"] for one in items]
    assert totals == sorted(totals, reverse=True)


def test_endpoints_are_sorted_filtered_and_paged(known: Known) -> None:
    names = [one["name"] for one in known.get("endpoints", sort="name")["items"]]
    assert names == sorted(names)
    p95 = [one["p95_ms"] for one in known.get("endpoints", sort="p95")["items"]]
    assert p95 == sorted(p95, reverse=True)
    assert [one["name"] for one in known.get("endpoints", q="CART")["items"]] == ["POST /cart"]
    assert {one["service"] for one in known.get("endpoints", service="payments")["items"]} == {"payments"}
    first = known.get("endpoints", sort="name", limit=4)
    second = known.get("endpoints", sort="name", limit=100, cursor=first["next"])
    assert [one["name"] for one in first["items"] + second["items"]] == names
    assert second["next"] is None


def test_one_endpoint_tells_where_its_time_goes(known: Known) -> None:
    items = known.get("endpoints")["items"]
    checkout = one_of(items, name="POST /checkout")
    found = known.get(f"endpoints/{checkout['operation']}")
    assert found["endpoint"] == checkout
    rows = known.of("POST /checkout")
    heat = found["heatmap"]
    assert sum(map(sum, heat["counts"])) == len(rows)
    assert all(len(column) == len(heat["bounds_ms"]) for column in heat["counts"])
    assert {one["code"]: one["requests"] for one in found["status_codes"]} == Counter(row.status_code for row in rows)
    parts = found["breakdown"]
    assert parts["sampled"] == 100
    assert parts["calls_ms"] > parts["queries_ms"] > 0
    sample_mean = sum(parts[f"{part}_ms"] for part in ("queries", "cache", "calls", "own"))
    assert sample_mean == pytest.approx(checkout["mean_ms"], rel=0.25)
    slowest = [one["duration_ms"] for one in found["slowest"]]
    assert slowest == pytest.approx([row.duration / MS for row in sorted(rows, key=lambda row: -row.duration)[:10]])
    assert all(one["error"] for one in found["errors"])
    (query,) = found["queries"]
    assert (query["calls_per_request"], query["max_in_one_request"]) == (2, 2)
    assert [one["summary"] for one in found["calls"]] == ["POST payments.internal"]


def test_the_series_of_an_endpoint_adds_up(known: Known) -> None:
    search = one_of(known.get("endpoints")["items"], name="GET /search")
    series = known.get(f"endpoints/{search['operation']}")["series"]
    step = series["time"][1] - series["time"][0]
    assert sum(series["rate"]) * step == pytest.approx(search["requests"])
    late = [p95 for time, p95 in zip(series["time"], series["p95_ms"], strict=True) if time >= known.end - 3600]
    early = [p95 for time, p95 in zip(series["time"], series["p95_ms"], strict=True) if time < known.end - 3600]
    assert sum(filter(None, late)) / len(late) > 1.3 * sum(filter(None, early)) / len(early)


def test_what_is_no_endpoint_is_not_found(known: Known) -> None:
    query = known.get("queries")["items"][0]["operation"]
    for operation in (query, "1", str(2**63 - 1)):
        assert known.hub.refusal(f"endpoints/{operation}") == (404, "not_found", "operation")


# Queries


def test_queries_have_exact_sums_callers_and_repetitions(known: Known) -> None:
    items = known.get("queries", limit=100)["items"]
    rows = known.category("db")
    assert sum(one["calls"] for one in items) == len(rows)
    lines = one_of(items, summary="SELECT lines")
    mine = known.of("SELECT lines")
    assert lines["rows"] == sum(row.rows for row in mine)
    assert lines["rows_per_call"] == pytest.approx(lines["rows"] / len(mine))
    assert lines["repeated"] == 8
    assert [one["caller"] for one in lines["callers"]] == ["shop/lines.py:44 load_lines"]
    assert lines["callers"][0]["calls"] == len(mine)
    stock = one_of(items, summary="SELECT stock")
    assert {one["caller"] for one in stock["callers"]} == {row.caller for row in known.of("SELECT stock")}
    by_rows = [one["rows"] for one in known.get("queries", sort="rows")["items"]]
    assert by_rows == sorted(by_rows, reverse=True)
    assert known.get("queries", system="mysql")["items"] == []
    assert {one["summary"] for one in known.get("queries", q="order_id")["items"]} == {"SELECT lines"}


def test_one_query_tells_who_runs_it(known: Known) -> None:
    lines = one_of(known.get("queries")["items"], summary="SELECT lines")
    found = known.get(f"queries/{lines['operation']}")
    (runner,) = found["endpoints"]
    assert (runner["name"], runner["calls_per_request"], runner["calls"]) == ("GET /orders", 8, lines["calls"])
    assert len({one["trace_id"] for one in found["slowest"]}) == 10
    worst: dict[bytes, int] = defaultdict(int)
    for row in known.of("SELECT lines"):
        worst[row.trace_id] = max(worst[row.trace_id], row.duration)
    expected = sorted((one / MS for one in worst.values()), reverse=True)[:10]
    assert [one["duration_ms"] for one in found["slowest"]] == pytest.approx(expected)


# Traces


def test_every_trace_is_listed_once_page_by_page(known: Known) -> None:
    listed, cursor = [], None
    for _ in range(100):
        page = known.get("traces", limit=400, **({"cursor": cursor} if cursor else {}))
        listed += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    expected = {row.trace_id.hex() for row in known.category("server") if row.parent_id is None}
    assert len(listed) == len(expected)
    assert {one["trace_id"] for one in listed} == expected
    begins = [one["started"] for one in listed]
    assert begins == sorted(begins, reverse=True)
    sizes = Counter(row.trace_id.hex() for row in known.spans)
    assert all(one["spans"] == sizes[one["trace_id"]] for one in listed)
    two = next(one for one in listed if one["name"] == "POST /checkout")
    assert (two["service"], two["services"]) == ("shop", ["payments", "shop"])


@pytest.mark.parametrize(
    ("terms", "holds"),
    [
        ({"service": "payments"}, lambda row, one: one.service == "payments"),
        ({"route": "/search"}, lambda row, one: one.name == "GET /search"),
        ({"route": "POST /cart"}, lambda row, one: one.name == "POST /cart"),
        ({"min_ms": 100, "max_ms": 150}, lambda row, one: 100 * MS <= row.duration <= 150 * MS),
        ({"status": "error"}, lambda row, one: row.status == 2),
        ({"code": 500, "service": "shop"}, lambda row, one: row.status_code == 500 and one.service == "shop"),
        ({"attribute": "http.route=/orders"}, lambda row, one: one.name == "GET /orders"),
        ({"attribute": ["http.route=/pay", "http.request.method=POST"]}, lambda row, one: row.name == "POST /pay"),
        ({"q": "FOR UPDATE"}, lambda row, one: one.name in ("POST /cart", "POST /checkout")),
        ({"q": "did not answer"}, lambda row, one: row.status == 2),
    ],
)
def test_traces_are_found_by(known: Known, terms: dict[str, Any], holds: Any) -> None:
    expected = {row.trace_id.hex() for row in known.category("server") if holds(row, known.operations[row.operation])}
    assert expected
    listed = known.get("traces", limit=1000, **terms)
    found = [one["trace_id"] for one in listed["items"]]
    assert len(found) == len(set(found))
    if listed["next"] is None:
        assert set(found) == expected
    else:
        assert set(found) <= expected


def test_traces_are_found_by_an_attribute_of_their_resource(known: Known) -> None:
    first = known.get("traces", attribute="service.instance.id=shop-1", limit=1000)
    resource_id = known.day.shops[0].id
    expected = {row.trace_id.hex() for row in known.category("server") if row.resource == resource_id}
    assert {one["trace_id"] for one in first["items"]} <= expected


def test_the_slowest_traces_come_first_page_by_page(known: Known) -> None:
    first = known.get("traces", sort="slowest", limit=30)
    second = known.get("traces", sort="slowest", limit=30, cursor=first["next"])
    found = [one["duration_ms"] for one in first["items"] + second["items"]]
    roots = sorted((row.duration / MS for row in known.category("server") if row.parent_id is None), reverse=True)
    assert found == pytest.approx(roots[:60])


def test_wrong_terms_are_refused_with_their_field(known: Known) -> None:
    refusal = known.hub.refusal
    assert refusal("traces", min_ms=-1)[2] == "min_ms"
    assert refusal("traces", attribute="no value")[0] == 400
    assert refusal("traces", status="bad")[2] == "status"
    assert refusal("traces", sort="name")[2] == "sort"
    assert refusal("traces/xyz")[0] == 400
    assert refusal(f"traces/{'0' * 32}") == (404, "not_found", "trace_id")


def test_a_trace_is_a_tree_with_its_critical_path_repetitions_and_logs(known: Known) -> None:
    failed = known.get("traces", route="/orders", limit=1)["items"][0]
    found = known.hub.get(f"traces/{failed['trace_id']}")
    assert (found["name"], found["complete"], found["left_out"]) == ("GET /orders", True, 0)
    assert len(found["spans"]) == 10
    assert found["spans"][0]["depth"] == 0
    assert sum(one["critical_ms"] for one in found["spans"]) == pytest.approx(found["spans"][0]["duration_ms"])
    (repeated,) = found["repeated"]
    assert (repeated["times"], repeated["summary"]) == (8, "SELECT lines")
    assert repeated["caller"] == "shop/lines.py:44 load_lines"
    error = known.get("traces", status="error", limit=1)["items"][0]
    with_log = known.hub.get(f"traces/{error['trace_id']}")
    assert [one["severity"] for one in with_log["logs"]] == ["ERROR"]
    assert with_log["spans"][0]["events"][0]["name"] == "exception"


# Overview


def test_the_overview_says_what_is_wrong_and_what_changed(known: Known) -> None:
    found = known.get("overview")
    rows = known.category("server")
    assert found["totals"]["requests"] == len(rows)
    assert found["totals"]["errors"] == sum(row.status == 2 for row in rows)
    assert 1 / WIDTH <= found["totals"]["p95_ms"] / true_quantile(rows, 0.95) <= WIDTH
    assert found["before"]["requests"] is None, "nothing is known of the range before"
    assert found["services"] == ["payments", "shop"]
    assert found["health"]["score"] > 50
    slower = one_of(found["changes"]["hour"], kind="slower", subject="GET /search")
    assert slower["after"] > 1.5 * slower["before"]
    kinds = {one["kind"]: one for one in found["findings"]}
    assert "GET /orders" in kinds["n_plus_one"]["title"]
    assert "shop/lines.py:44" in kinds["n_plus_one"]["evidence"]
    slow = {one["title"]: one["evidence"] for one in found["findings"] if one["kind"] == "slow_endpoint"}
    assert "in queries" in slow["GET /reports/daily is slow"]
    assert "GET /search" in kinds["slower"]["title"]
    assert found["slowest"][0]["name"] == "GET /reports/daily"
    assert found["queries"][0]["summary"] in ("SELECT orders", "SELECT products")
    assert found["saturation"]["threads"] == 4 * 12
    series = found["series"]
    assert all(len(values) == len(series["time"]) for values in series.values())
    assert sum(filter(None, series["memory_bytes"])) / len(series["time"]) == pytest.approx(680e6, rel=0.15)


def test_the_overview_of_one_service_is_of_that_service(known: Known) -> None:
    found = known.get("overview", service="payments")
    assert found["services"] == ["payments"]
    assert found["totals"]["requests"] == len(known.of("POST /pay", "payments"))
    assert {one["service"] for one in found["slowest"]} == {"payments"}


def test_an_empty_hub_answers_every_view(hub: ServedHub) -> None:
    assert hub.get("overview")["health"] == {
        "score": None, "state": "idle", "reasons": ["no requests and no vital signs in this range"]
    }  # fmt: skip
    for path in ("endpoints", "traces", "queries", "caches", "deprecations", "insights", "recommendations",
                 "correlations", "alerts", "sources"):  # fmt: skip
        assert hub.get(path)["items"] == [], path
    assert hub.get("cache/stats")["hit_ratio"] is None
    assert hub.get("dashboard", hours=24)["endpoints"] == []
    assert all(one["direction"] in ("unknown", "stable") for one in hub.get("trends")["items"])
    assert hub.get("reports", type="errors")["rows"] == []
    assert hub.refusal("baseline") == (404, "not_found", "service")


def test_long_ranges_are_answered_from_hours_and_the_open_hour(known: Known) -> None:
    found = known.hub.get("endpoints", hours=24 * 30)["items"]
    assert sum(one["requests"] for one in found) == sum(
        known.operations[row.operation].category == "server" for row in known.spans
    )


# Findings, trends, reports


def test_insights_are_filtered_by_severity_and_become_recommendations(known: Known) -> None:
    everything = known.get("insights")["items"]
    severe = known.get("insights", severity="high")["items"]
    assert severe == [one for one in everything if one["severity"] in ("high", "critical")]
    assert {one["kind"] for one in everything} >= {"n_plus_one", "slow_endpoint", "slow_query", "slower"}
    found = known.get("recommendations")["items"]
    assert {one["title"] for one in found} == {one["title"] for one in everything}
    saved = [round(one["seconds_per_day"]) for one in found]
    assert saved == sorted(saved, reverse=True), "what saves most waiting comes first"
    assert saved[0] > 0
    assert all(one["steps"] and one["effort"] for one in found)
    assert known.hub.get("insights", timeRange="1h", to=known.end)["items"]
    assert known.hub.refusal("insights", severity="bad")[2] == "severity"


def test_trends_have_a_direction_and_points(known: Known) -> None:
    items = {one["metric"]: one for one in known.get("trends")["items"]}
    assert items["response_time_p95_ms"]["points"] >= 60
    assert items["memory_bytes"]["direction"] == "degrading"  # 40 MB more in each process
    assert items["requests_per_second"]["direction"] not in ("improving", "degrading")  # neither side is better
    (one,) = known.get("trends", metric="cpu_cores")["items"]
    assert one["metric"] == "cpu_cores"
    assert known.hub.refusal("trends", metric="nonsense")[2] == "metric"


def test_a_report_is_a_table_in_json_and_csv(known: Known) -> None:
    report = known.get("reports", type="performance")
    assert len(report["rows"]) == 9
    response = known.hub.ask(
        "reports", params={"from": known.begin, "to": known.end, "format": "csv", "type": "queries"}
    )
    assert response.headers["content-type"].startswith("text/csv")
    assert "attachment" in response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert {row["summary"] for row in rows} >= {"SELECT lines", "SELECT stock"}
    errors = known.get("reports", type="errors")
    failed = sum(row.status == 2 for row in known.category("server"))
    column = errors["columns"].index("requests")
    assert sum(row[column] for row in errors["rows"]) == failed


def test_caches_have_their_ratio(known: Known) -> None:
    shop = one_of(known.get("caches")["items"], service="shop")
    assert shop["name"] == "prices"
    assert shop["hit_ratio"] == pytest.approx(0.615, abs=0.01)
    stats = known.get("cache/stats")
    assert stats["hits"] == sum(one["hits"] for one in known.get("caches")["items"])


def test_sources_tell_how_often_they_send(known: Known) -> None:
    items = known.get("sources")["items"]
    assert len(items) == 4
    assert {one["interval_seconds"] for one in items} == {15.0}


@pytest.mark.slow
def test_a_baseline_compares_the_last_hour(serve_hub: Any) -> None:
    hub = serve_hub()
    fresh = hub.ask("baseline", "operator", "POST", json={})
    assert (fresh.status_code, fresh.json()["error"]["field"]) == (409, "duration_minutes")
    assert hub.ask("baseline", "operator", "POST", json={"duration_minutes": 10}).status_code == 400
    day = Day(6000, time.time_ns(), 2)
    hub.hub.store.append(list(day.batches()))
    made = hub.ask("baseline", "operator", "POST", json={"duration_minutes": 120})
    assert made.status_code == 201, made.text
    figures = {one["metric"]: one for one in hub.get("baseline")["figures"]}
    assert figures["response_time_p50_ms"]["verdict"] == "same"
    assert figures["response_time_p95_ms"]["now"] is not None
    assert hub.refusal("baseline", service="another")[0] == 404


def test_the_dashboard_is_the_overview_with_endpoints_and_alerts(known: Known) -> None:
    found = known.get("dashboard")
    assert found["summary"] == known.get("overview")["totals"]
    assert len(found["endpoints"]) == 9
    assert found["health"]["score"] is not None


# Alerts and thresholds


def test_a_violated_threshold_is_an_alert_that_people_act_on(serve_hub: Any) -> None:
    hub = serve_hub()
    who = resource("shop")
    for minute in range(1, 7):
        hub.send(
            "traces",
            traces(who, *(
                span(minute * 100 + one, ago=60 * minute, ms=10, status=500 if one < 5 else 200) for one in range(20)
            )),
        )  # fmt: skip
    (alert,) = hub.alerts(active_only="true")
    assert (alert["rule"], alert["severity"], alert["state"]) == ("error_rate_percent", "critical", "firing")
    assert (alert["worst"], alert["limit"], alert["service"]) == (25.0, 10.0, "shop")
    assert alert["until"] is None
    done = hub.ask("alerts", "operator", "POST", json={"id": alert["id"], "action": "acknowledge", "note": "I look"})
    assert done.json()["data"] == {"id": alert["id"], "state": "acknowledged", "silence": None}
    (again,) = hub.alerts()
    assert (again["state"], again["note"], again["by"]) == ("acknowledged", "I look", "operator")
    hub.ask("alerts", "operator", "POST", json={"id": alert["id"], "action": "dismiss"})
    assert hub.alerts(active_only="true") == []
    assert hub.ask("alerts", "viewer", "POST", json={"id": alert["id"], "action": "dismiss"}).status_code == 403
    assert hub.ask("alerts", "operator", "POST", json={"id": "0" * 16, "action": "dismiss"}).status_code == 404
    quiet = hub.ask("thresholds", "admin", "PUT", json={"items": [{"name": "error_rate_percent", "enabled": False}]})
    assert quiet.status_code == 200
    assert [one["state"] for one in hub.alerts()] == ["resolved"]
    assert one_of(hub.get("thresholds")["items"], name="error_rate_percent")["changed"]
    actions = [one["action"] for one in hub.get("audit", "admin")["items"]]
    assert actions == ["thresholds.set", "alerts.dismiss", "alerts.acknowledge"]


def test_thresholds_are_changed_by_admins_and_in_order(hub: ServedHub) -> None:
    change = {"items": [{"name": "error_rate_percent", "warning": 50}]}
    assert hub.ask("thresholds", "operator", "PUT", json=change).status_code == 403
    refused = hub.ask("thresholds", "admin", "PUT", json=change)
    assert (refused.status_code, "critical=10" in refused.json()["error"]["message"]) == (409, True)
    assert hub.ask("thresholds", "admin", "PUT", json={"items": [{"name": "nonsense"}]}).status_code == 400
    unchanged = hub.get("thresholds")["items"]
    assert not any(one["changed"] for one in unchanged)
    assert one_of(unchanged, name="response_time_p95_ms")["critical"] == 5000


def test_vital_signs_violate_their_thresholds(hub: ServedHub) -> None:
    who = resource("shop")
    for minute in range(1, 6):
        hub.send(
            "metrics",
            metrics(
                who,
                gauge("process.cpu.utilization", 0.6, ago=60 * minute, cpu__mode="user"),
                gauge("process.cpu.utilization", 0.38, ago=60 * minute, cpu__mode="system"),
                histogram("perfagent.eventloop.lag", [0.1, 0.5, 1], [90, 0, 10, 0], 8.0, ago=60 * minute),
                counter("perfagent.cache.hits", 60, ago=60 * minute, cache__name="prices"),
                counter("perfagent.cache.misses", 60, ago=60 * minute, cache__name="prices"),
                gauge("db.client.connection.count", 9, ago=60 * minute, db__client__connection__state="used",
                      db__client__connection__pool__name="main"),
                gauge("db.client.connection.max", 10, ago=60 * minute, db__client__connection__pool__name="main"),
            ),
        )  # fmt: skip
    found = {one["rule"]: (one["severity"], one["worst"]) for one in hub.alerts()}
    assert found == {
        "cpu_usage_percent": ("critical", pytest.approx(98)),
        "event_loop_lag_p99_ms": ("warning", pytest.approx(1000)),
        "cache_hit_rate_percent": ("warning", pytest.approx(50)),
        "database_pool_percent": ("warning", pytest.approx(90)),
    }


def test_a_cache_that_was_asked_at_an_import_alone_is_no_finding(hub: ServedHub) -> None:
    def found() -> list[str]:
        return [one["title"] for one in hub.get("overview")["findings"] if one["kind"] == "cache"]

    for minute in (30, 20, 10):
        asked = counter("perfagent.cache.misses", 200, ago=60 * minute, cache__name="codec.make")
        hub.send("metrics", metrics(resource("shop"), asked))
        if minute > 10:
            assert found() == []
    assert found() == ["codec.make is never hit"]


# Sampling and broken traces


def test_sampled_spans_count_for_those_left_out(hub: ServedHub) -> None:
    operation = Operation(11, "shop", "server", "GET /", "", "")
    who = Resource(1, "shop", "shop-1", "1", "", "{}")
    now = time.time_ns()
    rows = [
        SpanRow(
            bytes([number] * 16), bytes([number] * 8), None, 1, 11, "GET /", 2, now - 30 * 10**9, (number + 1) * MS,
            2 if number < 2 else 0, None, 200, True, -1, None, 10.0, "{}", None, None,
        )
        for number in range(20)
    ]  # fmt: skip
    hub.hub.store.append([Batch(spans=rows, resources={1: who}, operations={11: operation})])
    (one,) = hub.get("endpoints")["items"]
    assert (one["requests"], one["errors"], one["error_ratio"]) == (200, 20, 0.1)
    assert one["mean_ms"] == pytest.approx(10.5)


def big_trace(count: int) -> list[SpanRow]:
    """A request that ran one statement very often."""
    now, trace = time.time_ns() - 60 * 10**9, b"B" * 16
    root = SpanRow(
        trace, b"R" * 8, None, 1, 11, "GET /", 2, now, count * 1000, 0, None, 200, True, -1, None, 1.0, "{}", None, None
    )
    return [root] + [
        SpanRow(
            trace, number.to_bytes(8, "big"), b"R" * 8, 1, 12, "SELECT", 3, now + number * 1000, 900, 0, None, 0, False,
            1, "a.py:1 f", 1.0, '{"db.system.name": "sqlite"}', None, None,
        )
        for number in range(1, count)
    ]  # fmt: skip


@pytest.mark.slow
def test_a_trace_of_a_hundred_thousand_spans_is_shown_in_part_and_counted_in_full(hub: ServedHub) -> None:
    operations = {
        11: Operation(11, "shop", "server", "GET /", "", ""),
        12: Operation(12, "shop", "db", "SELECT t", "sqlite", "SELECT ?"),
    }
    who = {1: Resource(1, "shop", "shop-1", "1", "", "{}")}
    hub.hub.store.append([Batch(spans=big_trace(100_000), resources=who, operations=operations)])
    found = hub.get(f"traces/{(b'B' * 16).hex()}")
    assert (len(found["spans"]), found["left_out"], found["complete"]) == (2000, 98_000, False)
    assert found["repeated"][0]["times"] == 99_999
    (listed,) = hub.get("traces")["items"]
    assert listed["spans"] == 100_000
    assert hub.get("endpoints/11")["breakdown"]["sampled"] == 0  # too large a request to be broken down


def test_broken_traces_are_answered(hub: ServedHub) -> None:
    who, other = resource("shop"), resource("payments")
    hub.send(
        "traces", traces(who, span(1, trace=1, parent=99), span(2, trace=1, parent=2, kind=1, name="own ancestor"))
    )
    hub.send("traces", traces(who, span(3, trace=3, parent=4, kind=1), span(4, trace=3, parent=3, kind=1)))
    hub.send("traces", traces(who, span(5, trace=5, ms=100), span(6, trace=5, parent=5, kind=3, name="POST", ms=80)))
    hub.send("traces", traces(other, span(7, "POST /pay", trace=5, parent=6, ago=65, ms=40)))  # a clock a minute behind
    for trace in (1, 3):
        found = hub.get(f"traces/{trace:032x}")
        assert (len(found["spans"]), found["complete"]) == (2, False)
    skewed = hub.get(f"traces/{5:032x}")
    pay = one_of(skewed["spans"], name="POST /pay")
    assert pay["shifted_ms"] == pytest.approx(60_000, rel=0.01)
    assert skewed["duration_ms"] == pytest.approx(100, rel=0.5)
    assert json.dumps(skewed)


def test_clearing_caches_is_asked_of_those_who_report(hub: ServedHub) -> None:
    assert hub.ask("cache/clear", "operator", "POST", json={}).status_code == 404
    hub.send("traces", traces(resource("shop", "shop-1"), span(1)))
    done = hub.ask("cache/clear", "operator", "POST", json={"cache": "prices"})
    assert done.status_code == 202, done.text
    (asked,) = done.json()["data"]["asked"]
    assert asked["instance"] == "shop-1"
    (command,) = hub.hub.commands.fetch("shop-1")
    assert (command.id, command.command, command.value) == (asked["command"], "clear_cache", "prices")
    assert hub.ask("cache/clear", "operator", "POST", json={"tags": ["a"], "cache": "b"}).status_code == 409
    assert hub.ask("cache/clear", "operator", "POST", json={"tags": ["a", "b"]}).status_code == 202
    (command,) = hub.hub.commands.fetch("shop-1")
    assert (command.command, command.value) == ("invalidate_tags", ["a", "b"])
    assert hub.ask("cache/clear", "viewer", "POST", json={}).status_code == 403


def test_a_range_of_days_has_a_value_in_every_step_with_requests(known: Known) -> None:
    for hours in (49, 100, 24 * 8):
        found = known.hub.get("overview", hours=hours)
        step = found["range"]["step"]
        filled = [time for time, rate in zip(found["series"]["time"], found["series"]["rate"], strict=True) if rate]
        assert filled
        requests = [row for row in known.spans if known.operations[row.operation].category == "server"]
        assert set(filled) == {row.started // 10**9 // step * step for row in requests}
        assert found["totals"]["requests"] == len(requests)
