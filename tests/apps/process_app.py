"""Programs of one line, by WSGI and by ASGI, that tell which process has answered."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def wsgi(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    if environ["PATH_INFO"] == "/query":
        query()
    elif environ["PATH_INFO"] == "/burn":
        burn()
    elif environ["PATH_INFO"] == "/hang":
        time.sleep(60)
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


async def asgi(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/query":
        await asyncio.sleep(0.05)  # other requests come in between
        query()
        await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


def burn() -> None:
    """60 ms of CPU time."""
    until = time.thread_time() + 0.06
    while time.thread_time() < until:
        pass


def query() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("select 1")
    connection.close()
