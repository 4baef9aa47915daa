"""A query's span tells which line of the program ran it, at a cost that nobody feels."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.queries import Run, text

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver, Span
    from tests.servers import MysqlServer

APP = Path(__file__).parent / "apps" / "caller_calls.py"
LINES = APP.read_text().splitlines()


def caller(span: Span) -> str | None:
    """The function that a span names, where it names the line that the program marked as that function's."""
    if "code.function.name" not in span.attributes:
        return None
    assert span.attributes["code.file.path"] == str(APP)
    line = LINES[int(span.attributes["code.line.number"]) - 1]
    marked = re.search(r"# here: (\S+)", line)
    assert marked, line
    assert span.attributes["code.function.name"] in (marked[1], marked[1].rpartition(".")[2])  # 3.10 has no qualname
    return marked[1]


def callers(run: Run) -> dict[str, str | None]:
    return {text(span): caller(span) for span in run.queries}


def test_the_nearest_frame_of_the_program_is_named(tmp_path: Path) -> None:
    run = Run("caller_calls.py", "sqlite", tmp_path)
    assert caller(run.below("sell")[0]) == "Shop.sell"
    assert caller(run.below("lambda")[0]) == "sqlite.<locals>.<lambda>"
    assert caller(run.below("failure")[0]) == "sqlite"
    assert caller(run.below("generated")[0]) == "sqlite"
    own = run.below("own main")[0].attributes
    assert (own["code.file.path"], own["code.line.number"]) == ("<string>", 1)


def test_the_first_calls_and_a_share_of_the_others_and_every_slow_one_are_looked_at(tmp_path: Path) -> None:
    run = Run("caller_calls.py", "often", tmp_path, OTEL_BSP_MAX_QUEUE_SIZE="100000")
    plain = [caller(span) for span in run.queries if not span.parent_id]
    assert len(plain) == 3200
    assert plain[:4] == ["often"] * 4
    assert 40 < sum(found is not None for found in plain) < 220  # 104 on the average, with a deviation of 10
    assert [caller(span) for span in run.below("slow")] == ["often"] * 30
    new = [caller(span) for span in run.below("ever new")]
    assert len(new) == 2000
    assert sum(found is not None for found in new) < 1400  # as many new statements as a second may have, and a share


def test_what_a_function_holds_does_not_live_longer(tmp_path: Path) -> None:
    run = Run("caller_calls.py", "kept", tmp_path)
    assert run.stdout == "alive False\n"
    assert callers(run) == {"select ?": "kept.<locals>.ask"}


def test_a_query_of_a_thread_names_the_function_that_the_thread_was_given(tmp_path: Path) -> None:
    run = Run("caller_calls.py", "threads", tmp_path)
    assert [caller(span) for span in run.queries] == ["threads.<locals>.<lambda>", None, "Shop.sell"]


def test_they_can_be_switched_off(tmp_path: Path) -> None:
    for part in ("sqlite", "aiosqlite"):
        (tmp_path / part).mkdir()
        run = Run("caller_calls.py", part, tmp_path / part, PERFAGENT_QUERY_CALLERS="off")
        assert run.queries
        assert not any(key.startswith("code.") for span in run.queries for key in span.attributes)


def test_a_program_given_as_text_is_the_programs_own(receiver: Receiver, run_program: RunProgram) -> None:
    code = "import sqlite3\nsqlite3.connect(':memory:').execute('select 1')"
    run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver)).check()
    (span,) = receiver.wait_for_spans(1)
    assert span.attributes["code.file.path"] == "<string>"
    assert span.attributes["code.line.number"] == 2
    assert span.attributes["code.function.name"] == "<module>"


def test_the_coroutine_that_asks_aiosqlites_thread_is_named(tmp_path: Path) -> None:
    run = Run("caller_calls.py", "aiosqlite", tmp_path)
    assert [caller(span) for span in run.queries] == ["aiosqlite.<locals>.ask"] * 2


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_postgresqls_drivers_name_the_caller(driver: str, tmp_path: Path, postgres_url: str) -> None:
    run = Run("caller_calls.py", driver, tmp_path, POSTGRES_URL=postgres_url)
    found = [caller(span) for span in run.queries]
    expected = {
        "psycopg": ["psycopg"] * 3 + ["psycopg.<locals>.main"],
        "psycopg2": ["psycopg2"],
        "asyncpg": ["asyncpg.<locals>.ask"] * 2,
    }
    assert found == expected[driver]


def test_pymysql_names_the_caller(tmp_path: Path, mysql_server: MysqlServer) -> None:
    run = Run("caller_calls.py", "pymysql", tmp_path, MYSQL=json.dumps(mysql_server._asdict()))
    assert [caller(span) for span in run.below("sync")] == ["pymysql"]


def test_redis_names_the_caller(tmp_path: Path, redis_url: str) -> None:
    run = Run("caller_calls.py", "redis", tmp_path, REDIS_URL=redis_url)
    assert [caller(span) for span in run.below("sync")] == ["redis", "redis"]
    assert [caller(span) for span in run.below("async")] == ["redis.<locals>.main"]


def test_sqlalchemy_names_the_programs_line_and_not_its_own(tmp_path: Path, postgres_url: str) -> None:
    run = Run("caller_calls.py", "sqlalchemy", tmp_path, POSTGRES_URL=postgres_url)
    assert [caller(span) for span in run.below("orm")] == ["sqlalchemy"] * 2
    above = {span.span_id for span in run.spans if span.name == "async"}
    asynchronous = run.where(lambda span: span.parent_id in above)
    assert [caller(span) for span in asynchronous] == ["sqlalchemy.<locals>.main"] * 4


LONG = """
import sqlite3
from perfagent.runtime import outbox
connection = sqlite3.connect(":memory:", cached_statements=0)
for number in range(20):
    connection.execute(f"SELECT length('{number}{'x' * 2_000_000}')").fetchall()
print(len(outbox.pending), sum(len(span.query) for span in outbox.pending) < 2_000_000)
"""


@pytest.mark.parametrize("callers", ["auto", "off"])
def test_of_long_statements_the_beginnings_wait(run_text: RunText, receiver: Receiver, callers: str) -> None:
    program = run_text(LONG, PERFAGENT_QUERY_CALLERS=callers, OTEL_BSP_SCHEDULE_DELAY="60000")
    assert program.stdout == "20 True\n"
    assert {span.attributes["db.query.text"] for span in receiver.spans} == {"SELECT length(?"}
