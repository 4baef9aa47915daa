"""The page shows what is wrong with the queries of requests, with the lines of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import NARROW, WIDE, Visit
from tests.test_docs import blocks
from tests.told_faults import insights, line_of, start, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.conftest import RunProgram
    from tests.hub import ServedHub

PAGE = "docs/how-to/queries.md"


@pytest.mark.slow
def test_the_page_names_the_loop_the_repeated_query_and_the_call_within_a_transaction(
    hub: ServedHub, run_program: RunProgram, browser: Browser
) -> None:
    run = blocks(PAGE, "sh")[0]
    names = [line.removeprefix("perfagent run python examples/known_faults/")[:-3] for line in run.splitlines()]
    assert {"n_plus_one", "duplicate_queries", "transaction_across_call"} <= set(names)
    for name in names:
        program = start(hub, run_program, name, PERFAGENT_EXIT_TIMEOUT="20000")
        program.check(60)
        wait_for(lambda kind=name: insights(hub, kind), program)
    for size, scheme in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "dark")):
        with Visit(browser, hub, size, scheme) as visit:
            visit.open("", "overview")
            shown = visit.text()
            loop = line_of("n_plus_one", "for order, _ in orders")
            assert f"known_faults/n_plus_one.py:{loop} listing" in shown
            assert "runs a query 2 times more than it needs to" in shown
            assert "A transaction of sqlite stays open while POST" in shown
            visit.width_fits()
            visit.keep(f"query-findings-{size[0]}-{scheme}")
            visit.check()
