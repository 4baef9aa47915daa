"""The request that is being answered, for frameworks that name its route and make a response of its exception, or do
its work on an event loop.
"""

from __future__ import annotations

from perfagent.instruments import urls
from perfagent.runtime import guard, http, propagation
from perfagent.runtime.context import current
from perfagent.runtime.http import ServerSpan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Scope, Span


class AnsweringSpan(ServerSpan):
    """A server span of a framework whose requests share an event loop."""

    __slots__ = ()
    stepped = True


def _plainly(work: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Awaitable[Any]:
    return work(*args, **options)


perform = _plainly
"""Calls the coroutine function that does the current span's work; while requests are timed by parts, its steps are."""


def _timing(on: bool) -> None:
    global perform
    perform = _stepping() if on else _plainly


def _stepping() -> Callable[..., Awaitable[Any]]:
    from perfagent.runtime.timeparts.loops import driven

    def stepping(work: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Awaitable[Any]:
        span, steps = current.get(), work(*args, **options)
        parts = getattr(span, "parts", None)
        return steps if parts is None else driven(parts, steps)

    return stepping


http.when_timed(_timing)


def entry() -> ServerSpan | None:
    """Its server span; None outside of a request."""
    span = current.get()
    found = None if span is None else span.entry
    return found if isinstance(found, ServerSpan) else None


def unhandled(error: Any, instrument: str) -> None:
    """Records, once, what the framework answers by a response, so that nobody above sees it.

    Args:
        error: the exception, or `sys.exc_info()` with it; None where the framework has none.
        instrument: who asks, should this fail.
    """
    try:
        if isinstance(error, tuple):
            error = error[1]
        span = entry()
        if span is not None and error is not None and not span.failure:
            span.fail(error)
    except Exception:
        guard.failed(instrument)


def open_request(scope: Scope, request: Any, version: str, peer: Any) -> tuple[ServerSpan, str] | None:
    """The span of a request with the baggage that came with it; None where its address is left out.

    Args:
        scope: the instrument.
        request: aiohttp's or Sanic's, whose headers are a multidict that knows no case.
        version: of HTTP.
        peer: the other end of its socket: address and port first; of Unix a path, or nothing.
    """
    fields, path, scheme = request.headers, request.path, request.scheme
    host = fields.get("host", "")
    if urls.excluded is not None and urls.is_excluded(scheme, host, path):
        return None
    parent: Span | RemoteContext | None = current.get()
    carried = ""
    if "traceparent" in fields or "baggage" in fields:

        def get(name: str) -> str | None:
            return ",".join(fields.getall(name)) if name in fields else None

        parent = propagation.extract(get) or parent
        carried = propagation.carried(get)
    span = AnsweringSpan(
        scope,
        parent,
        request.method,
        scheme,
        path,
        version,
        host,
        fields.get("user-agent", ""),
        (peer[0], peer[1]) if isinstance(peer, tuple) else None,
    )
    if http.capture_query:
        span.query = request.query_string
    if http.captured["request"]:
        span.headers = list(fields.items())
    return span, carried
