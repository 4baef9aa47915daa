"""One statement by a driver within a span; prints that span's trace and what the server saw."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from opentelemetry import trace

driver, tracer = sys.argv[1], trace.get_tracer("test")
SEEN = "select query from pg_stat_activity where pid = pg_backend_pid() and %s = 7"


def told(span: trace.Span, seen: object) -> None:
    print(json.dumps({"trace": f"{span.get_span_context().trace_id:032x}", "seen": seen}))


async def asynchronous() -> None:
    import asyncpg

    connection = await asyncpg.connect(os.environ["POSTGRES_URL"])
    with tracer.start_as_current_span("request") as span:
        told(span, await connection.fetchval(SEEN.replace("%s", "$1::int"), 7))
    await connection.close()


def synchronous() -> None:
    if driver == "pymysql":
        import pymysql

        connection = pymysql.connect(**json.loads(os.environ["MYSQL"]))
        query = "select info from information_schema.processlist where id = connection_id() and %s = 7"
    else:
        module = __import__(driver)
        connection, query = module.connect(os.environ["POSTGRES_URL"]), SEEN
    cursor = connection.cursor()
    with tracer.start_as_current_span("request") as span:
        cursor.execute(query, (7,))
    told(span, cursor.fetchone()[0])


if driver == "asyncpg":
    asyncio.run(asynchronous())
else:
    synchronous()
