"""DuckDB: statements of connections and of the module, and relations when they are executed.

A statement pays 3 us for it on its own thread, measured around an empty call on a busy machine. `sql` gives a relation
that DuckDB executes when its rows are asked for: that is when its span begins. Statements may read the variables of the
function that calls (`SELECT * FROM my_frame`): DuckDB looks for them in the frame that `inspect.currentframe` tells, so
ours are left out there.
"""

from __future__ import annotations

import inspect
import re
from contextvars import ContextVar
from sys import _getframe
from weakref import WeakKeyDictionary

from perfagent.instruments.base import Instrument, disguise
from perfagent.instruments.dbapi import SECOND, Driver, size
from perfagent.runtime import guard
from perfagent.runtime.clock import now
from perfagent.runtime.db import Database
from perfagent.runtime.encoded import MOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType
    from typing import Any

    from perfagent.runtime.db import QuerySpan
    from perfagent.runtime.sql import SqlText

    Call = Callable[..., Any]

ASKS = ("sql", "query", "from_query")
# What executes a relation before DuckDB 2, where each call does it again but for those that read what is left.
EXECUTES = (
    "fetchall", "fetchone", "fetchmany", "fetchnumpy", "fetchdf", "df", "to_df", "fetch_df_chunk", "arrow", "pl",
    "torch", "tf", "fetch_arrow_table", "to_arrow_table", "fetch_arrow_reader", "fetch_record_batch", "record_batch",
    "execute", "show", "__repr__", "__str__",
)  # fmt: skip
LEAVES_ROWS = frozenset(("execute", "fetchone", "fetchmany", "fetch_df_chunk"))
# What writes a relation, and the form of the statement that it is.
WRITES = {
    "create": "CREATE TABLE {name} AS {query}", "to_table": "CREATE TABLE {name} AS {query}",
    "insert_into": "INSERT INTO {name} {query}", "write_csv": "COPY ({query}) TO ?", "to_csv": "COPY ({query}) TO ?",
    "write_parquet": "COPY ({query}) TO ?", "to_parquet": "COPY ({query}) TO ?",
}  # fmt: skip
MEMORY = ("", ":memory:", ":default:")
OURS = (__name__, "perfagent.instruments.dbapi")

_MADE_UP = re.compile(r"(?<=[a-z])_[0-9a-f]{16}\b")
_databases: dict[str, Database] = {}
_known: WeakKeyDictionary[Any, Database] = WeakKeyDictionary()
_asking: ContextVar[Asked | None] = ContextVar("perfagent_duckdb_asking", default=None)
_half_read: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


class Asked:
    """A call of `sql`. `ran` is whether a statement has been executed in its course, and told by a span of its own."""

    __slots__ = ("ran",)

    def __init__(self) -> None:
        self.ran = False


class DuckDB(Instrument):
    """Patches the connection's class, which can be patched though it is in C, and the functions of the module."""

    name = "duckdb"
    distribution = "duckdb"
    versions = ("1.1", "3")
    records = "each statement, of connections, cursors and the module; relations when they are executed"

    def patch(self, module: ModuleType) -> None:
        connection = module.DuckDBPyConnection
        driver = Driver(self, _target, lambda error: "")
        self.replace(inspect, "currentframe", lambda _: currentframe)
        self.replace(module, "connect", _connecting)
        for name in ("cursor", "duplicate"):
            self.replace(connection, name, _copying)
            self.replace(module, name, lambda call: _like(call, _copying(call)))
        lazy = hasattr(module, "_seam")  # DuckDB 2, whose relations are made in Python
        for name, many in (("execute", -1), ("executemany", SECOND)):
            self.replace(connection, name, driver.call(_statement, many=many))
            self.replace(module, name, _on_default(driver, many))
        for name in ASKS:
            self.replace(connection, name, lambda call: _asking_sql(driver, call))
            self.replace(module, name, lambda call: _like(call, _asking_sql(driver, call, module)))
        if lazy:
            self.replace(module._seam, "submit", lambda call: _submitting(driver, call))
            self.replace(module._seam, "prepare_script_parsed", lambda call: _preparing(driver, call))
            return
        for name in EXECUTES:
            self.replace(module.DuckDBPyRelation, name, _executing(driver, name))
        for name, form in WRITES.items():
            self.replace(module.DuckDBPyRelation, name, _executing(driver, name, form))


def currentframe() -> FrameType | None:
    """As inspect.currentframe; where DuckDB asks in a call that passes through here, our frames are left out."""
    frame: FrameType | None = _getframe(1)
    found = frame
    while frame is not None:
        name = frame.f_globals.get("__name__")
        ours = name in OURS
        if not ours and not (isinstance(name, str) and name.startswith("duckdb")):
            break
        frame = frame.f_back
        if ours:
            found = frame
    return found


class Function:
    """What stands for a function of the module in C: it does not become a method of a class that holds it, either."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __call__(self, *args: Any, **options: Any) -> Any:
        """As the function."""
        return self._call(*args, **options)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)  # type: ignore[attr-defined] # set by `replace`


def _like(original: Call, wrapper: Call) -> Call:
    return wrapper if hasattr(type(original), "__get__") else Function(disguise(wrapper, original))


def _connecting(connect: Call) -> Call:
    def wrapper(*args: Any, **options: Any) -> Any:
        connection = connect(*args, **options)
        try:
            if connection not in _known:  # that of the module may be given out again
                _known[connection] = _database(_name(args[0] if args else options.get("database", "")))
        except Exception:
            guard.failed("duckdb")
        return connection

    return _like(connect, wrapper)


def _name(path: Any) -> str:
    """What DuckDB calls the database of a file; of an address, which may hold a token, the name alone."""
    text = str(path).partition("?")[0]
    if text in MEMORY:
        return "memory"
    return text.rpartition("/")[2].rpartition(":")[2].partition(".")[0][:255]


def _copying(copy: Call) -> Call:
    def wrapper(*args: Any, **options: Any) -> Any:
        connection = copy(*args, **options)
        try:
            _known[connection] = _target(args[0] if args else options.get("connection"))
        except Exception:
            guard.failed("duckdb")
        return connection

    return wrapper


def _target(owner: Any) -> Database:
    """What a connection, or a relation that `sql` gave, talks to; any other connection is the module's own."""
    found = None if owner is None else _known.get(owner)
    return found or _database("memory" if owner is None or hasattr(owner, "cursor") else "")


def _database(name: str) -> Database:
    found = _databases.get(name)
    if found is None:
        found = Database("duckdb", name, describe=_described)
        if len(_databases) < MOST:
            _databases[name] = found
    return found


def _described(query: str) -> SqlText:
    """The statement without its literals, and without what DuckDB adds to the names of relations."""
    from perfagent.runtime.sql import describe

    return describe(_MADE_UP.sub("", query) if "_" in query else query, backslash_escapes=False)


def _text(query: Any) -> Any:
    """The text of a statement, which may have been parsed before."""
    return query if isinstance(query, str) else getattr(query, "query", None)


def _statement(connection: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return _text(args[0] if args else options.get("query"))


def _on_default(driver: Driver, many: int) -> Callable[[Call], Call]:
    """Wraps a function of the module, which works on the connection that it is given, or on the module's own."""

    def make(call: Call) -> Call:
        def wrapper(*args: Any, **options: Any) -> Any:
            owner = options.get("connection")
            span = driver.open(owner, _statement(owner, args, options), size(args, many))
            if span is None:
                return call(*args, **options)
            try:
                result = call(*args, **options)
            except BaseException as error:
                driver.failed(span, error)
                raise
            span.finish()
            return result

        return _like(call, wrapper)

    return make


def _asking_sql(driver: Driver, call: Call, module: ModuleType | None = None) -> Call:
    """Wraps `sql`, of a connection or of the module: it executes at once, or gives a relation that does later."""

    def wrapper(*args: Any, **options: Any) -> Any:
        owner, given = (options.get("connection"), args) if module is not None else (args[0], args[1:])
        span = driver.open(owner, _statement(owner, given, options))
        if span is None:
            return call(*args, **options)
        asked = Asked()
        token = _asking.set(asked)
        try:
            result = call(*args, **options)
        except BaseException as error:
            if not asked.ran:
                driver.failed(span, error)
            raise
        finally:
            _asking.reset(token)
        try:
            if not asked.ran and _is_done(result, span):
                span.finish()
            elif result is not None and not hasattr(result, "_submit"):
                _known[result] = span.database
        except Exception:
            guard.failed("duckdb")
        return result

    return wrapper


def _is_done(result: Any, span: QuerySpan) -> bool:
    """Whether DuckDB before 2 has executed it: it gives no relation, one that holds its rows, or that of the last."""
    if hasattr(result, "_submit"):
        return False
    if result is None or result.type not in ("QUERY_RELATION", "TABLE_RELATION"):
        return True
    return ";" in str(span.query).rstrip("; \n")


def _submitting(driver: Driver, submit: Call) -> Call:
    """Wraps what executes every statement of DuckDB 2's relations."""

    def wrapper(connection: Any, sql: Any, *args: Any, **options: Any) -> Any:
        asked = _asking.get()
        span = driver.open(connection, _text(sql))
        if span is None:
            return submit(connection, sql, *args, **options)
        if asked is not None:
            asked.ran = True
        try:
            result = submit(connection, sql, *args, **options)
        except BaseException as error:
            driver.failed(span, error)
            raise
        span.finish()
        return result

    return wrapper


def _preparing(driver: Driver, prepare: Call) -> Call:
    """Wraps what executes all statements of a script but the last."""

    def wrapper(connection: Any, query: Any, *args: Any, **options: Any) -> Any:
        started = now()
        prepared = prepare(connection, query, *args, **options)
        try:
            last = prepared[1]
            earlier = query[: query.rfind(last)] if isinstance(query, str) and isinstance(last, str) else ""
            if ";" in earlier:
                span = driver.open(connection, earlier)
                if span is not None:
                    span.started = started
                    span.finish()
        except Exception:
            guard.failed("duckdb")
        return prepared

    return wrapper


def _executing(driver: Driver, name: str, form: str = "{query}") -> Callable[[Call], Call]:
    """Wraps what executes a relation of DuckDB before 2, or writes it."""

    def statement(relation: Any, args: tuple[Any, ...], options: dict[str, Any]) -> str | None:
        try:
            if form == "{query}" and (relation.type == "MATERIALIZED_RELATION" or _half_read.pop(relation, False)):
                return None
            return form.format(query=relation.sql_query(), name=args[0] if args else options.get("table_name"))
        except Exception:  # one that has no statement, or a closed connection: the call tells
            return None

    def make(call: Call) -> Call:
        measured = driver.call(statement, inner=True)(call)  # one calls another
        if name not in LEAVES_ROWS:
            return measured

        def wrapper(relation: Any, *args: Any, **options: Any) -> Any:
            result = measured(relation, *args, **options)
            try:
                if result is not None and not (isinstance(result, list) and not result):
                    _half_read[relation] = True
            except Exception:
                guard.failed("duckdb")
            return result

        return wrapper

    return make


instrument = DuckDB()
