"""Test clients that call an application without a server: their requests are measured as a server's are.

Those of Starlette, FastAPI, Flask, Quart and httpx call the application object, which our instruments measure whoever
calls it. What is left is here: Django's clients, which go below it, and applications that are plain functions.
"""

from __future__ import annotations

from perfagent.instruments import asgi, hook, wsgi
from perfagent.instruments.base import disguise, passed_over
from perfagent.runtime import guard
from perfagent.runtime.context import current, restore
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

_scope = Scope("perfagent.testing")
_installed = False


def install() -> None:
    """Waits for the clients to be imported; once."""
    global _installed
    if _installed:
        return
    _installed = True
    hook.install()
    hook.when_imported("django.test.client", _django)
    hook.when_imported("werkzeug.test", _werkzeug)
    hook.when_imported("httpx", _httpx)


def _django(module: ModuleType) -> None:
    _replace(module.ClientHandler, "__call__", _django_handler)
    if hasattr(module, "AsyncClientHandler"):
        _replace(module.AsyncClientHandler, "__call__", _django_async_handler)


def _django_handler(call: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(handler: Any, environ: Any) -> Any:  # noqa: N807
        try:
            span = wsgi.open_span(_scope, environ, None)  # type: ignore[arg-type]
        except Exception:
            guard.failed("django's test client")
            span = None
        if span is None:
            return call(handler, environ)
        token = current.set(span)
        try:
            response = call(handler, environ)
            span.status = getattr(response, "status_code", 0)
            return response
        except BaseException as error:
            span.abort(error, answered=False)
            raise
        finally:
            current.reset(token)
            span.finish()

    return __call__


def _django_async_handler(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def __call__(handler: Any, scope: Any) -> Any:  # noqa: N807
        try:
            span = asgi.open_span(_scope, scope)
        except Exception:
            guard.failed("django's test client")
            span = None
        if span is None:
            return await call(handler, scope)
        token = current.set(span)
        try:
            response = await call(handler, scope)
            span.status = getattr(response, "status_code", 0)
            return response
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            restore(current, token)
            span.finish()

    return __call__


def _werkzeug(module: ModuleType) -> None:
    def run_wsgi_app(run: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(app: Any, environ: Any, buffered: bool = False) -> Any:
            return run(wsgi.Measured(app, _scope), environ, buffered)  # another span is not opened below

        return wrapper

    _replace(module, "run_wsgi_app", run_wsgi_app)


def _httpx(module: ModuleType) -> None:
    _replace(module.ASGITransport, "handle_async_request", _asgi_transport)


def _asgi_transport(handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def handle_async_request(transport: Any, request: Any) -> Any:
        measured = transport
        try:
            measured = transport.__class__.__new__(transport.__class__)
            measured.__dict__.update(transport.__dict__, app=asgi.Measured(transport.app, _scope))
        except Exception:  # a class of its own that is not made like this
            guard.failed("httpx's ASGI transport")
        return await handle(measured, request)

    return handle_async_request


def _replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = vars(owner).get(name)
    if original is not None:
        setattr(owner, name, passed_over(disguise(make(original), original)))
