"""The page's view of caches in a real browser: what one saves, why it misses, and what more would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import NARROW, WIDE, Visit
from tests.hub import logs, resource
from tests.test_cache_economics import COUNTED, event

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.hub import ServedHub

FIGURES = {**COUNTED, "fill_seconds": 50, "expired": 400, "cold": 100, "ttl_seconds": 150_000}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_the_page_shows_what_a_cache_saves_and_what_more_would_bring(
    browser: Browser, hub: ServedHub, size: tuple[int, int], scheme: str
) -> None:
    curve = {"ttl_hits": [200.0, 350.0, 500.0, 700.0, 850.0, 860.0]}
    whole = event(**FIGURES, size=400, priced_gets=1000, saved_seconds=48.5, size_hits=[300.0, 400.0] + [500.0] * 4)
    hub.send("logs", logs(resource("seen"), whole, event("price:{}", **FIGURES, **curve)))
    with Visit(browser, hub, size, scheme) as visit:
        visit.open("caches?service=seen")
        visit.page.wait_for_selector(".worth .u-over")
        text = " ".join(visit.text(".worth").split())
        assert "never set before 20 %" in text
        assert "expired 80 %" in text
        assert "20 m 00 s would raise hits to 85 %" in text
        assert "More would bring little." in text
        assert "price:{}" in text
        visit.width_fits()
        visit.accessible()
        visit.keep(f"caches-{scheme}")
        visit.check()
