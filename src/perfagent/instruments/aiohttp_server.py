"""aiohttp's server: one server span a request, until the last byte of its response, named by its resource."""

from __future__ import annotations

from perfagent.instruments import answering
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


class AiohttpServer(Instrument):
    """Patches where a connection's task answers a request, and where it makes a response of an exception."""

    name = "aiohttp-server"
    distribution = "aiohttp"
    versions = ("3.8", "5")
    records = "a server span a request with its route, `http.server.*` metrics"

    def patch(self, module: ModuleType) -> None:
        self.replace(module.RequestHandler, "_handle_request", self._handling)
        self.replace(module.RequestHandler, "handle_error", _failing)

    def _handling(self, handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        scope = self.scope

        @carries
        async def _handle_request(connection: Any, request: Any, *args: Any, **options: Any) -> Any:
            try:
                opened = open_span(scope, request)
            except Exception:
                guard.failed("aiohttp-server")
                opened = None
            if opened is None:
                return await handle(connection, request, *args, **options)
            span, carried = opened
            token = current.set(span)
            inner = baggage.set(carried) if carried else None
            try:
                outcome = await answering.perform(handle, connection, request, *args, **options)
                _answered(span, outcome)
                return outcome
            except BaseException as error:  # a handler that is cancelled: the client has gone
                span.fail(error)
                raise
            finally:
                restore(current, token)
                if inner is not None:
                    restore(baggage, inner)
                _name(span, request)
                span.finish()

        return _handle_request


def open_span(scope: Scope, request: Any) -> tuple[ServerSpan, str] | None:
    """The span of a request with the baggage that came with it; None where its address is left out."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return answering.open_request(scope, request, f"{request.version.major}.{request.version.minor}", peer)


def _answered(span: ServerSpan, outcome: Any) -> None:
    try:
        response = outcome[0] if isinstance(outcome, tuple) else outcome
        span.status = response.status
        if span.method != "HEAD" and response.body_length:
            span.size = response.body_length
        if http.captured["response"]:
            span.response_headers = list(response.headers.items())
    except Exception:
        guard.failed("aiohttp-server")


def _name(span: ServerSpan, request: Any) -> None:
    """Names the route by the resource that was found, with the prefixes of the applications around it."""
    try:
        match = getattr(request, "_match_info", None)  # a request that could not be parsed has none
        resource = None if match is None else match.route.resource
        if resource is not None and not span.route:
            span.route = resource.canonical or "/"
    except Exception:
        guard.failed("aiohttp-server")


def _failing(handle: Callable[..., Any]) -> Callable[..., Any]:
    def handle_error(
        connection: Any, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Any:
        try:
            span = current.get()
            if exc is not None and isinstance(span, ServerSpan) and not span.failure:
                span.fail(exc)
        except Exception:
            guard.failed("aiohttp-server")
        return handle(connection, request, status, exc, message)

    return handle_error


instrument = AiohttpServer()
