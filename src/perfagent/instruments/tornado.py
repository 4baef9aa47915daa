"""Tornado: one server span a request, until its response has been sent, named by the pattern that led to its handler.

A websocket's lasts as long as the connection. What is answered without a `RequestHandler` (a function or a router given
to `HTTPServer`) is left alone. A request pays 8 us for it, of 380 that it takes.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary, ref

from perfagent.instruments import answering, urls
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, http, propagation
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import baggage, current, restore
from perfagent.runtime.http import ServerSpan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from re import Pattern
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Scope, Span

    Routes = dict[ref[type], list[tuple[Pattern[str], str]]]  # a handler's class ends with its application

SWITCHED = 101  # a websocket: its handshake is answered, and its request goes on
_routes: WeakKeyDictionary[Any, Routes] = WeakKeyDictionary()
_answers: tuple[type[BaseException], ...] = ()
"""Exceptions that are answers: HTTPError and Finish."""


class Tornado(Instrument):
    """Patches what runs a handler, what finishes its response and what answers its exception."""

    name = "tornado"
    distribution = "tornado"
    versions = ("6.1", "7")
    records = "a server span a request with its route, `http.server.*` metrics; websockets for as long as they last"

    def patch(self, module: ModuleType) -> None:
        global _answers
        _answers = (module.HTTPError, module.Finish)
        self.replace(module.RequestHandler, "_execute", self._executing)
        self.replace(module.RequestHandler, "finish", _finishing)
        self.replace(module.RequestHandler, "_handle_request_exception", _handling)

    def _executing(self, execute: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        scope = self.scope

        @carries
        async def _execute(handler: Any, transforms: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                opened = open_span(scope, handler)
            except Exception:
                guard.failed("tornado")
                opened = None
            if opened is None:
                return await execute(handler, transforms, *args, **kwargs)
            span, carried = opened
            handler._perfagent = span
            token = current.set(span)
            inner = baggage.set(carried) if carried else None
            try:
                return await answering.perform(execute, handler, transforms, *args, **kwargs)
            except BaseException as error:  # cancelled: nobody will finish the response
                span.fail(error)
                span.finish()
                raise
            finally:
                restore(current, token)
                if inner is not None:
                    restore(baggage, inner)
                _executed(span, handler)

        return _execute


class TornadoSpan(ServerSpan):
    """A server span of a handler; `left` is whether the client has gone."""

    __slots__ = ("left",)
    left: bool
    stepped = True


def open_span(scope: Scope, handler: Any) -> tuple[TornadoSpan, str] | None:
    """The span of a request with the baggage that came with it; None where its address is left out."""
    request = handler.request
    fields, scheme, path = request.headers, request.protocol, request.path
    if urls.excluded is not None and urls.is_excluded(scheme, request.host, path):
        return None
    parent: Span | RemoteContext | None = current.get()
    carried = ""
    if "traceparent" in fields or "baggage" in fields:

        def get(name: str) -> str | None:
            return ",".join(fields.get_list(name)) if name in fields else None

        parent = propagation.extract(get) or parent
        carried = propagation.carried(get)
    span = TornadoSpan(
        scope,
        parent,
        request.method,
        scheme,
        path,
        request.version.partition("/")[2],
        request.host,
        fields.get("User-Agent", ""),
        (request.remote_ip, 0) if request.remote_ip else None,
    )
    span.left = False
    span.route = route_of(handler)
    if http.capture_query:
        span.query = request.query
    if http.captured["request"]:
        span.headers = list(fields.get_all())
    _watch(span, handler)
    return span, carried


def _watch(span: TornadoSpan, handler: Any) -> None:
    """Notes that the client has gone, besides telling the handler of it: then nobody may finish the response."""
    connection = handler.request.connection
    told = getattr(connection, "_close_callback", None)
    if told is None:
        return

    def closed() -> None:
        span.left = True
        if not getattr(handler, "_perfagent_runs", True):
            span.finish()
        told()

    connection.set_close_callback(closed)


def _executed(span: TornadoSpan, handler: Any) -> None:
    """Ends the span, unless the handler finishes its response later, outside of its method."""
    try:
        if handler._finished and (span.status == SWITCHED or not span.status):
            span.status = span.status or handler.get_status()  # the latter where the handler has taken the connection
            span.finish()
        elif span.left:
            span.finish()
        else:
            handler._perfagent_runs = False
    except Exception:
        guard.failed("tornado")


def _finishing(finish: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(handler: Any, chunk: Any = None) -> Any:
        sent = finish(handler, chunk)
        span = vars(handler).get("_perfagent")
        if span is not None:
            try:
                _finished(span, handler, sent)
            except Exception:
                guard.failed("tornado")
        return sent

    return wrapper


def _finished(span: TornadoSpan, handler: Any, sent: Any) -> None:
    """Notes the answer; the span ends when that has been written, or cannot be."""
    span.status = handler.get_status()
    headers = handler._headers
    if span.method != "HEAD" and "Content-Length" in headers:
        span.size = int(headers["Content-Length"])
    if http.captured["response"]:
        span.response_headers = list(headers.get_all())
    if span.status == SWITCHED:
        return
    if sent is None or sent.done():
        span.finish()
    else:
        sent.add_done_callback(lambda _: span.finish())


def _handling(handle: Callable[[Any, BaseException], None]) -> Callable[[Any, BaseException], None]:
    def _handle_request_exception(handler: Any, e: BaseException) -> None:
        span = vars(handler).get("_perfagent")
        if span is not None and not isinstance(e, _answers) and not (span.failure or span.ended):
            try:
                span.fail(e)
            except Exception:
                guard.failed("tornado")
        handle(handler, e)

    return _handle_request_exception


def route_of(handler: Any) -> str:
    """The pattern that led to a handler, as a template; "" where none did, as for 404."""
    application, kind = handler.application, type(handler)
    routes = _routes.get(application)
    if routes is None:
        routes = _routes[application] = _patterns(application)
    found = routes.get(ref(kind))
    if found is None:
        return ""
    if len(found) == 1:
        return found[0][1]
    path = handler.request.path
    return next((route for pattern, route in found if pattern.match(path)), "")


def _patterns(application: Any) -> Routes:
    found: Routes = {}
    for rule in _rules(application.default_router):
        pattern = getattr(rule.matcher, "regex", None)
        if pattern is not None and isinstance(rule.target, type):
            found.setdefault(ref(rule.target), []).append((pattern, template(pattern.pattern)))
    return found


def _rules(router: Any) -> Iterator[Any]:
    """All rules of a router and of those below it."""
    for rule in getattr(router, "rules", ()):
        yield rule
        yield from _rules(rule.target)


def template(pattern: str) -> str:
    r"""A pattern of Tornado's as a route: each group is a placeholder, by its name or its number.

    Args:
        pattern: such as `/items/(?P<number>[0-9]+)$` or `/files/(.*)\.txt`.
    """
    shown: list[str] = []
    depth = groups = 0
    escaped = bracket = kept = False
    before = ""
    for position, character in enumerate(pattern):
        if depth or (character == "(" and not escaped and not bracket):
            if not depth:
                kind = pattern[position + 1 : position + 4]
                kept = kind.startswith("?") and kind != "?P<"  # a group that is no argument stays as it is
                if kind == "?P<":
                    shown.append("{" + pattern[position + 4 :].partition(">")[0] + "}")
                elif not kept:
                    shown.append("{" + str(groups) + "}")
                    groups += 1
            if kept:
                shown.append(character)
            if not escaped and not bracket:
                depth += {"(": 1, ")": -1}.get(character, 0)
        elif escaped or (character not in "^$\\" and not (character in "?*+" and before == ")" and not kept)):
            shown.append(character)
        if not escaped and character in "[]":
            bracket = character == "["
        escaped = character == "\\" and not escaped
        before = character
    return "".join(shown)


instrument = Tornado()
