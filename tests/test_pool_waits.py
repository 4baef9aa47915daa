"""Who waits for a pool is told: for how long, at which line, and what keeps the pool."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.runtime import ids, poolwaits
from perfagent.runtime.context import RemoteContext
from tests.agent import agent_env
from tests.browser import NARROW, WIDE, Visit
from tests.mongodb import running_mongodb
from tests.test_docs import blocks
from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.otlp import Receiver

APP = Path(__file__).parent / "apps" / "pool_waits.py"


@pytest.mark.slow
def test_endpoints_that_exhaust_the_worker_threads_are_named_with_what_keeps_them(
    hub: ServedHub, run_program: RunProgram, browser: Browser
) -> None:
    (command,) = blocks("docs/how-to/pools.md", "sh")
    assert command.strip() == "perfagent run python examples/known_faults/exhausted_pool.py"
    program = start(hub, run_program, "exhausted_pool", "3")
    program.check()
    (told,) = wait_for(lambda: insights(hub, "pool_wait"), program)
    line = line_of("exhausted_pool", '@app.get("/report")')
    assert told["place"] == f"{FAULTS / 'exhausted_pool.py'}:{line} report"
    assert told["title"].startswith("Requests wait for a free worker thread")
    assert "of which there are 40" in told["impact"]
    assert "total_tokens" in told["recommendation"]
    assert told["metrics"]["waited_s"] > 1
    of_ten_seconds = told["metrics"]["waited_s"] * 8640
    assert of_ten_seconds / 6 < told["seconds_per_day"] < of_ten_seconds * 1.1  # a busy machine takes longer for it
    for size, scheme in ((WIDE, "light"), (NARROW, "dark")):
        with Visit(browser, hub, size, scheme) as visit:
            visit.open("", "overview")
            assert f"known_faults/exhausted_pool.py:{line} report" in visit.text()
            visit.width_fits()
            visit.keep(f"pool-waits-{size[0]}-{scheme}")
            visit.check()


FIRST = ("sqlalchemy", "psycopg_pool", "asyncpg", "httpx_async", "executor")
OTHERS = ("redis", "pymongo", "urllib3", "httpx", "sqlalchemy_async", "psycopg_pool_async", "redis_async", "aiohttp")
LIBRARIES = {"executor": "concurrent.futures"}


@pytest.mark.parametrize(
    "part",
    [
        *(pytest.param(part, marks=pytest.mark.slow) for part in FIRST),
        *(pytest.param(part, marks=pytest.mark.nightly) for part in (*OTHERS, "pymongo_async")),
    ],
)
def test_what_requests_wait_for_a_pool_is_told_to_a_tenth_with_the_line(
    part: str, receiver: Receiver, run_program: RunProgram, postgres_url: str, redis_url: str
) -> None:
    with running_mongodb() as mongodb:
        servers = {"POSTGRES_URL": postgres_url, "REDIS_URL": redis_url, "MONGODB": str(mongodb)}
        waited = float(_run(part, receiver, run_program, **servers))
    assert waited > 0.8  # one waits for none, one for one, one for two, one for three others
    (told,) = [one for one in receiver.logs if one.event_name == "perfagent.pool_wait"]
    assert told.attributes["perfagent.pool_wait.library"] == LIBRARIES.get(part, part.removesuffix("_async"))
    assert told.attributes["perfagent.pool_wait.requests"] in (3, 4)  # a busy machine makes the first wait as well
    assert told.attributes["perfagent.pool_wait.seconds"] == pytest.approx(waited, rel=0.1)
    assert APP.read_text().splitlines()[int(told.attributes["code.line.number"]) - 1].endswith("# the wait")


@pytest.mark.slow
@pytest.mark.parametrize(("part", "how", "times"), [("psycopg2", "refused", 4), ("discarding", "discarded", 3)])
def test_who_gets_no_connection_is_counted(
    part: str, how: str, times: int, receiver: Receiver, run_program: RunProgram, postgres_url: str
) -> None:
    _run(part, receiver, run_program, POSTGRES_URL=postgres_url)
    (told,) = [one for one in receiver.logs if one.event_name == "perfagent.pool_wait"]
    assert told.attributes[f"perfagent.pool_wait.{how}"] == times
    assert APP.read_text().splitlines()[int(told.attributes["code.line.number"]) - 1].endswith("# the wait")
    assert "opensesame" not in str(told.attributes)


def _run(part: str, receiver: Receiver, run_program: RunProgram, **env: str) -> str:
    env = agent_env(receiver, OTEL_BSP_SCHEDULE_DELAY="60000", **env)  # so all of it is told at once, at the end
    return run_program("perfagent", "run", sys.executable, str(APP), part, env=env).check()


def test_of_many_waits_only_the_latest_are_kept_and_the_sums_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, float]] = []

    def refused(kind: str, subject: str, text: str, attributes: dict[str, Any], span: object) -> bool:
        told.append((attributes["perfagent.pool_wait.requests"], attributes["perfagent.pool_wait.seconds"]))
        return False  # told within this minute already

    monkeypatch.setattr(poolwaits, "_tallies", {})
    monkeypatch.setattr(poolwaits, "_connect", lambda: None)
    monkeypatch.setattr(poolwaits, "notice", refused)
    pool, wait = poolwaits.Pool("sqlalchemy", "orders", 5), 2_000_000
    for _ in range(12):
        for number in range(1000):
            request = RemoteContext(ids.trace_id(), ids.span_id(), 1)
            for began in (number * wait, number * wait + wait // 2):  # at the same time, in part
                poolwaits.note(pool, began, began + wait, None, request)
        poolwaits.tell(None)  # type: ignore[arg-type]
    (tally,) = poolwaits._tallies.values()
    assert sum(map(len, tally.requests.values())) <= poolwaits.KEPT
    requests, seconds = told[-1]
    assert requests == pytest.approx(12_000, rel=0.01)
    assert seconds == pytest.approx(12_000 * 0.003, rel=0.01)
