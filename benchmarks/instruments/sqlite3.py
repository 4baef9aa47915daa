"""sqlite3: one statement of one row."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A statement on one connection."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        cursor = connection.cursor()
        yield lambda: cursor.execute("select 1").fetchall()
