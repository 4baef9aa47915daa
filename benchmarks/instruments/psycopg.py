"""psycopg: one statement of one row."""

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
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        yield lambda: connection.execute("select 1").fetchall()
