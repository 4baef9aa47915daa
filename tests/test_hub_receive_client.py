"""What browsers measure: who may send it, what is accepted, and what is kept of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.receive import client
from perfagent.hub.store.errors import StoreFailed
from perfagent.hub.store.intake import Overloaded
from tests.receiving import Receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LCP = {"clientId": "anna@example.com", "page": "/checkout", "component": "cart", "type": "LCP", "value": 1830.5}


@pytest.fixture(scope="module")
def receiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with Receiving(tmp_path_factory.mktemp("hub"), PERFAGENT_HUB_ALLOWED_HOSTS="shop.test, app.test:8443") as receiving:
        yield receiving


@pytest.fixture
def hub(receiving: Receiving) -> Iterator[Receiving]:
    receiving.batches.clear()
    yield receiving
    receiving.failure = None


def refused(answer: Any) -> tuple[int, str, str | None]:
    assert answer.json()["status"] == "error"
    error = answer.json()["error"]
    return answer.status_code, error["message"], error["field"]


def test_a_web_vital_becomes_a_point_of_a_histogram_without_a_trace_of_its_sender(hub: Receiving) -> None:
    sent = {**LCP, "metadata": {"rating": "good", "navigationType": "reload", "user": "anna", "service": "shop"}}
    answer = hub.post("/v1/client", sent)
    assert (answer.status_code, answer.json()) == (202, {"status": "success", "data": {"accepted": 1}})
    series, row = hub.point("browser.web_vital.lcp")
    assert (series.service, series.kind, series.unit, series.cumulative) == ("shop", "histogram", "ms", False)
    assert json.loads(series.attributes) == {
        "page": "/checkout",
        "component": "cart",
        "browser.rating": "good",
        "browser.navigation_type": "reload",
    }
    assert (row.count, row.total, row.smallest, row.largest) == (1, 1830.5, 1830.5, 1830.5)
    assert series.bounds is not None
    assert row.buckets is not None
    assert row.buckets[series.bounds.index(2500)] == 1 == sum(row.buckets)
    assert "anna" not in repr(hub.batches)


@pytest.mark.parametrize(
    ("kind", "metric", "unit"),
    [
        ("lcp", "browser.web_vital.lcp", "ms"),
        ("INP", "browser.web_vital.inp", "ms"),
        ("CLS", "browser.web_vital.cls", "1"),
        ("fcp", "browser.web_vital.fcp", "ms"),
        ("ttfb", "browser.web_vital.ttfb", "ms"),
        ("page_load", "browser.page_load.duration", "ms"),
        ("page-load", "browser.page_load.duration", "ms"),
        ("frame_time", "browser.frame.duration", "ms"),
        ("upload_speed", "browser.upload.speed", "By/s"),
    ],
)
def test_each_kind_of_measurement_has_its_metric(hub: Receiving, kind: str, metric: str, unit: str) -> None:
    assert hub.post("/v1/client", {"page": "/", "type": kind, "value": 0.1}).status_code == 202
    series, row = hub.point(metric)
    assert (series.unit, series.service, row.total) == (unit, "browser", 0.1)


def test_a_list_becomes_one_point_for_each_series(hub: Receiving) -> None:
    frames = [{"page": "/", "type": "frame_time", "value": value} for value in (16, 17, 400)]
    vital = {"page": "/", "component": "CLS", "type": "web_vital", "value": 0}
    assert hub.post("/v1/client", [*frames, vital]).json()["data"] == {"accepted": 4}
    assert len(hub.points) == 2
    assert hub.point("browser.frame.duration")[1][4:8] == (3, 433, 16, 400)
    assert hub.point("browser.web_vital.cls")[1].count == 1
    assert hub.post("/v1/client", []).json()["data"] == {"accepted": 0}


def test_ids_and_queries_leave_the_page_s_address(hub: Receiving) -> None:
    pages = {
        "https://shop.test/orders/1234?token=secret#x": "/orders/{id}",
        "/users/6f9619ff-8b86-d011-b42d-00cf4fc964ff/edit": "/users/{id}/edit",
        "/reset/eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9": "/reset/{id}",
        "/mail/anna@example.com": "/mail/{id}",
        "/mail/anna%40example.com": "/mail/{id}",
        "?q=1": "/",
        "http://[bad": "/",
        "/about-us/the-company-and-its-people": "/about-us/the-company-and-its-people",
    }
    for sent, kept in pages.items():
        assert hub.post("/v1/client", {"page": sent, "type": "lcp", "value": 1}).status_code == 202
        assert hub.point("browser.web_vital.lcp", page=kept), sent


def test_a_beacon_of_a_page_on_this_machine_is_taken_with_its_json_as_text(hub: Receiving) -> None:
    for origin in (
        "http://localhost:8000",
        "http://127.0.0.1:5000",
        "http://[::1]",
        "https://shop.test",
        "https://app.test:8443",
    ):
        answer = hub.post("/v1/client", json.dumps(LCP).encode(), "text/plain;charset=UTF-8", origin=origin)
        assert answer.status_code == 202, origin
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "Origin"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"  # or the console shows an error


def test_pages_of_other_sites_may_neither_send_nor_ask(hub: Receiving) -> None:
    for origin in (
        "https://evil.test",
        "null",
        "https://localhost.evil.test",
        "https://app.test",
        "file://localhost",
        "x",
    ):
        answer = hub.post("/v1/client", json.dumps(LCP).encode(), "text/plain", origin=origin)
        assert refused(answer)[0] == 403, origin
        assert "PERFAGENT_HUB_ALLOWED_HOSTS" in refused(answer)[1]
        assert "access-control-allow-origin" not in answer.headers
        assert hub.client.options(f"{hub.url}/v1/client", headers={"origin": origin}).status_code == 403
    assert not hub.batches


def test_a_browser_that_asks_first_is_told_that_it_may(hub: Receiving) -> None:
    headers = {"origin": "http://localhost:8000", "access-control-request-method": "POST"}
    answer = hub.client.options(
        f"{hub.url}/v1/client", headers={**headers, "access-control-request-private-network": "true"}
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type"
    assert answer.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"type": "mood"}, "[0].type", "'mood' is none of: lcp, inp"),
        ({"value": -1}, "[0].value", "greater than or equal to 0"),
        ({"value": "12"}, "[0].value", "valid number"),
        ({"value": True}, "[0].value", "valid number"),
        ({"value": 10**9}, "[0].value", "is more than 600000"),
        ({"page": ""}, "[0].page", "at least 1 character"),
        ({"page": "x" * 3000}, "[0].page", "at most 2048"),
        ({"component": "<script>"}, "[0].component", "match pattern"),
        ({"extra": 1}, "[0].extra", "Extra inputs are not permitted"),
        ({"metadata": []}, "[0].metadata", "valid dictionary"),
        ({"metadata": {"a": {"b": 1}}}, "[0].metadata.a", "valid"),
        ({"metadata": {"rating": "fine"}}, "[0].metadata.rating", "'good', 'needs-improvement'"),
        ({"metadata": {"service": "a b"}}, "[0].metadata.service", "match pattern"),
    ],
)
def test_a_measurement_that_is_none_is_refused_with_the_field(
    hub: Receiving, changes: dict[str, Any], field: str, message: str
) -> None:
    answer = hub.post("/v1/client", {**LCP, **changes})
    assert refused(answer)[0] == 400
    assert message in refused(answer)[1]
    assert (refused(answer)[2] or "").startswith(field)
    assert not hub.batches


def test_bodies_that_are_no_measurements_are_refused(hub: Receiving) -> None:
    assert refused(hub.post("/v1/client", b"{", "text/plain"))[0] == 400
    assert refused(hub.post("/v1/client", b"7", "application/json"))[0] == 400
    assert refused(hub.post("/v1/client", b'{"value": NaN}', "application/json"))[0] == 400
    assert refused(hub.post("/v1/client", [LCP] * 101))[0] == 400
    assert refused(hub.post("/v1/client", b"x" * 70_000, "text/plain"))[0] == 413
    assert refused(hub.post("/v1/client", b"", "text/html"))[0] == 415
    assert hub.client.get(f"{hub.url}/v1/client").status_code == 405


def test_an_address_that_sends_too_much_and_a_store_that_fails_get_a_time_to_come_back(tmp_path: Path) -> None:
    with Receiving(tmp_path) as hub:
        answers = [hub.post("/v1/client", [LCP] * 100) for _ in range(6)]
        assert answers[0].status_code == 202
        assert answers[-1].status_code == 429
        assert answers[-1].headers["retry-after"] == "1"
    with Receiving(tmp_path / "second") as hub:
        hub.failure = Overloaded(2)
        assert (answer := hub.post("/v1/client", LCP)).status_code == 429
        assert answer.headers["retry-after"] == "2"
        hub.failure = StoreFailed("no space")
        assert refused(hub.post("/v1/client", LCP))[0] == 503


def test_pages_without_end_share_one_series(hub: Receiving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SERIES", 3)
    for number in range(6):
        assert hub.post("/v1/client", {"page": f"/{'x' * (number + 1)}", "type": "fcp", "value": 1}).status_code == 202
    names = [json.loads(series.attributes) for series in hub.series.values() if series.name.endswith("fcp")]
    assert {"otel.metric.overflow": "true"} in names
    assert len(names) <= 4
