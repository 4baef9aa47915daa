"""Secrets stay where they are when the agent looks deeper: at plans, loops, leaks, caches, habits and stacks."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests import canaries as secrets
from tests.agent import agent_env
from tests.canaries import check

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver
    from tests.program import Program

pytestmark = pytest.mark.slow
DEPTH = {
    "PERFAGENT_EXPLAIN": "on", "PERFAGENT_EXPLAIN_THRESHOLD": "10", "PERFAGENT_EXPLAIN_PER_MINUTE": "20",
    "PERFAGENT_LEAK_INTERVAL": "0.2", "PERFAGENT_SQLCOMMENTER": "everywhere", "PERFAGENT_BLOCKED_LOOP": "100",
    "PERFAGENT_TIME_PARTS": "true", "PERFAGENT_PROFILER_RATE": "200", "PERFAGENT_PROFILER_AT_ONCE": "true",
    "PERFAGENT_MAX_OVERHEAD": "0", "ENABLE_PROFILING": "true",
}  # fmt: skip
NOTICED = {
    "blocked_loop", "cache.economics", "duplicate_queries", "endless_retries", "lost_task", "memory_leak",
    "missing_timeout", "over_fetch", "query.plan", "session_per_call", "transaction_across_call", "unclosed",
}  # fmt: skip
IN_PATHS = b"whatstandsinapath"


@pytest.fixture
def told(postgres_url: str, redis_url: str) -> dict[str, Any]:
    """Where the servers of the program are."""
    return {"postgres": postgres_url, "redis": redis_url}


def check_comments(program: Program) -> None:
    """What was written behind a statement names the route, and nothing of the request."""
    comments = re.findall(r"comment: (.+)", program.stdout)
    assert comments
    assert all("route='%2Fslow'" in one and "traceparent=" in one for one in comments)
    check("comments of statements", [program.stdout.encode()])


@pytest.mark.timeout(400)
def test_no_secret_is_in_what_is_sent_of_plans_leaks_caches_habits_and_stacks(
    run_program: RunProgram, receiver: Receiver, told: dict[str, Any], tmp_path: Path
) -> None:
    program = secrets.start(run_program, tmp_path, "canary_depth", told, agent_env(receiver, **DEPTH))
    deadline = time.monotonic() + 250
    events: set[str] = set()
    while not events >= NOTICED:
        assert time.monotonic() < deadline, NOTICED - events
        time.sleep(0.2)
        events = {record.event_name.removeprefix("perfagent.") for record in receiver.logs}
    (tmp_path / "release").touch()
    assert program.wait() == 0, program.stderr
    assert program.stderr == ""
    check_comments(program)
    for path in ("v1/traces", "v1/metrics", "v1/logs", "v1development/profiles"):
        sent = [request.body for request in receiver.requests if request.path == f"/{path}"]
        check(f"OTLP {path.partition('/')[2]} of what looks deeper", sent)
        if path != "v1/traces":
            assert not [body for body in sent if IN_PATHS in body], path
