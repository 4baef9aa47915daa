"""Tornado's HTTP client: one client span for each request, so each redirect has its own; by libcurl one for them all.

It ends when the headers of the response have arrived, or with the response where libcurl is used. Tornado completes the
headers of a request object in place; ours come with its own.
"""

from __future__ import annotations

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

    Callback = Callable[[Any], None]

FAILED = 599  # Tornado's status of a response that never came
_scope: Scope
_excluded: Pattern[str] | None = None


class TornadoClient(Instrument):
    """Patches what takes a request in both clients, and where the first headers arrive in Tornado's own."""

    name = "tornado-client"
    distribution = "tornado"
    versions = ("6.1", "7")
    records = "a span a request; with Tornado's own client each redirect is one of its own"

    def patch(self, module: ModuleType) -> None:
        """Patches the client of `simple_httpclient` or of `curl_httpclient`."""
        global _scope, _excluded
        _scope, _excluded = self.scope, urls.excluded_by("tornado_client")
        if module.__name__ == "tornado.simple_httpclient":
            self.replace(module.SimpleAsyncHTTPClient, "fetch_impl", _fetching)
            self.replace(module._HTTPConnection, "headers_received", _receiving)
        else:
            self.replace(module.CurlAsyncHTTPClient, "fetch_impl", _fetching)


def _fetching(fetch: Callable[[Any, Any, Callback], None]) -> Callable[[Any, Any, Callback], None]:
    def wrapper(client: Any, request: Any, callback: Callback) -> None:
        span = _open(request)
        if span is None:
            return fetch(client, request, callback)
        try:
            return fetch(client, request, _ending(span, callback))
        except BaseException as error:
            outgoing.failed(span, error)
            span.finish()
            raise

    return wrapper


def _open(request: Any) -> ClientSpan | None:
    """The span of a request; the span is kept with it, for who sees its headers arrive."""
    try:
        span = outgoing.open_span(_scope, _excluded, current.get(), request.method, request.url)
        if span is not None:
            original = getattr(request, "original_request", None)
            if original is not None:  # Tornado counts redirects down
                span.resend = original.max_redirects - request.max_redirects
            outgoing.inject(request.headers, span)
            span.headers = headers.pairs("client.request", request.headers)
            request._perfagent = span
        return span
    except Exception:
        guard.failed("tornado-client")
        return None


def _ending(span: ClientSpan, callback: Callback) -> Callback:
    def wrapper(response: Any) -> None:
        if not span.ended:
            try:
                if response.code == FAILED and response.error is not None:
                    span.fail(response.error)
                else:
                    _answered(span, response.code, response.headers)
            except Exception:
                guard.failed("tornado-client")
            span.finish()
        callback(response)

    return wrapper


def _receiving(receive: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def wrapper(connection: Any, first_line: Any, headers: Any) -> None:
        try:
            span = vars(connection.request).get("_perfagent")
            if span is not None and first_line.code >= 200 and not span.ended:
                _answered(span, first_line.code, headers)
                span.version = first_line.version.partition("/")[2]
                span.finish()
        except Exception:
            guard.failed("tornado-client")
        await receive(connection, first_line, headers)

    return wrapper


def _answered(span: ClientSpan, status: int, received: Any) -> None:
    span.status = status
    span.response_headers = headers.pairs("client.response", received)


instrument = TornadoClient()
