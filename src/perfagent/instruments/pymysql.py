"""PyMySQL: statements of its cursors, MySQL's and MariaDB's."""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.instruments.dbapi import SECOND, Driver, argument
from perfagent.runtime import guard
from perfagent.runtime.db import database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.db import Database

NOTHING = (None, "")


class PyMySQL(Instrument):
    """Patches `Cursor`, which every cursor class of the library derives from, and how another database is selected."""

    name = "pymysql"
    distribution = "PyMySQL"
    versions = ("0.9", "2")
    records = "a span a statement"

    def unsupported(self, module: ModuleType) -> str:
        """As every instrument's; since 1.2 its `__version__` is that of mysqlclient, which Django asks for."""
        return self.out_of_range(getattr(module, "VERSION_STRING", "") or module.__version__)

    def patch(self, module: ModuleType) -> None:
        cursor = module.cursors.Cursor
        driver = Driver(self, _target, _code, "connection", _is_open, counts=True)
        query = argument("query")
        self.replace(cursor, "execute", driver.call(query))
        self.replace(cursor, "executemany", driver.call(query, many=SECOND, inner=True))
        self.replace(cursor, "callproc", driver.call(_procedure, inner=True))
        self.replace(module.connections.Connection, "select_db", _selecting)


def _selecting(select: Callable[..., Any]) -> Callable[..., Any]:
    def select_db(connection: Any, *args: Any, **options: Any) -> Any:
        selected = select(connection, *args, **options)
        try:  # the library forgets it, and is at its first database again when it connects anew
            connection._perfagent_selected = connection._sock, args[0] if args else options["db"]
        except Exception:
            guard.failed("pymysql")
        return selected

    return select_db


def _procedure(cursor: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    name = args[0] if args else options.get("procname")
    return f"CALL {name}" if isinstance(name, str) else None


def _target(cursor: Any) -> Database:
    connection = cursor.connection
    if connection is None:  # a closed cursor: the call will raise
        return database("mysql")
    system = "mariadb" if "MariaDB" in (getattr(connection, "server_version", None) or "") else "mysql"
    line, selected = getattr(connection, "_perfagent_selected", NOTHING)
    name = selected if line is not None and line is connection._sock else connection.db or ""
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    socket = connection.unix_socket
    if socket:
        return database(system, name, str(socket))
    return database(system, name, connection.host, connection.port)


def _is_open(connection: Any) -> bool:
    return bool((getattr(connection, "server_status", 0) or 0) & 1)  # SERVER_STATUS_IN_TRANS


def _code(error: BaseException) -> str:
    from pymysql.err import MySQLError

    code = error.args[0] if isinstance(error, MySQLError) and error.args else None
    return str(code) if isinstance(code, int) and code else ""


instrument = PyMySQL()
