"""psycopg 3: statements of its cursors, sync and async, of the client and of the server, in pools and pipelines."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager

from perfagent.instruments.base import Instrument
from perfagent.instruments.dbapi import SECOND, Driver, argument, postgresql

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.db import Database


class Psycopg(Instrument):
    """Patches the methods of the cursor classes: `Connection.execute` and pools go through them."""

    name = "psycopg"
    distribution = "psycopg"
    versions = ("3.0", "4")
    records = "a span a statement, sync and asyncio; COPY and streams"

    def patch(self, module: ModuleType) -> None:
        driver = Driver(self, _target, _code, "_conn", _is_open, counts=True)
        query = argument("query")
        for cursor in (module.Cursor, module.ServerCursor):
            self.replace(cursor, "execute", driver.call(query))
        for cursor in (module.AsyncCursor, module.AsyncServerCursor):
            self.replace(cursor, "execute", driver.call_async(query))
        self.replace(module.Cursor, "executemany", driver.call(query, many=SECOND))
        self.replace(module.AsyncCursor, "executemany", driver.call_async(query, many=SECOND))
        self.replace(module.Cursor, "copy", lambda copy: _copying(driver, copy))
        self.replace(module.AsyncCursor, "copy", lambda copy: _copying_async(driver, copy))
        self.replace(module.Cursor, "stream", lambda stream: _streaming(driver, stream))
        self.replace(module.AsyncCursor, "stream", lambda stream: _streaming_async(driver, stream))


def _copying(driver: Driver, copy: Callable[..., Any]) -> Callable[..., Any]:
    statement = argument("statement")

    @contextmanager
    def wrapper(cursor: Any, *args: Any, **options: Any) -> Iterator[Any]:
        span = driver.open(cursor, statement(cursor, args, options))
        try:
            with copy(cursor, *args, **options) as running:
                yield running
        except BaseException as error:
            if span is not None:
                driver.failed(span, error)
            raise
        if span is not None:
            span.finish()

    return wrapper


def _copying_async(driver: Driver, copy: Callable[..., Any]) -> Callable[..., Any]:
    statement = argument("statement")

    @asynccontextmanager
    async def wrapper(cursor: Any, *args: Any, **options: Any) -> AsyncIterator[Any]:
        span = driver.open(cursor, statement(cursor, args, options))
        try:
            async with copy(cursor, *args, **options) as running:
                yield running
        except BaseException as error:
            if span is not None:
                driver.failed(span, error)
            raise
        if span is not None:
            span.finish()

    return wrapper


def _streaming(driver: Driver, stream: Callable[..., Any]) -> Callable[..., Any]:
    statement = argument("query")

    def wrapper(cursor: Any, *args: Any, **options: Any) -> Iterator[Any]:
        span = driver.open(cursor, statement(cursor, args, options))
        try:
            yield from stream(cursor, *args, **options)
        except GeneratorExit:  # the program has seen enough
            raise
        except BaseException as error:
            if span is not None:
                driver.failed(span, error)
            raise
        finally:
            if span is not None:
                span.finish()

    return wrapper


def _streaming_async(driver: Driver, stream: Callable[..., Any]) -> Callable[..., Any]:
    statement = argument("query")

    async def wrapper(cursor: Any, *args: Any, **options: Any) -> AsyncIterator[Any]:
        span = driver.open(cursor, statement(cursor, args, options))
        rows = stream(cursor, *args, **options)
        try:
            async for row in rows:
                yield row
        except GeneratorExit:
            raise
        except BaseException as error:
            if span is not None:
                driver.failed(span, error)
            raise
        finally:
            await rows.aclose()  # as `yield from` does: it gives the connection back
            if span is not None:
                span.finish()

    return wrapper


def _target(cursor: Any) -> Database:
    connection = getattr(cursor, "_conn", None)
    try:
        return connection._perfagent  # type: ignore[no-any-return, union-attr]
    except AttributeError:
        pass
    if connection is None or connection.closed:  # the call will raise
        return postgresql("", "", 0)
    info = connection.info
    connection._perfagent = found = postgresql(info.dbname, info.host, info.port)
    return found


def _is_open(connection: Any) -> bool:
    return connection.pgconn.transaction_status in (2, 3)  # INTRANS, INERROR; libpq knows without the server


def _code(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


instrument = Psycopg()
