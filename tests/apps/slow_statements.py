"""A driver's slow statement, again and again, and what becomes of the program's own connection meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from opentelemetry import trace

tracer = trace.get_tracer("test")
driver, seconds, part = sys.argv[1], float(sys.argv[2]), "".join(sys.argv[3:])
SETTINGS = "select name || '=' || setting from pg_settings where source = 'session' order by 1"
LOCKS = "select count(*) from pg_locks where pid = pg_backend_pid()"
PREPARED = "select count(*) from pg_prepared_statements where name like 'perfagent%'"


def connect() -> Any:
    if driver == "sqlite3":
        import sqlite3

        return sqlite3.connect(os.environ["FILE"])
    if driver == "psycopg":
        import psycopg

        return psycopg.connect(os.environ["POSTGRES_URL"])
    if driver == "psycopg2":
        import psycopg2

        return psycopg2.connect(os.environ["POSTGRES_URL"])
    if driver == "sqlalchemy":
        from sqlalchemy import create_engine

        return create_engine(os.environ["POSTGRES_URL"].replace("://", "+psycopg2://")).raw_connection()
    if driver == "pymysql":
        import pymysql

        return pymysql.connect(**json.loads(os.environ["MYSQL"]))
    import MySQLdb

    return MySQLdb.connect(**json.loads(os.environ["MYSQL"]))


SLOW = (
    "select count(*), max(v.note) from many v join many w on v.id = w.id where v.owner = {} and v.note <> 'opensesame'"
)


def is_wanted(began: float) -> bool:
    """Whether to go on: until there are plans, of statements with `part` in them, for some seconds at most from when
    one was asked for. On a busy machine others are slow, too, and may be told first.
    """
    slow = getattr(sys.modules.get("perfagent.explain"), "slow", None)
    now = time.monotonic()
    if slow is None:
        return now - began < seconds
    known = [one for (*_, text), one in list(slow.known.items()) if part in text]
    if not known:
        return now - began < 100
    first = asked.setdefault("first", now)
    return now - first < seconds and not all(one.told for one in known)


asked: dict[str, float] = {}


def synchronous() -> dict[str, Any]:
    connection = connect()
    cursor = connection.cursor()
    postgres = driver in ("psycopg", "psycopg2", "sqlalchemy")
    told: dict[str, Any] = {}
    if postgres:
        cursor.execute("set statement_timeout = '1min'")
        told["before"] = [row[0] for row in rows(cursor, SETTINGS)]
        connection.commit()
        cursor.execute("insert into touched values (1)")
        told["locks"] = rows(cursor, LOCKS)[0][0]
    began = time.monotonic()
    while is_wanted(began):
        with tracer.start_as_current_span("work"):
            cursor.execute(SLOW.format("?" if driver == "sqlite3" else "%s"), (7,))  # the statement
            cursor.fetchall()
    if postgres:
        told["after"] = [row[0] for row in rows(cursor, SETTINGS)]
        told["locks_after"] = rows(cursor, LOCKS)[0][0]
        told["prepared"] = rows(cursor, PREPARED)[0][0]
        connection.rollback()
        told["rolled_back"] = rows(cursor, "select count(*) from touched")[0][0] == 0
    return told


def rows(cursor: Any, sql: str) -> list[Any]:
    cursor.execute(sql)
    return list(cursor.fetchall())


async def asynchronous() -> dict[str, Any]:
    import asyncpg

    connection = await asyncpg.connect(os.environ["POSTGRES_URL"])
    began = time.monotonic()
    while is_wanted(began):
        with tracer.start_as_current_span("work"):
            await connection.fetch(SLOW.format("$1"), 7)  # the statement
    await connection.close()
    return {}


found = asyncio.run(asynchronous()) if driver == "asyncpg" else synchronous()
found["modules"] = [name for name in sys.modules if name.startswith("perfagent.explain")]
print(json.dumps(found))
