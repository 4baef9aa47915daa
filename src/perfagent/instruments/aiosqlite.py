"""aiosqlite: a connection has a thread of its own; sqlite3's spans find their parent there by the context."""

from __future__ import annotations

from contextvars import copy_context

from perfagent.instruments.base import Instrument
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

    def patch(self, module: ModuleType) -> None:
        self.replace(module.core.Connection, "_execute", _carrying)


def _carrying(execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(connection: Any, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if current.get() is None:
            return await execute(connection, fn, *args, **options)
        return await execute(connection, copy_context().run, fn, *args, **options)

    return wrapper


instrument = Aiosqlite()
