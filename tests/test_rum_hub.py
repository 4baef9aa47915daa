"""What the hub does for browsers: the script that it serves, what it keeps of a measurement, and the view of pages."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.receive import totals
from tests.browser import NARROW, WIDE, Visit
from tests.hub import ServedHub, resource, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ORIGIN = "http://localhost:8000"
TRACE = f"{0xABC:032x}"
PARENT = f"00-{TRACE}-{0xABC:016x}-01"
MODES = {"light": (WIDE, "light"), "dark": (WIDE, "dark"), "narrow": (NARROW, "light"), "narrow-dark": (NARROW, "dark")}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub to which browsers have told of three pages."""
    with ServedHub(tmp_path_factory.mktemp("hub")) as hub:
        hub.send("traces", traces(resource("shop"), span(0xABC, "GET /items/{number}", ms=84)))
        send(hub, *_of("/items/{number}", lcp=[900, 1200, 1600], inp=[40], cls=[0.01], fcp=[700], ttfb=[90]))
        send(hub, *_of("/search", lcp=[2600, 2700], inp=[260], cls=[0.17], fcp=[1900], ttfb=[900]))
        send(hub, *_of("/checkout/<int:order>", lcp=[5200], inp=[700], cls=[0.4], fcp=[3400], ttfb=[2400]))
        send(
            hub,
            measured("/items/{number}", "page_load", 1100, trace=PARENT),
            measured("/items/{number}", "lcp", 1250, trace=PARENT),
            measured("/items/{number}", "cls", 0.01, trace=PARENT),
            measured("/items/{number}", "frame_time", 16.7, count=57),
            measured("/items/{number}", "frame_time", 50, count=3),
            measured("/items/{number}", "long_task", 82),
            measured("/items/{number}", "upload_speed", 1_250_000),
            measured("/checkout/<int:order>", "js_error", 1, count=2, component="/static/cart.js"),
            measured("/checkout/<int:order>", "js_error", 1, component="promise"),
        )
        yield hub


def measured(page: str, kind: str, value: float, **more: Any) -> dict[str, Any]:
    return {"page": page, "type": kind, "value": value, "metadata": {"service": "shop"}, **more}


def _of(page: str, **vitals: list[float]) -> list[dict[str, Any]]:
    return [measured(page, kind, value) for kind, values in vitals.items() for value in values]


def send(hub: ServedHub, *measurements: dict[str, Any]) -> None:
    """Sends as a page does."""
    headers = {"content-type": "text/plain", "origin": ORIGIN}
    answer = hub.client.post("/v1/client", content=json.dumps(measurements), headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_the_script_is_small_and_any_page_may_load_and_keep_it(hub: ServedHub) -> None:
    answer = hub.client.get("/rum.js", headers={"origin": "https://shop.test", "accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["cache-control"].startswith("public, max-age=3600")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(gzip.compress(answer.content)) < 6000
    assert "sourceMappingURL" not in answer.text
    again = hub.client.get("/rum.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert hub.client.options("/rum.js").headers["access-control-allow-private-network"] == "true"
    assert hub.client.get("/first.js", headers={"origin": "https://shop.test"}).status_code == 403
    assert hub.client.get("/first.js").headers["cross-origin-resource-policy"] == "same-origin"


def test_a_hub_that_reads_from_elsewhere_serves_a_script_that_does_nothing(serve_hub: Any) -> None:
    hub = serve_hub()
    hub.hub.remote = object()
    text = hub.client.get("/rum.js").text
    assert "takes nothing from browsers" in text
    assert "fetch" not in text
    hub.hub.remote = None


def test_a_page_s_vitals_are_told_with_their_ratings(filled: ServedHub) -> None:
    pages = {one["page"]: one for one in filled.get("browsers", service="shop")["items"]}
    ratings = {page: {name: vital["rating"] for name, vital in one["vitals"].items()} for page, one in pages.items()}
    names = ("lcp", "inp", "cls", "fcp", "ttfb")
    assert ratings == {
        "/items/{number}": dict.fromkeys(names, "good"),
        "/search": dict.fromkeys(names, "needs-improvement"),
        "/checkout/<int:order>": dict.fromkeys(names, "poor"),
    }
    assert next(iter(pages)) == "/items/{number}", "the most loaded comes first"
    items = pages["/items/{number}"]
    assert items["loads"] == items["vitals"]["lcp"]["count"] == 4
    assert items["vitals"]["lcp"]["good"] == 1
    assert items["slow_frames"] == pytest.approx(0.05)
    assert 16 < items["frame_p95_ms"] <= 50
    assert items["long_tasks"] == 1
    assert items["upload_bytes_per_second"] == pytest.approx(1_250_000, rel=0.6)
    assert pages["/search"]["vitals"]["lcp"]["good"] == 0
    checkout = pages["/checkout/<int:order>"]
    assert checkout["errors"] == 3
    assert checkout["error_sources"] == {"/static/cart.js": 2, "promise": 1}
    assert filled.get("browsers", service="other")["items"] == []


def test_a_load_is_found_by_its_trace_and_by_its_page(filled: ServedHub) -> None:
    (load,) = filled.get("browsers/loads", trace_id=TRACE)["items"]
    assert (load["page"], load["service"], load["trace_id"]) == ("/items/{number}", "shop", TRACE)
    assert load["values"] == {"page_load": 1100, "lcp": 1250, "cls": 0.01}
    assert filled.get("browsers/loads", page="/items/{number}")["items"] == [load]
    assert filled.get("browsers/loads", page="/search")["items"] == []
    assert filled.get("browsers/loads", trace_id="0" * 32)["items"] == []
    assert filled.refusal("browsers/loads", trace_id="x")[:2] == (400, "wrong_type")


def test_prometheus_gets_the_same_under_the_names_of_the_rules(filled: ServedHub) -> None:
    text = filled.client.get("/metrics", headers=filled.bearer("viewer")).text
    where = 'page="/items/{number}",service="shop"'
    assert f'browser_web_vital_lcp_milliseconds_bucket{{le="1000",{where}}} 1.0' in text
    assert f"browser_web_vital_lcp_milliseconds_count{{{where}}} 4.0" in text
    assert f"browser_web_vital_lcp_milliseconds_sum{{{where}}} 4950.0" in text
    assert f'browser_frame_duration_milliseconds_bucket{{le="16.7",{where}}} 57.0' in text
    assert 'browser_errors_total{page="/checkout/<int:order>",service="shop"} 3.0' in text
    assert "browser_upload_speed_bytes_per_second_count" in text
    assert "browser_web_vital_cls_count" in text


def test_the_pages_on_prometheus_end_somewhere() -> None:
    sums = totals.Totals()
    for number in range(totals.PAGES + 100):
        sums.add("browser.errors", "{error}", "Errors", None, ("shop", f"/{number}"), 1, 2)
    (family,) = sums.families()
    assert len(family.samples) == totals.PAGES + 1
    assert {one.labels["page"]: one.value for one in family.samples}["other"] == 200
    assert sum(one.value for one in family.samples) == 2 * (totals.PAGES + 100)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"count": 0}, "[0].count"),
        ({"count": 10_001}, "[0].count"),
        ({"trace": "abc"}, "[0].trace"),
        ({"trace": PARENT.upper()}, "[0].trace"),
        ({"component": "<script>"}, "[0].component"),
    ],
)
def test_what_is_no_measurement_is_refused(hub: ServedHub, more: dict[str, Any], field: str) -> None:
    answer = hub.client.post("/v1/client", json=measured("/", "lcp", 1, **more))
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


def test_a_whole_number_may_be_written_with_a_point(hub: ServedHub) -> None:
    body = b'{"page": "/", "type": "lcp", "value": 1, "count": 2.0}'
    assert hub.client.post("/v1/client", content=body, headers={"content-type": "text/plain"}).status_code == 202


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_view_of_pages_shows_what_was_told(browser: Browser, filled: ServedHub, mode: str) -> None:
    size, scheme = MODES[mode]
    with Visit(browser, filled, size, scheme) as visit:
        visit.open("browsers")
        visit.page.wait_for_selector("section[aria-label=Loads]")
        row = visit.row("/checkout/<int:order>")
        assert row[1] == "1"
        assert "3" in row
        assert "Poor" in visit.page.locator("main table").first.inner_html()
        visit.keep(f"browsers-{mode}")
        visit.width_fits()
        visit.accessible()
        visit.page.locator("main table tbody tr", has_text="/items/{number}").first.locator("a").first.click()
        visit.page.wait_for_selector(".figures")
        visit.until("document.querySelector('.figures').textContent.includes('Upload')")
        assert "4" in visit.text(".figures")
        visit.keep(f"browsers-page-{mode}")
        visit.width_fits()
        visit.accessible()
        visit.page.locator("section[aria-label=Loads] tbody a").first.click()
        visit.wait("trace")
        visit.page.wait_for_selector("section[aria-label='In the browser']")
        assert "LCP\n1.25 s" in visit.text("section[aria-label='In the browser']")
        visit.keep(f"browsers-trace-{mode}")
        visit.width_fits()
        visit.accessible()
        visit.check()


@pytest.mark.slow
def test_the_view_says_how_to_begin_where_nothing_was_told(browser: Browser, hub: ServedHub) -> None:
    with Visit(browser, hub) as visit:
        visit.open("browsers")
        assert "PERFAGENT_RUM=true perfagent run python app.py" in visit.text()
        visit.check()
