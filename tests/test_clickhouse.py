"""clickhouse-connect: a span for each statement, over real HTTP to the small server of `tests.clickhouse`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfagent.runtime.sql import without_data
from tests.clickhouse import running_clickhouse
from tests.queries import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_clickhouse() as (port, _):
        yield port


@pytest.fixture(scope="module")
def run(port: int, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run("clickhouse_calls.py", "", tmp_path_factory.mktemp("clickhouse"), PORT=str(port))


@slow
def test_a_program_sees_what_it_sees_without_the_agent(run: Run) -> None:
    assert run.stdout == run.bare()
    for secret in (b"secret", b"opensesame", b"7654321"):
        assert secret not in run.exported()


@slow
def test_each_statement_is_measured_once_and_its_request_is_not(run: Run, port: int) -> None:
    assert run.texts("statements") == [
        "SELECT id FROM users WHERE name = ? AND id = ?",
        "SELECT id FROM users WHERE name = %(name)s",
        "SELECT id FROM users WHERE name = {name:String}",
        "CREATE TABLE users (id UInt8, name String) ENGINE MergeTree ORDER BY id",
        "SELECT count() FROM users",
        "SELECT ?",
        "INSERT INTO users FORMAT JSONEachRow",
        "SELECT id FROM users",
    ]
    assert {span.scope.name for span in run.queries if "ping" not in str(span.attributes)} == {
        "perfagent.clickhouse-connect"
    }
    span = run.below("statements")[0]
    assert span.name == "SELECT users"
    assert span.attributes["db.system.name"] == "clickhouse"
    assert span.attributes["db.namespace"] == "shop"
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("127.0.0.1", port)
    assert run.texts("insert") == ["DESCRIBE TABLE `users`", "INSERT INTO `users`", "INSERT INTO users"]


@slow
def test_the_async_client_is_measured_below_its_own_tasks(run: Run) -> None:
    assert run.texts("async") == [
        "SELECT id FROM users WHERE name = ?", "SELECT count() FROM users", "INSERT INTO `users`",
    ]  # fmt: skip
    assert [run.texts(f"task {number}") for number in range(3)] == [
        [f"SELECT id AS n{number} FROM users"] for number in range(3)
    ]


@slow
def test_a_failure_tells_the_code_and_its_name_and_nothing_of_the_statement(run: Run) -> None:
    (span,) = run.below("failures")
    assert span.attributes["db.response.status_code"] == "60"
    assert span.attributes["error.type"] == "clickhouse_connect.driver.exceptions.DatabaseError"
    assert span.events[0].attributes["exception.message"] == "60 UNKNOWN_TABLE"


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ('INSERT INTO t FORMAT JSONEachRow {"a": "secret"}', "INSERT INTO t FORMAT JSONEachRow"),
        ("insert into t\nsettings b='it\\'s'\nformat CSV\nsecret", "insert into t\nsettings b='it\\'s'\nformat CSV"),
        ("/* x */ INSERT INTO fformat (format) FORMAT TSV secret", "/* x */ INSERT INTO fformat (format) FORMAT TSV"),
        ("INSERT INTO t VALUES ('format secret', 1)", "INSERT INTO t VALUES ('format secret', 1)"),
        ("SELECT 1 FORMAT CSV", "SELECT 1 FORMAT CSV"),
    ],
)  # fmt: skip
def test_the_rows_behind_a_format_are_no_part_of_a_statement(sql: str, kept: str) -> None:
    assert without_data(sql) == kept
