"""FastAPI: one request, ASGI's and Starlette's parts with it."""

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
    """A request."""
    from fastapi import FastAPI

    application = FastAPI()

    @application.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    yield asgi(application)
