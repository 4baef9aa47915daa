"""mysqlclient: one statement of one row on a MariaDB."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.servers import running_mysql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server() -> Iterator[dict[str, object]]:
    """The address of a MariaDB."""
    with running_mysql() as found:
        yield found._asdict()


@contextlib.contextmanager
def calls(address: dict[str, object]) -> Iterator[Callable[[], object]]:
    """A statement on one connection."""
    import MySQLdb

    with contextlib.closing(MySQLdb.connect(**address)) as connection:
        cursor = connection.cursor()
        yield lambda: cursor.execute("SELECT 1")
