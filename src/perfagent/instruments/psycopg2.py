"""psycopg2: connections and cursors become subclasses that time what they execute.

Its classes are C types that cannot be patched, and its functions ask for these types, so that a proxy would not do.
"""

from __future__ import annotations

from psycopg2 import _psycopg, extensions

from perfagent.instruments.base import Instrument, disguise
from perfagent.instruments.dbapi import SECOND, Driver, Subclasses, argument, postgresql

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.db import Database

FACTORY = 1  # the place of `cursor_factory` among the arguments of `connection.cursor`


class Psycopg2(Instrument):
    """Gives what `psycopg2.connect` calls our connection."""

    name = "psycopg2"
    distribution = "psycopg2"
    versions = ("2.7", "3")
    records = "a span a statement, also with server-side cursors"

    def patch(self, module: ModuleType) -> None:
        self.replace(module, "_connect", _connecting)
        if getattr(module.__spec__, "_initializing", False):
            # Nobody has the classes yet, so ours take their names: `type(cursor) is extensions.cursor`, and subclasses,
            # those of psycopg2.extras first of all, are measured as they are. Later the names must stay what they were.
            self.replace(extensions, "connection", lambda _: Connection)
            self.replace(extensions, "cursor", lambda _: Cursor)
            self.replace(_psycopg, "ReplicationConnection", lambda _: ReplicationConnection)
            self.replace(_psycopg, "ReplicationCursor", lambda _: ReplicationCursor)


instrument = Psycopg2()


def _target(cursor: Any) -> Database:
    connection = cursor.connection
    if connection is None or connection.closed:  # the call will raise
        return postgresql("", "", 0)
    info = connection.info  # with the rest 0.9 us; a slot to keep it in would shut out the replication classes
    return postgresql(info.dbname or "", info.host or "", info.port or 0)


def _is_open(connection: Any) -> bool:
    return not connection.closed and connection.get_transaction_status() in (2, 3)  # INTRANS, INERROR


def _code(error: BaseException) -> str:
    return str(getattr(error, "pgcode", None) or "")


def _procedure(cursor: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    name = args[0] if args else options.get("procname")
    return f"CALL {name}" if isinstance(name, str) else None


def _copy(direction: str) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]:
    def statement(cursor: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        table = args[1] if len(args) > 1 else options.get("table")
        return f"COPY {table} {direction}" if isinstance(table, str) else None

    return statement


_driver = Driver(instrument, _target, _code, "connection", _is_open, counts=True)


def _timed(name: str, make: Callable[[Any], Any]) -> Any:
    original = getattr(extensions.cursor, name)
    return disguise(make(original), original)


class Cursor(extensions.cursor):  # type: ignore[misc]
    """A cursor that times what it executes."""

    __slots__ = ()
    execute = _timed("execute", _driver.call(argument("query")))
    executemany = _timed("executemany", _driver.call(argument("query"), many=SECOND))
    callproc = _timed("callproc", _driver.call(_procedure))
    copy_expert = _timed("copy_expert", _driver.call(argument("sql")))
    copy_from = _timed("copy_from", _driver.call(_copy("FROM STDIN")))
    copy_to = _timed("copy_to", _driver.call(_copy("TO STDOUT")))


class Connection(extensions.connection):  # type: ignore[misc]
    """A connection whose cursors are timed."""

    __slots__ = ()

    def cursor(self, *args: Any, **options: Any) -> Any:
        """As psycopg2.extensions.connection.cursor."""
        if len(args) > FACTORY:
            args = (*args[:FACTORY], _factory(self, args[FACTORY]), *args[FACTORY + 1 :])
        else:
            options["cursor_factory"] = _factory(self, options.get("cursor_factory"))
        return super().cursor(*args, **options)


def _factory(connection: Connection, asked: Any) -> Any:
    return _subclass(_cursors, asked or connection.cursor_factory or Cursor)


class ReplicationConnection(_psycopg.ReplicationConnection, Connection):  # type: ignore[misc]
    """A replication connection, which is a connection, too."""

    __slots__ = ()


class ReplicationCursor(_psycopg.ReplicationCursor, Cursor):  # type: ignore[misc]
    """A replication cursor, which is a cursor, too."""

    __slots__ = ()


for _ours in (Cursor, Connection, ReplicationConnection, ReplicationCursor):
    disguise(_ours, _ours.__mro__[1])

_cursors = Subclasses(Cursor)
_connections = Subclasses(Connection)


def _connecting(connect: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(dsn: Any, connection_factory: Any = None, **options: Any) -> Any:
        return connect(dsn, connection_factory=_subclass(_connections, connection_factory or Connection), **options)

    return wrapper


def _subclass(known: Subclasses, factory: Any) -> Any:
    try:
        return known[factory]
    except TypeError:  # an object that cannot be hashed
        return factory
