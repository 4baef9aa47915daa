"""Who waits for a pool is told: for how long, at which line, and what keeps the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.hub import ServedHub


@pytest.mark.slow
def test_endpoints_that_exhaust_the_worker_threads_are_named_with_what_keeps_them(
    hub: ServedHub, run_program: RunProgram
) -> None:
    program = start(hub, run_program, "exhausted_pool", "3")
    program.check(60)
    (told,) = wait_for(lambda: insights(hub, "pool_wait"), program)
    line = line_of("exhausted_pool", '@app.get("/report")')
    assert told["place"] == f"{FAULTS / 'exhausted_pool.py'}:{line} report"
    assert told["title"].startswith("Requests wait for a free worker thread")
    assert "of which there are 40" in told["impact"]
    assert "total_tokens" in told["recommendation"]
    assert told["metrics"]["waited_s"] > 1
    assert told["seconds_per_day"] > 86_400  # more than one waits at any time
