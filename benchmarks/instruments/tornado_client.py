"""tornado_client: one GET, with a connection of its own as always."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments.hello import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


server = running


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], Awaitable[object]]]:
    """A request to a small server."""
    from tornado.httpclient import AsyncHTTPClient

    async def call() -> object:
        return (await AsyncHTTPClient().fetch(address)).body

    yield call
