"""How one works with the page: filters, time, keys, live data, and what it says when something is missing."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests import page_story
from tests.browser import NARROW, Visit
from tests.hub import ServedHub, gauge, metrics, resource, span, traces
from tests.hub_story import LINES
from tests.page_story import BIG, BIG_SPANS, SLOWEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

# Scrolls a tree down in forty steps; the median time of a frame, in ms.
SCROLLED = """async () => {
    const box = document.querySelector('[role=tree]');
    const frames = [];
    for (let step = 0; step < 40; step++) {
        const began = performance.now();
        box.scrollTop = step * 900;
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - began);
    }
    return frames.sort((one, other) => one - other)[20];
}"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub that holds the story; tests only read from it."""
    with ServedHub(tmp_path_factory.mktemp("page")) as hub:
        page_story.send(hub)
        yield hub


@pytest.fixture
def visit(browser: Browser, hub: ServedHub) -> Iterator[Visit]:
    """Somebody who has opened the hub's link."""
    with Visit(browser, hub) as visit:
        yield visit


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[ServedHub]:
    """An empty hub that a test may change and stop."""
    with ServedHub(tmp_path / "hub") as hub:
        yield hub


def test_a_search_stands_in_the_address_and_survives_a_reload(visit: Visit) -> None:
    page = visit.open("traces")
    page.fill("main [data-search]", "rating")
    page.press("main [data-search]", "Enter")
    page.get_by_label("Failed").check()
    page.get_by_label("from (ms)").fill("5")
    visit.until("location.hash.includes('min_ms=5')")
    visit.until("document.querySelectorAll('main tbody tr').length === 4")
    assert "q=rating" in visit.query
    assert "status=error" in visit.query
    page.reload()
    visit.wait("traces")
    assert page.input_value("main [data-search]") == "rating"
    assert page.locator("main tbody tr").count() == page_story.FAILED
    visit.check()


def test_an_attribute_that_is_clicked_is_searched(visit: Visit) -> None:
    page = visit.open(f"traces/{SLOWEST}", "trace")
    page.locator("[role=treeitem]").first.click()
    page.click(".span-panel a:has-text('/orders')")
    visit.wait("traces")
    assert "attribute=" in visit.query
    assert page.locator("main tbody tr").count() == page_story.ORDERS
    page.click("[aria-label^=Without]")
    visit.until("!location.hash.includes('attribute')")


def test_wrong_filters_are_explained_where_they_stand(visit: Visit) -> None:
    page = visit.open("traces")
    page.fill("[name=attribute]", "nonsense")
    page.press("[name=attribute]", "Enter")
    assert "key=value" in visit.text("[role=alert]")


def test_a_heading_sorts_and_says_so(visit: Visit) -> None:
    page = visit.open("endpoints")
    page.click("th button:has-text('p95')")
    assert page.get_attribute("th:has-text('p95')", "aria-sort") == "descending"
    visit.until("document.querySelector('main tbody th').innerText.includes('/export')")
    page.click("th button:has-text('p95')")
    assert page.get_attribute("th:has-text('p95')", "aria-sort") == "ascending"
    assert "/export" in page.locator("main tbody tr").last.inner_text()
    page.click("th button:has-text('Endpoint')")
    assert page.get_attribute("th:has-text('Endpoint')", "aria-sort") == "ascending"
    assert "sort=name" in visit.query


def test_a_time_range_is_chosen_typed_and_drawn(visit: Visit) -> None:
    page = visit.open("")
    page.click("#range")
    page.click("text=Last 6 hours")
    assert "from=-6h" in visit.query
    assert "Last 6 hours" in page.inner_text("#range")
    page.click("#range")
    page.fill("[name=from]", "2020-01-02T03:04:05")
    page.fill("[name=to]", "2020-01-01T00:00:00")
    page.click("text=Show this range")
    assert "before the end" in visit.text(".popover [role=alert]")
    page.fill("[name=to]", "2020-01-02T04:04:05")
    page.click("text=Show this range")
    visit.until("/from=1577\\d+&to=1577\\d+/.test(location.hash)")
    page.go_back()
    visit.until("location.hash.includes('from=-6h')")
    visit.wait("overview")
    plot = page.locator(".u-over").first
    plot.wait_for()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20, steps=4)
    page.mouse.up()
    visit.until("/from=\\d+/.test(location.hash)")
    begin, end = (float(re.findall(rf"{key}=([\d.]+)", visit.query)[0]) for key in ("from", "to"))
    assert 0.2 < (end - begin) / (6 * 3600) < 0.3
    assert "Past" in page.inner_text(".live")
    page.go_back()
    assert "from=-6h" in visit.query, "one drag is one step back, however many charts follow the cursor"
    visit.check()


def test_a_cell_of_the_heat_map_leads_to_its_traces(visit: Visit, hub: ServedHub) -> None:
    operation = next(one["operation"] for one in hub.get("endpoints")["items"] if one["name"] == "GET /orders")
    page = visit.open(f"endpoints/{operation}", "endpoint")
    page.focus(".heatmap canvas")
    for _ in range(80):  # leftwards and up, until a cell holds something
        page.keyboard.press("ArrowUp")
        if re.search(r": [1-9]", visit.text(".heatmap figcaption")):
            break
        if visit.text(".heatmap figcaption").endswith("903 ms"):
            for _ in range(20):
                page.keyboard.press("ArrowDown")
            page.keyboard.press("ArrowLeft")
    told = visit.text(".heatmap figcaption")
    page.keyboard.press("Enter")
    visit.wait("traces")
    found = re.search(r": (\d+) requests", told)
    assert found is not None, told
    visit.until(f"document.querySelectorAll('main tbody tr').length === {found[1]}")


def test_every_place_is_reached_by_keys(visit: Visit) -> None:
    page = visit.open("")
    for key, view in (("e", "endpoints"), ("t", "traces"), ("q", "queries"), ("h", "hub"), ("o", "overview")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        visit.wait(view)
        assert page.evaluate("document.activeElement.tagName") == "H1"
    page.keyboard.press("?")
    assert "Go to" in visit.text("dialog")
    assert "Pause or resume" in visit.text("dialog")
    visit.keep("help-light")
    visit.accessible()
    page.keyboard.press("Escape")
    assert page.locator("dialog").count() == 0
    page.keyboard.press("g")
    page.keyboard.press("e")
    visit.wait("endpoints")
    page.keyboard.press("/")
    page.keyboard.type("rat")
    page.keyboard.press("Escape")
    visit.until("document.querySelectorAll('main tbody tr').length === 1")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    visit.wait("endpoint")
    visit.check()


def test_the_first_tab_skips_the_navigation(visit: Visit) -> None:
    page = visit.open("endpoints")
    page.reload()
    visit.wait("endpoints")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert "endpoints" in page.url


def test_arrow_keys_go_from_row_to_row(visit: Visit) -> None:
    page = visit.open("traces")
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.href")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.href")
    assert first != second
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.href") == first
    page.keyboard.press("Enter")
    visit.wait("trace")


def test_single_keys_can_be_switched_off(visit: Visit) -> None:
    page = visit.open("")
    page.keyboard.press("?")
    page.get_by_label("Single keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("dialog").count() == 0
    page.reload()
    visit.wait("overview")
    page.keyboard.press("?")
    assert page.locator("dialog").count() == 0


def test_a_trace_is_walked_by_keys(visit: Visit) -> None:
    page = visit.open(f"traces/{SLOWEST}", "trace")
    page.focus("[role=tree]")
    page.keyboard.press("ArrowDown")
    assert page.locator("[role=treeitem]").count() == 2  # the request, and six queries folded into one row
    page.keyboard.press("ArrowDown")
    assert "6 calls in a row" in visit.text(".span-panel")
    assert "/srv/shop/orders.py:28 list_orders" in visit.text(".span-panel")
    assert page.locator("[aria-selected=true]").get_attribute("aria-expanded") == "false"
    page.keyboard.press("ArrowRight")
    assert page.locator("[role=treeitem]").count() == 2 + LINES
    page.keyboard.press("ArrowRight")
    assert "span=" in visit.query
    visit.keep("span-panel-light")
    visit.accessible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator("[role=treeitem]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".span-panel").count() == 0
    assert page.locator(".bar-critical").count() > 0
    page.keyboard.press("c")
    assert page.locator(".bar-critical").count() == 0
    visit.check()


def test_a_trace_of_thousands_makes_only_the_rows_in_sight(visit: Visit) -> None:
    page = visit.open(f"traces/{BIG}", "trace")
    assert page.locator("[role=treeitem]").count() < 80
    assert page.locator("[role=treeitem]").first.get_attribute("aria-setsize") == str(BIG_SPANS)
    page.focus("[role=tree]")
    page.keyboard.press("End")
    page.wait_for_selector(f"text=step {BIG_SPANS - 1}")
    assert page.locator("[role=treeitem]").count() < 80
    page.keyboard.press("Home")
    page.wait_for_selector("text=GET /export")
    page.fill(".waterfall [data-search]", "step 777")
    page.wait_for_selector(f"text=1 of {BIG_SPANS:,} spans")
    page.press(".waterfall [data-search]", "Escape")
    page.keyboard.press("n")
    page.wait_for_selector("[aria-selected=true]:has-text('step 777')")
    slow = page.evaluate(SCROLLED)
    print(f"median frame while scrolling {BIG_SPANS} spans: {slow:.1f} ms")
    visit.check()


def test_a_chart_is_told_in_words_and_as_a_table(visit: Visit) -> None:
    page = visit.open("")
    told = page.locator(".chart .plot").first.get_attribute("aria-label") or ""
    assert re.match(r"Requests a second from .* to .*: requests lowest 0/s, highest .*/s, latest", told)
    page.locator(".chart figcaption button").first.click()
    assert page.locator(".chart table tbody tr").count() > 10
    visit.accessible()


def test_the_theme_is_switched_and_remembered(visit: Visit) -> None:
    page = visit.open("")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("d")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    visit.wait("overview")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    visit.check()


def test_the_navigation_opens_on_a_phone(browser: Browser, hub: ServedHub) -> None:
    with Visit(browser, hub, NARROW) as visit:
        page = visit.open("")
        assert not page.is_visible("nav >> text=Queries")
        page.click(".menu")
        page.wait_for_selector("nav >> text=Queries")
        visit.keep("navigation-narrow")
        page.click("nav >> text=Queries")
        visit.wait("queries")
        assert not page.is_visible("nav >> text=Caches")
        visit.check()


def test_nothing_moves_for_those_who_asked_for_that(visit: Visit) -> None:
    page = visit.open("")
    assert page.evaluate("getComputedStyle(document.querySelector('.live i')).animationName") == "none"


def test_new_data_appear_by_themselves_and_pause(browser: Browser, own_hub: ServedHub) -> None:
    with Visit(browser, own_hub) as visit:
        page = visit.open("")
        page.wait_for_selector("text=perfagent run python app.py")
        visit.keep("empty-light")
        visit.accessible()
        page.wait_for_selector(".live.on")
        own_hub.send("traces", traces(resource("shop"), span(1, "GET /first", ago=1)))
        page.wait_for_selector("main >> text=/first", timeout=90_000)
        page.keyboard.press("p")
        page.wait_for_selector(".live.paused")
        own_hub.send("traces", traces(resource("shop"), span(2, "GET /second", ago=1)))
        page.wait_for_timeout(5_000)  # longer than the page waits between two looks
        assert page.locator("main >> text=/second").count() == 0
        page.keyboard.press("p")
        page.wait_for_selector("main >> text=/second", timeout=90_000)
        visit.check()


def test_text_that_is_selected_stays_while_data_arrive(browser: Browser, own_hub: ServedHub) -> None:
    own_hub.send("traces", traces(resource("shop"), span(1, "GET /first", ago=1)))
    with Visit(browser, own_hub) as visit:
        page = visit.open("endpoints")
        page.wait_for_selector(".live.on")
        page.evaluate("getSelection().selectAllChildren(document.querySelector('main tbody th'))")
        own_hub.send("traces", traces(resource("shop"), span(2, "GET /second", ago=1)))
        page.wait_for_timeout(5_000)
        assert page.evaluate("getSelection().toString()").startswith("GET /first")
        page.evaluate("getSelection().removeAllRanges()")
        page.wait_for_selector("main >> text=/second", timeout=90_000)


def test_who_is_not_signed_in_learns_how(browser: Browser, hub: ServedHub) -> None:
    with Visit(browser, hub, link=False) as visit:
        visit.page.wait_for_selector("text=perfagent hub --open")
        visit.keep("signed-out-light")
        visit.accessible()
        visit.width_fits()


def test_a_hub_that_is_away_is_noticed_and_so_is_its_return(visit: Visit) -> None:
    page = visit.open("endpoints")
    visit.context.set_offline(True)
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.wait_for_selector(".lost")
    visit.keep("lost-light")
    visit.context.set_offline(False)
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_selector(".lost", state="detached", timeout=90_000)


def test_thresholds_are_changed_and_the_audit_says_so(browser: Browser, own_hub: ServedHub) -> None:
    with Visit(browser, own_hub) as visit:
        page = visit.open("alerts")
        page.click("[aria-label='Change: Slow responses']")
        visit.accessible()
        page.fill("dialog [name=warning]", "750")
        page.click("dialog >> text=Save")
        page.wait_for_selector("text=750")
        visit.open("hub")
        page.wait_for_selector("text=thresholds.set")
        visit.check()


def test_a_cache_is_cleared_after_a_question(browser: Browser, own_hub: ServedHub) -> None:
    own_hub.send("metrics", metrics(resource("shop"), gauge("perfagent.cache.size", 3, ago=1, cache__name="prices")))
    page_story.send(own_hub)
    with Visit(browser, own_hub) as visit:
        page = visit.open("caches")
        page.click("text=Clear…")
        assert "Clear prices?" in visit.text("dialog")
        page.click("dialog >> text=Cancel")
        page.click("text=Clear…")
        page.click("dialog >> text=Clear the cache")
        page.wait_for_selector(".notice")
        visit.check()


def test_old_answers_are_shown_at_once_on_the_way_back(visit: Visit) -> None:
    page = visit.open("endpoints")
    page.click("main tbody tr >> nth=0")
    visit.wait("endpoint")
    began = time.perf_counter()
    page.go_back()
    visit.wait("endpoints")
    print(f"back after {(time.perf_counter() - began) * 1000:.0f} ms")
    assert page.locator("main tbody tr").count() > 3
