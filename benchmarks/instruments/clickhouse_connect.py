"""clickhouse-connect: one statement of one row, asked of the small server of the tests."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.clickhouse import running_clickhouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server() -> Iterator[int]:
    """The port of the server."""
    with running_clickhouse() as (port, _):
        yield port


@contextlib.contextmanager
def calls(address: int) -> Iterator[Callable[[], object]]:
    """A statement on one client."""
    import clickhouse_connect

    with contextlib.closing(clickhouse_connect.get_client(host="127.0.0.1", port=address, compress=False)) as client:
        yield lambda: client.query("SELECT 1")
