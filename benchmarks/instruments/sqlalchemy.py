"""SQLAlchemy: one statement of one row in SQLite, its connection taken from the pool."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A statement, with sqlite3's own part."""
    import sqlalchemy

    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.QueuePool)
    statement = sqlalchemy.text("select 1")

    def call() -> object:
        with engine.connect() as connection:
            return connection.execute(statement).fetchall()

    yield call
    engine.dispose()
