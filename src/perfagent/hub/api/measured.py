"""The layer that times every request by route, and turns what nobody caught into the error envelope."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from perfagent.hub.api.errors import Refused, failed

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from perfagent.hub.api.exposition import Exposition
    from perfagent.hub.api.security import App, Receive, Scope, Send


class Measured:
    """The layer.

    Args:
        app: what it measures.
        exposition: who keeps the figures.
    """

    def __init__(self, app: App, exposition: Exposition) -> None:
        self._app, self._exposition = app, exposition

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = perf_counter()
        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            response = failed(error, f"{scope['method']} {route(scope)}").response()
            if isinstance(error, Refused):
                response = error.response()
            if not status:
                await response(scope, receive, sending)
        finally:
            self._exposition.observe(scope["method"], route(scope), status, perf_counter() - started)


def route(scope: Scope) -> str:
    """The route's pattern, never its values: what a metric's label may be."""
    found = scope.get("perfagent.route") or scope.get("route")
    return str(getattr(found, "path", "")) or "none"
