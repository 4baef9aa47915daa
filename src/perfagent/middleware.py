"""TimingMiddleware: the duration of every request of an application, ASGI or WSGI, put there by the program itself."""

from __future__ import annotations

from perfagent.runtime import http
from perfagent.runtime.clock import perf_counter
from perfagent.runtime.context import current
from perfagent.runtime.encoded import MOST
from perfagent.runtime.metric import HISTOGRAM, SECONDS, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from typing import Any

    from perfagent.runtime.metric import Instrument, Series

KEYS = ("http.request.method", "http.route", "http.response.status_code")


class TimingMiddleware:
    """Records `api_request_duration_seconds` for each request: by method, route and status.

    `app.add_middleware(TimingMiddleware)` in Starlette and FastAPI, `app.wsgi_app = TimingMiddleware(app.wsgi_app)` in
    Flask, or around any application. It takes 2.5 us a request. Where no agent runs, it records and nobody exports.
    The route is the one that the agent or the framework has found; without one the attribute is left out, for paths
    would make a series each.

    Args:
        app: an ASGI or a WSGI application; which of the two is seen by whether it is a coroutine function.
    """

    app: Any

    def __new__(cls, app: Any, **options: Any) -> TimingMiddleware:
        """Makes the one that fits: servers tell the two kinds apart in the same way."""
        asynchronous = _is_coroutine_function(app) or _is_coroutine_function(getattr(app, "__call__", None))  # noqa: B004
        kind = (_Asgi if asynchronous else _Wsgi) if cls is TimingMiddleware else cls
        return super().__new__(kind)

    def __init__(self, app: Any) -> None:
        self.app = app

    def __getattr__(self, name: str) -> object:
        if name == "app":  # of a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self.app, name)


class _Asgi(TimingMiddleware):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await _asgi(self.app, scope, receive, send)


class _Wsgi(TimingMiddleware):
    def __call__(self, *request: Any) -> Any:
        if len(request) == 3:  # an ASGI application whose call is no coroutine function, but returns a coroutine
            return _asgi(self.app, *request)
        return _wsgi(self.app, *request)


async def _asgi(
    app: Callable[..., Awaitable[None]], scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return await app(scope, receive, send)
    timer = Timer(scope.get("method", ""))

    async def watching(message: Any) -> None:
        if message["type"] == "http.response.start":
            timer.status = message["status"]
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            timer.stop(_route(scope))  # the response has been sent: background tasks do not count

    try:
        await app(scope, receive, watching)
    except Exception:
        timer.status = timer.status or 500
        raise
    finally:
        timer.stop(_route(scope))


def _wsgi(app: Callable[..., Iterable[bytes]], environ: Any, start_response: Any) -> Iterable[bytes]:
    timer = Timer(environ.get("REQUEST_METHOD", ""))

    def watching(status: str, *rest: Any) -> Any:
        timer.status = int(status[:3]) if status[:3].isdecimal() else 0
        return start_response(status, *rest)

    try:
        body = app(environ, watching)
    except Exception:
        timer.status = timer.status or 500
        timer.stop("")
        raise
    wrapper = environ.get("wsgi.file_wrapper")
    file = isinstance(wrapper, type) and isinstance(body, wrapper)  # goes by sendfile, as long as it is that object
    if isinstance(body, (list, tuple)) or file or not hasattr(body, "__iter__"):
        timer.stop("")
        return body
    return Body(timer, body)


class Body:
    """A body whose end is the request's.

    Args:
        timer: of the request.
        body: what the application returned.
    """

    def __init__(self, timer: Timer, body: Any) -> None:
        self.timer = timer
        self.body = body

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.body
        finally:
            self.timer.stop("")

    def close(self) -> None:
        """Closes the body and ends the request."""
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            self.timer.stop("")


class Timer:
    """Times one request.

    Args:
        method: as the request has it.
    """

    __slots__ = ("began", "entry", "method", "status")

    def __init__(self, method: str) -> None:
        self.method = method if method in http.METHODS else "_OTHER"
        self.status = 0
        span = current.get()
        self.entry = None if span is None else span.entry
        self.began: float | None = perf_counter()

    def stop(self, route: str) -> None:
        """Records the duration, once; the agent's route goes first, for it tells the mounts as well."""
        if self.began is None:
            return
        seconds = perf_counter() - self.began
        self.began = None
        key = (self.method, str(getattr(self.entry, "route", "") or route), self.status)
        series = _series.get(key) or _make_series(key)
        series.record(seconds)


_series: dict[tuple[str, str, int], Series] = {}


def duration() -> Instrument:
    """`api_request_duration_seconds`."""
    return registry.make(
        Scope("perfagent.middleware"),
        HISTOGRAM,
        "api_request_duration_seconds",
        "s",
        "Duration of requests, as TimingMiddleware sees them.",
        SECONDS,
        keys=KEYS,
    )


def _make_series(key: tuple[str, str, int]) -> Series:
    series = duration().of({name: value for name, value in zip(KEYS, key, strict=True) if value})
    if len(_series) < MOST:
        _series[key] = series
    return series


def _route(scope: Any) -> str:
    """The route that the framework has found; newer Starlette and FastAPI put it there."""
    return str(getattr(scope.get("route"), "path", "") or "")


def _is_coroutine_function(function: Any) -> bool:
    """As `inspect.iscoroutinefunction`, without importing `inspect`."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)
