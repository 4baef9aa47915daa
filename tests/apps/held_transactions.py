"""A driver's transaction that is open during an HTTP call, and one that is over before."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import sys
import threading
import time
from typing import Any

import httpx
from opentelemetry import trace


class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(0.05)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()
tracer = trace.get_tracer("test")
driver = sys.argv[1]


def call() -> None:
    httpx.get(f"http://127.0.0.1:{server.server_port}/slow")  # the call


def connect() -> Any:
    if driver == "psycopg":
        import psycopg

        return psycopg.connect(os.environ["POSTGRES_URL"])
    if driver == "psycopg2":
        import psycopg2

        return psycopg2.connect(os.environ["POSTGRES_URL"])
    if driver == "sqlalchemy":
        from sqlalchemy import create_engine

        return create_engine(os.environ["POSTGRES_URL"].replace("://", "+psycopg://")).raw_connection()
    import pymysql

    return pymysql.connect(**json.loads(os.environ["MYSQL"]))


def synchronous() -> None:
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("create temporary table held (id integer)")
    connection.commit()
    with tracer.start_as_current_span("good"):
        cursor.execute("insert into held values (1)")
        connection.commit()
        call()
    with tracer.start_as_current_span("elsewhere"):
        cursor.execute("insert into held values (2)")
        threading.Thread(target=lambda: None).start()
    call()  # of no request, while the connection of one is open
    connection.rollback()
    with tracer.start_as_current_span("bad"):
        cursor.execute("insert into held values (3)")  # the statement
        call()
        connection.commit()


async def asynchronous() -> None:
    import asyncpg

    connection = await asyncpg.connect(os.environ["POSTGRES_URL"])
    async with httpx.AsyncClient() as client:
        address = f"http://127.0.0.1:{server.server_port}/slow"
        with tracer.start_as_current_span("good"):
            await connection.fetch("select 1")
            await client.get(address)
        with tracer.start_as_current_span("bad"):
            async with connection.transaction():
                await connection.fetch("select 2")  # the statement
                await client.get(address)  # the call
    await connection.close()


if driver == "asyncpg":
    asyncio.run(asynchronous())
else:
    synchronous()
