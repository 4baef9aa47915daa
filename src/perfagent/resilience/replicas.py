"""One replica of PostgreSQL or MySQL: connected to when it is asked, by whichever driver the program has."""

from __future__ import annotations

import datetime
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from types import ModuleType

EXAMPLE = "e.g. postgresql://monitor@replica:5432/shop or mysql://monitor@replica:3306/shop"
CONNECT = 5  # seconds for a connection
ANSWER = 10  # seconds for an answer
# A primary is behind nobody. A replica that has replayed all that it received is not behind, however long ago the last
# transaction was; but only while it receives: else nobody knows what it has missed, and the time tells how long.
POSTGRES = """
SELECT CASE
    WHEN NOT pg_is_in_recovery() THEN 0
    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
END
"""
MYSQL = ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS")  # from MySQL 8.0.22 and MariaDB 10.5 on; before
BEHIND = ("seconds_behind_source", "seconds_behind_master")
NO_SYNTAX = 1064  # MySQL's number


class ReplicationError(RuntimeError):
    """A replica did not tell how far it is behind; the text says why, without a password."""


class Replica:
    """Where it is, and how it is asked.

    Args:
        dsn: a URL, or words of libpq such as "host=replica dbname=shop".
        query: whose first value is the lag in seconds; "" for the database's own.
        name: what it is called; its address when left out.

    Raises:
        ValueError: that is no address of PostgreSQL or MySQL.
        ImportError: there is no driver.
    """

    def __init__(self, dsn: str, query: str = "", name: str = "") -> None:
        if not isinstance(dsn, str) or not dsn.strip():
            raise ValueError(f"REPLICATION_DSN is missing: the address of the replica, {EXAMPLE}")
        self._dsn = dsn.strip()
        self._query = query
        scheme, separator, rest = self._dsn.partition("://")
        kind = scheme.partition("+")[0].lower()  # SQLAlchemy names the driver after a plus
        if separator and kind in ("postgresql", "postgres"):
            self._dsn, self._mysql = f"postgresql://{rest}", False
        elif separator and kind in ("mysql", "mariadb"):
            self._dsn, self._mysql = f"mysql://{rest}", True
        elif not separator and "=" in self._dsn:
            self._mysql = False
        else:
            raise ValueError(f"REPLICATION_DSN is not accepted (it is not shown): a URL or libpq's words, {EXAMPLE}")
        try:
            self.name = name or self._address()
        except ValueError:
            raise ValueError(
                f"REPLICATION_DSN is not accepted (it is not shown): the port is none, {EXAMPLE}"
            ) from None
        self._driver = _driver(("pymysql", "MySQLdb") if self._mysql else ("psycopg", "psycopg2"))
        self._connection: Any = None

    def _address(self) -> str:
        if "://" in self._dsn:
            url = urlsplit(self._dsn)
            return f"{url.hostname or 'localhost'}:{url.port or (3306 if self._mysql else 5432)}"
        words = dict(re.findall(r"(\w+)\s*=\s*([^\s']+|'[^']*')", self._dsn))
        return f"{words.get('host', 'localhost')}:{words.get('port', '5432')}".replace("'", "")

    def lag(self) -> float:
        """Seconds that it is behind.

        Raises:
            ReplicationError: it does not tell.
        """
        try:
            value = self._ask()
        except ReplicationError:
            raise
        except Exception as error:  # whatever the driver raises, of its own or of the network
            self.close()
            raise ReplicationError(self._without_secrets(error)) from None
        if value is None:
            raise ReplicationError("the answer is NULL: it replicates nothing, or has replayed nothing yet")
        if isinstance(value, datetime.timedelta):
            value = value.total_seconds()
        try:
            return max(float(value), 0.0)  # two machines' clocks differ
        except (TypeError, ValueError):
            raise ReplicationError(f"the query's first value is {str(value)[:50]!r}, no number of seconds") from None

    def close(self) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:  # noqa: S110 - it is of no use any more
                pass

    def forget(self) -> None:
        """In a forked child: keeps the parent's connection from being ended by the child."""
        if self._connection is not None:
            _inherited.append(self._connection)
            self._connection = None

    def _ask(self) -> Any:
        if self._connection is None:
            self._connection = self._connect()
        with self._connection.cursor() as cursor:
            if self._mysql and not self._query:
                return self._behind(cursor)
            cursor.execute(self._query or POSTGRES)
            row = cursor.fetchone()
            if row is None:
                raise ReplicationError("the query has no row")
            return row[0]

    def _behind(self, cursor: Any) -> Any:
        for statement in MYSQL:
            try:
                cursor.execute(statement)
                break
            except self._driver.Error as error:
                if error.args[:1] != (NO_SYNTAX,) or statement == MYSQL[-1]:
                    raise
        names = [str(column[0]).lower() for column in cursor.description or ()]
        row = cursor.fetchone()
        if row is None:
            raise ReplicationError("it is no replica")
        return next((row[names.index(name)] for name in BEHIND if name in names), None)

    def _connect(self) -> Any:
        if self._mysql:
            url = urlsplit(self._dsn)
            return self._driver.connect(
                host=url.hostname or "localhost", port=url.port or 3306, user=unquote(url.username or ""),
                password=unquote(url.password or ""), database=url.path.strip("/") or None, autocommit=True,
                connect_timeout=CONNECT, read_timeout=ANSWER,
            )  # fmt: skip
        connection = self._driver.connect(self._dsn, connect_timeout=CONNECT, application_name="perfagent")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {ANSWER * 1000}")
        return connection

    def _without_secrets(self, error: Exception) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        for secret in (self._dsn, *_passwords(self._dsn)):
            text = text.replace(secret, "…")
        return text[:300]


_inherited: list[Any] = []


def _passwords(dsn: str) -> list[str]:
    """The password of an address as it stands there, and as it is meant."""
    try:
        found = urlsplit(dsn).password or ""
    except ValueError:
        found = ""
    found = found or "".join(re.findall(r"password\s*=\s*([^\s'&]+|'[^']*')", dsn)[:1]).strip("'")
    return [one for one in {found, unquote(found)} if one]


def _driver(names: tuple[str, ...]) -> ModuleType:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    install = {"psycopg": 'pip install "psycopg[binary]"', "pymysql": "pip install PyMySQL"}[names[0]]
    raise ImportError(f"watching this replica needs {names[0]} or {names[1]}: {install}")
