"""httpx, sync and async: one client span for each request that a transport is given, so each redirect has its own.

It ends when the headers of the response have arrived; the body comes later. The transport may be of any kind: an
application called in the process (ASGITransport) has its own server span below.
"""

from __future__ import annotations

from perfagent.instruments import outgoing, urls
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, headers
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import current, restore
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from re import Pattern
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.http_client import ClientSpan

_scope: Scope
_excluded: Pattern[str] | None = None
_test_clients: dict[type, bool] = {}
_VERSIONS = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2": "2", b"HTTP/3": "3"}


class Httpx(Instrument):
    """Patches what hands one request to a transport, and `send` to count what one call sends."""

    name = "httpx"
    distribution = "httpx"
    versions = ("0.20", "3")
    records = "a client span a request, sync and asyncio, trace context in its headers"

    def patch(self, module: ModuleType) -> None:
        """Patches both clients of httpx, or of httpx2."""
        global _scope, _excluded
        _scope, _excluded = self.scope, urls.excluded_by("httpx")
        self.replace(module.Client, "send", outgoing.calling)
        self.replace(module.Client, "_send_single_request", _sending)
        self.replace(module.AsyncClient, "send", outgoing.calling_async)
        self.replace(module.AsyncClient, "_send_single_request", _sending_async)


def _sending(send: Callable[..., Any]) -> Callable[..., Any]:
    @carries
    def wrapper(client: Any, request: Any, *args: Any) -> Any:
        span, sent = _open(client, request)
        if span is None:
            return send(client, request, *args)
        token = current.set(span)
        try:
            response = send(client, sent, *args)
        except BaseException as error:
            outgoing.settle(request, sent, error)
            outgoing.failed(span, error)
            raise
        else:
            outgoing.settle(request, sent, response)
            _answered(span, response)
            return response
        finally:
            current.reset(token)
            span.finish()

    return wrapper


def _sending_async(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @carries
    async def wrapper(client: Any, request: Any, *args: Any) -> Any:
        span, sent = _open(client, request)
        if span is None:
            return await send(client, request, *args)
        token = current.set(span)
        try:
            response = await send(client, sent, *args)
        except BaseException as error:
            outgoing.settle(request, sent, error)
            outgoing.failed(span, error)
            raise
        else:
            outgoing.settle(request, sent, response)
            _answered(span, response)
            return response
        finally:
            restore(current, token)
            span.finish()

    return wrapper


def _open(client: Any, request: Any) -> tuple[ClientSpan | None, Any]:
    """The span, and what is sent in place of the program's request."""
    try:
        if _is_test_client(type(client)):
            return None, request
        span = outgoing.open_span(_scope, _excluded, current.get(), request.method, request.url)
        return span, request if span is None else outgoing.stand_in(request, span)
    except Exception:
        guard.failed("httpx")
        return None, request


def _is_test_client(kind: type) -> bool:
    """Whether a client is Starlette's or FastAPI's TestClient.

    It calls the application in the process: nothing goes out, and its tests compare the headers that arrive.
    """
    found = _test_clients.get(kind)
    if found is None:
        found = any(parent.__module__ == "starlette.testclient" for parent in kind.__mro__)
        if len(_test_clients) < 256:
            _test_clients[kind] = found
    return found


def _answered(span: ClientSpan, response: Any) -> None:
    try:
        span.status = response.status_code
        span.version = _VERSIONS.get(response.extensions.get("http_version"), "")
        span.response_headers = headers.pairs("client.response", response.headers)
    except Exception:
        guard.failed("httpx")


instrument = Httpx()
