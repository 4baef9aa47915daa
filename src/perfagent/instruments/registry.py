"""Which libraries are measured: one line each, in the order of design; the only list of them."""

from __future__ import annotations

# The name as in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, our module, and the modules whose import it waits for.
INSTRUMENTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("asgi", "perfagent.instruments.asgi", ("uvicorn.config", "hypercorn.app_wrappers")),
    ("starlette", "perfagent.instruments.starlette", ("starlette.applications", "starlette.routing")),
    ("fastapi", "perfagent.instruments.fastapi", ("fastapi.routing", "fastapi.telemetry._asgi")),
    ("sqlite3", "perfagent.instruments.sqlite3", ("sqlite3",)),
)  # fmt: skip
