"""The drivers of database servers: a span for each statement, and a program that sees the same as without the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

from tests.queries import Run

if TYPE_CHECKING:
    from tests.otlp import Span
    from tests.servers import MysqlServer

APP = "driver_calls.py"
ON_POSTGRES = ("psycopg", "psycopg2", "asyncpg")


@pytest.fixture(scope="module")
def socket(postgres_url: str) -> str:
    """The URL of the same PostgreSQL by its Unix socket."""
    address = urlsplit(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        folder = connection.execute("SHOW unix_socket_directories").fetchone()
    assert folder is not None
    return f"postgresql://{address.username}@/shop?host={folder[0]}&port={address.port}"


@pytest.fixture(scope="module")
def postgres(postgres_url: str, socket: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    env = {"POSTGRES_URL": postgres_url, "POSTGRES_SOCKET": socket}
    return {driver: Run(APP, driver, tmp_path_factory.mktemp(driver), **env) for driver in ON_POSTGRES}


@pytest.fixture(scope="module")
def mysql(mysql_server: MysqlServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pymysql.connect(**mysql_server._asdict()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE PROCEDURE twice(number int) SELECT number * 2")
    env = {f"MYSQL_{name.upper()}": str(value) for name, value in mysql_server._asdict().items()}
    return Run(APP, "pymysql", tmp_path_factory.mktemp("pymysql"), **env)


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(APP, "aiosqlite", tmp_path_factory.mktemp("aiosqlite"))


@pytest.mark.parametrize("driver", ON_POSTGRES)
def test_a_program_on_postgresql_sees_what_it_sees_without_the_agent(postgres: dict[str, Run], driver: str) -> None:
    assert postgres[driver].stdout == postgres[driver].bare()


def test_a_program_on_mariadb_or_aiosqlite_sees_what_it_sees_without_the_agent(mysql: Run, lite: Run) -> None:
    assert mysql.stdout == mysql.bare()
    assert lite.stdout == lite.bare()


def test_no_value_and_no_password_leaves(postgres: dict[str, Run], mysql: Run, lite: Run) -> None:
    for run in (*postgres.values(), mysql, lite):
        exported = run.exported()
        assert b"db.query.text" in exported
        assert b"secret" not in exported
        assert b"opensesame" not in exported


@pytest.mark.parametrize("driver", ON_POSTGRES)
def test_a_span_names_server_database_operation_and_table(
    postgres: dict[str, Run], driver: str, postgres_url: str
) -> None:
    span = postgres[driver].below("statements")[1]
    address = urlsplit(postgres_url)
    assert span.attributes["db.system.name"] == "postgresql"
    assert span.attributes["db.namespace"] == "shop"
    assert span.attributes["server.address"] == "127.0.0.1"
    assert span.attributes["server.port"] == address.port
    assert span.attributes["db.collection.name"] == "users"
    assert span.name == f"{span.attributes['db.operation.name']} users"
    assert span.scope.name == f"perfagent.{driver}"


@pytest.mark.parametrize("driver", ON_POSTGRES)
def test_a_unix_socket_is_told_by_its_path_and_has_no_port(postgres: dict[str, Run], driver: str, socket: str) -> None:
    (span,) = postgres[driver].below("socket")
    query = dict(part.split("=") for part in urlsplit(socket).query.split("&"))
    assert span.attributes["server.address"] == f"{query['host']}/.s.PGSQL.{query['port']}"
    assert "server.port" not in span.attributes


@pytest.mark.parametrize("driver", ON_POSTGRES)
def test_a_failed_statement_tells_type_sqlstate_and_message_without_values(
    postgres: dict[str, Run], driver: str
) -> None:
    span = postgres[driver].below("failures")[0]
    kind = {"asyncpg": "asyncpg.exceptions.UniqueViolationError"}.get(driver, f"{driver}.errors.UniqueViolation")
    assert span.status.code == "ERROR"
    assert span.attributes["error.type"] == kind
    assert span.attributes["db.response.status_code"] == "23505"
    (event,) = span.events
    assert event.attributes["exception.type"] == kind
    assert event.attributes["exception.message"] == 'duplicate key value violates unique constraint "users_pkey"'
    assert APP in event.attributes["exception.stacktrace"]
    assert "perfagent" not in event.attributes["exception.stacktrace"]
    point = next(
        point for point in postgres[driver].points if point.attributes.get("db.response.status_code") == "23505"
    )
    assert point.name == "db.client.operation.duration"
    assert point.attributes["error.type"] == kind


@pytest.mark.parametrize("driver", ON_POSTGRES)
def test_connections_of_a_pool_are_measured_without_what_the_pool_does_itself(
    postgres: dict[str, Run], driver: str
) -> None:
    assert set(postgres[driver].texts("pool")) == {"SELECT ?"}


def test_psycopg_measures_each_statement_once(postgres: dict[str, Run]) -> None:
    run = postgres["psycopg"]
    assert run.texts("statements") == [
        "INSERT INTO users VALUES (%s, %s)",
        "SELECT * FROM users WHERE name = ?",
        "SELECT %(a)s",
        "INSERT INTO users VALUES (%s, %s)",
        "INSERT INTO users VALUES (%s, %s)",
    ]
    assert [batch(span) for span in run.below("statements")] == [None, None, None, 2, None]
    assert len(run.below("classes")) == 3
    assert len(run.below("pipeline")) == 2


def test_psycopg_shows_composed_statements_without_their_literals(postgres: dict[str, Run]) -> None:
    assert postgres["psycopg"].texts("composed") == [
        'SELECT "id" FROM "pg_temp"."users" WHERE "name" = ? OR id = %s', "SELECT ?", "SELECT ?",
    ]  # fmt: skip
    assert 'SELECT id FROM "users" WHERE name = ?' in postgres["psycopg2"].texts("statements")


def test_psycopg_measures_copy_streams_and_server_side_cursors(postgres: dict[str, Run]) -> None:
    run = postgres["psycopg"]
    assert run.texts("copy") == [
        "COPY users FROM STDIN", "COPY (SELECT id FROM users) TO STDOUT", "COPY users FROM STDIN",
    ]  # fmt: skip
    assert [span.status.code for span in run.below("copy")] == ["UNSET", "UNSET", "ERROR"]
    assert run.texts("rows") == ["SELECT id FROM users ORDER BY id"] * 3 + ["SELECT ? AS one"]
    assert {span.status.code for span in run.below("rows")} == {"UNSET"}  # also of the one left halfway


def test_psycopg_measures_coroutines_below_their_own_tasks(postgres: dict[str, Run]) -> None:
    run = postgres["psycopg"]
    assert run.texts("async") == [
        "INSERT INTO users VALUES (%s, %s)",
        "SELECT id FROM users",
        "COPY users TO STDOUT",
        "SELECT generate_series(?, ?)",
        "SELECT generate_series(?, ?)",
        "SELECT id FROM users",
        "INSERT INTO users VALUES (?, ?)",
    ]
    assert [run.texts(f"task {number}") for number in range(3)] == [["SELECT pg_sleep(?)"]] * 3
    assert all(span.end - span.start > 40_000_000 for number in range(3) for span in run.below(f"task {number}"))


def test_psycopg2_measures_statements_procedures_and_copy(postgres: dict[str, Run]) -> None:
    run = postgres["psycopg2"]
    assert run.texts("statements")[:5] == [
        "CREATE TEMPORARY TABLE users (id int PRIMARY KEY, name varchar(?))",
        "INSERT INTO users VALUES (%s, %s)",
        "SELECT * FROM users WHERE name = ?",
        "INSERT INTO users VALUES (%s, %s)",
        "CALL upper",
    ]
    assert batch(run.below("statements")[3]) == 2
    assert run.texts("copy") == [
        "COPY users FROM STDIN", "COPY users TO STDOUT", "COPY (SELECT id FROM users) TO STDOUT",
    ]  # fmt: skip


def test_psycopg2_measures_the_cursor_classes_of_its_extras(postgres: dict[str, Run]) -> None:
    operations = [span.attributes["db.operation.name"] for span in postgres["psycopg2"].below("extras")]
    assert operations == ["SELECT", "INSERT", "UPDATE", "SELECT", "SELECT", "SELECT", "SELECT"]


def test_asyncpg_measures_statements_prepared_ones_and_cursors(postgres: dict[str, Run]) -> None:
    run = postgres["asyncpg"]
    assert run.texts("statements") == [
        "INSERT INTO users VALUES ($1, $2)",
        "INSERT INTO users VALUES ($1, $2)",
        "SELECT * FROM users WHERE name <> ?",
        "SELECT ? AS a",
        "SELECT ?, ?",
        "SELECT ?; SELECT ?",
    ]
    assert [batch(span) for span in run.below("statements")][:2] == [None, 2]
    assert run.texts("prepared") == ["SELECT name FROM users WHERE id = $1"] * 3 + ["DELETE FROM users WHERE id = $1"]
    assert batch(run.below("prepared")[-1]) == 2


def test_asyncpg_takes_a_cursor_for_one_statement_and_transactions_for_none(postgres: dict[str, Run]) -> None:
    assert postgres["asyncpg"].texts("cursors") == [
        "SELECT generate_series(?, ?)",
        "SELECT id FROM users ORDER BY id",
        "SELECT name FROM users WHERE id = $1",
        "SELECT ?",
    ]


def test_asyncpg_measures_copy_without_what_it_asks_for_that(postgres: dict[str, Run]) -> None:
    assert postgres["asyncpg"].texts("copy") == [
        "COPY (SELECT id FROM users WHERE name = $1) TO STDOUT",
        "COPY users TO STDOUT",
        "COPY users FROM STDIN",
        "COPY users FROM STDIN",
    ]


def test_asyncpg_tells_statements_that_cannot_be_prepared_and_cancelled_ones(postgres: dict[str, Run]) -> None:
    spans = postgres["asyncpg"].below("failures")
    assert [span.attributes["error.type"] for span in spans] == [
        "asyncpg.exceptions.UniqueViolationError",
        "asyncpg.exceptions.DataError",
        "asyncpg.exceptions.UndefinedColumnError",
        "asyncio.exceptions.CancelledError",
    ]
    assert spans[2].attributes["db.response.status_code"] == "42703"


def test_pymysql_measures_each_statement_once_and_knows_mariadb(mysql: Run, mysql_server: MysqlServer) -> None:
    assert mysql.texts("statements") == [
        "INSERT INTO users VALUES (%s, %s)",
        "INSERT INTO users VALUES (%s, %s)",
        "UPDATE users SET name = %s WHERE id = %s",
        "SELECT * FROM users WHERE name = ?",
        "CALL twice",
    ]
    assert [batch(span) for span in mysql.below("statements")] == [None, 2, 2, None, None]
    span = mysql.below("statements")[3]
    assert span.attributes["db.system.name"] == "mariadb"
    assert span.attributes["db.namespace"] == "shop"
    assert span.attributes["server.address"] == mysql_server.host
    assert span.attributes["server.port"] == mysql_server.port
    assert len(mysql.below("classes")) == 3


def test_pymysql_knows_which_database_is_selected(mysql: Run) -> None:
    assert [span.attributes["db.namespace"] for span in mysql.below("other database")] == ["mysql"] * 3
    assert [span.attributes["db.namespace"] for span in mysql.below("connected again")] == ["shop"]


def test_pymysql_tells_the_error_number_and_no_value(mysql: Run) -> None:
    spans = mysql.below("failures")
    assert [span.attributes["db.response.status_code"] for span in spans] == ["1062", "1146", "1064"]
    assert spans[0].events[0].attributes["exception.message"] == "Duplicate entry ?"
    assert spans[1].events[0].attributes["exception.message"] == "Table ? doesn't exist"


def test_aiosqlite_finds_the_parent_across_its_thread(lite: Run) -> None:
    assert lite.texts("statements") == [
        "INSERT INTO users (name) VALUES (?)",
        "SELECT * FROM users WHERE name = ?",
        "SELECT count(*) FROM users",
    ]
    assert [lite.texts(f"task {number}") for number in range(3)] == [
        [f"SELECT id AS n{number} FROM users"] for number in range(3)
    ]
    assert lite.below("failures")[0].attributes["error.type"] == "sqlite3.OperationalError"


def batch(span: Span) -> object:
    return span.attributes.get("db.operation.batch.size")
