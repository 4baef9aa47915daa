"""The view of profiles in a real browser: flame graphs by mouse and keyboard, comparisons, one trace, one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import NARROW, WIDE, Visit, browser  # noqa: F401 - a fixture
from tests.hub import ServedHub, resource, span, traces
from tests.profiles import PATH, Profiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.profiles import Call

MS = 1_000_000
RUN: Call = ("run_forever", "/usr/lib/python3.11/asyncio/base_events.py", 590, 608)
APP: Call = ("__call__", "/srv/env/lib/python3.11/site-packages/starlette/routing.py", 60, 80)
CART: Call = ("cart", "/srv/shop/views.py", 20, 24)
TOTAL: Call = ("total", "/srv/shop/prices.py", 5, 8)
DUMP: Call = ("dump", "/srv/shop/views.py", 50, 52)
TRACE = 7


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub with profiles of two releases: in the second one `total` takes four times as long."""
    with ServedHub(tmp_path_factory.mktemp("page")) as hub:
        for version, slow, number in (("1.0", 40, 100), ("2.0", 160, TRACE)):
            made = Profiles(version=version, instance=f"shop-{version}")
            made.add([RUN, APP, CART, TOTAL], slow * MS, endpoint="GET /cart", state="running")
            made.add([RUN, APP, DUMP], 20 * MS, endpoint="GET /dump", thread="worker")
            made.add([RUN, APP, CART, TOTAL], 5 * MS, kind="cpu", endpoint="GET /cart")
            link = {"trace": number.to_bytes(16, "big"), "span": number.to_bytes(8, "big")}
            made.add([RUN, APP, CART, TOTAL], 30 * MS, endpoint="GET /cart", times=[0, 10 * MS, 20 * MS], **link)
            answer = hub.client.post(PATH, content=made.encode(), headers={"content-type": "application/x-protobuf"})
            assert (answer.status_code, answer.content) == (200, b"")
            requests = [span(one, "GET /cart", trace=one, ago=20, ms=60) for one in range(number, number + 10)]
            hub.send("traces", traces(resource("shop", f"shop-{version}", service__version=version), *requests))
        yield hub


def test_a_flame_graph_is_read_by_keyboard(browser: Browser, shop: ServedHub) -> None:  # noqa: F811
    with Visit(browser, shop) as visit:
        page = visit.open("profiles?service=shop", "profiles")
        page.locator(".flame-box").focus()
        for _ in range(4):
            page.keyboard.press("ArrowDown")
        visit.until("document.querySelector('.flame-told').innerText.includes('total')")
        told = visit.text(".flame-told")
        assert "/srv/shop/prices.py:8" in told
        assert "260 ms" in told
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        visit.until("document.querySelector('.flame-told').innerText.includes('dump')")
        page.keyboard.press("Enter")
        assert page.get_by_role("button", name="Show all").is_visible()
        page.keyboard.press("Escape")
        visit.until("!document.querySelector('.flame-tools').innerText.includes('Show all')")
        visit.accessible()
        visit.check()
        visit.keep("profiles")


def test_a_click_fills_the_width_and_the_search_tells_its_share(browser: Browser, shop: ServedHub) -> None:  # noqa: F811
    with Visit(browser, shop) as visit:
        page = visit.open("profiles?service=shop&find=prices", "profiles")
        visit.until("document.querySelector('.flame-tools [role=status]')?.innerText.includes('87')")
        page.locator(".flame-box canvas").click(position={"x": 30, "y": 3 * 19 + 8})
        visit.until("document.querySelector('.flame-told').innerText.includes('total')")
        assert page.get_by_role("button", name="Show all").is_visible()
        visit.check()


def test_a_slower_release_is_red_where_it_is_slower(browser: Browser, shop: ServedHub) -> None:  # noqa: F811
    with Visit(browser, shop, scheme="dark") as visit:
        page = visit.open("profiles?service=shop&version=2.0&before=1.0", "profiles")
        visit.until("document.querySelector('.view-profiles table tbody tr')")
        row = " ".join(visit.row("total"))
        assert "+120" in row
        page.locator(".flame-box").focus()
        for _ in range(4):
            page.keyboard.press("ArrowDown")
        visit.until("document.querySelector('.flame-told').innerText.includes('before 70')")
        red, green, blue = page.evaluate(
            """() => { const canvas = document.querySelector('.flame-box canvas');
            return [...canvas.getContext('2d').getImageData(20, 3 * 19 + 3, 1, 1).data].slice(0, 3) }"""
        )
        assert red > max(green, blue)
        visit.accessible()
        visit.check()
        visit.keep("profiles-compared-dark")


def test_filters_and_types_change_what_is_shown(browser: Browser, shop: ServedHub) -> None:  # noqa: F811
    with Visit(browser, shop) as visit:
        page = visit.open("profiles?service=shop", "profiles")
        page.locator(".filters select").first.select_option("GET /dump")
        visit.until("document.querySelector('.figures').innerText.includes('40.0')")
        page.locator(".filters select").first.select_option("")
        page.get_by_role("radio", name="CPU", exact=True).check()
        visit.until("document.querySelector('.figures').innerText.includes('10.0')")
        page.get_by_role("radio", name="Lines", exact=True).check()
        visit.until("document.querySelector('.view-profiles table').innerText.includes('prices.py:8')")
        visit.check()


def test_a_trace_has_a_flame_chart_and_a_request_its_lines(browser: Browser, shop: ServedHub) -> None:  # noqa: F811
    with Visit(browser, shop) as visit:
        page = visit.open(f"traces/{TRACE:032x}", "trace")
        page.get_by_role("radio", name="Flame chart", exact=True).check()
        page.locator(".flame-box").focus()
        for _ in range(4):
            page.keyboard.press("ArrowDown")
        visit.until("document.querySelector('.flame-told').innerText.includes('30.0')")
        visit.accessible()
        visit.keep("flame-chart")
        (cart,) = [one for one in shop.get("endpoints")["items"] if one["name"] == "GET /cart"]
        visit.open(f"endpoints/{cart['operation']}", "endpoint")
        visit.until("document.querySelector('main').innerText.includes('prices.py:8')")
        visit.check()


def test_it_fits_a_narrow_window(browser: Browser, shop: ServedHub) -> None:  # noqa: F811
    with Visit(browser, shop, size=NARROW) as visit:
        visit.open("profiles?service=shop&before=1.0&version=2.0", "profiles")
        visit.until("document.querySelector('.view-profiles table tbody tr')")
        visit.width_fits()
        visit.check()
        visit.keep("profiles-narrow")


def test_where_there_is_none_it_says_how_to_get_one(browser: Browser, shop: ServedHub) -> None:  # noqa: F811
    with Visit(browser, shop, size=WIDE) as visit:
        visit.open("profiles?service=shop&type=lock", "profiles")
        assert "No profile here" in visit.text()
        visit.check()
