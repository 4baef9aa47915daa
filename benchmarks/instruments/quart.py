"""quart: one request to an application that uvicorn serves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

server = None
IS_REQUEST = True
SCOPE = {
    "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
    "scheme": "http", "path": "/hello", "raw_path": b"/hello", "query_string": b"", "root_path": "",
    "headers": [(b"host", b"localhost")], "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 9),
}  # fmt: skip


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], Awaitable[object]]]:
    """A request to a small application, whose client stays as long as Quart listens to it."""
    import uvicorn
    from quart import Quart

    application = Quart("benchmark")

    @application.get("/hello")
    async def hello() -> str:
        return "hello"

    config = uvicorn.Config(application, lifespan="off", log_config=None, access_log=False)
    config.load()
    served: Any = config.loaded_app

    async def send(message: object) -> None:
        pass

    async def call() -> object:
        asked = False

        async def receive() -> dict[str, object]:
            nonlocal asked
            if asked:
                await asyncio.get_running_loop().create_future()
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        return await served({**SCOPE, "headers": list(SCOPE["headers"]), "state": {}}, receive, send)

    yield call
