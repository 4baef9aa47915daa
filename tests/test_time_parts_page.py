"""Where time went, as the page shows it: in the waterfall, of a span, of an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import NARROW, Visit
from tests.hub import MS, ServedHub, resource, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

PARTS = {"cpu": 120, "gc": 40, "lock": 80, "pool": 150, "loop": 60, "sleep": 50, "processor": 30, "gil": 20}
TRACE = f"{7:032x}"


def request(number: int, ms: float, **parts: float) -> dict[str, Any]:
    """A request with what its agent has measured, ms."""
    told = {f"perfagent__time__{part}": round(time * MS) for part, time in parts.items()}
    return span(number, "GET /checkout", trace=number, ms=ms, ago=20, **told)


def query(number: int, parent: int, late: float, ms: float) -> dict[str, Any]:
    """A query below a request that begins `late` ms after it."""
    return span(
        number, "SELECT orders", trace=parent, parent=parent, kind=3, ms=ms, ago=20 - late / 1000,
        db__system__name="postgresql", db__query__text="SELECT * FROM orders WHERE id = ?",
    )  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub with one request that spent time in every way, and thirty others."""
    with ServedHub(tmp_path_factory.mktemp("page")) as hub:
        whole = [request(7, 1000, **PARTS, on_loop=250), query(71, 7, 200, 200), query(72, 7, 300, 200)]
        others = [request(one, 400 + one, cpu=60, pool=one * 4) for one in range(100, 130)]
        hub.send("traces", traces(resource("shop"), *whole, *others))
        yield hub


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_waterfall_shows_the_parts_and_the_panel_adds_them_up(
    browser: Browser, hub: ServedHub, scheme: str
) -> None:
    with Visit(browser, hub, scheme=scheme) as visit:
        page = visit.open(f"traces/{TRACE}", "trace")
        bar = page.locator(".bar-parts")
        assert bar.count() == 1
        shares = bar.locator("i").evaluate_all(
            "(all) => all.map((one) => [one.className.split('time-')[2], one.getBoundingClientRect().width])"
        )
        whole = sum(width for _, width in shares)
        drawn = {name: width / whole for name, width in shares}
        wanted = {**PARTS, "network": 300, "other": 150}
        assert drawn == {name: pytest.approx(time / 1000, abs=0.01) for name, time in wanted.items()}
        assert "pool 150 ms (15 %)" in page.locator("[role=treeitem]").first.get_attribute("aria-label").replace(
            "\u00a0", " "
        )
        visit.keep(f"time-parts-trace-{scheme}")
        page.locator("[role=treeitem]").first.click()
        table = page.locator(".span-panel .time-table")
        rows = [cell.replace("\u00a0", " ").split("\t") for cell in table.locator("tr").all_inner_texts()]
        assert ["pool", "150 ms", "15 %"] in rows
        assert rows[-1] == ["in all", "1.00 s", "100 %"]
        assert "It held the event loop for 250 ms" in visit.text(".span-panel")
        visit.keep(f"time-parts-span-{scheme}")
        page.get_by_label("Parts of the time").uncheck()
        assert page.locator(".bar-parts").count() == 0
        visit.accessible()
        visit.check()


@pytest.mark.parametrize("size", [(1440, 900), NARROW])
def test_an_endpoint_shows_what_its_requests_did(browser: Browser, hub: ServedHub, size: tuple[int, int]) -> None:
    operation = hub.get("endpoints")["items"][0]["operation"]
    with Visit(browser, hub, size) as visit:
        page = visit.open(f"endpoints/{operation}", "endpoint")
        text = visit.text()
        assert "What its requests did" in text
        assert "measured on 31 of the latest" in text
        heads = page.locator(".time-table thead th").all_inner_texts()
        assert [one.strip() for one in heads] == ["Part", "a mean request", "the slowest 5 %"]
        assert "waiting for a free connection" in page.locator(".time-table .time-pool").locator("..").get_attribute(
            "title"
        )
        visit.width_fits()
        visit.keep(f"time-parts-endpoint-{size[0]}")
        visit.accessible()
        visit.check()
