"""asyncpg: statements of connections, prepared statements, cursors and COPY; a pool's connections call the same.

As with the other drivers, what begins and ends a transaction is no span, nor is what a pool resets a connection by.
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.instruments.dbapi import SECOND, Driver, argument, postgresql
from perfagent.runtime.clock import now
from perfagent.runtime.db import database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.db import Database

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT ", "RELEASE SAVEPOINT ")


class Asyncpg(Instrument):
    """Patches what sends a statement."""

    name = "asyncpg"
    distribution = "asyncpg"
    versions = ("0.20", "1")
    records = "a span a statement, prepared ones and cursors too"

    def patch(self, module: ModuleType) -> None:
        connection = module.connection.Connection
        driver = Driver(self, _target, _code, "", _is_open, counts=True)
        query = driver.call_async(argument("query"))
        for name in ("fetch", "fetchrow", "fetchval"):
            self.replace(connection, name, query)
        self.replace(connection, "execute", driver.call_async(_executed))
        self.replace(connection, "executemany", driver.call_async(argument("command"), many=SECOND))
        self.replace(connection, "fetchmany", driver.call_async(argument("query"), many=SECOND))
        self.replace(
            connection, "copy_from_query", driver.call_async(_copied("COPY ({}) TO STDOUT", "query"), inner=True)
        )
        self.replace(connection, "copy_from_table", driver.call_async(_copied("COPY {} TO STDOUT", "table_name")))
        for name in ("copy_to_table", "copy_records_to_table"):
            self.replace(connection, name, driver.call_async(_copied("COPY {} FROM STDIN", "table_name")))
        self.replace(connection, "_get_statement", lambda prepare: _preparing(driver, prepare))
        on_statement = Driver(self, _target_of_resource, _code, "_connection", _is_open, counts=True)
        for name in ("fetch", "fetchrow", "fetchval"):
            self.replace(module.prepared_stmt.PreparedStatement, name, on_statement.call_async(_prepared))
        for name in ("executemany", "fetchmany"):
            self.replace(module.prepared_stmt.PreparedStatement, name, on_statement.call_async(_prepared, many=0))
        for name in ("_bind", "_bind_exec"):  # each cursor begins by one of them, once
            self.replace(module.cursor.BaseCursor, name, on_statement.call_async(_prepared))


def _preparing(driver: Driver, prepare: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A statement that cannot be prepared is never executed: its failure is told here. `fetch` gives no `named`."""

    async def wrapper(connection: Any, query: Any, *args: Any, **options: Any) -> Any:
        if "named" not in options:
            return await prepare(connection, query, *args, **options)
        started = now()
        try:
            return await prepare(connection, query, *args, **options)
        except BaseException as error:
            span = driver.open(connection, query)
            if span is not None:
                span.started = started
                driver.failed(span, error)
            raise

    return wrapper


def _executed(connection: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    query = args[0] if args else options.get("query")
    if isinstance(query, str) and len(args) <= 1:
        if query is getattr(connection, "_reset_query", None):
            return None
        if query.startswith(CONTROL) and ";" not in query[:-1]:
            return None
    return query


_executed.keyword = "query"  # type: ignore[attr-defined] # where a comment may go


def _prepared(resource: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return resource._query


def _copied(form: str, keyword: str) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]:
    def statement(connection: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        what = args[0] if args else options.get(keyword)
        schema = options.get("schema_name")
        return form.format(f"{schema}.{what}" if schema else what) if isinstance(what, str) else None

    return statement


def _target(connection: Any) -> Database:
    address = connection._addr
    name = connection._params.database or ""
    if isinstance(address, str):  # the path of a Unix socket
        return database("postgresql", name, address)
    return postgresql(name, address[0], address[1])


def _target_of_resource(resource: Any) -> Database:
    return _target(resource._connection)


def _is_open(connection: Any) -> bool:
    return not connection.is_closed() and connection.is_in_transaction()


def _code(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


instrument = Asyncpg()
