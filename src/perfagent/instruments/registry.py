"""Which libraries are measured: one line each, in the order of design; the only list of them."""

from __future__ import annotations

# The name as in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, our module, and the modules whose import it waits for.
INSTRUMENTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("asgi", "perfagent.instruments.asgi", ("uvicorn.config", "hypercorn.app_wrappers")),
    ("starlette", "perfagent.instruments.starlette", ("starlette.applications", "starlette.routing")),
    (
        "fastapi",
        "perfagent.instruments.fastapi",
        ("fastapi.routing", "fastapi.telemetry._asgi", "fastapi.telemetry._runtime"),
    ),
    (
        "wsgi",
        "perfagent.instruments.wsgi",
        ("gunicorn.workers.base", "werkzeug.serving", "wsgiref.handlers", "waitress.server"),
    ),
    ("flask", "perfagent.instruments.flask", ("flask.ctx", "flask.app")),
    (
        "django",
        "perfagent.instruments.django",
        (
            "django.core.cache",
            *(f"django.core.handlers.{name}" for name in ("wsgi", "asgi", "base", "exception")),
        ),
    ),
    ("aiohttp-server", "perfagent.instruments.aiohttp_server", ("aiohttp.web_protocol",)),
    ("sqlite3", "perfagent.instruments.sqlite3", ("sqlite3",)),
    ("aiosqlite", "perfagent.instruments.aiosqlite", ("aiosqlite",)),
    ("psycopg", "perfagent.instruments.psycopg", ("psycopg",)),
    ("psycopg2", "perfagent.instruments.psycopg2", ("psycopg2",)),
    ("pymysql", "perfagent.instruments.pymysql", ("pymysql",)),
    ("asyncpg", "perfagent.instruments.asyncpg", ("asyncpg",)),
    ("sqlalchemy", "perfagent.instruments.sqlalchemy", ("sqlalchemy",)),
    ("redis", "perfagent.instruments.redis", ("redis", "redis.asyncio")),
    ("kafka", "perfagent.instruments.kafka_python", ("kafka.producer.kafka", "kafka.consumer.group")),
    ("celery", "perfagent.instruments.celery", ("celery.app.amqp", "celery.app.trace")),
    ("requests", "perfagent.instruments.requests", ("requests",)),
    ("urllib3", "perfagent.instruments.urllib3", ("urllib3",)),
    ("pybreaker", "perfagent.instruments.pybreaker", ("pybreaker",)),
    ("purgatory", "perfagent.instruments.purgatory", ("purgatory",)),
    ("tenacity", "perfagent.instruments.tenacity", ("tenacity",)),
    ("stamina", "perfagent.instruments.stamina", ("stamina",)),
    ("httpx", "perfagent.instruments.httpx", ("httpx", "httpx2")),
    ("aiohttp-client", "perfagent.instruments.aiohttp_client", ("aiohttp",)),
    (
        "opentelemetry",
        "perfagent.instruments.opentelemetry",
        ("opentelemetry.trace", "opentelemetry.baggage", "opentelemetry.metrics", "opentelemetry._logs"),
    ),
    ("logging", "perfagent.instruments.logging", ("logging",)),
)  # fmt: skip
