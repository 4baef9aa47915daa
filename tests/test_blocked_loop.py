"""What blocks an event loop: named with its line while it blocks, with the request that suffers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.hub import ServedHub

PLACE = f"{FAULTS / 'blocked_loop.py'}:{line_of('blocked_loop', 'time.sleep(self.seconds)')}"


def test_a_sleep_in_an_async_function_is_told_with_its_line_and_its_request(
    hub: ServedHub, run_program: RunProgram
) -> None:
    program = start(hub, run_program, "blocked_loop", "4")
    program.check(60)
    (told,) = wait_for(lambda: insights(hub, "blocked_loop"), program)
    assert told["place"].split(" ")[0] == PLACE
    assert "it sleeps" in told["evidence"]
    assert "asyncio.sleep" in told["recommendation"]
    assert 200 <= told["metrics"]["worst_ms"] < 2000
    lines = told["stack"].splitlines()
    assert lines[-1].endswith("in wait")
    assert any(line.endswith("in rate") for line in lines[:-1])
    # The request that does it, with the moment.
    trace = hub.get(f"traces/{told['traces'][0]}")
    (request,) = [span for span in trace["spans"] if span["kind"] == "server"]
    assert request["name"] == "GET /rates/{currency}"
    (event,) = [event for event in request["events"] if event["name"] == "perfagent.loop.blocked"]
    assert request["offset_ms"] <= event["offset_ms"] <= request["offset_ms"] + request["duration_ms"]
    assert event["attributes"]["code.line.number"] == int(PLACE.rpartition(":")[2])
    assert event["attributes"]["perfagent.loop.blocked.kind"] == "sleep"
