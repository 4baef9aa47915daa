"""Quart: its applications are measured whoever calls them, its rules name the spans, its unhandled errors are told."""

from __future__ import annotations

from types import MethodType

from perfagent.instruments import asgi
from perfagent.instruments.answering import unhandled
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    Asgi = Callable[[Any, Any, Any, Any], Awaitable[object]]


class Quart(Instrument):
    """Patches `Quart.__call__`, the matching of rules, and where an unhandled exception is answered."""

    name = "quart"
    distribution = "quart"
    versions = ("0.18", "2")
    records = "the route of a request, its exception; websockets"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "quart.app":
            self.replace(module.Quart, "__call__", self._application)
            self.replace(module.Quart, "handle_exception", _handling)
            self.replace(module.Quart, "handle_websocket_exception", _handling)
        else:  # since 0.23 one context is that of requests, too
            context = getattr(module, "_BaseRequestWebsocketContext", None) or module.AppContext
            self.replace(context, "match_request", _matching)

    def _application(self, call: Asgi) -> Asgi:
        instrument = self.scope

        async def __call__(app: Any, scope: Any, receive: Any, send: Any) -> object:  # noqa: N807
            try:
                measured = scope["type"] != "lifespan" and type(send) is not asgi.Response
            except Exception:  # no ASGI: what the application makes of it is its own business
                measured = False
            if measured:
                return await asgi.call(instrument, MethodType(call, app), scope, receive, send)
            return await call(app, scope, receive, send)

        return __call__


def _matching(match: Callable[[Any], None]) -> Callable[[Any], None]:
    def match_request(context: Any) -> None:
        match(context)
        try:
            request = getattr(context, "request_websocket", None) or context._request_websocket
            rule = request.url_rule
            if rule is not None:  # else 404, 405 or a redirect to the rule's own spelling
                asgi.route(rule.rule)
        except Exception:
            guard.failed("quart")

    return match_request


def _handling(handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(*arguments: Any, **named: Any) -> Any:  # since 0.23 the context goes before the error
        error = named.get("error", arguments[-1] if arguments else None)
        if isinstance(error, Exception):
            unhandled(error, "quart")
        return await handle(*arguments, **named)

    return wrapper


instrument = Quart()
