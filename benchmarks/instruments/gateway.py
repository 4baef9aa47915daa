"""Requests to a web application without a socket, through the hooks that real servers call."""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def asgi(application: Any) -> Callable[[], Awaitable[object]]:
    """A request to an ASGI application as uvicorn hands it on, which the first call starts."""
    import uvicorn

    config = uvicorn.Config(application, lifespan="off", log_config=None, access_log=False)
    served: Any = None

    async def started() -> Any:
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup([socket.create_server(("127.0.0.1", 0))])
        return config.loaded_app

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: object) -> None:
        pass

    async def call() -> object:
        nonlocal served
        served = served or await started()
        return await served(
            {
                "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
                "method": "GET", "scheme": "http", "path": "/hello", "raw_path": b"/hello", "query_string": b"",
                "root_path": "", "headers": [(b"host", b"localhost")], "server": ("127.0.0.1", 80),
                "client": ("127.0.0.1", 9), "state": {},
            },
            receive,
            send,
        )  # fmt: skip

    return call


def wsgi(application: Any) -> Callable[[], object]:
    """A request to a WSGI application as wsgiref hands it on."""
    from wsgiref.handlers import SimpleHandler

    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/hello", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
    }  # fmt: skip

    def call() -> object:
        SimpleHandler(io.BytesIO(), io.BytesIO(), io.StringIO(), environ).run(application)
        return None

    return call
