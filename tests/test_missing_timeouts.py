"""Calls without a time-out, of each library against a real server: told at the program's line; with one, nothing is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.otlp import Receiver
    from tests.servers import MysqlServer

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "tests" / "apps" / "waiting_calls.py"
LIBRARIES = (
    "redis", "redis.asyncio", "psycopg2", "pymysql", "smtplib", "http.client", "grpc", "grpc.result", "grpc.aio",
)  # fmt: skip
TOLD = {
    ("redis", "redis"), ("redis.asyncio", "redis"), ("psycopg2", "psycopg2"), ("pymysql", "pymysql"),
    ("smtplib", "smtplib"), ("http.client", "http.client"), ("grpc", "grpc"), ("grpc stream", "grpc"),
    ("grpc.result", "grpc"), ("grpc.aio", "grpc"),
}  # fmt: skip
"""The marks of the program's lines, and whose calls these are."""
pytestmark = pytest.mark.slow


def told(
    run_program: RunProgram, receiver: Receiver, servers: dict[str, Any], libraries: tuple[str, ...], *words: str
) -> set[tuple[str, str]]:
    """Marks of the lines at which the agent misses a time-out, and whose call each is."""
    receiver.clear()
    env = agent_env(receiver, SERVERS=json.dumps(servers))
    command = ("perfagent", "run", sys.executable, str(PROGRAM), ",".join(libraries), *words)
    run_program(*command, env=env).check(90)
    assert receiver.spans  # the agent was there
    events = [one.attributes for one in receiver.logs if one.event_name == "perfagent.missing_timeout"]
    assert {one["code.file.path"] for one in events} <= {str(PROGRAM)}
    lines = PROGRAM.read_text().splitlines()
    return {
        (
            lines[int(str(one["code.line.number"])) - 1].partition("  # ")[2],
            str(one["perfagent.missing_timeout.what"]),
        )
        for one in events
    }


@pytest.fixture
def servers(redis_url: str, postgres_url: str, mysql_server: MysqlServer) -> dict[str, Any]:
    """Where the real servers are; those of mail, HTTP and gRPC are part of the program."""
    return {"redis": redis_url, "postgres": postgres_url, "mysql": mysql_server._asdict()}


def test_calls_without_a_timeout_are_told_with_their_lines(
    servers: dict[str, Any], run_program: RunProgram, receiver: Receiver
) -> None:
    assert told(run_program, receiver, servers, LIBRARIES) == TOLD


def test_calls_with_a_timeout_are_not_told(
    servers: dict[str, Any], run_program: RunProgram, receiver: Receiver
) -> None:
    assert told(run_program, receiver, servers, LIBRARIES, "fixed") == set()


@pytest.fixture
def broker(redis_url: str, run_program: RunProgram, receiver: Receiver) -> Iterator[str]:
    """A Redis with a Celery worker, which runs under the agent, too: what it waits for by itself is nobody's habit."""
    url = redis_url.rsplit("/", 1)[0] + "/11"
    env = agent_env(receiver, BROKER=url, PYTHONPATH=str(ROOT))
    words = "celery -A tests.apps.celery_app worker --without-gossip --without-mingle --loglevel INFO --pool solo"
    worker = run_program("perfagent", "run", *words.split(), env=env)
    worker.wait_for_output(" ready.", 60)
    yield url
    worker.stop()


def test_a_result_of_celery_is_not_to_be_waited_for_without_end(
    broker: str, run_program: RunProgram, receiver: Receiver
) -> None:
    # Its broker is asked by redis, which waits for answers at the line that sends a task.
    sent = {("celery sent", "redis"), ("celery sent both", "redis")}
    waited = {("celery", "celery"), ("celery group", "celery")}
    assert told(run_program, receiver, {"redis": broker}, ("celery",)) == sent | waited
    assert told(run_program, receiver, {"redis": broker}, ("celery",), "fixed") == set()
