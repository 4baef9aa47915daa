"""Sanic: one server span a request of its own server, and the route and the exception under any ASGI server.

Sanic writes the code of its hot methods anew when it starts, so the hooks are beside them: what a connection calls for
each request, the router, and the answer to an exception that nobody handles.
"""

from __future__ import annotations

from perfagent.instruments import answering, asgi
from perfagent.instruments.answering import unhandled
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, http
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import baggage, current, restore
from perfagent.runtime.http import ServerSpan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.span import Scope

    Handler = Callable[[Any], Awaitable[None]]

_answers: tuple[type[BaseException], ...] = ()
"""Exceptions that are answers, each with its status."""


class Sanic(Instrument):
    """Patches what sets a connection up, the router, and the answer to an exception."""

    name = "sanic"
    distribution = "sanic"
    versions = ("24.6", "99")
    records = "a server span a request with its route, `http.server.*` metrics; websockets; its own server and ASGI"

    def patch(self, module: ModuleType) -> None:
        global _answers
        match module.__name__:
            case "sanic.server.protocols.http_protocol":
                self.replace(module.HttpProtocolMixin, "_setup", self._connecting)
            case "sanic.router":
                self.replace(module.Router, "get", _routing)
            case _:
                from sanic.exceptions import SanicException  # its handlers have imported it

                _answers = (SanicException,)
                self.replace(module.ErrorHandler, "default", _answering)

    def _connecting(self, setup: Callable[[Any], None]) -> Callable[[Any], None]:
        scope = self.scope

        def _setup(protocol: Any) -> None:
            setup(protocol)
            try:
                protocol.request_handler = _handling(scope, protocol, protocol.request_handler)
            except Exception:
                guard.failed("sanic")

        return _setup


def _handling(scope: Scope, protocol: Any, handle: Handler) -> Handler:
    @carries
    async def request_handler(request: Any) -> Any:
        try:
            opened = open_span(scope, request)
        except Exception:
            guard.failed("sanic")
            opened = None
        if opened is None:
            return await handle(request)
        span, carried = opened
        token = current.set(span)
        inner = baggage.set(carried) if carried else None
        try:
            return await answering.perform(handle, request)
        except BaseException as error:  # a handler that is cancelled: the client has gone, or it took too long
            span.fail(error)
            raise
        finally:
            restore(current, token)
            if inner is not None:
                restore(baggage, inner)
            _answered(span, protocol, request)
            span.finish()

    return request_handler


def open_span(scope: Scope, request: Any) -> tuple[ServerSpan, str] | None:
    """The span of a request with the baggage that came with it; None where its address is left out."""
    peer = getattr(request.conn_info, "peername", None)
    return answering.open_request(scope, request, request.version, peer)


def _answered(span: ServerSpan, protocol: Any, request: Any) -> None:
    try:
        response = getattr(request.stream, "response", None)
        if response is not None:
            span.status = response.status
            size = response.headers.get("content-length")
            if size is not None and span.method != "HEAD":
                span.size = int(size)
            if http.captured["response"]:
                span.response_headers = list(response.headers.items())
        elif getattr(protocol, "websocket", None) is not None:
            span.status = 101
    except Exception:
        guard.failed("sanic")


def _routing(get: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(router: Any, path: str, method: str, host: str | None) -> Any:
        found = get(router, path, method, host)
        try:
            asgi.route(f"/{found[0].path}")
        except Exception:
            guard.failed("sanic")
        return found

    for name in ("cache_clear", "cache_info", "cache_parameters"):  # it is a cached function
        if hasattr(get, name):
            setattr(wrapper, name, getattr(get, name))
    return wrapper


def _answering(answer: Callable[..., Any]) -> Callable[..., Any]:
    def default(handler: Any, request: Any, exception: BaseException) -> Any:
        if not isinstance(exception, _answers):
            unhandled(exception, "sanic")
        return answer(handler, request, exception)

    return default


instrument = Sanic()
