"""mysqlclient: one statement of one row on a MariaDB."""

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
    import MySQLdb

    with contextlib.closing(MySQLdb.connect(**address)) as connection:
        cursor = connection.cursor()
        yield lambda: cursor.execute("SELECT 1")
