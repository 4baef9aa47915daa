"""Alerts on the page: incidents, what is done about them, what is kept quiet, and one incident with its timeline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import NARROW, WIDE, Visit
from tests.hub import ServedHub, resource, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

SCRIPT = "<img src=x onerror=window.broken=1>"


@pytest.fixture
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub whose shop has a slow statement, whose reports fail, and one service that is silenced."""
    with ServedHub(tmp_path_factory.mktemp("alerts")) as hub:
        silence = {"action": "silence", "matchers": {"service": "batch*"}, "duration_minutes": 60, "note": SCRIPT}
        assert hub.ask("alerts", "operator", "POST", json=silence).status_code == 200
        shop: list[dict[str, Any]] = []
        others: tuple[list[dict[str, Any]], ...] = ([], [])
        for minute in range(1, 6):
            ago = 60.0 * minute + 30
            for number in range(minute * 1000, minute * 1000 + 120, 10):
                shop += [
                    span(number, "POST /orders", trace=number, ago=ago, ms=6080, status=500),
                    span(number + 1, "SELECT orders", trace=number, parent=number, kind=3, ago=ago, ms=6000,
                         db__system__name="postgresql", db__query__text="SELECT * FROM orders"),
                ]  # fmt: skip
                for at, spans in enumerate(others):
                    spans.append(span(number + 5 + at, "GET /", ago=ago, status=500))
        for service, spans in (("shop", shop), ("reports", others[0]), ("batch-eu", others[1])):
            hub.send("traces", traces(resource(service), *spans))
        hub.alerts()
        yield hub


def test_incidents_are_seen_acted_on_and_looked_into(browser: Browser, troubled: ServedHub) -> None:
    with Visit(browser, troubled) as visit:
        page = visit.open("alerts")
        visit.page.wait_for_selector("text=A very slow query in shop")
        for text in ("Failing requests in reports", "Each alert", "Kept quiet", "service=batch*", "Thresholds"):
            page.wait_for_selector(f"text={text}")
        visit.keep("alerts-active-light")
        visit.width_fits()
        visit.accessible()
        page.click("[aria-label='Acknowledge: Failing requests in reports']")
        page.wait_for_selector("text=It is acknowledged now.")
        page.click("main table[data-primary] >> text=A very slow query in shop")
        visit.wait("incident")
        for text in ("Next step:", "What happened", "Slow database", "Failing requests", "People are told: fired"):
            page.wait_for_selector(f"text={text}")
        visit.keep("incident-light")
        visit.width_fits()
        visit.accessible()
        page.click("button >> text=Silence… >> nth=0")
        page.fill("dialog [name=note]", "the report runs")
        visit.accessible()
        page.click("dialog >> button >> text='Silence'")
        page.wait_for_selector("text=It is kept quiet now.")
        visit.check()
    (silence, _) = troubled.get("alerts/silences")["items"]
    assert silence["note"] == "the report runs"


def test_maintenance_is_begun_and_ended(browser: Browser, troubled: ServedHub) -> None:
    with Visit(browser, troubled) as visit:
        page = visit.open("alerts")
        page.click("text=Begin maintenance…")
        page.fill("dialog [name=name]", "upgrade")
        page.fill("dialog [name=services]", "shop, reports")
        page.select_option("dialog [name=minutes]", "240")
        visit.accessible()
        page.click("dialog >> button >> text='Begin'")
        page.wait_for_selector("[aria-label='End: upgrade']")
        (window,) = troubled.get("maintenance")["items"]
        assert (window["services"], window["active"]) == (["shop", "reports"], True)
        page.click("[aria-label='End: upgrade']")
        page.wait_for_selector("[aria-label='End: upgrade']", state="detached")
        visit.check()


@pytest.mark.parametrize(("size", "scheme", "name"), [(WIDE, "dark", "dark"), (NARROW, "light", "narrow")])
def test_alerts_and_incidents_hold_in_the_dark_and_on_a_phone(
    browser: Browser, troubled: ServedHub, size: tuple[int, int], scheme: str, name: str
) -> None:
    incident = troubled.get("incidents")["items"][0]["id"]
    with Visit(browser, troubled, size, scheme) as visit:
        told = "A very slow query in shop"
        for route, view, text in (
            ("", "overview", told), ("alerts", "alerts", told), (f"incidents/{incident}", "incident", "Next step:"),
        ):  # fmt: skip
            visit.open(route, view)
            visit.page.wait_for_selector(f"text={text}")
            visit.keep(f"{view}-active-{name}")
            visit.width_fits()
            visit.accessible()
        visit.check()
        assert visit.page.evaluate("window.broken") is None


def test_an_alert_that_fires_appears_without_a_reload(browser: Browser, troubled: ServedHub) -> None:
    with Visit(browser, troubled) as visit:
        page = visit.open("alerts")
        for minute in range(6):
            spans = (span(900_000 + minute * 100 + one, ago=60 * minute + 5, status=500) for one in range(20))
            troubled.send("traces", traces(resource("late"), *spans))
        began = time.monotonic()
        troubled.alerts()
        page.wait_for_selector("text=Failing requests in late", timeout=60_000)
        print(f"shown after {time.monotonic() - began:.1f} s")
        visit.check()
