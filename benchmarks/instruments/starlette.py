"""Starlette: one request, ASGI's part with it."""

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
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    yield asgi(Starlette(routes=[Route("/hello", hello)]))
