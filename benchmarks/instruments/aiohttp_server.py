"""aiohttp's server: one request by a socket; its client's part is that of the standard library."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

server = None
IS_REQUEST = True
REQUEST = b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n"


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], Awaitable[object]]]:
    """A request on one connection, and the answer, in one event loop."""
    from aiohttp import web

    async def hello(request: object) -> web.Response:
        return web.Response(text="hello")

    streams = None

    async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        application = web.Application()
        application.router.add_get("/hello", hello)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return await asyncio.open_connection(*runner.addresses[0])

    async def call() -> object:
        nonlocal streams
        reader, writer = streams = streams or await connected()
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(5)

    yield call
