"""aiosqlite: a connection has a thread of its own; sqlite3's spans find parent and caller there by the context."""

from __future__ import annotations

from contextvars import copy_context
from sys import _getframe

from perfagent.instruments.base import Instrument
from perfagent.runtime import callers
from perfagent.runtime.context import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any


class Aiosqlite(Instrument):
    """Patches the method that hands every call to the connection's thread."""

    name = "aiosqlite"
    distribution = "aiosqlite"
    versions = ("0.15", "1")
    records = "a span a statement in the task that waits for it"

    def patch(self, module: ModuleType) -> None:
        self.replace(module.core.Connection, "_execute", _carrying)


def _carrying(execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(connection: Any, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
        caller = None
        if callers.wanted and args and isinstance(args[0], str):  # a statement, whose caller has no frame over there
            close = args[0] not in callers.known
            caller = callers.closely(_getframe(1), None, None) if close else callers.nearest(_getframe(1))
        if caller is None and current.get() is None:
            return await execute(connection, fn, *args, **options)
        context = copy_context()
        if caller is not None:
            context.run(callers.handed.set, caller)
        return await execute(connection, context.run, fn, *args, **options)

    return wrapper


instrument = Aiosqlite()
