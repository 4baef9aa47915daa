"""quart: one request to an application that uvicorn serves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments.gateway import asgi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

server = None
IS_REQUEST = True


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], Awaitable[object]]]:
    """A request to a small application."""
    from quart import Quart

    application = Quart("benchmark")

    @application.get("/hello")
    async def hello() -> str:
        return "hello"

    yield asgi(application)
