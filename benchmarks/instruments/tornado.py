"""tornado: one request by a socket; its client's part is that of the standard library."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

server = None
IS_REQUEST = True
REQUEST = b"GET /hello/1 HTTP/1.1\r\nhost: localhost\r\n\r\n"


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], Awaitable[object]]]:
    """A request on one connection, and the answer, in one event loop."""
    from tornado import netutil, web
    from tornado.httpserver import HTTPServer

    class Hello(web.RequestHandler):
        async def get(self, number: str) -> None:
            self.write("hello")

    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    streams = None

    async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        (listening,) = netutil.bind_sockets(0, "127.0.0.1")
        HTTPServer(web.Application([(r"/hello/([0-9]+)", Hello)])).add_socket(listening)
        return await asyncio.open_connection(*listening.getsockname())

    async def call() -> object:
        nonlocal streams
        reader, writer = streams = streams or await connected()
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(5)

    yield call
