"""SQLAlchemy: figures of its pools, and the spans of drivers that are not measured themselves.

A driver that is measured speaks for its engine, so nothing is added to the path of its statements.
"""

from __future__ import annotations

from perfagent.instruments import load, pools
from perfagent.instruments.base import Instrument, passed_over, with_parameters_of
from perfagent.instruments.dbapi import Driver, size
from perfagent.runtime import guard, poolwaits
from perfagent.runtime.clock import now
from perfagent.runtime.context import current
from perfagent.runtime.db import database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.db import Database

WAITS = "_perfagent_waits"  # of an engine
# SQLAlchemy's name of a driver, and the instrument that measures it.
MEASURED = {
    "pysqlite": "sqlite3",
    "pysqlite_numeric": "sqlite3",
    "pysqlite_dollar": "sqlite3",
    "aiosqlite": "sqlite3",
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pymysql": "pymysql",
    "mysqldb": "mysqlclient",
    "asyncpg": "asyncpg",
    "duckdb_engine": "duckdb",
}
# SQLAlchemy's name of a database where the semantic conventions have another.
SYSTEMS = {
    "mssql": "microsoft.sql_server",
    "oracle": "oracle.db",
    "redshift": "aws.redshift",
    "spanner": "gcp.spanner",
    "db2": "ibm.db2",
    "ibm_db_sa": "ibm.db2",
    "hana": "sap.hana",
    "firebird": "firebirdsql",
    "teradatasql": "teradata",
}


class SQLAlchemy(Instrument):
    """Sees every engine as it is made; async engines are made of these."""

    name = "sqlalchemy"
    distribution = "sqlalchemy"
    versions = ("1.4", "3")
    records = "what its pools have and who waits for a connection; the statements are those of the driver"

    def patch(self, module: ModuleType) -> None:
        self.replace(module.engine.base.Engine, "__init__", self._making)
        self.replace(module.engine.base.Engine, "raw_connection", self._taking)

    def _making(self, initialise: Callable[..., None]) -> Callable[..., None]:
        def __init__(engine: Any, *args: Any, **options: Any) -> None:  # noqa: N807
            initialise(engine, *args, **options)
            try:
                pools.watch(engine, _figures)
                engine.__dict__[WAITS] = _waits(engine)
                if not is_measured(getattr(engine.dialect, "driver", "")):
                    Listener(self, engine)
            except Exception:
                guard.failed("sqlalchemy")

        return with_parameters_of(initialise, passed_over(__init__))  # type: ignore[no-any-return]

    def _taking(self, take: Callable[..., Any]) -> Callable[..., Any]:
        def raw_connection(engine: Any, *args: Any, **options: Any) -> Any:
            own = engine.__dict__
            waits = own[WAITS] if WAITS in own else vars(own.get("_proxied", engine)).get(WAITS)
            if waits is None:
                return take(engine, *args, **options)
            pool, pending = engine.pool, waits.pending
            opened = getattr(pool, "_overflow", 0)  # beyond the pool's size; below 0 until there are as many
            pending.append(None)
            began = now()
            try:
                return take(engine, *args, **options)
            except BaseException as error:
                if type(error).__name__ == "TimeoutError" and type(error).__module__ == "sqlalchemy.exc":
                    waits.refuse("timed out")
                raise
            finally:
                ended = now()
                pending.pop()
                waits.over(
                    began, ended, ended - began > poolwaits.BRIEF and opened == getattr(pool, "_max_overflow", 0)
                )

        return raw_connection


def is_measured(driver: str) -> bool:
    """Whether an instrument of ours measures the driver in this process."""
    instrument = load.loaded.get(MEASURED.get(driver, ""))
    return instrument is not None and bool(instrument.patched) and not instrument.reason


class Listener:
    """Makes the spans of one engine by its events.

    Args:
        instrument: SQLAlchemy's.
        engine: whose statements are measured.
    """

    def __init__(self, instrument: Instrument, engine: Any) -> None:
        from sqlalchemy import event

        self.driver = Driver(instrument, self.target, _code)
        self.dialect = engine.dialect
        self.url = engine.url
        self.database: Database | None = None
        event.listen(engine, "before_cursor_execute", self.before)
        event.listen(engine, "after_cursor_execute", self.after)
        event.listen(engine, "handle_error", self.failed)

    def target(self, cursor: Any) -> Database:
        """What the engine talks to; asked after its first connection, which tells MariaDB from MySQL."""
        found = self.database
        if found is None:
            name = self.dialect.name
            system = "mariadb" if getattr(self.dialect, "is_mariadb", False) else SYSTEMS.get(name, name)
            url = self.url
            found = self.database = database(system, *_address(url))
        return found

    def before(
        self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        """Begins a span and makes it current: some drivers ask their database by HTTP."""
        if context is None:
            return
        span = self.driver.open(cursor, statement, size((parameters,), 0) if executemany else 0)
        if span is not None:
            context._perfagent = span, current.set(span)

    def after(
        self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        """Ends it."""
        running = vars(context).pop("_perfagent", None) if context is not None else None
        if running is not None:
            span, token = running
            _leave(token)
            span.finish(parameters)

    def failed(self, failure: Any) -> None:
        """Ends it with the driver's exception."""
        context = failure.execution_context
        running = vars(context).pop("_perfagent", None) if context is not None else None
        if running is not None:
            span, token = running
            _leave(token)
            self.driver.failed(span, failure.original_exception)


def _leave(token: Any) -> None:
    try:
        current.reset(token)
    except ValueError:  # ended in another context than it began in
        current.set(token.old_value if token.old_value is not token.MISSING else None)


def _code(error: BaseException) -> str:
    """An SQLSTATE, or the number that MySQL's drivers give first; whatever the driver is."""
    first = error.args[0] if error.args else None
    if isinstance(first, dict):  # pg8000: the fields of the server's message
        first = first.get("C")
    if isinstance(first, int) or (isinstance(first, str) and len(first) == 5 and first.isalnum()):
        return str(first or "")
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")


def _is_pool(pool: Any) -> bool:
    """Whether it is not one that keeps nothing, or one connection for good, or a test's mock."""
    return hasattr(pool, "checkedin") and hasattr(pool, "checkedout") and isinstance(pool.size(), int)


def _figures(engine: Any) -> pools.Figures | None:
    pool = engine.pool  # another one after `dispose`
    if not _is_pool(pool):
        return None
    used, idle, kept = pool.checkedout(), pool.checkedin(), pool.size()
    overflow = getattr(pool, "_max_overflow", 0)
    waits = engine.__dict__.get(WAITS)
    pending = len(waits.pending) if waits is not None else 0
    return pools.Figures(_name(engine, pool), used, idle, kept, kept + overflow if overflow >= 0 else 0, pending)


def _waits(engine: Any) -> pools.Waits | None:
    pool = engine.pool
    if not _is_pool(pool):
        return None
    return pools.Waits(_name(engine, pool), "sqlalchemy", pool.size() + max(getattr(pool, "_max_overflow", 0), 0))


def _address(url: Any) -> tuple[str, str, int]:
    """Database, server and port of an engine's URL, which a test may mock."""
    port = url.port
    return str(url.database or ""), str(url.host or ""), port if isinstance(port, int) else 0


def _name(engine: Any, pool: Any) -> str:
    """The name that the program gave the pool, or its address as the semantic conventions write it."""
    given = getattr(pool, "_orig_logging_name", None)
    if given:
        return str(given)
    url = engine.url
    address = f"{url.host}:{url.port}" if url.host and url.port else url.host or ""
    name = str(url.database or "").rpartition("/")[2] or engine.dialect.name  # a test may mock the URL
    return f"{address}/{name}" if address else name


instrument = SQLAlchemy()
