"""ASGI: one request to a plain application."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from benchmarks.instruments.gateway import asgi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

server = None
IS_REQUEST = True


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], Awaitable[object]]]:
    """A request."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})

    yield asgi(application)
