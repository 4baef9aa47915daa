"""aiohttp's client: one client span for each request sent, so each redirect and retry has its own.

It begins when the request asks for a connection and ends when the headers of the response have arrived. The hooks sit
below `ClientSession._request`, so that its warnings name the program's line, and beside the program's trace configs.
"""

from __future__ import annotations

from contextvars import ContextVar

from perfagent.instruments import outgoing, urls
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, headers
from perfagent.runtime.context import current
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from re import Pattern
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.http_client import ClientSpan

_scope: Scope
_request: type
_excluded: Pattern[str] | None = None
_VERSIONS = {(1, 0): "1.0", (1, 1): "1.1"}

_sent: ContextVar[tuple[list[Any] | None, int]] = ContextVar("perfagent_aiohttp_sent", default=(None, 0))
"""The list of traces of the last call, which each call has of its own and all its requests share, and their number."""


class AiohttpClient(Instrument):
    """Patches the three steps of a request: a connection, the sending, the response."""

    name = "aiohttp-client"
    distribution = "aiohttp"
    versions = ("3.8", "5")
    records = "a client span a request, trace context in its headers"

    def patch(self, module: ModuleType) -> None:
        """Patches connector, request and response."""
        global _scope, _excluded, _request
        _scope, _excluded, _request = self.scope, urls.excluded_by("aiohttp_client"), module.ClientRequest
        self.replace(module.BaseConnector, "connect", _connecting)
        self.replace(module.ClientRequest, "send", _sending)
        self.replace(module.ClientResponse, "start", _starting)


def _connecting(connect: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(connector: Any, req: Any, traces: Any, timeout: Any) -> Any:
        span = _open(req, traces)
        if span is None:
            return await connect(connector, req, traces, timeout)
        try:
            connection = await connect(connector, req, traces, timeout)
        except BaseException as error:
            _failed(span, error, req)
            raise
        try:
            connection._perfagent = span
        except AttributeError:  # a connector of the program's own, whose connections have slots
            guard.failed("aiohttp-client")
        return connection

    return wrapper


def _sending(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(request: Any, conn: Any) -> Any:
        try:
            return await send(request, conn)
        except BaseException as error:
            span = _span_of(conn)
            if span is not None:
                _failed(span, error, request)
            raise

    return wrapper


def _starting(start: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(response: Any, connection: Any) -> Any:
        span = _span_of(connection)
        if span is None or span.ended:
            return await start(response, connection)
        try:
            result = await start(response, connection)
        except BaseException as error:
            _failed(span, error)
            raise
        _answered(span, response)
        return result

    return wrapper


def _span_of(connection: Any) -> ClientSpan | None:
    try:
        return connection._perfagent  # type: ignore[no-any-return]
    except Exception:  # one that was made before us, or of a request that is left out
        return None


def _open(request: Any, traces: Any) -> ClientSpan | None:
    if not issubclass(type(request), _request):  # a test's mock, whose attributes may raise
        return None
    try:
        span = outgoing.open_span(_scope, _excluded, current.get(), request.method, request.url)
        if span is not None:
            outgoing.inject(request.headers, span)  # a copy that aiohttp made for this request alone
            last, count = _sent.get()
            span.resend = count if last is traces else 0
            _sent.set((traces, span.resend + 1))
            span.headers = headers.pairs("client.request", request.headers)
        return span
    except Exception:
        guard.failed("aiohttp-client")
        return None


def _failed(span: ClientSpan, error: BaseException, request: Any = None) -> None:
    outgoing.failed(span, error)
    try:
        timer = getattr(request, "_timer", None) or getattr(request, "timer", None)
        if getattr(timer, "_cancelled", False):  # the session's timeout, which the program gets as TimeoutError
            span.failure = "TimeoutError"
        span.finish()
    except Exception:
        guard.failed("aiohttp-client")


def _answered(span: ClientSpan, response: Any) -> None:
    try:
        span.status = response.status
        span.version = _VERSIONS.get(response.version, "")
        span.response_headers = headers.pairs("client.response", response.headers)
        span.finish()
    except Exception:
        guard.failed("aiohttp-client")


instrument = AiohttpClient()
