"""sqlite3: connections and cursors become subclasses that time what they execute.

The module's own classes are C types that cannot be patched, so `connect` is given a subclass as its factory; the
program sees instances of sqlite3.Connection and sqlite3.Cursor as before, or of its own subclasses of these.
"""

from __future__ import annotations

import _sqlite3
import sqlite3
import sys
from operator import attrgetter

from perfagent.instruments.base import Instrument, disguise, passed_over
from perfagent.instruments.dbapi import Subclasses, size
from perfagent.runtime import guard, transactions
from perfagent.runtime.context import current
from perfagent.runtime.db import QuerySpan, database
from perfagent.runtime.span import CLIENT, Scope
from perfagent.runtime.transactions import asked as _asked
from perfagent.runtime.transactions import register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

FACTORY = 5  # the place of `factory` among the arguments of `connect`

_scope: Scope
_get = current.get
_is_open = attrgetter("in_transaction")
_execute = sqlite3.Cursor.execute
_executemany = sqlite3.Cursor.executemany
_executescript = sqlite3.Cursor.executescript
_cursor = sqlite3.Connection.cursor


class Sqlite3(Instrument):
    """Gives `sqlite3.connect` our connection."""

    name = "sqlite3"
    records = "a span a statement, `db.client.operation.duration`"

    def patch(self, module: ModuleType) -> None:
        global _scope
        _scope = self.scope
        connect = Connect(sqlite3.connect)
        for owner in (_sqlite3, sqlite3, sqlite3.dbapi2):  # SQLAlchemy and Django call the last, pickle asks the first
            self.replace(owner, "connect", lambda _: connect)
        if getattr(module.__spec__, "_initializing", False):
            # Nobody has the module's classes yet, so ours take their names: `type(connection) is sqlite3.Connection`,
            # and the program's own subclasses are measured as they are. Later the names must stay what they were.
            for owner in (sqlite3, sqlite3.dbapi2):
                self.replace(owner, "Connection", lambda _: Connection)
                self.replace(owner, "Cursor", lambda _: Cursor)


class Cursor(sqlite3.Cursor):
    """A cursor that times what it executes."""

    __slots__ = ()

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """As sqlite3.Cursor.execute."""
        # Written out for speed: 0.8 us more than without us, 0.35 us of it for the span; through `_timed` 1.2 us.
        parent = _get()
        if parent is not None and parent.kind == CLIENT and not parent.ended:  # somebody above speaks for the database
            return _execute(self, sql, parameters)
        try:
            connection = self.connection
            span = QuerySpan(_scope, parent, connection._perfagent, sql)  # type: ignore[attr-defined]
        except AttributeError:  # no connection of ours, or none at all
            return _execute(self, sql, parameters)
        try:
            _asked[id(connection)].span = span
        except KeyError:
            register(connection, span, _is_open)
        try:
            result = _execute(self, sql, parameters)
        except BaseException as error:
            _failed(span, error)
            raise
        span.finish(parameters)
        return result

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        """As sqlite3.Cursor.executemany."""
        return _timed(_executemany, self, sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """As sqlite3.Cursor.executescript."""
        return _timed(_executescript, self, sql_script)


def _timed(call: Callable[..., sqlite3.Cursor], cursor: Cursor, sql: str, *parameters: Any) -> sqlite3.Cursor:
    parent = _get()
    if parent is not None and parent.kind == CLIENT and not parent.ended:
        return call(cursor, sql, *parameters)
    try:
        span = QuerySpan(_scope, parent, cursor.connection._perfagent, sql)  # type: ignore[attr-defined]
    except AttributeError:
        return call(cursor, sql, *parameters)
    span.batch = size(parameters, 0)
    try:
        result = call(cursor, sql, *parameters)
    except BaseException as error:
        _failed(span, error)
        raise
    span.finish()
    return result


def _failed(span: QuerySpan, error: BaseException) -> None:
    if not isinstance(span.query, str):  # no statement at all: TypeError
        return
    try:
        code = getattr(error, "sqlite_errorcode", None)  # from Python 3.11 on
        span.code = "" if code is None else str(code)
        span.fail(error)
    except Exception:
        guard.failed("sqlite3")
    span.finish()


class Connection(sqlite3.Connection):
    """A connection whose cursors are timed."""

    __slots__ = ("__weakref__", "_perfagent")

    def cursor(self, factory: Any = Cursor) -> Any:
        """As sqlite3.Connection.cursor."""
        return _cursor(self, factory if factory is Cursor else _subclass(_cursors, factory))

    if sys.version_info >= (3, 11):
        # Up to 3.10 these call `self.cursor()`; since then they make a plain cursor, even where that is overridden.

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            """As sqlite3.Connection.execute."""
            return _cursor(self, Cursor).execute(sql, parameters)

        def executemany(self, sql: str, parameters: Any, /) -> Any:
            """As sqlite3.Connection.executemany."""
            return _timed(_executemany, _cursor(self, Cursor), sql, parameters)

        def executescript(self, sql_script: str, /) -> Any:
            """As sqlite3.Connection.executescript."""
            return _timed(_executescript, _cursor(self, Cursor), sql_script)


for _ours in (Cursor, Connection):
    disguise(_ours, _ours.__mro__[1])
    for _name, _member in vars(_ours).copy().items():
        if _name.startswith(("cursor", "execute")):
            disguise(_member, getattr(_ours.__mro__[1], _name))
passed_over(_timed)

_cursors = Subclasses(Cursor)
_connections = Subclasses(Connection)


class Connect:
    """What stands for `sqlite3.connect`. An object, for a built-in function does not become a method of a class either.

    Args:
        connect: the original.
    """

    def __init__(self, connect: Callable[..., sqlite3.Connection]) -> None:
        self.connect = connect

    def __call__(self, *args: Any, **options: Any) -> Any:
        """As sqlite3.connect."""
        if len(args) > FACTORY:
            args = (*args[:FACTORY], _subclass(_connections, args[FACTORY]), *args[FACTORY + 1 :])
        else:
            options["factory"] = _subclass(_connections, options.get("factory", Connection))
        connection = self.connect(*args, **options)
        if isinstance(connection, Connection):
            told: Any = connection  # its slot has no annotation, which `typing.get_type_hints` would find
            name = args[0] if args else options["database"]
            try:
                told._perfagent = database("sqlite", _namespace(name))
                if transactions.opened is not None:
                    transactions.opened(connection, name, bool(args[7] if len(args) > 7 else options.get("uri")))
            except Exception:
                guard.failed("sqlite3")
        return connection

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self.connect)  # what `inspect` asks, whose answer is a built-in function

    @property
    def __text_signature__(self) -> str | None:
        return self.connect.__text_signature__  # type: ignore[attr-defined, no-any-return]

    def __reduce__(self) -> str:
        return "connect"

    def __repr__(self) -> str:
        return repr(self.connect)


def _subclass(known: Subclasses, factory: Any) -> Any:
    try:
        return known[factory]
    except TypeError:  # an object that cannot be hashed
        return factory


def _namespace(path: Any) -> str:
    """The name of a database: its file's name without the folders, which may tell too much."""
    text = path.decode("utf-8", "replace") if isinstance(path, bytes) else str(path)
    return text.partition("?")[0].rstrip("/").rpartition("/")[2][:255]


instrument = Sqlite3()
