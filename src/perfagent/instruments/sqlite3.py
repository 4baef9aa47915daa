"""sqlite3: connections and cursors become subclasses that time what they execute.

The module's own classes are C types that cannot be patched, so `connect` is given a subclass as its factory; the
program sees instances of sqlite3.Connection and sqlite3.Cursor as before.
"""

from __future__ import annotations

import sqlite3

from perfagent.instruments.base import Instrument
from perfagent.runtime import guard
from perfagent.runtime.context import current
from perfagent.runtime.db import Database, QuerySpan, database
from perfagent.runtime.span import CLIENT, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_scope: Scope
_nowhere = Database("sqlite")


class Sqlite3(Instrument):
    """Gives `sqlite3.connect` our connection."""

    name = "sqlite3"

    def patch(self, module: ModuleType) -> None:
        global _scope
        _scope = self.scope
        self.replace(sqlite3, "connect", _connecting)
        self.replace(sqlite3.dbapi2, "connect", _connecting)  # what SQLAlchemy and Django call


class Cursor(sqlite3.Cursor):
    """A cursor that times what it executes."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As sqlite3.Cursor.execute."""
        parent = current.get()
        if parent is not None and parent.kind == CLIENT:  # somebody above speaks for the database
            return _execute(self, sql, parameters)
        span = QuerySpan(_scope, parent, self.connection._perfagent, sql)
        try:
            return _execute(self, sql, parameters)
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.finish()

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """As sqlite3.Cursor.executemany."""
        return _whole(_executemany, self, sql, parameters)

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        """As sqlite3.Cursor.executescript."""
        return _whole(_executescript, self, sql)


_execute = sqlite3.Cursor.execute
_executemany = sqlite3.Cursor.executemany
_executescript = sqlite3.Cursor.executescript


def _whole(call: Callable[..., sqlite3.Cursor], cursor: Cursor, sql: str, *parameters: Any) -> sqlite3.Cursor:
    parent = current.get()
    if parent is not None and parent.kind == CLIENT:
        return call(cursor, sql, *parameters)
    span = QuerySpan(_scope, parent, cursor.connection._perfagent, sql)
    if parameters and hasattr(parameters[0], "__len__"):
        span.batch = len(parameters[0])
    try:
        return call(cursor, sql, *parameters)
    except BaseException as error:
        span.fail(error)
        raise
    finally:
        span.finish()


class Connection(sqlite3.Connection):
    """A connection whose cursors are timed."""

    _perfagent = _nowhere

    def cursor(self, factory: Any = Cursor) -> Any:
        """As sqlite3.Connection.cursor."""
        return super().cursor(factory)

    # Since Python 3.11 these go past `cursor` and `Cursor.execute` in C.

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As sqlite3.Connection.execute."""
        return self.cursor().execute(sql, parameters)  # type: ignore[no-any-return]

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """As sqlite3.Connection.executemany."""
        return self.cursor().executemany(sql, parameters)  # type: ignore[no-any-return]

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        """As sqlite3.Connection.executescript."""
        return self.cursor().executescript(sql)  # type: ignore[no-any-return]


for _type in (Cursor, Connection):
    _type.__module__, _type.__qualname__ = "sqlite3", _type.__name__


def _connecting(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    def wrapper(database_path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        if "factory" in options or len(arguments) > 4:  # the program's own connection class
            return connect(database_path, *arguments, **options)
        connection = connect(database_path, *arguments, factory=Connection, **options)
        try:
            connection._perfagent = database("sqlite", _namespace(database_path))  # type: ignore[attr-defined]
        except Exception:
            guard.failed("sqlite3")
        return connection

    return wrapper


def _namespace(path: Any) -> str:
    """The name of a database: its file's name without the folders, which may tell too much."""
    text = path.decode("utf-8", "replace") if isinstance(path, bytes) else str(path)
    return text.partition("?")[0].rstrip("/").rpartition("/")[2][:255]


instrument = Sqlite3()
