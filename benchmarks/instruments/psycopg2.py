"""psycopg2: one statement of one row."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


server = servers.postgres


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A statement on one connection."""
    import psycopg2

    with contextlib.closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        connection.autocommit = True

        def call() -> object:
            cursor.execute("select 1")
            return cursor.fetchall()

        yield call
