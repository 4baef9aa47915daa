"""duckdb: one statement of one row."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A statement on one connection."""
    import duckdb

    with contextlib.closing(duckdb.connect()) as connection:
        yield lambda: connection.execute("SELECT 1").fetchall()
