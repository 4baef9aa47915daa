"""Comments at the end of statements, so that a database's own logs and views tell who asked (sqlcommenter's format).

Only where PERFAGENT_SQLCOMMENTER asks for it; a driver's wrappers are made with it or without, so nobody else pays. A
text that is another one each time makes prepared statements useless, so drivers that keep these get the route alone.
"""

from __future__ import annotations

from urllib.parse import quote

from perfagent.runtime import guard
from perfagent.runtime.context import current
from perfagent.runtime.db import QuerySpan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

PREPARING = ("psycopg", "asyncpg")
"""Drivers that prepare what they have run some times, by its text."""
FORMATTING = ("psycopg", "psycopg2", "pymysql", "mysqlclient")
"""Drivers for which a percent sign in a statement with parameters must be doubled."""
PARAMETERS = ("args", "vars", "params")
"""What these call the parameters."""
SECOND = 1


class Commenter:
    """Writes the comments of one driver.

    Args:
        driver: its instrument's name.
        wanted: the setting: "route", "traceparent" or "everywhere".
    """

    def __init__(self, driver: str, wanted: str) -> None:
        self.driver = driver
        self.traced = wanted == "everywhere" or (wanted == "traceparent" and driver not in PREPARING)
        self.formats = driver in FORMATTING

    def sync(self, original: Callable[..., Any], keyword: str) -> Callable[..., Any]:
        """What stands for a method that executes its first argument, or the one of that name."""

        def commented(owner: Any, *args: Any, **options: Any) -> Any:
            args, options = self._commented(args, options, keyword)
            return original(owner, *args, **options)

        return commented

    def awaited(self, original: Callable[..., Awaitable[Any]], keyword: str) -> Callable[..., Awaitable[Any]]:
        """As `sync`, for a coroutine function."""

        async def commented(owner: Any, *args: Any, **options: Any) -> Any:
            args, options = self._commented(args, options, keyword)
            return await original(owner, *args, **options)

        return commented

    def _commented(
        self, args: tuple[Any, ...], options: dict[str, Any], keyword: str
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        try:
            span = current.get()
            query = args[0] if args else options.get(keyword)
            if type(span) is not QuerySpan or span.ended or type(query) is not str or "/*" in query or "--" in query:
                return args, options
            given = (
                args[SECOND]
                if len(args) > SECOND
                else next((one for one in map(options.get, PARAMETERS) if one is not None), None)
            )
            text = self.comment(span)
            if self.formats and given is not None:
                text = text.replace("%", "%%")
            body = query.rstrip().rstrip(";")
            if args:
                return (f"{body} {text}", *args[1:]), options
            return args, {**options, keyword: f"{body} {text}"}
        except Exception:
            guard.failed("sqlcommenter")
            return args, options

    def comment(self, span: QuerySpan) -> str:
        """The comment of a statement: its keys in order, its values quoted as in an address."""
        entry = span.entry
        told = {"db_driver": self.driver}
        if entry is not None:
            told["framework"] = entry.scope.name.rpartition(".")[2]
            route = getattr(entry, "route", "")
            if route:
                told["route"] = route
        if self.traced:
            told["traceparent"] = f"00-{span.trace_id.hex()}-{span.span_id.hex()}-{span.flags:02x}"
        return "/*" + ",".join(f"{key}='{quote(told[key], safe='')}'" for key in sorted(told)) + "*/"


def of(driver: str) -> Commenter | None:
    """The commenter of a driver; None unless it is asked for."""
    from perfagent import settings

    wanted = settings.current().sqlcommenter
    return Commenter(driver, wanted) if wanted != "off" else None
