"""Pools: one connection taken from psycopg_pool's and given back, without a statement and without a wait."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


server = servers.postgres


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A connection, taken and given back."""
    from psycopg_pool import ConnectionPool

    with ConnectionPool(address, min_size=2, max_size=2) as pool:
        pool.wait()
        yield lambda: pool.putconn(pool.getconn())
