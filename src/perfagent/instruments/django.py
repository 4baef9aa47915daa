"""Django: its applications are measured whoever calls them, its patterns name the spans, unhandled errors are told.

Queries are spans of the database drivers below its models; look-ups in its caches count as hits and misses.
"""

from __future__ import annotations

from types import MethodType

from perfagent.instruments import asgi, wsgi
from perfagent.instruments.answering import entry, unhandled
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import ModuleType
    from typing import Any

    Wsgi = Callable[[Any, wsgi.Environ, wsgi.StartResponse], Iterable[bytes]]
    Asgi = Callable[[Any, Any, Any, Any], Awaitable[object]]


class Django(Instrument):
    """Patches both handlers, the resolving of addresses, the answer to an unhandled exception, the making of caches."""

    name = "django"
    distribution = "django"
    versions = ("3.2", "7")
    records = "the route of a request, its exception; look-ups in its caches"

    def patch(self, module: ModuleType) -> None:
        match module.__name__:
            case "django.core.handlers.wsgi":
                self.replace(module.WSGIHandler, "__call__", self._wsgi)
            case "django.core.handlers.asgi":
                self.replace(module.ASGIHandler, "__call__", self._asgi)
            case "django.core.handlers.base":
                self.replace(module.BaseHandler, "resolve_request", _resolving)
            case "django.core.handlers.exception":
                self.replace(module, "handle_uncaught_exception", _handling)
            case "django.core.cache":
                from perfagent.instruments.django_cache import creating

                self.replace(module.CacheHandler, "create_connection", lambda create: creating(self, create))

    def _wsgi(self, call: Wsgi) -> Wsgi:
        scope = self.scope

        def __call__(handler: Any, environ: Any, start_response: Any) -> Iterable[bytes]:  # noqa: N807
            return wsgi.call(scope, MethodType(call, handler), environ, start_response)

        return __call__

    def _asgi(self, call: Asgi) -> Asgi:
        instrument = self.scope

        async def __call__(handler: Any, scope: Any, receive: Any, send: Any) -> object:  # noqa: N807
            return await asgi.call(instrument, MethodType(call, handler), scope, receive, send)

        return __call__


def _resolving(resolve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def resolve_request(handler: Any, request: Any) -> Any:
        match = resolve(handler, request)
        try:
            _name(match.route, request)
        except Exception:
            guard.failed("django")
        return match

    return resolve_request


def _name(route: str, request: Any) -> None:
    """Names the route of the request being answered, below the application's root; the first name stays."""
    span = entry()
    if span is not None and not span.route:
        root = span.prefix or request.META.get("SCRIPT_NAME", "")
        span.route = f"{root}/{template(route)}"


def template(pattern: str) -> str:
    """A pattern of Django's as a route: those of `re_path` lose their anchors, also where one includes another.

    Args:
        pattern: such as `items/<int:number>/` or `^archive/(?P<year>[0-9]{4})/$`.
    """
    if "^" not in pattern and "$" not in pattern:
        return pattern
    for anchor in ("^", r"\A", r"\Z", "$"):
        pattern = pattern.replace(anchor, "")
    return pattern


def _handling(handle: Callable[..., Any]) -> Callable[..., Any]:
    def handle_uncaught_exception(request: Any, resolver: Any, exc_info: Any) -> Any:
        unhandled(exc_info, "django")
        return handle(request, resolver, exc_info)

    return handle_uncaught_exception


instrument = Django()
