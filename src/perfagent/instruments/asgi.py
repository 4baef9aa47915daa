"""ASGI: one server span a request, for whatever application a server or a framework calls.

The server's outermost call is measured; an application mounted inside another is not measured twice.
"""

from __future__ import annotations

from perfagent import settings
from perfagent.instruments import urls
from perfagent.instruments.base import Instrument, passed_over
from perfagent.runtime import guard, http, propagation
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import baggage, current, restore
from perfagent.runtime.http import ServerSpan
from perfagent.runtime.span import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.profile import Profile
    from perfagent.runtime.span import Scope
    from perfagent.runtime.timeparts.parts import Parts

    Message = MutableMapping[str, Any]
    AsgiScope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[AsgiScope, Receive, Send], Awaitable[object]]


class Asgi(Instrument):
    """Wraps what a server is about to call."""

    name = "asgi"
    records = "a server span a request, `http.server.*` metrics; under uvicorn, hypercorn and granian"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "uvicorn.server":
            self.replace(module.Server, "startup", self._uvicorn)
        elif module.__name__ == "granian.asgi":
            self.replace(module, "_callback_wrapper", self._granian)
        else:
            self.replace(module.ASGIWrapper, "__init__", self._hypercorn)

    def _uvicorn(self, start: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """What a configuration has loaded stays what the program gave it until a server starts with it."""

        async def startup(server: Any, *args: Any, **options: Any) -> None:
            try:
                config = server.config
                if not isinstance(config.loaded_app, Measured):
                    config.loaded_app = Measured(config.loaded_app, self.scope)
            except Exception:
                guard.failed("asgi")
            await start(server, *args, **options)

        return startup

    def _hypercorn(self, init: Callable[[Any, Application], None]) -> Callable[[Any, Application], None]:
        def wrapper(server: Any, app: Application) -> None:
            init(server, Measured(app, self.scope))

        return wrapper

    def _granian(self, wrap: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(callback: Application, *arguments: Any, **options: Any) -> Any:
            return wrap(Measured(callback, self.scope), *arguments, **options)

        return wrapper


class Measured:
    """An application with its requests measured.

    Args:
        app: the application.
        scope: the instrument that measures.
    """

    def __init__(self, app: Application, scope: Scope) -> None:
        self.app = app
        self.scope = scope

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> object:
        return await call(self.scope, self.app, scope, receive, send)

    def __getattr__(self, name: str) -> object:
        return getattr(self.app, name)


@carries
@passed_over
async def call(instrument: Scope, app: Application, scope: AsgiScope, receive: Receive, send: Send) -> object:
    """Calls `app` with a server span around it."""
    try:
        span = open_span(instrument, scope)
    except Exception:
        guard.failed("asgi")
        span = None
    if span is None:
        return await app(scope, receive, send)
    token = current.set(span)
    carried = baggage.set(span.baggage) if span.baggage else None
    try:
        return await app(scope, receive, Response(span, send))  # a server blames what is not None
    except BaseException as error:
        _failed(span, error)
        raise
    finally:
        restore(current, token)
        if carried is not None:
            restore(baggage, carried)
        span.client = scope.get("client")  # a proxy's headers may have replaced it meanwhile
        span.origin = None  # a span waits for seconds: the request's headers need not
        span.finish()


def open_span(instrument: Scope, scope: AsgiScope) -> AsgiSpan | None:
    """The span of a request, or None where it is not to be measured: lifespan, an excluded address, a mounted app."""
    kind = scope["type"]
    if kind == "lifespan":
        return None
    headers: list[tuple[bytes, bytes]] = (
        scope.get("headers") or []
    )  # tests call applications with less than ASGI asks for
    above = current.get()
    if headers and above is not None and above.entry is not None and getattr(above.entry, "origin", None) is headers:
        return None
    fields = dict(headers)
    path = scope.get("path", "")
    scheme = scope.get("scheme", "http")
    host = fields.get(b"host", b"")
    if urls.excluded is not None and urls.is_excluded(scheme, host, path):
        return None
    parent: Span | RemoteContext | None = above
    carried = ""
    if b"traceparent" in fields or b"baggage" in fields:
        header = _headers_of(fields, headers)
        parent = propagation.extract(header) or above
        carried = propagation.carried(header)
    span = AsgiSpan(
        instrument,
        parent,
        scope.get("method", "") if kind == "http" else "GET",
        scheme,
        path,
        scope.get("http_version", ""),
        host,
        fields.get(b"user-agent", b""),
        scope.get("client"),
    )
    span.origin = headers
    span.baggage = carried
    if http.capture_query:
        span.query = scope.get("query_string", b"").decode("latin-1")
    if http.captured["request"]:
        span.headers = headers
    return span


class AsgiSpan(ServerSpan):
    """A server span that knows which request it is of, by the identity of its header list."""

    __slots__ = ("baggage", "origin")
    baggage: str
    origin: object
    stepped = True


def _headers_of(fields: dict[bytes, bytes], headers: list[tuple[bytes, bytes]]) -> Callable[[str], str | None]:
    def get(name: str) -> str | None:
        value = fields.get(name.encode())
        if value is None:
            return None
        if name != "traceparent":  # the two that may be split over several headers
            value = b",".join(content for key, content in headers if key == name.encode())
        return value.decode("latin-1")

    return get


class Response:
    """The `send` of one request: sees the status and the end, and passes everything on.

    Args:
        span: the request's span.
        send: the server's.
    """

    __slots__ = ("send", "span")

    def __init__(self, span: ServerSpan, send: Send) -> None:
        self.span = span
        self.send = send

    def __call__(self, message: Message) -> Awaitable[None]:
        # Not a coroutine itself, but hands the server's on: saves 0.3 us a message.
        kind = message["type"]
        if kind == "http.response.body":
            if not message.get("more_body"):
                return self._last(message)
        elif kind == "http.response.start":
            _started(self.span, message)
        elif kind == "websocket.accept":
            self.span.status = 101
        elif kind == "websocket.close" and not self.span.status:
            self.span.status = 403  # ASGI: closing before accepting refuses the handshake
        elif kind == "http.response.pathsend":
            return self._last(message)
        return self.send(message)

    async def _last(self, message: Message) -> None:
        await self.send(message)
        if self.span.status < 500:  # an error's exception may still come
            self.span.finish()


def _started(span: ServerSpan, message: Message) -> None:
    span.status = message["status"]
    headers = message.get("headers")
    if headers:
        if type(headers) is not list and iter(headers) is headers:  # ASGI allows what can be gone through only once
            headers = message["headers"] = list(headers)
        if http.captured["response"]:
            span.response_headers = headers
        for name, value in headers:
            if name == b"content-length":
                try:
                    span.size = int(value)
                except ValueError:
                    pass
                break


def _failed(span: ServerSpan, error: BaseException) -> None:
    try:
        span.fail(error)
    except Exception:
        guard.failed("asgi")


def route(path: str) -> None:
    """Names the route of the request being answered, below the mounts passed so far; the first name stays.

    Args:
        path: the route's template, such as `/items/{id}`.
    """
    span = current.get()
    entry = None if span is None else span.entry
    if isinstance(entry, ServerSpan) and not entry.route:
        entry.route = entry.prefix + path


def mount(path: str) -> None:
    """Puts a mount's path before the routes of the application that it mounts."""
    span = current.get()
    entry = None if span is None else span.entry
    if isinstance(entry, ServerSpan):
        entry.prefix += path


_plain_call: Callable[..., Awaitable[object]] = call
_unprofiled_call = _plain_call


def _profiling(profile: Profile | None) -> None:
    """Makes a request's steps be measured while requests are profiled."""
    global call
    call = _unprofiled_call if profile is None else _profiled_call  # type: ignore[assignment]


def _timing(on: bool) -> None:
    """Makes a request's steps be timed while requests are timed by parts."""
    global _driven, _unprofiled_call
    if on:
        from perfagent.runtime.timeparts.loops import driven

        _driven = driven
    _unprofiled_call = _timed_call if on else _plain_call
    _profiling(http.profile)


_driven: Callable[[Parts, Awaitable[object]], Awaitable[object]]


def _timed_call(
    instrument: Scope, app: Application, scope: AsgiScope, receive: Receive, send: Send
) -> Awaitable[object]:
    return _plain_call(instrument, Stepping(app), scope, receive, send)


class Stepping:
    """An application whose requests are timed step by step.

    Args:
        app: the application.
    """

    __slots__ = ("app",)

    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> Awaitable[object]:
        parts = getattr(send.span, "parts", None) if type(send) is Response else None
        steps = self.app(scope, receive, send)
        return steps if parts is None else _driven(parts, steps)


async def _profiled_call(instrument: Scope, app: Application, scope: AsgiScope, receive: Receive, send: Send) -> object:
    from perfagent.runtime import profile

    def stepping(scope: AsgiScope, receive: Receive, send: Send) -> Awaitable[object]:
        measured = profile.of(send.span) if isinstance(send, Response) else None
        if measured is None or measured.by_steps:  # a lifespan, or an application mounted in one that is measured
            return app(scope, receive, send)
        measured.begin_steps()
        return profile.Steps(measured, app(scope, receive, send))

    return await _unprofiled_call(instrument, stepping, scope, receive, send)


def _with_script(plain: Callable[..., Awaitable[object]]) -> Any:
    """`call`, with the script that measures pages in the browser put into them."""
    from perfagent.rum.asgi import Sending

    async def call(instrument: Scope, app: Application, scope: AsgiScope, receive: Receive, send: Send) -> object:
        def changing(scope: AsgiScope, receive: Receive, send: Send) -> Awaitable[object]:
            if isinstance(send, Response) and not isinstance(send.send, Sending) and scope["type"] == "http":
                send.send = Sending(send.send, scope, send.span)
            return app(scope, receive, send)

        return await plain(instrument, changing, scope, receive, send)

    return call


if settings.current().rum:
    call = _plain_call = _unprofiled_call = _with_script(call)
http.when_profiled(_profiling)
http.when_timed(_timing)
instrument = Asgi()
