"""A connection of our own to the database that a program's connection talks to, by that connection's own parameters.

Nothing is asked of the program's connection: what a driver keeps of how it was opened is read, 10 to 160 us.
"""

from __future__ import annotations

import os
import socket
from weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

CONNECT = 2  # seconds to wait for a connection
ANSWER = 3  # seconds to wait for an answer, where the driver takes such a limit
NAME = "perfagent"  # how the database's own views call us
MOST = 1000  # files of SQLite that are remembered


class Address:
    """Where a database is, and how to get in; it is kept for seconds and never shown.

    Args:
        driver: the driver's top module.
        options: what its connection was opened with.
        key: which database it is, without how to get in.
    """

    __slots__ = ("driver", "key", "options")

    def __init__(self, driver: str, options: dict[str, Any], key: tuple[object, ...]) -> None:
        self.driver = driver
        self.options = options
        self.key = (driver, *key)


class Session:
    """A connection of ours.

    Args:
        ask: sends a statement, with values where the driver takes them; returns its rows.
        close: ends it.
        file: the number of its socket, where that is known.
    """

    def __init__(
        self, ask: Callable[..., list[Any]], close: Callable[[], object], file: Callable[[], int] | None = None
    ) -> None:
        self.ask = ask
        self.close = close
        self._file = file

    def cut(self) -> None:
        """From another thread: ends whatever the connection waits for, by ending its socket."""
        if self._file is not None:
            try:
                with socket.socket(fileno=os.dup(self._file())) as connection:
                    connection.shutdown(socket.SHUT_RDWR)
            except (OSError, ValueError, RuntimeError):
                pass
            except Exception as error:  # a driver's own, of a connection that is closed by now
                del error


def address_of(connection: Any) -> Address | None:
    """Where a program's connection leads; None where a second connection to it cannot be made."""
    for kind in type(connection).__mro__:
        look = _LOOKS.get(kind.__module__.partition(".")[0])
        if look is not None:
            return look(connection)
    return None


def opened(address: Address) -> Session:
    """A connection of ours to the same database; raises what the driver raises."""
    return _OPEN[address.driver](address.options)


# libpq's drivers.


def _of_psycopg(connection: Any) -> Address | None:
    if connection.closed:
        return None
    # What `info.get_parameters` is made of, for a fifth of its time: 0.16 ms.
    options = {one.keyword.decode(): one.val.decode() for one in connection.pgconn.info if one.val}
    return _libpq("psycopg", options, connection.info)


def _of_psycopg2(connection: Any) -> Address | None:
    if connection.closed:
        return None
    info = connection.info
    return _libpq("psycopg2", dict(info.dsn_parameters), info)


def _libpq(driver: str, options: dict[str, Any], info: Any) -> Address:
    if info.password:
        options["password"] = info.password
    if "," in options.get("host", "") + options.get("hostaddr", ""):  # the one of several that it has found
        options.pop("hostaddr", None)
        options.update(host=info.host, port=info.port)
    options.update(connect_timeout=CONNECT, application_name=NAME)
    options.pop("tty", None)
    return Address(driver, options, (info.host, info.port, info.dbname, info.user))


def _psycopg(options: Mapping[str, Any]) -> Session:
    import psycopg

    connection: Any = psycopg.connect(**options, autocommit=True, prepare_threshold=None)
    return Session(_asking(connection.cursor()), connection.close, connection.fileno)


def _psycopg2(options: Mapping[str, Any]) -> Session:
    import psycopg2

    connection = psycopg2.connect(**options)
    connection.autocommit = True
    return Session(_asking(connection.cursor()), connection.close, connection.fileno)


def _asking(cursor: Any) -> Callable[..., list[Any]]:
    def ask(sql: str, *values: Any) -> list[Any]:
        cursor.execute(sql, *values)
        return list(cursor.fetchall()) if cursor.description else []

    return ask


# asyncpg: on an event loop of our own.


def _of_asyncpg(connection: Any) -> Address | None:
    params, address = connection._params, connection._addr
    if connection.is_closed() or callable(params.password):  # the program's own code would have to tell it
        return None
    host, port = (address, None) if isinstance(address, str) else address[:2]
    if port is None:  # the path of a socket, which asyncpg wants by its folder
        host, _, name = host.rpartition("/")
        port = int(name.rpartition(".")[2])
    mode = getattr(getattr(params, "sslmode", None), "name", "")  # with a context, nothing but TLS would do
    options = {
        "host": host, "port": port, "user": params.user, "password": params.password, "database": params.database,
        "ssl": mode if mode in ("allow", "prefer") else params.ssl or False,
        "timeout": CONNECT, "command_timeout": ANSWER,
        "server_settings": {**(getattr(params, "server_settings", None) or {}), "application_name": NAME},
    }  # fmt: skip
    return Address("asyncpg", options, (host, port, params.database, params.user))


def _asyncpg(options: Mapping[str, Any]) -> Session:
    import asyncio

    import asyncpg

    loop = asyncio.new_event_loop()
    try:
        connection = loop.run_until_complete(asyncpg.connect(**options, statement_cache_size=0))
    except BaseException:
        loop.close()
        raise

    def ask(sql: str) -> list[Any]:
        return [tuple(row) for row in loop.run_until_complete(connection.fetch(sql))]

    def close() -> None:
        try:
            loop.run_until_complete(connection.close(timeout=1))
        finally:
            loop.close()

    return Session(ask, close)


# MySQL and MariaDB.


def _of_pymysql(connection: Any) -> Address | None:
    kept = {name: getattr(connection, name, None) for name in ("host", "port", "user", "password", "unix_socket")}
    # A context means that nothing but TLS will do, and the driver makes one for itself where it only prefers that.
    context = getattr(connection, "ctx", None) if getattr(connection, "_secure", False) else None
    options = {
        **kept, "database": connection.db, "charset": connection.charset, "ssl": context, "autocommit": True,
        "connect_timeout": CONNECT, "read_timeout": ANSWER, "write_timeout": ANSWER,
    }  # fmt: skip
    options = {name: value for name, value in options.items() if value is not None}
    return Address("pymysql", options, (kept["host"], kept["port"], kept["unix_socket"], connection.db, kept["user"]))


def _pymysql(options: Mapping[str, Any]) -> Session:
    import pymysql

    connection = pymysql.connect(**options)
    return Session(_asking(connection.cursor()), connection.close)


KEPT = (
    "host", "user", "passwd", "password", "db", "database", "port", "unix_socket", "charset", "ssl", "ssl_mode",
    "read_default_file", "read_default_group",
)  # fmt: skip
BY_PLACE = ("host", "user", "password", "database", "port", "unix_socket")


def _of_mysqlclient(connection: Any) -> Address | None:
    args, given = getattr(connection, "_perfagent_opened", ((), None))
    if given is None:  # from before the agent's start
        return None
    options = {**dict(zip(BY_PLACE, args, strict=False)), **{name: given[name] for name in KEPT if name in given}}
    named = {"password": options.pop("passwd", None), "database": options.pop("db", None)}
    options.update({name: value for name, value in named.items() if value is not None})
    key = tuple(str(options.get(name)) for name in ("host", "port", "unix_socket", "database", "user"))
    limits = {"connect_timeout": CONNECT, "read_timeout": ANSWER, "write_timeout": ANSWER, "autocommit": True}
    return Address("MySQLdb", {**options, **limits}, key)


def _mysqlclient(options: Mapping[str, Any]) -> Session:
    import MySQLdb

    connection = MySQLdb.connect(**options)
    return Session(_asking(connection.cursor()), connection.close)


# SQLite.

_files: dict[int, tuple[ref[Any], str]] = {}


def remember(connection: Any, database: Any, uri: bool) -> None:
    """Keeps which file a connection of SQLite is to: it does not tell by itself without a statement being run."""
    path = os.fsdecode(database) if isinstance(database, (bytes, os.PathLike)) else str(database)
    if uri and path.startswith("file:"):
        path, _, query = path[len("file:") :].partition("?")
        if "mode=memory" in query or "vfs=" in query:
            return
        from urllib.parse import unquote

        path = unquote(path)
        path = "/" + path.lstrip("/") if path.startswith("//") else path
    if not path or path == ":memory:" or len(_files) >= MOST:
        return
    key = id(connection)
    _files[key] = ref(connection, lambda _: _files.pop(key, None)), os.path.abspath(path)


def _of_sqlite3(connection: Any) -> Address | None:
    kept = _files.get(id(connection))
    if kept is None or kept[0]() is not connection:
        return None
    return Address("sqlite3", {"path": kept[1]}, (kept[1],))


def _sqlite3(options: Mapping[str, Any]) -> Session:
    import sqlite3
    from urllib.parse import quote

    connection = sqlite3.connect(
        f"file:{quote(options['path'])}?mode=ro", timeout=0.1, isolation_level=None, check_same_thread=False, uri=True
    )
    return Session(_asking(connection.cursor()), connection.close)


_LOOKS: dict[str, Callable[[Any], Address | None]] = {
    "psycopg": _of_psycopg,
    "psycopg2": _of_psycopg2,
    "asyncpg": _of_asyncpg,
    "pymysql": _of_pymysql,
    "MySQLdb": _of_mysqlclient,
    "sqlite3": _of_sqlite3,
}
_OPEN: dict[str, Callable[[Mapping[str, Any]], Session]] = {
    "psycopg": _psycopg,
    "psycopg2": _psycopg2,
    "asyncpg": _asyncpg,
    "pymysql": _pymysql,
    "MySQLdb": _mysqlclient,
    "sqlite3": _sqlite3,
}
