"""Starlette: its applications are measured whoever calls them, and its routes name the spans."""

from __future__ import annotations

from types import MethodType

from perfagent.instruments import asgi
from perfagent.instruments.base import Instrument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    Asgi = Callable[[Any, Any, Any, Any], Awaitable[None]]


class Starlette(Instrument):
    """Patches `Starlette.__call__` and what a route does with a request."""

    name = "starlette"
    distribution = "starlette"
    versions = ("0.20", "2")

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "starlette.applications":
            self.replace(module.Starlette, "__call__", self._application)
        else:
            self.replace(module.Route, "handle", _naming)
            self.replace(module.WebSocketRoute, "handle", _naming)
            self.replace(module.Mount, "handle", _mounting)

    def _application(self, call: Asgi) -> Asgi:
        instrument = self.scope

        async def __call__(app: Any, scope: Any, receive: Any, send: Any) -> None:  # noqa: N807
            if scope["type"] == "lifespan" or type(send) is asgi.Response:
                await call(app, scope, receive, send)
            else:
                await asgi.call(instrument, MethodType(call, app), scope, receive, send)

        return __call__


def _naming(handle: Asgi) -> Asgi:
    async def wrapper(route: Any, scope: Any, receive: Any, send: Any) -> None:
        asgi.route(route.path)
        await handle(route, scope, receive, send)

    return wrapper


def _mounting(handle: Asgi) -> Asgi:
    async def wrapper(mount: Any, scope: Any, receive: Any, send: Any) -> None:
        asgi.mount(mount.path)
        await handle(mount, scope, receive, send)

    return wrapper


instrument = Starlette()
