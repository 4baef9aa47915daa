"""mysqlclient (MySQLdb): statements of its cursors, MySQL's and MariaDB's.

A statement pays 3 us for it on its own thread, measured around an empty call on a busy machine. What a connection
talks to is asked once, when it is made: the address may come from an option file, and only the library knows what is
in there.
"""

from __future__ import annotations

from perfagent import settings
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

DATABASE = 3  # the place of the database's name among the arguments of `connect`


class Mysqlclient(Instrument):
    """Patches `BaseCursor`, which every cursor class of the library derives from, and the making of connections."""

    name = "mysqlclient"
    distribution = "mysqlclient"
    versions = ("1.4", "3")
    records = "each statement, `executemany` with its batch size, procedures; the server's error number"

    def unsupported(self, module: ModuleType) -> str:
        """As every instrument's; PyMySQL may stand in under the same name, and has an instrument of its own."""
        own = {"MySQLdb.cursors": "BaseCursor", "MySQLdb.connections": "_mysql"}.get(module.__name__, "__name__")
        if hasattr(module, own):
            return super().unsupported(module)
        self.measured_by = "pymysql"
        return "MySQLdb is PyMySQL here, which is measured by itself"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "MySQLdb.connections":
            self.replace(module.Connection, "__init__", _connecting)
            self.replace(module.Connection, "select_db", _selecting)
        if module.__name__ == "MySQLdb.cursors":
            # It does not tell whether a transaction is open: which connection ran a statement is noted where asked for.
            noted = ("connection", _is_open) if settings.current().explain else ()
            driver = Driver(self, _target, _code, *noted)
            self.replace(module.BaseCursor, "execute", driver.call(argument("query")))
            self.replace(module.BaseCursor, "executemany", driver.call(_many, many=SECOND, inner=True))
            self.replace(module.BaseCursor, "callproc", driver.call(_procedure))
        # MySQLdb itself imports these when it connects; SQLAlchemy asks before that who measures its engine.


def _connecting(initialise: Callable[..., None]) -> Callable[..., None]:
    def __init__(connection: Any, *args: Any, **options: Any) -> None:  # noqa: N807
        initialise(connection, *args, **options)
        try:
            name = options.get("database", options.get("db", args[DATABASE] if len(args) > DATABASE else ""))
            connection._perfagent = _database(connection, _text(name), _text(options.get("unix_socket")))
            if settings.current().explain:
                connection._perfagent_opened = args, options
        except Exception:
            guard.failed("mysqlclient")

    return __init__


def _selecting(select: Callable[..., Any]) -> Callable[..., Any]:
    def select_db(connection: Any, name: Any, *args: Any) -> Any:
        selected = select(connection, name, *args)
        try:
            known = connection._perfagent.attributes
            address = known.get("server.address", ""), known.get("server.port", 0)
            connection._perfagent = database(known["db.system.name"], _text(name), *address)
        except Exception:
            guard.failed("mysqlclient")
        return selected

    return select_db


def _database(connection: Any, name: str, socket: str) -> Database:
    system = "mariadb" if "MariaDB" in _text(connection.get_server_info()) else "mysql"
    host, _, way = _text(connection.get_host_info()).partition(" via ")  # "127.0.0.1 via TCP/IP"
    if way.startswith("TCP"):
        return database(system, name, host, connection.port)
    return database(system, name, socket or host.lower())


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _many(cursor: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    rows = args[SECOND] if len(args) > SECOND else options.get("args")
    if isinstance(rows, (list, tuple)) and not rows:  # nothing is sent
        return None
    return args[0] if args else options.get("query")


def _procedure(cursor: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    name = args[0] if args else options.get("procname")
    return f"CALL {name}" if isinstance(name, str) else None


def _target(cursor: Any) -> Database:
    # None of a closed cursor: the call will raise; without ours, of a connection from before the agent's start.
    return getattr(cursor.connection, "_perfagent", None) or database("mysql")


def _is_open(connection: Any) -> bool:
    return False


def _code(error: BaseException) -> str:
    from MySQLdb import MySQLError

    code = error.args[0] if isinstance(error, MySQLError) and error.args else None
    return str(code) if isinstance(code, int) and code else ""


instrument = Mysqlclient()
