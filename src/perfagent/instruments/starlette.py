"""Starlette: its applications are measured whoever calls them, and its routes name the spans."""

from __future__ import annotations

from types import MethodType

from perfagent.instruments import asgi
from perfagent.instruments.base import Instrument, disguise
from perfagent.runtime import guard, http
from perfagent.runtime.context import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.profile import Measurement, Profile

    Asgi = Callable[[Any, Any, Any, Any], Awaitable[object]]


MOST = 1_000_000  # workers; a limiter may have no limit


class Starlette(Instrument):
    """Patches `Starlette.__call__` and what a route does with a request."""

    name = "starlette"
    distribution = "starlette"
    versions = ("0.20", "2")
    records = "the route of a request, its exception"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "starlette.applications":
            self.replace(module.Starlette, "__call__", self._application)
        else:
            self.replace(module.Route, "handle", _naming)
            self.replace(module.WebSocketRoute, "handle", _naming)
            self.replace(module.Mount, "handle", _mounting)
            http.when_profiled(Replacing(module.Route, _stepping, _timing))
            http.when_timed(Replacing(module.Route, _driving, _asking))

    def _application(self, call: Asgi) -> Asgi:
        instrument = self.scope

        async def __call__(app: Any, scope: Any, receive: Any, send: Any) -> object:  # noqa: N807
            try:
                measured = scope["type"] != "lifespan" and type(send) is not asgi.Response
            except Exception:  # no ASGI: what the application makes of it is its own business
                measured = False
            if measured:
                return await asgi.call(instrument, MethodType(call, app), scope, receive, send)
            return await call(app, scope, receive, send)

        return __call__


def _naming(handle: Asgi) -> Asgi:
    async def wrapper(route: Any, scope: Any, receive: Any, send: Any) -> None:
        try:
            asgi.route(route.path)
        except Exception:
            guard.failed("starlette")
        await handle(route, scope, receive, send)

    return wrapper


def _mounting(handle: Asgi) -> Asgi:
    async def wrapper(mount: Any, scope: Any, receive: Any, send: Any) -> None:
        try:
            asgi.mount(mount.path)
        except Exception:
            guard.failed("starlette")
        await handle(mount, scope, receive, send)

    return wrapper


class Replacing:
    """Counts, while requests are profiled or timed, what is done for one outside of its task: a middleware of
    `@app.middleware("http")` runs the rest of the application in another one, and functions that are no coroutines run
    in worker threads.

    Args:
        route: starlette.routing.Route.
        handling: makes what stands for its `handle`.
        working: makes what stands for `anyio.to_thread.run_sync`.
    """

    def __init__(self, route: Any, handling: Callable[[Asgi], Asgi], working: Callable[[Any], Any]) -> None:
        import anyio.to_thread  # Starlette has imported it

        self.places: list[tuple[Any, str, Callable[[Any], Any]]] = [
            (route, "handle", handling),
            (anyio.to_thread, "run_sync", working),
        ]
        self.replaced: list[tuple[Any, str, Any, Any]] = []

    def __call__(self, on: Profile | bool | None) -> None:
        """Puts our functions in, or back what was there unless somebody else has replaced ours."""
        for owner, name, plain, ours in self.replaced:
            if vars(owner).get(name) is ours:
                setattr(owner, name, plain)
        self.replaced.clear()
        if on:
            for owner, name, make in self.places:
                plain = getattr(owner, name)
                ours = disguise(make(plain), plain)
                setattr(owner, name, ours)
                self.replaced.append((owner, name, plain, ours))


def _measured() -> Measurement | None:
    from perfagent.runtime import profile

    span = current.get()
    found = None if span is None else profile.of(span.entry)
    return found if found is not None and found.by_steps else None


def _stepping(handle: Asgi) -> Asgi:
    async def wrapper(route: Any, scope: Any, receive: Any, send: Any) -> None:
        from perfagent.runtime import profile

        measured, handling = _measured(), handle(route, scope, receive, send)
        await (handling if measured is None else profile.Steps(measured, handling))

    return wrapper


def _timing(run_sync: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        measured = _measured()
        return await run_sync(func if measured is None else measured.elsewhere(func), *args, **options)

    return wrapper


def _driving(handle: Asgi) -> Asgi:
    from perfagent.runtime.timeparts.loops import driven, of_current

    async def wrapper(route: Any, scope: Any, receive: Any, send: Any) -> None:
        span, handling = current.get(), handle(route, scope, receive, send)
        parts = None if span is None else of_current(span.entry)
        if parts is None or parts.loop.current is parts:  # type: ignore[union-attr] # the task that is timed anyway
            await handling
        else:
            await driven(parts, handling)

    return wrapper


def _asking(run_sync: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    from anyio.to_thread import current_default_thread_limiter

    from perfagent.runtime.poolwaits import Pool
    from perfagent.runtime.timeparts.loops import elsewhere, of_current

    usual: Pool | None = None

    def pool_of(limiter: Any) -> Pool:
        nonlocal usual
        if limiter is not None:
            return Pool("anyio", "a limiter of the program's", int(min(limiter.total_tokens, MOST)))
        if usual is None:
            usual = Pool("anyio", "worker threads", int(min(current_default_thread_limiter().total_tokens, MOST)))
        return usual

    async def wrapper(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        span = current.get()
        parts = None if span is None else of_current(span.entry)
        if parts is not None:
            try:
                func = elsewhere(parts, func, pool_of(options.get("limiter")))
            except Exception:
                guard.failed("starlette")
        return await run_sync(func, *args, **options)

    return wrapper


instrument = Starlette()
