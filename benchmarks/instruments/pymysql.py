"""PyMySQL: one statement of one row."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


server = servers.mysql


@contextlib.contextmanager
def calls(address: dict[str, object]) -> Iterator[Callable[[], object]]:
    """A statement on one connection."""
    import pymysql

    with contextlib.closing(pymysql.connect(**address)) as connection, connection.cursor() as cursor:

        def call() -> object:
            cursor.execute("select 1")
            return cursor.fetchall()

        yield call
