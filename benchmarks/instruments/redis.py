"""redis: one GET."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


server = servers.redis


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A look-up on one connection."""
    import redis

    with redis.Redis.from_url(address) as client:
        client.set("key", "value")
        yield lambda: client.get("key")
