"""aiosqlite: one statement of one row."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], Awaitable[object]]]:
    """A statement on one connection."""
    import aiosqlite

    connection = None

    async def call() -> object:
        nonlocal connection
        connection = connection or await aiosqlite.connect(":memory:")
        return await connection.execute_fetchall("select 1")

    yield call
