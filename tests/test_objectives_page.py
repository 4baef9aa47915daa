"""Objectives and optimisation rules on the page: what was counted and done, in light, in the dark, and on a phone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.browser import NARROW, WIDE, Visit
from tests.hub import ServedHub, resource, span, traces
from tests.test_objectives import DAY, HOUR, TABLES, requests, send
from tests.test_optimise import Rig, acted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

RULE = """
[[optimisation]]
name = "trim"
when = "max(process.memory.usage) > 50MB"
actions = ["lower_sampling"]
mode = "act"
priority = 100
"""
VIEWS = {
    "objectives": ("objectives", ["shop-availability", "Spent", "items-latency", "Fine"]),
    "objective": (
        "objectives/shop-availability",
        ["What was left", "Burn rates", "When it was spent", "GET /orders", "TimeoutError", "of 27 allowed", "already"],
    ),
    "hub": ("hub", ["Optimisation rules", "high-memory", "lower sampling", "acted", "Put back"]),
}
MODES = {"light": (WIDE, "light"), "dark": (WIDE, "dark"), "narrow": (NARROW, "light")}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub with a month of a shop, a budget that is spent, and an action that is under way."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "perfagent.toml").write_text(TABLES + RULE)
    with ServedHub(folder, PERFAGENT_RETENTION_HOURS="1000") as hub:
        for day in range(1, 26):
            send(hub, requests(100, 1 if day % 5 == 0 else 0, ago=day * DAY))
        send(hub, requests(60, 30, route="/orders", code="504", ago=3 * DAY + HOUR), requests(50, 12, slow=2))

        failed = [span(n + 1, "GET /orders", status=504, error__type="TimeoutError") for n in range(3)]
        hub.send("traces", traces(resource("shop"), *failed))
        acted(Rig(hub))
        yield hub


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_what_was_counted_and_nothing_fails(
    browser: Browser, hub: ServedHub, view: str, mode: str
) -> None:
    size, scheme = MODES[mode]
    route, wanted = VIEWS[view]
    with Visit(browser, hub, size, scheme) as visit:
        visit.open(route, view)
        deadline = time.monotonic() + 60
        while size == WIDE and (missing := [text for text in wanted if text not in visit.text()]):
            assert time.monotonic() < deadline, f"{missing} are not shown in {visit.text()}"
            visit.page.wait_for_timeout(100)
        visit.page.wait_for_timeout(300)
        visit.keep(f"{view}-slo-{mode}")
        visit.width_fits()
        visit.accessible()
        visit.check()


def test_a_person_puts_an_action_back_and_lets_the_hub_act(browser: Browser, hub: ServedHub) -> None:
    with Visit(browser, hub) as visit:
        page = visit.open("hub")
        page.get_by_role("button", name="Put back: lower_sampling for shop").click()
        page.wait_for_selector("text=It is being put back.")
        page.wait_for_selector("td:has-text('undoing')")
        page.get_by_label("Where a rule holds, the hub").select_option("act")
        page.wait_for_selector("text=The hub acts from now on.")
        visit.check()
    assert hub.get("optimisations")["mode"] == "act"
