"""The REST interface, asked over HTTP: what was sent is answered, page by page, live, and never with a traceback."""

from __future__ import annotations

import gzip
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.api.limits import Rates
from perfagent.hub.store.store import StoreFailed
from tests.hub import (
    PREFIX,
    ServedHub,
    counter,
    exponential,
    gauge,
    histogram,
    level,
    logs,
    metrics,
    record,
    resource,
    span,
    traces,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hub import ServeHub


def last(values: list[float | None]) -> float | None:
    """The only value that a series has."""
    (found,) = [value for value in values if value is not None]
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub that two processes of a shop and one of its payments report to; for tests that send nothing."""
    with ServedHub(tmp_path_factory.mktemp("shop")) as hub:
        _report(hub)
        yield hub


def _report(hub: ServedHub) -> None:
    for number in (1, 2):
        who = resource(
            "shop",
            f"shop-{number}",
            service__version="2.4.0",
            deployment__environment__name="test",
            host__name="server-1",
            process__pid=4000 + number,
            process__runtime__version="3.11.7",
            telemetry__distro__version="0.1.0",
        )
        spans = [
            span(number * 100 + i, ago=30 - i, ms=10 + i, status=500 if i == 7 else 200, who=number) for i in range(20)
        ]
        hub.send("traces", traces(who, *spans))
        hub.send(
            "metrics",
            metrics(
                who,
                level("process.memory.usage", number * 100e6, "By"),
                level("process.thread.count", 12, "{thread}"),
                gauge("process.uptime", 60.0, "s"),
                counter("process.cpu.time", 6.0, "s", cpu__mode="user"),
                counter("jobs", 30.0, "{job}", queue="mail"),
                counter("jobs", 10.0 * number, "{job}", queue="bills"),
                counter("perfagent.cache.hits", 90.0, "{hit}", cache__name="prices"),
                counter("perfagent.cache.misses", 10.0, "{miss}", cache__name="prices"),
                histogram("perfagent.eventloop.lag", [0.001, 0.01], [90, 10, 0], 0.15),
                histogram("wait", [1.0, 2.0, 4.0], [50, 40, 10, 0], 130.0),
                exponential("pause", 3, -8, [100], 75.0, zeros=100),
            ),
        )
        hub.send(
            "logs",
            logs(
                who,
                record("took long", 13, ago=20),
                record("The database did not answer", 17, trace=number * 100 + 7, code__line__number=61),
            ),
        )
    hub.send("traces", traces(resource("payments"), span(900, "POST /pay", ago=10, ms=6000)))


class TestServices:
    def test_a_service_tells_how_many_of_its_processes_live_and_how_its_requests_went(self, shop: ServedHub) -> None:
        payments, found = shop.get("services")["items"]
        assert (found["service"], found["version"], found["environment"]) == ("shop", "2.4.0", "test")
        assert (found["instances"], found["alive"]) == (2, 2)
        assert found["error_ratio"] == pytest.approx(2 / 40)
        assert 26 < found["p95_ms"] < 32
        assert found["requests_per_second"] == pytest.approx(40 / 3600, rel=0.05)
        assert time.time() - 600 < found["last_seen"] < time.time()
        assert found["health"] == "degraded"
        assert (payments["service"], payments["health"]) == ("payments", "unhealthy")

    def test_a_range_without_telemetry_has_no_services(self, shop: ServedHub) -> None:
        assert shop.get("services", from_="-3h", to="-2h")["items"] == []


class TestProcesses:
    def test_a_process_tells_its_vital_signs_and_what_it_runs_on(self, shop: ServedHub) -> None:
        first, second = shop.get("processes", service="shop")["items"]
        assert (first["instance"], first["pid"], first["host"]) == ("shop-1", 4001, "server-1")
        assert (first["python"], first["agent_version"], first["alive"]) == ("3.11.7", "0.1.0", True)
        assert (first["memory_bytes"], second["memory_bytes"]) == (100e6, 200e6)
        assert 0 < first["lag_p99_ms"] <= 10
        assert first["requests_per_second"] == pytest.approx(20 / 3600, rel=0.05)
        assert time.time() - 600 < first["started"] < time.time() - 60

    def test_one_process_has_its_vital_signs_over_time(self, shop: ServedHub) -> None:
        found = shop.get("processes/shop-2")
        assert found["process"]["instance"] == "shop-2"
        assert found["attributes"]["host.name"] == "server-1"
        assert {len(values) for values in found["series"].values()} == {len(found["series"]["time"])}
        assert last(found["series"]["memory_bytes"]) == 200e6
        assert 0 < (last(found["series"]["lag_p99_ms"]) or 0) <= 10

    def test_a_process_that_nobody_knows_is_not_found(self, shop: ServedHub) -> None:
        assert shop.refusal("processes/nobody") == (404, "not_found", "instance")

    def test_a_process_is_found_by_an_instance_with_a_slash_in_it(self, hub: ServedHub) -> None:
        hub.send("traces", traces(resource("shop", "host/1:8000"), span(1)))
        assert hub.get("processes/host%2F1:8000")["process"]["service"] == "shop"


class TestLogs:
    def test_records_come_latest_first_with_their_trace(self, shop: ServedHub) -> None:
        items = shop.get("logs")["items"]
        assert [item["severity"] for item in items] == ["ERROR", "ERROR", "WARNING", "WARNING"]
        assert items[0]["trace_id"] == f"{207:032x}"
        assert items[0]["attributes"] == {"code.line.number": 61}
        assert (items[0]["service"], items[0]["instance"], items[0]["scope"]) == ("shop", "shop-2", "test")

    def test_records_are_found_by_severity_text_trace_and_service(self, shop: ServedHub) -> None:
        assert len(shop.get("logs", severity="error")["items"]) == 2
        assert len(shop.get("logs", q="DATABASE")["items"]) == 2
        assert len(shop.get("logs", trace_id=f"{107:032x}")["items"]) == 1
        assert shop.get("logs", service="payments")["items"] == []

    def test_the_summary_counts_by_severity_and_step(self, shop: ServedHub) -> None:
        found = shop.get("logs/summary")
        assert {name: sum(counts) for name, counts in found["counts"].items()} == {"WARNING": 2, "ERROR": 2}
        assert all(len(counts) == len(found["time"]) for counts in found["counts"].values())


class TestMetrics:
    def test_the_list_tells_kind_unit_and_who_tells(self, shop: ServedHub) -> None:
        found = {item["name"]: item for item in shop.get("metrics")["items"]}
        assert (found["jobs"]["kind"], found["jobs"]["unit"], found["jobs"]["series"]) == ("counter", "{job}", 4)
        assert found["process.memory.usage"]["kind"] == "updown"
        assert found["pause"]["kind"] == "exponential"
        assert found["wait"]["services"] == ["shop"]
        assert [item["name"] for item in shop.get("metrics", q="CACHE")["items"]] == [
            "perfagent.cache.hits",
            "perfagent.cache.misses",
        ]

    def test_a_counter_is_added_up_by_attribute(self, shop: ServedHub) -> None:
        found = shop.get("metrics/query", name="jobs", by="queue", stat="sum")
        sums = {line["attributes"]["queue"]: last(line["values"]) for line in found["series"]}
        assert sums == {"mail": 60.0, "bills": 30.0}
        assert shop.get("metrics/query", name="jobs")["unit"] == "{job}/s"

    def test_series_are_told_apart_by_attributes_of_their_process(self, shop: ServedHub) -> None:
        found = shop.get("metrics/query", name="process.memory.usage", by=["service.instance.id", "host.name"])
        assert [(line["attributes"], last(line["values"])) for line in found["series"]] == [
            ({"service.instance.id": "shop-2", "host.name": "server-1"}, 200e6),
            ({"service.instance.id": "shop-1", "host.name": "server-1"}, 100e6),
        ]

    def test_levels_are_added_up_over_processes_and_readings_are_averaged(self, shop: ServedHub) -> None:
        assert last(shop.get("metrics/query", name="process.memory.usage")["series"][0]["values"]) == 300e6
        assert last(shop.get("metrics/query", name="process.uptime")["series"][0]["values"]) == 60.0

    def test_only_points_with_the_attribute_count(self, shop: ServedHub) -> None:
        found = shop.get("metrics/query", name="jobs", attribute="queue=bills", stat="sum")
        assert last(found["series"][0]["values"]) == 30.0
        assert shop.get("metrics/query", name="jobs", attribute=["queue=bills", "queue=mail"])["series"] == []

    @pytest.mark.parametrize(
        ("name", "stat", "expected"),
        [
            ("wait", "p50", 1.0),
            ("wait", "p90", 2.0),
            ("wait", "avg", 1.3),
            ("wait", "count", 200),
            ("pause", "p99", 0.5 * 2**0.125),
            ("pause", "p50", 0.0),
        ],
    )
    def test_histograms_of_both_forms_give_percentiles_means_and_counts(
        self, shop: ServedHub, name: str, stat: str, expected: float
    ) -> None:
        found = shop.get("metrics/query", name=name, stat=stat)
        assert last(found["series"][0]["values"]) == pytest.approx(expected, rel=0.05)

    def test_a_percentile_of_a_counter_is_refused_with_what_is_to_be_had(self, shop: ServedHub) -> None:
        assert shop.refusal("metrics/query", name="jobs", stat="p95") == (400, "bad_request", "stat")

    def test_a_metric_that_nobody_told_is_not_found(self, shop: ServedHub) -> None:
        assert shop.refusal("metrics/query", name="nothing") == (404, "not_found", "name")

    def test_the_summary_has_every_metric_and_the_caches(self, shop: ServedHub) -> None:
        found = shop.get("metrics/summary")
        assert found["metrics"]["process.memory.usage"]["current"] == 300e6
        assert found["metrics"]["jobs"]["unit"] == "{job}/s"
        assert found["metrics"]["wait"]["average"] == pytest.approx(1.3)
        assert found["cache"] == {"hits": 180, "misses": 20, "hit_ratio": 0.9}
        assert found["health_score"] == shop.get("overview")["health"]["score"]

    def test_what_a_browser_measured_is_stored_and_answered(self, hub: ServedHub) -> None:
        one = {"clientId": "b1", "page": "/cart/42", "type": "lcp", "value": 1830.5, "metadata": {"service": "shop"}}
        response = hub.ask("metrics", "agent", "POST", json=[one, {**one, "value": 900}])
        assert (response.status_code, response.json()["data"]) == (202, {"accepted": 2})
        found = hub.get("metrics/query", name="browser.web_vital.lcp", stat="count", by="page")
        assert [(line["attributes"], last(line["values"])) for line in found["series"]] == [({"page": "/cart/{id}"}, 2)]

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            (b"{", 400, None),
            (b'{"page": "/", "type": "mood", "value": 1}', 400, "[0].type"),
            (b'{"page": "/", "type": "lcp", "value": "much"}', 400, "[0].value"),
            (b"[" + b" " * 70_000 + b"]", 413, None),
        ],
    )
    def test_a_measurement_that_is_none_is_refused(
        self, shop: ServedHub, body: bytes, status: int, field: str | None
    ) -> None:
        headers = {"Content-Type": "application/json"}
        response = shop.ask("metrics", "operator", "POST", content=body, headers=headers)
        assert (response.status_code, response.json()["error"]["field"]) == (status, field)


class TestAsking:
    @pytest.mark.parametrize(
        ("query", "code", "field"),
        [
            ("limit=0", "out_of_range", "limit"),
            ("limit=1001", "out_of_range", "limit"),
            ("limit=ten", "wrong_type", "limit"),
            ("from=yesterday", "wrong_type", "from"),
            ("from=now&to=-1h", "out_of_range", "from"),
            ("hours=9000", "out_of_range", "hours"),
            ("hours=1&from=-1h", "bad_request", "hours"),
            ("severity=loud", "wrong_type", "severity"),
            ("colour=red", "unknown_parameter", "colour"),
            ("cursor=abc", "bad_cursor", "cursor"),
            ("trace_id=xyz", "wrong_type", "trace_id"),
            ("q=%00", "wrong_type", "q"),
        ],
    )
    def test_a_parameter_out_of_order_is_refused_by_its_name(
        self, shop: ServedHub, query: str, code: str, field: str
    ) -> None:
        assert shop.refusal(f"logs?{query}") == (400, code, field)

    def test_what_is_not_there_and_methods_that_are_not_known_get_the_envelope(self, shop: ServedHub) -> None:
        assert shop.refusal("nowhere") == (404, "not_found", None)
        response = shop.ask("services", "admin", "PUT")
        assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")
        assert "GET" in response.headers["allow"]

    def test_a_failure_of_the_hub_itself_is_told_without_a_traceback(
        self, hub: ServedHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a secret")

        monkeypatch.setattr(hub.hub.store, "rows", fail)
        response = hub.ask("logs")
        assert (response.status_code, response.json()["error"]["code"]) == (500, "internal")
        assert "secret" not in response.text
        assert "a secret" in caplog.text

    def test_times_may_be_seconds_since_the_epoch(self, shop: ServedHub) -> None:
        now = time.time()
        assert len(shop.get("logs", from_=f"{now - 1800:.3f}", to=f"{now:.3f}")["items"]) == 4
        assert shop.get("logs", from_=f"{now - 7200:.3f}", to=f"{now - 3600:.3f}")["items"] == []


class TestPages:
    def test_pages_hold_every_record_once_while_others_arrive(self, hub: ServedHub) -> None:
        who = resource("shop")
        hub.send("logs", logs(who, *[record(f"number {i}", ago=60) for i in range(25)]))
        found: list[str] = []
        cursor = None
        for _ in range(10):
            page = hub.get("logs", limit=4, **({"cursor": cursor} if cursor else {}))
            found += [item["body"] for item in page["items"]]
            cursor = page["next"]
            hub.send("logs", logs(who, record("later", ago=0)))
            if cursor is None:
                break
        assert sorted(found) == sorted(f"number {i}" for i in range(25))

    def test_a_cursor_is_refused_with_other_filters_elsewhere_or_changed(self, hub: ServedHub) -> None:
        hub.send("logs", logs(resource("shop"), record("one"), record("two")))
        cursor = hub.get("logs", limit=1)["next"]
        refused = (400, "bad_cursor", "cursor")
        assert hub.get("logs", limit=5, cursor=cursor)["next"] is None
        assert hub.refusal("logs", cursor=cursor, service="shop") == refused
        assert hub.refusal("metrics", cursor=cursor) == refused
        text, _, signature = cursor.partition(".")
        assert hub.refusal("logs", limit=1, cursor=f"{text[:-2]}AA.{signature}") == refused

    def test_services_processes_and_metrics_come_in_pages(self, shop: ServedHub) -> None:
        for path, key in (("services", "service"), ("processes", "instance"), ("metrics", "name")):
            whole = [item[key] for item in shop.get(path)["items"]]
            found: list[str] = []
            page: dict[str, Any] = {"next": ""}
            while page["next"] is not None:
                page = shop.get(path, limit=1, **({"cursor": page["next"]} if page["next"] else {}))
                found += [item[key] for item in page["items"]]
            assert found == whole


class TestTransfer:
    def test_an_answer_that_the_client_has_is_not_sent_again(self, hub: ServedHub) -> None:
        hub.send("metrics", metrics(resource("shop"), gauge("old", 1.0)))
        until = f"{time.time():.0f}"
        first = hub.ask("metrics", params={"to": until, "from": "0"})
        again = hub.ask("metrics", params={"to": until, "from": "0"}, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        hub.send("metrics", metrics(resource("shop"), gauge("new", 1.0, ago=1)))
        changed = hub.ask("metrics", params={"from": "0"}, headers={"If-None-Match": first.headers["etag"]})
        assert changed.status_code == 200

    def test_large_answers_are_compressed_for_those_who_take_it(self, shop: ServedHub) -> None:
        url = f"{shop.url}{PREFIX}/metrics"
        with shop.client.stream("GET", url, headers={**shop.bearer("viewer"), "Accept-Encoding": "gzip"}) as response:
            raw = b"".join(response.iter_raw())
        assert response.headers["content-encoding"] == "gzip"
        assert json.loads(gzip.decompress(raw))["status"] == "success"
        plain = shop.ask("metrics", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers

    def test_the_page_is_served_with_addresses_that_may_be_kept_for_ever(self, shop: ServedHub) -> None:
        page = shop.client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        source = page.text.partition('type="module" src="')[2].partition('"')[0]
        script = shop.client.get(source)
        assert script.headers["content-type"].startswith("text/javascript")
        assert "immutable" in script.headers["cache-control"]
        plain = shop.client.get("/app.js")
        assert plain.content == script.content
        assert plain.headers["cache-control"] == "no-cache"
        again = shop.client.get("/app.js", headers={"If-None-Match": plain.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.parametrize("path", ["/../api/app.py", "/%2e%2e/hub.py", "/views/..%2f..%2fhub.py", "//etc/passwd"])
    def test_no_file_outside_of_the_page_is_served(self, shop: ServedHub, path: str) -> None:
        host, port = shop.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 404")


class TestHealth:
    def test_probes_are_answered_without_a_token(self, hub: ServedHub) -> None:
        for path in ("/health", "/health/live", "/health/ready"):
            response = hub.client.get(path)
            assert (response.status_code, response.json()["status"]) == (200, "healthy")

    def test_a_store_that_cannot_be_read_makes_the_hub_unready_but_alive(
        self, hub: ServedHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> dict[str, int]:
            raise OSError("no space left on device")

        monkeypatch.setattr(hub.hub.store, "sizes", fail)
        response = hub.client.get("/health/ready")
        assert response.status_code == 503
        assert "no space left" in response.json()["checks"]["store"]["detail"]
        assert hub.client.get("/health/live").status_code == 200

    def test_a_store_that_cannot_be_written_makes_the_hub_unready_until_it_can(
        self, hub: ServedHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_batches: object) -> None:
            raise StoreFailed("there is no room")

        body = logs(resource("shop"), record("hello"))
        with monkeypatch.context() as full:
            full.setattr(hub.hub.store, "append", fail)
            assert hub.client.post("/v1/logs", json=body).status_code == 503
            response = hub.client.get("/health/ready")
            assert response.status_code == 503
            assert "no room" in response.json()["checks"]["store"]["detail"]
        hub.send("logs", body)
        assert hub.client.get("/health/ready").status_code == 200

    def test_prometheus_reads_what_was_stored_and_how_long_requests_took(self, shop: ServedHub) -> None:
        shop.get("services")
        text = shop.client.get("/metrics", headers=shop.bearer("viewer")).text
        assert 'perfagent_hub_stored_items_total{signal="spans"} 41.0' in text
        assert "perfagent_hub_database_bytes" in text
        assert "perfagent_hub_queue_bytes 0.0" in text
        line = next(
            line for line in text.splitlines() if "request_duration_seconds_count" in line and "services" in line
        )
        assert 'method="GET"' in line
        assert 'status="200"' in line

    def test_breaker_counts_state_changes_by_name(self, hub: ServedHub) -> None:
        name = "circuit_breaker_state_transitions_total"
        who = resource("shop")
        hub.send("metrics", metrics(who, counter(name, 3, name="payments", state="open")))
        hub.send("metrics", metrics(who, counter(name, 2, name="payments", state="closed")))
        response = hub.client.get("/breaker", headers=hub.bearer("viewer"))
        assert response.json() == {"payments": {"open": 3, "half_open": 0, "closed": 2}}

    def test_the_hub_tells_what_it_received_and_how_much_it_keeps(self, shop: ServedHub) -> None:
        found = shop.get("hub")
        assert (found["counts"]["spans"], found["received"]["spans"], found["received"]["batches"]) == (41, 41, 7)
        assert found["retention"] == {"hours": 48, "days": 90, "bytes": 4096 * 2**20}
        assert time.time() - 600 < found["oldest"] < time.time() - 25
        assert found["memory_bytes"] > 10_000_000


def test_limits_that_a_client_exceeds_say_when_to_come_back(serve_hub: ServeHub) -> None:
    hub = serve_hub(Rates(reads="3/hour"))
    assert [hub.ask("me").status_code for _ in range(4)] == [200, 200, 200, 429]
    response = hub.ask("me")
    assert 1 <= int(response.headers["retry-after"]) <= 3600
    assert response.json()["error"]["code"] == "too_many_requests"
