"""Real PostgreSQL, MariaDB, Redis and Memcached for tests, each started once, in a directory and on a port of its own.

As a plugin (`pytest_plugins = ["tests.servers"]`) it gives the fixtures `postgres_url`, `mysql_server`, `redis_url` and
`memcached`. A test whose server is not installed is skipped with the command that installs it. With
PERFAGENT_TESTS_FORBID_SKIP=1, as in `.ci/run`, any skipped test fails, so that nothing stays untested unseen.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

import pytest

from tests.program import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

Value = TypeVar("Value")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
USER, PASSWORD, DATABASE = "tester", "opensesame", "shop"

# The shell outlives the tests, however they end: when its standard input closes, it stops the server and cleans up.
KEEPER = """
directory=$1 signal=$2; shift 2
"$@" </dev/null >"$directory/log" 2>&1 &
read -r line
kill -s "$signal" $!
wait
rm -rf "$directory"
"""


class MysqlServer(NamedTuple):
    """Where a MariaDB listens, as keyword arguments of PyMySQL's and mysqlclient's `connect` (`_asdict()`)."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def url(self) -> str:
        """The same as a URL without a driver's name: `mysql://…`."""
        return f"mysql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a running PostgreSQL: superuser, a password in it that must not show up anywhere, database "shop"."""
    with running_postgres() as (url, _):
        yield url


@contextlib.contextmanager
def running_postgres(*options: str) -> Iterator[tuple[str, Path]]:
    """The URL of a PostgreSQL of one's own, as in `postgres_url`, and its folder; `options` are such as "a=b"."""
    install = "apt-get install postgresql"
    initdb, postgres = find("initdb", install), find("postgres", install)
    with directory_of("postgres") as directory:
        data, port = directory / "data", find_free_port()
        directory.run(initdb, "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        unsafe = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")  # its data live as long as the tests
        settings = [word for setting in (*unsafe, *options) for word in ("-c", setting)]
        command = (postgres, "-D", data, "-h", "127.0.0.1", "-p", port, "-k", directory.path, *settings)
        with directory.serve(*command, stop="QUIT"):
            import psycopg

            address = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}"
            with until_ready(lambda: psycopg.connect(f"{address}/postgres", autocommit=True), directory) as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            yield f"{address}/{DATABASE}", directory.path


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MysqlServer]:
    """The address of a running MariaDB with an empty database "shop" and a user who may do anything."""
    with running_mysql() as server:
        yield server


@contextlib.contextmanager
def running_mysql(*settings: str) -> Iterator[MysqlServer]:
    """The address of a MariaDB of one's own, as in `mysql_server`; `settings` are such as "a=b"."""
    install = "apt-get install mariadb-server"
    install_db, mariadbd = find("mariadb-install-db", install), find("mariadbd", install)
    with directory_of("mysql") as directory:
        data = f"--datadir={directory / 'data'}"
        server = MysqlServer("127.0.0.1", find_free_port(), USER, PASSWORD, DATABASE)
        directory.run(install_db, "--no-defaults", data, "--skip-test-db")
        (directory / "init.sql").write_text(
            f"CREATE DATABASE {DATABASE};\n"
            f"CREATE USER {USER} IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER} WITH GRANT OPTION;\n"
        )
        options = {
            "bind-address": server.host,
            "port": server.port,
            "socket": directory / "socket",
            "pid-file": directory / "pid",
            "init-file": directory / "init.sql",
            "innodb-flush-log-at-trx-commit": 0,
            "innodb-buffer-pool-size": "32M",
        }
        command = (mariadbd, "--no-defaults", data, *(f"--{name}={value}" for name, value in options.items()))
        command += tuple(f"--{setting}" for setting in settings)
        with directory.serve(*command, stop="KILL"):
            import pymysql

            until_ready(lambda: pymysql.connect(**server._asdict()), directory).close()
            yield server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a running Redis, empty at first."""
    with running_redis() as (url, _):
        yield url


@contextlib.contextmanager
def running_redis(*options: str) -> Iterator[tuple[str, Path]]:
    """The URL of a Redis of one's own and its folder; `options` are words of its command line."""
    redis_server = find("redis-server", "apt-get install redis-server")
    with directory_of("redis") as directory:
        port = find_free_port()
        command = (redis_server, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", directory.path, *options)
        with directory.serve(*command):
            import redis

            url = f"redis://127.0.0.1:{port}/0"
            until_ready(redis.Redis.from_url(url).ping, directory)
            yield url, directory.path


@pytest.fixture(scope="session")
def memcached() -> Iterator[str]:
    """The address, `host:port`, of a running Memcached, empty at first."""
    with running_memcached() as address:
        yield address


@contextlib.contextmanager
def running_memcached() -> Iterator[str]:
    """The address of a Memcached of one's own, as in `memcached`."""
    program = find("memcached", "apt-get install memcached")
    with directory_of("memcache") as directory:
        port = find_free_port()
        with directory.serve(program, "-l", "127.0.0.1", "-p", port, "-U", "0"):
            until_ready(lambda: socket.create_connection(("127.0.0.1", port), 1), directory).close()
            yield f"127.0.0.1:{port}"


def find(program: str, install: str) -> str:
    """The path of a server's program, on PATH or where Debian and Homebrew keep it; skips the test if there is none."""
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: -int(re.findall(r"\d+", path)[-1]))
    places = [os.environ.get("PATH", os.defpath), *debian, "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"]
    return shutil.which(program, path=os.pathsep.join(places)) or missing(program, install)


def missing(program: str, install: str) -> NoReturn:
    """Skips the test for want of a program, telling how to get it.

    Args:
        program: what was not found.
        install: the command that installs it.
    """
    pytest.skip(f"needs {program}, which is not installed: {install}")


def need_mysqlclient() -> None:
    """Skips a test where mysqlclient, which comes as source, could not be built."""
    pytest.importorskip(
        "MySQLdb", reason="needs mysqlclient: apt-get install gcc pkg-config libmariadb-dev; pip install mysqlclient"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skipped test into a failed one where PERFAGENT_TESTS_FORBID_SKIP says so."""
    return _forbid_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself."""
    return _forbid_skip((yield))


def _forbid_skip(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("PERFAGENT_TESTS_FORBID_SKIP") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: no test may be skipped here (PERFAGENT_TESTS_FORBID_SKIP). {reason}"
    return report


def until_ready(call: Callable[[], Value], directory: _Directory, seconds: float = 60) -> Value:
    """The result of a call, repeated until it raises no more; raises with the server's log after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except Exception as error:
            if time.monotonic() > deadline:
                log = (directory / "log").read_text(errors="replace")
                raise AssertionError(f"the server did not answer within {seconds} s: {error}\n{log}") from error
            time.sleep(0.05)


@contextlib.contextmanager
def directory_of(account: str) -> Iterator[_Directory]:
    """A directory for a server; of `account`, or of nobody where that is unknown, when the tests are run by root."""
    path = Path(tempfile.mkdtemp(prefix="perfagent-"))
    owner = None
    if os.geteuid() == 0:
        owner = next(iter((*_accounts(account), *_accounts("nobody"))))
        os.chown(path, owner.pw_uid, owner.pw_gid)
    try:
        yield _Directory(path, owner)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _accounts(name: str) -> Iterator[pwd.struct_passwd]:
    with contextlib.suppress(KeyError):
        yield pwd.getpwnam(name)


class _Directory:
    """Where a server keeps its data, and who it runs as: PostgreSQL and MariaDB refuse to be run by root."""

    def __init__(self, path: Path, owner: pwd.struct_passwd | None) -> None:
        self.path = path
        self.owner = owner

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def run(self, *command: object) -> None:
        """Runs a command to its end; raises with its output when it fails."""
        done = self._start(*command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        output, _ = done.communicate(timeout=120)
        assert done.returncode == 0, f"{command[0]} exited with {done.returncode}:\n{output.decode(errors='replace')}"

    @contextlib.contextmanager
    def serve(self, *command: object, stop: str = "TERM") -> Iterator[None]:
        """Runs a server until the end of the block, or of the tests, and ends it by the signal `stop`."""
        keeper = self._start("sh", "-c", KEEPER, "keeper", self.path, stop, *command, stdin=subprocess.PIPE)
        try:
            yield
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()
            try:
                keeper.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(keeper.pid, signal.SIGKILL)
                keeper.wait()

    def _start(self, *command: object, stdin: int, stdout: int | None = None) -> subprocess.Popen[bytes]:
        owner = self.owner
        return subprocess.Popen(
            [str(word) for word in command],
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.path), "LC_ALL": "C"},
            cwd=self.path,
            start_new_session=True,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )
