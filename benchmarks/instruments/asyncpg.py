"""asyncpg: one statement of one row."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments import servers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


server = servers.postgres


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], Awaitable[object]]]:
    """A statement on one connection."""
    import asyncpg

    connection = None

    async def call() -> object:
        nonlocal connection
        connection = connection or await asyncpg.connect(address)
        return await connection.fetch("select 1")

    yield call
