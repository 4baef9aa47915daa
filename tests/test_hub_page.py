"""Every view of the page, in a real browser over a real hub: what it shows in light, in the dark, and on a phone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests import page_story
from tests.browser import NARROW, WIDE, Visit
from tests.hub import ServedHub
from tests.page_story import BIG, FAILED, HOSTILE, ORDERS, RATINGS, SLOWEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


TIMES = "\N{MULTIPLICATION SIGN}"
# Each view: its address, and texts that it must show.
VIEWS = {
    "overview": (
        "",
        [
            "Overview",
            "What stands out",
            "What changed",
            "GET /orders",
            "SELECT order_lines",
        ],
    ),
    "endpoints": ("endpoints", ["GET /orders", "GET /rating", "POST /charges"]),
    "endpoint": ("endpoints/{orders}", ["GET /orders", "Where the time goes", "SELECT order_lines", "Slowest traces"]),
    "traces": ("traces", ["GET /orders", "POST /checkout", "900 ms"]),
    "trace": (
        f"traces/{SLOWEST}",
        ["GET /orders", "900 ms", "Repeated queries", f"6{TIMES}", "orders.py:28"],
    ),
    "trace-big": (f"traces/{BIG}", ["GET /export", "4.00 s", "1,500", "part 1"]),
    "trace-hostile": (f"traces/{HOSTILE}", ["GET /<script>", "⟨U+202E⟩GPJ.exe", "Zürich 東京", "⟨U+0000⟩"]),
    "queries": ("queries", ["SELECT order_lines", "/srv/shop/orders.py:28", f"6{TIMES}"]),
    "query": ("queries/{query}", ["FROM order_lines", "list_orders", "GET /orders"]),
    "caches": ("caches", ["prices", "75 %"]),
    "deprecations": ("deprecations", ["shop.pricing.old_price", "7"]),
    "processes": ("processes", ["shop", "4001", "37 %", "184 MB"]),
    "process": ("processes/shop-1", ["CPU", "Memory", "184 MB", "server-1"]),
    "logs": ("logs", ["query failed: <script>", "stock is low", "Warning", "order 1042"]),
    "metrics": ("metrics", ["process.memory.usage", "perfagent.eventloop.lag"]),
    "metric": ("metrics?name=process.memory.usage&by=service.instance.id", ["process.memory.usage", "184 MB"]),
    "alerts": ("alerts", ["Thresholds", "Slow responses"]),
    "databases": ("databases", ["The hub asks no database yet", "PERFAGENT_SOURCES="]),
    "objectives": ("objectives", ["Objectives", "PERFAGENT_SLO"]),
    "compare": ("compare", ["Compare", "shop"]),
    "hub": ("hub", ["What it collects itself", "Spans", "Log records", "OTEL_EXPORTER_OTLP_ENDPOINT="]),
}
LOADED = {"trace-big": "trace", "trace-hostile": "trace", "metric": "metrics"}
MODES = {"light": (WIDE, "light"), "dark": (WIDE, "dark"), "narrow": (NARROW, "light"), "narrow-dark": (NARROW, "dark")}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub that holds the story."""
    with ServedHub(tmp_path_factory.mktemp("page")) as hub:
        page_story.send(hub)
        yield hub


@pytest.fixture(scope="module")
def addresses(hub: ServedHub) -> dict[str, str]:
    """The identities that the hub gave."""
    endpoints, queries = hub.get("endpoints")["items"], hub.get("queries")["items"]
    return {
        "orders": next(one["operation"] for one in endpoints if one["name"] == "GET /orders"),
        "query": next(one["operation"] for one in queries if one["summary"] == "SELECT order_lines"),
    }


def _shows(browser: Browser, hub: ServedHub, addresses: dict[str, str], view: str, mode: str) -> None:
    size, scheme = MODES[mode]
    route, wanted = VIEWS[view]
    with Visit(browser, hub, size, scheme) as visit:
        visit.open(route.format(**addresses), LOADED.get(view, view))
        visit.page.wait_for_timeout(300)  # what a view fetches beside its own data
        if size == WIDE:
            _wait_for_texts(visit, wanted)
        visit.keep(f"{view}-{mode}")
        visit.width_fits()
        visit.accessible()
        visit.check()
        assert visit.page.evaluate("window.broken") is None


def _wait_for_texts(visit: Visit, wanted: list[str]) -> None:
    """Returns when all texts are shown; a busy machine takes longer than the wait above."""
    deadline = time.monotonic() + 60
    while missing := [text for text in wanted if text not in visit.text()]:
        assert time.monotonic() < deadline, f"{missing} are not shown"
        visit.page.wait_for_timeout(100)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_what_was_sent_and_nothing_fails(
    browser: Browser, hub: ServedHub, addresses: dict[str, str], view: str
) -> None:
    _shows(browser, hub, addresses, view, "light")


@pytest.mark.parametrize("mode", ["dark", "narrow", "narrow-dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_holds_in_the_dark_and_on_a_phone(
    browser: Browser, hub: ServedHub, addresses: dict[str, str], view: str, mode: str
) -> None:
    _shows(browser, hub, addresses, view, mode)


def test_the_figures_are_those_that_were_sent(browser: Browser, hub: ServedHub, addresses: dict[str, str]) -> None:
    with Visit(browser, hub) as visit:
        visit.open("endpoints")
        orders, rating = visit.row("/orders"), visit.row("/rating")
        assert orders[2] == str(ORDERS)
        assert orders[4].strip() == "0 %"
        assert rating[2] == str(RATINGS)
        assert rating[4].strip() == f"{100 * FAILED // RATINGS} %"
        visit.open(f"endpoints/{addresses['orders']}", "endpoint")
        assert visit.row("SELECT order_lines")[1:3] == ["6", f"6{TIMES}"]
        visit.open(f"queries/{addresses['query']}", "query")
        assert f"Calls\n{6 * ORDERS}" in visit.text(".figures")
        visit.open("caches")
        assert visit.row("prices")[5:7] == [str(page_story.HITS), str(page_story.MISSES)]
        told = hub.get("hub")["counts"]
        visit.open("hub")
        assert visit.row("Spans")[3] == f"{told['spans']:,}"
        assert visit.row("Log records")[3] == "3"


def test_the_overview_tells_the_totals_of_the_interface(browser: Browser, hub: ServedHub) -> None:
    totals = hub.get("overview")["totals"]
    with Visit(browser, hub) as visit:
        visit.open("")
        assert f"{totals['requests']:.0f} requests" in visit.text(".golden")
        assert f"{FAILED} failed" in visit.text(".golden")
        assert visit.text(".state").startswith(("Healthy", "Degraded", "Unhealthy"))


def test_a_service_that_is_chosen_leaves_the_others_out(browser: Browser, hub: ServedHub) -> None:
    with Visit(browser, hub) as visit:
        visit.open("endpoints?service=payments")
        assert "POST /charges" in visit.text()
        assert "GET /orders" not in visit.text()
        visit.page.select_option("#service", "shop")
        visit.page.wait_for_selector("text=/orders")
        assert "service=shop" in visit.query
        assert "POST /charges" not in visit.text()


def test_hostile_names_are_shown_as_text(browser: Browser, hub: ServedHub) -> None:
    with Visit(browser, hub) as visit:
        page = visit.open(f"traces/{HOSTILE}", "trace")
        page.locator("[role=treeitem]").first.click()
        page.wait_for_selector(".span-panel")
        assert page_story.SCRIPT in visit.text(".span-panel")
        assert page.locator("main script, main img").count() == 0
        long = page.locator("[role=treeitem]", has_text="xxxx")
        assert len(long.inner_text()) < 1000
        long.click()
        visit.open("logs")
        page.locator("summary", has_text="query failed").first.click()
        assert page_story.SCRIPT in visit.text("details[open] .log-more")
        assert page.evaluate("window.broken") is None
        visit.width_fits()
        visit.check()
