"""tests.servers: the servers are real, and a skipped test is a failed one where that is forbidden."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

ROOT = Path(__file__).parent.parent


def test_postgresql_answers_and_takes_data(postgres_url: str) -> None:
    import psycopg

    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TEMPORARY TABLE seen (n int)")
        connection.execute("INSERT INTO seen VALUES (1), (2)")
        assert connection.execute("SELECT sum(n), current_database() FROM seen").fetchone() == (3, "shop")


def test_mariadb_answers_and_takes_data(mysql_server: MysqlServer) -> None:
    import pymysql

    with pymysql.connect(**mysql_server._asdict()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE seen (n int)")
        cursor.execute("INSERT INTO seen VALUES (1), (2)")
        cursor.execute("SELECT sum(n), database() FROM seen")
        assert cursor.fetchone() == (3, "shop")


def test_redis_answers_and_takes_data(redis_url: str) -> None:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.set("seen", "1", ex=60)
        assert client.get("seen") == b"1"


def test_memcached_answers_and_takes_data(memcached: str) -> None:
    host, port = memcached.split(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(b"set seen 0 60 1\r\n1\r\nget seen\r\n")
        answer = b""
        while not answer.endswith(b"END\r\n"):
            answer += connection.recv(100)
    assert answer == b"STORED\r\nVALUE seen 0 1\r\n1\r\nEND\r\n"


SKIPS = """
import pytest
from tests.servers import missing

def test_of_a_server():
    missing("nosuchd", "apt-get install nosuch")

@pytest.mark.xfail
def test_that_is_known_to_fail():
    raise AssertionError
"""


def run_pytest(run_program: RunProgram, module: Path, **env: str) -> tuple[int, str]:
    plain = ("-p", "tests.servers", "-p", "no:cacheprovider", "--rootdir", str(module.parent), "-c", os.devnull)
    program = run_program(sys.executable, "-m", "pytest", *plain, str(module), env=env, cwd=ROOT)
    return program.wait(), program.stdout


def test_a_missing_server_skips_its_tests_with_the_way_to_get_it(run_program: RunProgram, tmp_path: Path) -> None:
    module = tmp_path / "test_skips.py"
    module.write_text(SKIPS)
    status, output = run_pytest(run_program, module)
    assert status == 0
    assert "1 skipped, 1 xfailed" in output


def test_where_skipping_is_forbidden_a_missing_server_fails_its_tests(run_program: RunProgram, tmp_path: Path) -> None:
    module = tmp_path / "test_skips.py"
    module.write_text(SKIPS)
    status, output = run_pytest(run_program, module, PERFAGENT_TESTS_FORBID_SKIP="1")
    assert status == 1
    assert "1 failed, 1 xfailed" in output
    assert "needs nosuchd, which is not installed: apt-get install nosuch" in output


def test_where_skipping_is_forbidden_a_module_may_not_skip_itself(run_program: RunProgram, tmp_path: Path) -> None:
    module = tmp_path / "test_skips.py"
    module.write_text('import pytest\npytest.importorskip("nosuchmodule")')
    status, output = run_pytest(run_program, module, PERFAGENT_TESTS_FORBID_SKIP="1")
    assert status not in (0, 5)
    assert "nosuchmodule" in output


def test_a_server_ends_with_the_tests_that_are_killed(run_program: RunProgram, tmp_path: Path) -> None:
    module = tmp_path / "test_hangs.py"
    module.write_text("import time\ndef test_hangs(redis_url):\n    print(redis_url, flush=True)\n    time.sleep(60)\n")
    command = (sys.executable, "-m", "pytest", "-s", "-p", "tests.servers", "-c", os.devnull, str(module))
    program = run_program(*command, cwd=ROOT)
    program.wait_for_output("redis://")
    port = int(program.stdout.partition("redis://127.0.0.1:")[2].partition("/")[0])
    socket.create_connection(("127.0.0.1", port), 5).close()
    os.kill(program.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)
