"""pymemcache: one get."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.servers import running_memcached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a Memcached."""
    with running_memcached() as address:
        yield address


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A look-up on one connection."""
    from pymemcache.client.base import Client

    client = Client(address)
    client.set("key", "value")
    yield lambda: client.get("key")
    client.close()
