"""The hub's application: everything that it answers, in one ASGI app."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import anyio.to_thread
from fastapi import Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Router

import perfagent
from perfagent.hub.api import errors, exposition, files, health, script
from perfagent.hub.api.conditional import Conditional
from perfagent.hub.api.context import known_parameters
from perfagent.hub.api.direct import Direct
from perfagent.hub.api.errors import refuses
from perfagent.hub.api.exposition import Exposition
from perfagent.hub.api.facts import take_setting
from perfagent.hub.api.hub import Meter
from perfagent.hub.api.limits import Limits, Rates
from perfagent.hub.api.live import Live
from perfagent.hub.api.measured import Measured
from perfagent.hub.api.openapi import DESCRIPTION, TAGS, openapi
from perfagent.hub.api.security import PREFIX, Guard
from perfagent.hub.control import routes as control
from perfagent.hub.mcp import routes as mcp
from perfagent.hub.receive import http
from perfagent.hub.receive.client import Clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from perfagent.hub.hub import Hub

# The modules of this package with a router under PREFIX, in the order of the OpenAPI.
SUBJECTS = (
    "me", "hub", "health", "services", "overview", "dashboard", "endpoints", "traces", "browsers", "queries",
    "caches", "economics", "deprecations", "memory", "processes", "profiles", "profile_chart", "logs", "metrics",
    "client_metrics", "live", "findings", "causes", "alerts", "incidents", "maintenance", "thresholds", "rules",
    "objectives", "optimisations", "trends", "baseline", "compare", "reports", "sources", "audit", "agents",
    "archives", "channels", "deliveries",
)  # fmt: skip
THREADS = 8  # that ask the store; DuckDB answers each with all cores, so more would only wait for each other


def build(hub: Hub, rates: Rates | None = None) -> FastAPI:
    """The application of a hub; its lifespan starts and ends the live values.

    Args:
        hub: what it answers from.
        rates: how often a client may ask.
    """
    live, limits, figures = Live(hub), Limits(rates or Rates()), Exposition(hub)
    figures.subscribers = lambda: live.subscribers

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        take_setting(hub)
        await live.start()
        await anyio.to_thread.run_sync(hub.notifier.start)
        hub.alerts.start()
        hub.optimiser.start()
        yield
        await asyncio.gather(*map(anyio.to_thread.run_sync, (hub.optimiser.stop, hub.alerts.stop)))
        await anyio.to_thread.run_sync(hub.notifier.stop)
        await live.end()

    app = FastAPI(
        title="perfagent hub",
        version=perfagent.__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # looked up anew for each request otherwise
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.hub, app.state.live, app.state.limits, app.state.meter = hub, live, limits, Meter(hub)
    app.state.exposition, app.state.clients = figures, Clients(hub)
    errors.install(app)
    _include(app)
    telemetry = http.routes(hub)
    page = files.Files()
    app.router.routes[:0] = [*telemetry, *control.routes(hub), *script.routes(hub, page), *mcp.routes(app)]
    # The page's routes match anything, so they are what is left.
    app.router.redirect_slashes = False
    app.router.default = Router(files.routes(hub, limits, page), redirect_slashes=False)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    app.add_middleware(Conditional)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=4)
    app.add_middleware(Direct, routes=telemetry)
    app.add_middleware(Measured, exposition=figures)
    app.add_middleware(Guard, hub=hub, limits=limits)
    return app


def _include(app: FastAPI) -> None:
    checked = [Depends(known_parameters)]
    common = refuses(400, 401, 403, 429, 500, 503)
    for subject in SUBJECTS:
        router = import_module(f"perfagent.hub.api.{subject}").router
        app.include_router(router, prefix=PREFIX, dependencies=checked, responses=common)
    app.include_router(health.outside, dependencies=checked, responses=refuses(400, 403, 500))
    app.include_router(exposition.router, dependencies=checked, responses=common)
