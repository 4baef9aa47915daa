"""aiohttp's client: one GET on a kept connection."""

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
    import aiohttp

    session = None

    async def call() -> object:
        nonlocal session
        session = session or aiohttp.ClientSession()
        async with session.get(address) as response:
            return await response.read()

    yield call
