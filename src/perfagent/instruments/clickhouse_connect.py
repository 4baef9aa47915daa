"""clickhouse-connect: a span for each statement of its sync and async clients, none for the HTTP request below it.

A statement pays 3.5 us for it on its own thread, measured around an empty call on a busy machine. What a server tells
of a failed statement repeats parts of it, so of an error's text only the code and its name are kept.
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.instruments.dbapi import COROUTINE, Driver, argument
from perfagent.runtime import guard
from perfagent.runtime.db import database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.db import Database, QuerySpan

    Statement = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


class ClickHouseConnect(Instrument):
    """Patches what sends something; all other methods of a client come down to these."""

    name = "clickhouse-connect"
    distribution = "clickhouse-connect"
    versions = ("0.6", "2")
    records = "each statement and insert, sync and async; the server's error code"

    def patch(self, module: ModuleType) -> None:
        kind = module.HttpClient if module.__name__.endswith("httpclient") else module.AsyncClient
        if module.__name__.endswith("asyncclient") and not _is_coroutine_function(kind, "_query_with_context"):
            return  # before 0.12 it has a sync client do the work
        driver = ClickHouseDriver(self, _target, _code)
        calls: tuple[tuple[str, Statement], ...] = (
            ("_query_with_context", lambda client, args, options: (args[0] if args else options["context"]).query),
            ("command", argument("cmd")),
            ("raw_query", argument("query")),
            ("raw_stream", argument("query")),
            ("data_insert", lambda client, args, options: _insert((args[0] if args else options["context"]).table)),
            ("raw_insert", lambda client, args, options: _insert(args[0] if args else options.get("table"))),
        )
        for name, statement in calls:
            wrap: Any = driver.call_async if _is_coroutine_function(kind, name) else driver.call
            self.replace(kind, name, wrap(_guarded(statement), inner=True))


class ClickHouseDriver(Driver):
    """A driver whose failures tell no text of the server."""

    def failed(self, span: QuerySpan, error: BaseException) -> None:
        """As every driver's."""
        try:
            span.code = self.code(error)
            span.fail(error)
            if span.details is not None and span.details.events and type(error).__module__.startswith("clickhouse"):
                name = getattr(error, "name", None)
                span.details.events[-1][2].message = f"{span.code} {name or ''}".strip()  # type: ignore[attr-defined]
        except Exception:
            guard.failed(self.name)
        span.finish()


def _is_coroutine_function(kind: type, name: str) -> bool:
    code = getattr(getattr(kind, name, None), "__code__", None)
    return code is not None and bool(code.co_flags & COROUTINE)


def _guarded(statement: Statement) -> Statement:
    """A statement that does not raise where the program's call is wrong: that will raise itself."""

    def found(client: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            return statement(client, args, options)
        except Exception:
            return None

    return found


def _insert(table: Any) -> str | None:
    return f"INSERT INTO {table}" if isinstance(table, str) else None


def _target(client: Any) -> Database:
    known: Database | None = client.__dict__.get("_perfagent")
    name = client.database or ""
    if known is None or known.attributes.get("db.namespace", "") != name:
        address = str(getattr(client, "url", "")).partition("://")[2].partition("/")[0].rpartition("@")[2]
        host, _, port = address.rpartition(":")
        known = database("clickhouse", name, host.strip("[]"), int(port) if port.isdigit() else 0)
        client._perfagent = known
    return known


def _code(error: BaseException) -> str:
    code = getattr(error, "code", None)
    if code is None and type(error).__module__.startswith("clickhouse_connect"):
        import re

        found = re.search(r"\b[Cc]ode:? (\d+)", str(error))  # before 1.0 it stands in the text alone
        code = found[1] if found else None
    return str(code) if code else ""


instrument = ClickHouseConnect()
