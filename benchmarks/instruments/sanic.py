"""sanic: one request by a socket; its client's part is that of the standard library."""

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
    from sanic import HTTPResponse, Request, Sanic, text

    application = Sanic("benchmark", configure_logging=False)
    application.config.ACCESS_LOG = False

    @application.get("/hello")
    async def hello(request: Request) -> HTTPResponse:
        return text("hello")

    streams = None

    async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        served = await application.create_server("127.0.0.1", 0, return_asyncio_server=True)
        assert served is not None
        await served.startup()
        await served.start_serving()
        return await asyncio.open_connection(*served.server.sockets[0].getsockname())

    async def call() -> object:
        nonlocal streams
        reader, writer = streams = streams or await connected()
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(5)

    yield call
