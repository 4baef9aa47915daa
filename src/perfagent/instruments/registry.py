"""Which libraries are measured: one line each, in the order of design; the only list of them."""

from __future__ import annotations

# The name as in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, our module, and the modules whose import it waits for.
INSTRUMENTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("asgi", "perfagent.instruments.asgi", ("uvicorn.config", "hypercorn.app_wrappers", "granian.asgi")),
    ("starlette", "perfagent.instruments.starlette", ("starlette.applications", "starlette.routing")),
    (
        "fastapi",
        "perfagent.instruments.fastapi",
        ("fastapi.routing", "fastapi.telemetry._asgi", "fastapi.telemetry._runtime"),
    ),
    (
        "wsgi",
        "perfagent.instruments.wsgi",
        (
            *("gunicorn.workers.base", "werkzeug.serving", "wsgiref.handlers", "waitress.server"),
            *("hypercorn.app_wrappers", "granian.wsgi"),
        ),
    ),
    ("uwsgi", "perfagent.instruments.uwsgi", ("uwsgi",)),
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
    ("tornado", "perfagent.instruments.tornado", ("tornado.web",)),
    ("sqlite3", "perfagent.instruments.sqlite3", ("sqlite3",)),
    ("aiosqlite", "perfagent.instruments.aiosqlite", ("aiosqlite",)),
    ("psycopg", "perfagent.instruments.psycopg", ("psycopg",)),
    ("psycopg2", "perfagent.instruments.psycopg2", ("psycopg2",)),
    ("pymysql", "perfagent.instruments.pymysql", ("pymysql",)),
    ("mysqlclient", "perfagent.instruments.mysqlclient", ("MySQLdb", "MySQLdb.cursors", "MySQLdb.connections")),
    ("asyncpg", "perfagent.instruments.asyncpg", ("asyncpg",)),
    ("duckdb", "perfagent.instruments.duckdb", ("duckdb",)),
    (
        "clickhouse-connect",
        "perfagent.instruments.clickhouse_connect",
        ("clickhouse_connect.driver.httpclient", "clickhouse_connect.driver.asyncclient"),
    ),
    ("pymongo", "perfagent.instruments.pymongo", ("pymongo.monitoring", "pymongo.pool")),
    (
        "elasticsearch",
        "perfagent.instruments.elasticsearch",
        ("elastic_transport", "elasticsearch._otel", "elasticsearch.transport", "elasticsearch._async.transport"),
    ),
    ("sqlalchemy", "perfagent.instruments.sqlalchemy", ("sqlalchemy",)),
    ("redis", "perfagent.instruments.redis", ("redis", "redis.asyncio")),
    ("kafka", "perfagent.instruments.kafka_python", ("kafka.producer.kafka", "kafka.consumer.group")),
    (
        "confluent_kafka",
        "perfagent.instruments.confluent_kafka",
        ("confluent_kafka.cimpl", "confluent_kafka.aio._AIOConsumer"),
    ),
    ("aiokafka", "perfagent.instruments.aiokafka", ("aiokafka.producer.producer", "aiokafka.consumer.consumer")),
    ("pika", "perfagent.instruments.pika", ("pika.channel", "pika.adapters.blocking_connection")),
    ("aio-pika", "perfagent.instruments.aio_pika", ("aiormq.channel", "aio_pika.queue", "aio_pika.robust_queue")),
    ("rq", "perfagent.instruments.rq", ("rq.queue", "rq.job", "rq.worker", "rq.scheduler")),
    (
        "dramatiq",
        "perfagent.instruments.dramatiq",
        ("dramatiq.worker", *(f"dramatiq.brokers.{name}" for name in ("redis", "rabbitmq", "stub"))),
    ),
    (
        "celery",
        "perfagent.instruments.celery",
        ("celery.app.amqp", "celery.app.trace", "celery.backends.redis", "kombu.transport.redis"),
    ),
    ("requests", "perfagent.instruments.requests", ("requests",)),
    ("urllib", "perfagent.instruments.urllib", ("urllib.request",)),
    ("urllib3", "perfagent.instruments.urllib3", ("urllib3",)),
    ("pybreaker", "perfagent.instruments.pybreaker", ("pybreaker",)),
    ("purgatory", "perfagent.instruments.purgatory", ("purgatory",)),
    ("tenacity", "perfagent.instruments.tenacity", ("tenacity",)),
    ("stamina", "perfagent.instruments.stamina", ("stamina",)),
    ("httpx", "perfagent.instruments.httpx", ("httpx", "httpx2")),
    ("aiohttp-client", "perfagent.instruments.aiohttp_client", ("aiohttp",)),
    (
        "tornado-client",
        "perfagent.instruments.tornado_client",
        ("tornado.simple_httpclient", "tornado.curl_httpclient"),
    ),
    ("botocore", "perfagent.instruments.botocore", ("botocore.client",)),
    ("grpc_client", "perfagent.instruments.grpc_client", ("grpc._channel", "grpc.aio._call")),
    ("grpc_server", "perfagent.instruments.grpc_server", ("grpc._server", "grpc.aio._server")),
    (
        "opentelemetry",
        "perfagent.instruments.opentelemetry",
        ("opentelemetry.trace", "opentelemetry.baggage", "opentelemetry.metrics", "opentelemetry._logs"),
    ),
    ("logging", "perfagent.instruments.logging", ("logging",)),
    (
        "threading",
        "perfagent.instruments.threads",
        ("threading", "concurrent.futures.thread", "multiprocessing.pool", "gevent"),
    ),
)  # fmt: skip
