"""The description of the interface, as programs and people read it at /openapi.json."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from perfagent.hub.api.login import COOKIE

if TYPE_CHECKING:
    from fastapi import FastAPI

DESCRIPTION = """What the hub has received, and what it makes of it.

Every answer is `{"status": "success", "data": …}`, every refusal `{"status": "error", "error": {"code", "message",
"field"}}`. Times are seconds since the epoch, durations milliseconds (names end in `_ms`), rates per second, ratios 0
to 1; what is not known is null. Lists come in pages: ask again with `cursor` set to the `next` of the page before.

Send `Authorization: Bearer TOKEN`: a viewer's token reads, an operator's acts, an admin's changes."""
TAGS = [
    {"name": "overview", "description": "Everything in one look."},
    {"name": "services", "description": "What sends."},
    {"name": "endpoints", "description": "Routes, jobs and messages: what enters a service."},
    {"name": "traces", "description": "Requests with all that happened in them."},
    {"name": "browsers", "description": "Pages, as browsers measure them: web vitals, loads, errors."},
    {"name": "queries", "description": "Statements of databases, without their literals."},
    {"name": "caches", "description": "Hits, misses and sizes."},
    {"name": "processes", "description": "Vital signs: CPU, memory, event loop, garbage collection."},
    {"name": "profiles", "description": "Flame graphs: the functions and lines that take the time."},
    {"name": "logs", "description": "Log records."},
    {"name": "metrics", "description": "Any metric by name and attributes."},
    {"name": "deprecations", "description": "Deprecated functions that are still called."},
    {"name": "findings", "description": "What is wrong, why, and what to do."},
    {"name": "alerts", "description": "Thresholds, and what violates them."},
    {"name": "objectives", "description": "What share of the requests shall be good, and what is left of the budget."},
    {"name": "optimisations", "description": "What is advised or done where a condition holds, and its effect."},
    {"name": "trends", "description": "Trends and baselines."},
    {"name": "reports", "description": "The same as documents."},
    {"name": "agents", "description": "Commands for processes that report to this hub."},
    {"name": "live", "description": "Values as they come, by Server-Sent Events."},
    {"name": "hub", "description": "The hub itself, and who changed what."},
    {"name": "health", "description": "For probes and for Prometheus."},
]
METHODS = ("get", "put", "post", "delete", "patch")
OPEN = ("/health", "/health/live", "/health/ready")


def openapi(app: FastAPI) -> dict[str, Any]:
    """The application's description: what FastAPI knows, without its 422, for what is invalid is answered with 400."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS
        )
        components = schema.setdefault("components", {})
        for name in ("HTTPValidationError", "ValidationError"):
            components.get("schemas", {}).pop(name, None)
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of the hub, by role."},
            "page": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "What the page's link sets."},
        }
        for path, methods in schema["paths"].items():
            for method in METHODS:
                if method in methods:
                    _settle(path, methods[method])
        app.openapi_schema = schema
    found: dict[str, Any] = app.openapi_schema
    return found


def methods_at(app: FastAPI, path: str) -> set[str]:
    """The methods that the description has for a path: a router knows those of one route alone."""
    found = set()
    paths = openapi(app)["paths"]
    for template, methods in ({path: paths[path]} if path in paths else paths).items():
        parts = re.split(r"\{[^}]*\}", template)
        if re.fullmatch("[^/]+".join(map(re.escape, parts)), path):
            found |= {method.upper() for method in METHODS if method in methods}
    return found


def _settle(path: str, operation: dict[str, Any]) -> None:
    operation["responses"].pop("422", None)
    if path in OPEN:
        operation["responses"].pop("401", None)
    else:
        operation["security"] = [{"token": []}, {"page": []}]
