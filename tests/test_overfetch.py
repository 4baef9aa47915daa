"""Statements that get more rows than their request needs are named with the line, the rows, and what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import NARROW, WIDE, Visit
from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.conftest import RunProgram
    from tests.hub import ServedHub


@pytest.mark.slow
def test_statements_that_get_too_many_rows_are_named_and_pages_are_not(
    hub: ServedHub, run_program: RunProgram, postgres_url: str, browser: Browser
) -> None:
    program = start(hub, run_program, "over_fetch", DATABASE=postgres_url, OTEL_BSP_SCHEDULE_DELAY="60000")
    program.check()

    def both() -> list[dict[str, object]]:
        found = insights(hub, "over_fetch")
        return found if len(found) == 2 else []

    told = {one["title"]: one for one in wait_for(both, program)}
    unread = told["GET /latest gets 500 rows a call and reads 1 of them"]
    line = line_of("over_fetch", "# fault: one row")
    assert unread["place"] == f"{FAULTS / 'over_fetch.py'}:{line} latest"
    assert "LIMIT" in unread["recommendation"]
    whole = told["GET /orders gets 2,000 rows a call"]
    assert whole["place"] == f"{FAULTS / 'over_fetch.py'}:{line_of('over_fetch', '# fault: all rows')} orders"
    assert whole["metrics"] == {"rows_per_call": 2000, "calls": 5, "most": 2000}
    items = {one["text"]: one for one in hub.get("queries", hours="1")["items"]}
    assert items["select id, price from orders order by id limit ?"]["rows_per_call"] == 20
    for size, scheme in ((WIDE, "light"), (NARROW, "dark")):
        with Visit(browser, hub, size, scheme) as visit:
            visit.open("", "overview")
            assert "GET /latest gets 500 rows a call and reads 1 of them" in visit.text()
            visit.width_fits()
            visit.keep(f"over-fetch-{size[0]}-{scheme}")
            visit.check()
