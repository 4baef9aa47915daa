"""A hub on a real Prometheus that has a past: counts are exact over restarts and gaps, and a fault leaves a page."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfagent.hub.remote import promql
from perfagent.hub.remote.address import address
from perfagent.hub.remote.client import Client
from perfagent.hub.remote.liveness import Liveness
from perfagent.hub.remote.prometheus import Prometheus, Stretch
from tests.remotes import HOUR, MINUTE, Faulty, Past, prometheus, reading
from tests.stack import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.remotes import ReadingHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

A_MINUTE = 20  # requests of the shop's past
RARELY = {"PERFAGENT_ALERT_INTERVAL": "3600"}
"""No look at alerts, for a test that counts what viewers cost."""


class Began:
    """A Prometheus with a day of the shop in it, behind a proxy that may behave badly."""

    def __init__(self, past: Past, url: str, proxy: Faulty) -> None:
        self.past, self.url, self.proxy = past, url, proxy

    @property
    def settings(self) -> dict[str, str]:
        return {"PERFAGENT_PROMETHEUS_URL": self.proxy.url, "PERFAGENT_REMOTE_TIMEOUT": "2"}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Past, str]]:
    past = Past(26)
    past.shop(restarts=[past.end // 900 * 900 - 3 * HOUR + 130])
    with prometheus(tmp_path_factory.mktemp("prometheus"), past.series) as running:
        yield past, running.addresses["url"]


@pytest.fixture
def began(day: tuple[Past, str]) -> Iterator[Began]:
    with Faulty(day[1]) as proxy:
        yield Began(*day, proxy)


def whole(hub: ReadingHub, path: str = "overview", seconds: float = 20, **params: Any) -> Any:
    """The data of an answer that says that nothing of it is missing."""

    def asked() -> Any:
        response = hub.ask(path, params={key.rstrip("_"): value for key, value in params.items()})
        assert response.status_code == 200, response.text
        return None if "Perfagent-Notes" in response.headers else response.json()["data"]

    return eventually(asked, seconds, lambda: str(hub.remote.problems()))


def test_a_day_of_requests_is_told_to_the_last_one(began: Began, tmp_path: Path) -> None:
    end = began.past.end // 900 * 900
    with reading(tmp_path, **began.settings) as hub:
        day = whole(hub, from_=str(end - 24 * HOUR), to=str(end))
        lost = 5 * A_MINUTE  # at most: what came in the five minutes of the gateway's restart before that
        assert 24 * 60 * A_MINUTE - lost <= day["totals"]["requests"] <= 24 * 60 * A_MINUTE
        rates = day["series"]["rate"][:80]  # before the restart
        assert rates == pytest.approx([A_MINUTE / MINUTE] * 80)
        assert 10 <= day["totals"]["p50_ms"] <= 20
        assert 100 <= day["totals"]["p95_ms"] <= 200 * 1.09
        endpoint = whole(hub, "endpoints", from_=str(end - 24 * HOUR), to=str(end))["items"][0]
        assert (endpoint["name"], endpoint["mean_ms"]) == ("GET /items", pytest.approx(40))
        query = whole(hub, "queries", from_=str(end - HOUR), to=str(end))["items"][0]
        assert (query["summary"], query["calls"]) == ("SELECT items", 2 * 60 * A_MINUTE)


def test_a_narrow_range_is_read_again_by_the_minute(began: Began, tmp_path: Path) -> None:
    end = began.past.end // 900 * 900 - 10 * HOUR
    with reading(tmp_path, **began.settings) as hub:
        whole(hub, from_=str(end - 12 * HOUR), to=str(end + 10 * HOUR))  # in steps of a quarter of an hour
        hour = whole(hub, from_=str(end - HOUR), to=str(end))
        assert hour["range"]["step"] == MINUTE
        assert [round(rate * MINUTE) for rate in hour["series"]["rate"]] == [A_MINUTE] * 60


def test_a_range_counts_the_same_whatever_was_looked_at_before(began: Began, tmp_path: Path) -> None:
    end = began.past.end // 900 * 900 - 2 * HOUR
    with reading(tmp_path, **began.settings) as hub:
        for low, high in ((20, 0), (11.3, 10.1), (15.7, 3.35), (14, 8), (20, 0)):
            begin, until = round(end - low * HOUR) // 60 * 60, round(end - high * HOUR) // 60 * 60
            found = whole(hub, from_=str(begin), to=str(until))["totals"]["requests"]
            restart = 5 * A_MINUTE * (begin < began.past.end - 3 * HOUR < until)
            assert (until - begin) // 60 * A_MINUTE - restart <= found <= (until - begin) // 60 * A_MINUTE, (low, high)


def test_vital_signs_caches_and_metrics_are_those_of_the_process(began: Began, tmp_path: Path) -> None:
    end = began.past.end // 60 * 60 - 60
    with reading(tmp_path, **began.settings) as hub:
        process = whole(hub, "processes", from_=str(end - HOUR), to=str(end))["items"][0]
        assert (process["service"], process["instance"], process["pid"]) == ("shop", "shop-1", 4711)
        assert process["cpu_ratio"] == pytest.approx(6 / 30)
        assert process["memory_bytes"] == 5e7
        assert process["started"] == pytest.approx(began.past.begin, abs=60)
        assert 10 <= process["lag_p99_ms"] <= 100
        cache = whole(hub, "caches", hours=1)["items"][0]
        assert (cache["name"], cache["hit_ratio"]) == ("prices", 0.75)
        names = {one["name"]: one for one in whole(hub, "metrics", hours=1)["items"]}
        assert names["process.memory.usage"]["kind"] == "updown"
        assert names["http.server.active_requests"]["services"] == ["shop"]  # nobody has looked at it so far
        found = whole(hub, "metrics/query", hours=1, name="http.server.active_requests")
        assert found["unit"] == "{request}"
        assert set(found["series"][0]["values"]) - {None} == {2.0}
        assert hub.ask("metrics/query", params={"name": "no.such"}).status_code == 404


def test_what_came_while_prometheus_was_away_for_long_is_left_out_and_no_peak(tmp_path: Path) -> None:
    end = int(time.time()) // 900 * 900
    short, long = (end - 3 * HOUR, end - 3 * HOUR + 20 * MINUTE), (end - 8 * HOUR, end - 6 * HOUR)
    past = Past(12, away=[short, long])
    past.shop()
    with prometheus(tmp_path / "prometheus", past.series) as running:
        client = Client("P", address("S", running.addresses["url"], {}, ""), "S", 20, 1 << 26)
        asked = Prometheus(client, 10_000)
        guarded = Liveness(asked).is_doubtful(Stretch(end - 10 * HOUR, end, 60))
        assert guarded
        for step in (60, 900, 7200):
            stretch = Stretch(end // step * step - 10 * HOUR // step * step, end // step * step, step)
            counter = "traces_span_metrics_duration_seconds_count" + '{span_kind="SPAN_KIND_SERVER"}'
            expression = promql.summed(promql.increments(counter, step, guarded), ["service_name"])
            values = dict(asked.range(expression, stretch).lines[0].values)
            minutes = stretch.steps * step // MINUTE - (long[1] - long[0]) // MINUTE
            # After the short silence all of it is counted; after the long one it is not known when it was.
            assert sum(values.values()) == pytest.approx(minutes * A_MINUTE, abs=A_MINUTE)
            assert max(values.values()) <= max(step, 20 * MINUTE + step) // MINUTE * A_MINUTE


def test_the_first_samples_that_a_prometheus_ever_has_count_whole(tmp_path: Path) -> None:
    with prometheus(tmp_path / "prometheus") as running:
        client = Client("P", address("S", running.addresses["url"], {}, ""), "S", 20, 1 << 26)
        now = time.time_ns()
        point = {"timeUnixNano": str(now), "startTimeUnixNano": str(now - 10**9), "asInt": "42"}
        attributes = [{"key": key, "value": {"stringValue": "shop"}} for key in ("service.name", "service.instance.id")]
        metric = {
            "name": "orders",
            "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]},
        }
        body = {"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": [metric]}]}]}
        httpx.post(f"{running.addresses['url']}/api/v1/otlp/v1/metrics", json=body).raise_for_status()
        asked = Prometheus(client, 100)
        end = now // 10**9 + 1
        stretch = Stretch(end - MINUTE, end, MINUTE)
        guarded = Liveness(asked).is_doubtful(stretch)
        found = asked.range(promql.increments("orders_total", MINUTE, guarded), stretch)
        assert [line.values for line in found.lines] == [[(end, 42.0)]]


def test_a_prometheus_that_is_down_at_the_start_is_read_when_it_comes(began: Began, tmp_path: Path) -> None:
    began.proxy.mode = "down"
    with reading(tmp_path, **began.settings) as hub:
        began_at = time.monotonic()
        response = hub.ask("overview", params={"hours": 1})
        assert time.monotonic() - began_at < 8  # nobody waits for the 10 s that a remote has
        assert response.status_code == 200
        assert "Prometheus at http://127.0.0.1" in response.headers["Perfagent-Notes"]
        eventually(lambda: hub.remote.states()[0].failing, 5)
        health = hub.get("health")
        assert health["status"] == "degraded"
        assert "PERFAGENT_PROMETHEUS_URL" in health["checks"]["prometheus"]["detail"]
        assert hub.client.get("/health/ready").status_code == 200
        source = hub.get("sources")["items"][0]
        assert (source["name"], source["health"], source["last_collected"]) == ("Prometheus", "failing", None)
        began.proxy.mode = ""
        found = whole(hub, hours=1, seconds=30)
        assert found["totals"]["requests"] == pytest.approx(60 * A_MINUTE, abs=2 * A_MINUTE)
        assert hub.get("health")["checks"]["prometheus"]["status"] == "healthy"


@pytest.mark.parametrize("mode", ["hang", "garbage", "huge"])
def test_while_prometheus_fails_the_page_shows_what_was_read_and_says_why(
    began: Began, tmp_path: Path, mode: str
) -> None:
    with reading(tmp_path, **began.settings, **RARELY, PERFAGENT_REMOTE_MAX_BODY="1000000") as hub:
        before = whole(hub, hours=1)["totals"]["requests"]
        began.proxy.mode = mode
        eventually(lambda: hub.remote.states()[0].failing, 15)
        started = time.monotonic()
        response = hub.ask("overview", params={"hours": 1})
        assert time.monotonic() - started < 8
        assert response.json()["data"]["totals"]["requests"] == pytest.approx(before, abs=2 * A_MINUTE)
        assert "Prometheus" in response.headers["Perfagent-Notes"]
        hub.ask("overview", params={"hours": 2})
        metrics = hub.remote.metrics
        assert metrics is not None
        # What is too much is asked for in ever smaller pieces first, however many look.
        eventually(lambda: hub.remote.clients[0].rests or all(one.failing for one in metrics.topics()), 30)
        asked = len(began.proxy.asked)
        for _ in range(10):
            hub.ask("overview", params={"hours": 2})
        assert len(began.proxy.asked) - asked <= 6  # viewers make no crowd at a remote that does not answer
        began.proxy.mode = ""
        whole(hub, hours=1, seconds=40)


def test_a_million_series_are_cut_and_those_that_are_called_most_are_read(began: Began, tmp_path: Path) -> None:
    began.proxy.mode = "many"
    settings = began.settings | {"PERFAGENT_REMOTE_SERIES": "20", "PERFAGENT_REMOTE_MAX_BODY": "2000000"}
    with reading(tmp_path, **settings) as hub:
        eventually(lambda: hub.remote.clients[0].health.left_out, 20)
        items = eventually(lambda: hub.get("queries", hours=1)["items"], 20)
        assert [one["summary"] for one in items] == ["SELECT items"]  # twenty a step, where the endpoint has ten
        assert hub.get("endpoints", hours=1)["items"] == []
        eventually(
            lambda: "PERFAGENT_REMOTE_SERIES" in " ".join(hub.remote.problems()), 10, lambda: str(hub.remote.states())
        )
        text = hub.client.get("/metrics", headers=hub.bearer("viewer")).text
        assert 'perfagent_hub_remote_left_out_series_total{remote="prometheus"}' in text
        assert 'perfagent_hub_remote_requests_total{outcome="too_large",remote="prometheus"}' in text


def test_of_too_many_series_a_real_prometheus_gives_those_that_are_called_most(tmp_path: Path) -> None:
    past = Past(1.5)
    for number in range(40):
        past.spans(
            f"GET /{number}", "SERVER", {0.02: number + 1}, 0.1, http_route=f"/{number}", http_request_method="GET"
        )
    with prometheus(tmp_path / "prometheus", past.series) as running:
        settings = {"PERFAGENT_PROMETHEUS_URL": running.addresses["url"], "PERFAGENT_REMOTE_SERIES": "150"}
        with reading(tmp_path / "hub", **settings) as hub:
            eventually(lambda: hub.remote.clients[0].health.left_out, 20)
            items = eventually(lambda: hub.get("endpoints", hours=1, limit=100)["items"], 20)
            names = {one["name"] for one in items}
            assert names == {f"GET /{number}" for number in range(30, 40)}
            most = next(one for one in items if one["name"] == "GET /39")
            assert most["requests"] == pytest.approx(40 * 2 * 60, abs=4 * 40)


def test_without_span_metrics_the_metrics_of_requests_tell_of_calls(tmp_path: Path) -> None:
    past = Past(1.5)
    process = {"job": "shop", "instance": "1", "service_name": "shop", "service_instance_id": "1"}
    served = {**process, "http_request_method": "GET", "http_route": "/items"}
    failed = {**served, "http_response_status_code": "500", "error_type": "ValueError"}
    past.histogram(
        "http_server_request_duration_seconds", {**served, "http_response_status_code": "200"}, {0.02: 9}, 0.1
    )
    past.histogram("http_server_request_duration_seconds", failed, {0.05: 1}, 0.04)
    query = {"db_system_name": "postgresql", "db_operation_name": "SELECT", "db_collection_name": "items"}
    past.histogram("db_client_operation_duration_seconds", {**process, **query}, {0.005: 20}, 0.06)
    called = {"http_request_method": "POST", "server_address": "payments", "server_port": "8001"}
    past.histogram("http_client_request_duration_seconds", {**process, **called}, {0.1: 1}, 0.07)
    end = past.end // 60 * 60 - 60
    hour = {"from_": str(end - HOUR), "to": str(end)}
    with (
        prometheus(tmp_path / "prometheus", past.series) as running,
        reading(tmp_path / "hub", PERFAGENT_PROMETHEUS_URL=running.addresses["url"]) as hub,
    ):
        (endpoint,) = whole(hub, "endpoints", **hour)["items"]
        assert (endpoint["name"], endpoint["requests"]) == ("GET /items", 60 * A_MINUTE)
        assert endpoint["errors"] == 60 * A_MINUTE / 10
        (statement,) = whole(hub, "queries", **hour)["items"]
        assert (statement["summary"], statement["calls"]) == ("SELECT items", 2 * 60 * A_MINUTE)
        detail = hub.get(f"endpoints/{endpoint['operation']}", **hour)
        assert {one["code"]: one["requests"] for one in detail["status_codes"]} == {200: 1080, 500: 120}


def test_many_viewers_of_one_range_cost_no_more_than_one(began: Began, tmp_path: Path) -> None:
    def is_filled(hub: ReadingHub) -> bool:
        return not any(topic.asks for topic in hub.remote.metrics.topics()) if hub.remote.metrics else False

    def cost(viewers: int) -> int:
        folder = tmp_path / str(viewers)
        folder.mkdir()
        with reading(folder, **began.settings, **RARELY, PERFAGENT_REMOTE_INTERVAL="600") as hub:
            whole(hub, hours=1)
            eventually(lambda: is_filled(hub), 40)
            asked = len(began.proxy.asked)
            url, headers = f"{hub.url}/api/v1/performance/overview?hours=20", hub.bearer("viewer")
            each = [
                threading.Thread(target=httpx.get, args=(url,), kwargs={"headers": headers, "timeout": 60})
                for _ in range(viewers)
            ]
            for viewer in each:
                viewer.start()
            for viewer in each:
                viewer.join()
            whole(hub, hours=20, seconds=40)
            eventually(lambda: is_filled(hub), 40)  # the range before, with which it is compared, included
            return len(began.proxy.asked) - asked

    one = cost(1)
    assert cost(20) <= 1.25 * one  # a minute may end meanwhile, which is read again
    assert began.proxy.most_under_way <= 2


def test_a_hub_that_starts_again_has_what_it_had_although_prometheus_is_gone(began: Began, tmp_path: Path) -> None:
    with reading(tmp_path, **began.settings) as hub:
        before = whole(hub, hours=1)["totals"]["requests"]
        response = hub.ask("thresholds/error_rate_percent", "admin", "PUT", json={"warning": 7})
        assert response.status_code in (200, 404, 405), response.text
    began.proxy.mode = "down"
    with reading(tmp_path, **began.settings) as hub:
        found = hub.get("overview", hours=1)
        assert found["totals"]["requests"] == pytest.approx(before, abs=4 * A_MINUTE)


def test_a_window_of_another_prometheus_is_not_shown(began: Began, tmp_path: Path) -> None:
    with reading(tmp_path, **began.settings) as hub:
        whole(hub, hours=1)
    with Faulty() as other, reading(tmp_path, PERFAGENT_PROMETHEUS_URL=other.url) as hub:
        other.mode = "down"
        assert hub.get("overview", hours=1)["totals"]["requests"] == 0


def test_what_is_old_or_too_much_is_forgotten_and_read_again_when_somebody_looks(began: Began, tmp_path: Path) -> None:
    end = began.past.end // 1800 * 1800  # where steps of 600 and of 900 s end
    day = {"from_": str(end - 20 * HOUR), "to": str(end)}
    with reading(tmp_path, **began.settings, PERFAGENT_RETENTION_HOURS="4", PERFAGENT_REMOTE_INTERVAL="600") as hub:
        before = whole(hub, **day)["totals"]["requests"]
        assert hub.remote.metrics is not None
        hub.remote.trim(time.time())  # somebody has just looked at the day
        assert not hub.remote.metrics.calls.lacks(end - 20 * HOUR, end - 10 * HOUR, 900)
        hub.remote.trim(time.time())
        assert hub.remote.metrics.calls.lacks(end - 20 * HOUR, end - 10 * HOUR, 900)
        assert not hub.remote.metrics.calls.lacks(end - 2 * HOUR, end - HOUR, 900)
        rows = hub.remote.window.rows("calls/first")[0]
        assert rows["first"] >= time.time() - 4 * HOUR - 120
        assert whole(hub, **day)["totals"]["requests"] == before
