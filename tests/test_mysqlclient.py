"""mysqlclient: a span for each statement on a real MariaDB, and a program that sees the same as without the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pymysql
import pytest

from tests.agent import agent_env
from tests.otlp import Receiver
from tests.program import Program
from tests.queries import Run
from tests.servers import need_mysqlclient, running_mysql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow

STAND_IN = """
    import pymysql
    pymysql.install_as_MySQLdb()
    import MySQLdb.cursors, MySQLdb.connections, os
    with MySQLdb.connect(host="{0.host}", port={0.port}, user="{0.user}", password="{0.password}") as connection:
        connection.cursor().execute("SELECT 1")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[MysqlServer, str]]:
    """A MariaDB of one's own and the path of its Unix socket, whose folder is closed to no one."""
    with running_mysql() as server:
        with pymysql.connect(**server._asdict()) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE OR REPLACE PROCEDURE twice(number int) SELECT number * 2")
            cursor.execute("SELECT @@socket")
            found = cursor.fetchone()
        assert found is not None
        yield server, str(found[0])


@pytest.fixture(scope="module")
def run(server: tuple[MysqlServer, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    need_mysqlclient()
    address, socket = server
    folder = tmp_path_factory.mktemp("mysqlclient")
    options = folder / "my.cnf"
    options.write_text(
        f"[client]\nhost={address.host}\nport={address.port}\nuser={address.user}\npassword={address.password}\n"
    )
    env = {f"MYSQL_{name.upper()}": str(value) for name, value in address._asdict().items()}
    return Run("driver_calls.py", "mysqlclient", folder, **env, MYSQL_SOCKET=socket, MYSQL_OPTIONS=str(options))


def test_a_program_sees_what_it_sees_without_the_agent(run: Run) -> None:
    assert run.stdout == run.bare()
    assert b"secret" not in run.exported()
    assert b"opensesame" not in run.exported()


def test_each_statement_is_measured_once_with_its_batch(run: Run, server: tuple[MysqlServer, str]) -> None:
    assert run.texts("statements") == [
        "INSERT INTO users VALUES (%s, %s)",
        "INSERT INTO users VALUES (%s, %s)",
        "UPDATE users SET name = %s WHERE id = %s",
        "SELECT * FROM users WHERE name = ?",
        "SELECT ?",
        "CALL twice",
    ]
    sizes = [span.attributes.get("db.operation.batch.size") for span in run.below("statements")]
    assert sizes == [None, 2, 2, None, None, None]
    span = run.below("statements")[3]
    assert span.scope.name == "perfagent.mysqlclient"
    assert span.attributes["db.system.name"] == "mariadb"
    assert span.attributes["db.namespace"] == "shop"
    assert span.attributes["server.address"] == server[0].host
    assert span.attributes["server.port"] == server[0].port


def test_every_cursor_class_is_measured_once_and_ones_own_too(run: Run) -> None:
    assert run.texts("classes") == ["SELECT ? AS one"] * 4


def test_a_failure_tells_the_servers_number_and_no_value(run: Run) -> None:
    spans = run.below("failures")
    assert [span.attributes.get("db.response.status_code") for span in spans] == ["1062", "1146", "1064", None]
    assert spans[0].attributes["error.type"] == "MySQLdb.IntegrityError"
    assert spans[0].events[0].attributes["exception.message"] == "Duplicate entry ?"
    assert {span.status.code for span in spans} == {"ERROR"}


def test_address_and_database_are_told_wherever_the_library_has_them_from(
    run: Run, server: tuple[MysqlServer, str]
) -> None:
    address, socket = server
    (other,) = run.below("other database")
    assert other.attributes["db.namespace"] == "mysql"
    (from_file,) = run.below("option file")
    assert (from_file.attributes["server.address"], from_file.attributes["server.port"]) == (address.host, address.port)
    assert from_file.attributes["db.namespace"] == "shop"
    (local,) = run.below("socket")
    assert local.attributes["server.address"] == socket
    assert "server.port" not in local.attributes


def test_pymysql_under_the_name_of_mysqlclient_is_measured_once(
    server: tuple[MysqlServer, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stand-in")
    (folder / "prog.py").write_text("\n".join(line[4:] for line in STAND_IN.format(server[0]).splitlines()))
    with Receiver() as receiver:
        Program(("perfagent", "run", "python", str(folder / "prog.py")), folder, agent_env(receiver)).check()
        receiver.wait_until_quiet(0.2)
        assert [(span.scope.name, span.name) for span in receiver.spans] == [("perfagent.pymysql", "SELECT")]
