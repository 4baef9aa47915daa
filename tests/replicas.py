"""A real primary and its real replica, PostgreSQL's by streaming and MariaDB's by its log, for tests of the lag."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pymysql

from tests.program import find_free_port
from tests.servers import DATABASE, PASSWORD, USER, directory_of, find, running_postgres, until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pair(NamedTuple):
    """The URLs of both."""

    primary: str
    replica: str


@contextlib.contextmanager
def postgres_pair() -> Iterator[Pair]:
    """A PostgreSQL and a streaming replica of it, made by pg_basebackup."""
    install = "apt-get install postgresql"
    basebackup, postgres = find("pg_basebackup", install), find("postgres", install)
    with (
        running_postgres("wal_level=replica", "max_wal_senders=4") as (primary, _),
        directory_of("postgres") as directory,
    ):
        data, port = directory / "data", find_free_port()
        directory.run(basebackup, "-D", data, "-R", "-X", "stream", "-c", "fast", "-d", primary)
        command = (postgres, "-D", data, "-h", "127.0.0.1", "-p", port, "-k", directory.path, "-c", "hot_standby=on")
        with directory.serve(*command, stop="QUIT"):
            replica = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"
            until_ready(lambda: psycopg.connect(replica), directory).close()
            yield Pair(primary, replica)


@contextlib.contextmanager
def mariadb_pair() -> Iterator[Pair]:
    """A MariaDB and a replica that follows its log."""
    install = "apt-get install mariadb-server"
    install_db, mariadbd = find("mariadb-install-db", install), find("mariadbd", install)
    with contextlib.ExitStack() as stack:
        ports = []
        for number in (1, 2):
            directory = stack.enter_context(directory_of("mysql"))
            data, port = f"--datadir={directory / 'data'}", find_free_port()
            directory.run(install_db, "--no-defaults", data, "--skip-test-db")
            (directory / "init.sql").write_text(
                f"CREATE DATABASE IF NOT EXISTS {DATABASE};\n"
                f"CREATE OR REPLACE USER {USER} IDENTIFIED BY '{PASSWORD}';\n"
                f"GRANT ALL ON *.* TO {USER} WITH GRANT OPTION;\n"
            )
            options = {
                "bind-address": "127.0.0.1", "port": port, "server-id": number, "log-bin": "log",
                "socket": directory / "socket", "pid-file": directory / "pid", "init-file": directory / "init.sql",
                "innodb-buffer-pool-size": "32M",
            }  # fmt: skip
            words = [f"--{name}={value}" for name, value in options.items()]
            stack.enter_context(directory.serve(mariadbd, "--no-defaults", data, *words, stop="KILL"))
            until_ready(lambda port=port: _mysql(port), directory).close()  # type: ignore[misc]
            ports.append(port)
        with _mysql(ports[0]) as primary, primary.cursor() as cursor:
            cursor.execute("SHOW MASTER STATUS")
            file, position = cursor.fetchone()[:2]
        with _mysql(ports[1]) as replica, replica.cursor() as cursor:
            cursor.execute(
                f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={ports[0]}, MASTER_USER='{USER}', "
                f"MASTER_PASSWORD='{PASSWORD}', MASTER_LOG_FILE='{file}', MASTER_LOG_POS={position}"
            )
            cursor.execute("START SLAVE")
        yield Pair(*(f"mysql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}" for port in ports))


def _mysql(port: int) -> pymysql.Connection:
    return pymysql.connect(
        host="127.0.0.1", port=port, user=USER, password=PASSWORD, database=DATABASE, autocommit=True
    )
