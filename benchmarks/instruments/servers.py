"""The servers that more than one library is measured with, as `server` wants them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.servers import running_mysql, running_postgres, running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL."""
    with running_postgres() as (url, _):
        yield url


@contextlib.contextmanager
def mysql() -> Iterator[dict[str, object]]:
    """How to connect to a MariaDB."""
    with running_mysql() as found:
        yield found._asdict()


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis."""
    with running_redis() as (url, _):
        yield url
