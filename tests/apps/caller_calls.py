"""What programs ask databases from: each line that the test wants to find says so in a comment."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import sys
import time
import weakref
from functools import partial
from typing import Any

from opentelemetry import trace

tracer = trace.get_tracer("program")
POSTGRES = os.environ.get("POSTGRES_URL", "")


class Shop:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def sell(self, query: str) -> None:
        self.connection.execute(query)  # here: Shop.sell


def connected() -> Any:
    return sqlite3.connect(":memory:", check_same_thread=False)


def sqlite() -> None:
    shop = Shop(connected())
    with tracer.start_as_current_span("sell"):
        shop.sell("select 1")
    with tracer.start_as_current_span("lambda"):
        (lambda cursor: cursor.execute("select ?", [3]))(shop.connection.cursor())  # here: sqlite.<locals>.<lambda>
    with tracer.start_as_current_span("failure"):
        try:
            shop.connection.execute("select nothing")  # here: sqlite
        except sqlite3.Error:
            pass
    with tracer.start_as_current_span("generated"):
        names: dict[str, Any] = {"connection": shop.connection, "__name__": "some_library"}
        exec("def ask():\n    connection.execute('select 4')\n", names)
        names["ask"]()  # here: sqlite
    with tracer.start_as_current_span("own main"):
        exec("connection.execute('select 5')", {"connection": shop.connection, "__name__": "__main__"})


def often() -> None:
    connection = connected()
    connection.create_function("wait", 0, lambda: time.sleep(0.012))
    for _ in range(3200):
        connection.execute("select 1")  # here: often
    with tracer.start_as_current_span("slow"):
        for _ in range(30):
            connection.execute("select wait()").fetchall()  # here: often
    with tracer.start_as_current_span("ever new"):
        for number in range(2000):
            connection.execute(f"select {number}")  # here: often


def kept() -> None:
    class Big:
        pass

    def ask() -> weakref.ref[Big]:
        big = Big()
        connection.execute("select 1")  # here: kept.<locals>.ask
        return weakref.ref(big)

    connection = connected()
    gc.disable()
    print("alive", ask()() is not None)


def threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    connection = connected()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: connection.execute("select 1")).result()  # here: threads.<locals>.<lambda>
        pool.submit(connection.execute, "select 2").result()
        pool.submit(partial(Shop(connection).sell, "select 3")).result()


def aiosqlite() -> None:
    import aiosqlite

    async def ask(connection: Any) -> None:
        async with connection.execute("select 1") as cursor:  # here: aiosqlite.<locals>.ask
            await cursor.fetchall()
        with tracer.start_as_current_span("parent"):
            await connection.execute_fetchall("select 2")  # here: aiosqlite.<locals>.ask

    async def main() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            await asyncio.create_task(ask(connection))

    asyncio.run(main())


def psycopg() -> None:
    import psycopg

    with psycopg.connect(POSTGRES) as connection, tracer.start_as_current_span("sync"):
        connection.execute("select 1")  # here: psycopg
        with connection.cursor() as cursor:
            cursor.execute(psycopg.sql.SQL("select {}").format(2))  # here: psycopg
            list(cursor.stream("select 3"))  # here: psycopg

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(POSTGRES) as connection:
            with tracer.start_as_current_span("async"):
                await connection.execute("select 4")  # here: psycopg.<locals>.main

    asyncio.run(main())


def psycopg2() -> None:
    import psycopg2

    connection = psycopg2.connect(POSTGRES)
    with tracer.start_as_current_span("sync"):
        connection.cursor().execute("select 1")  # here: psycopg2
    connection.close()


def pymysql() -> None:
    import json

    import pymysql

    connection = pymysql.connect(**json.loads(os.environ["MYSQL"]))
    with tracer.start_as_current_span("sync"):
        connection.cursor().execute("select 1")  # here: pymysql
    connection.close()


def asyncpg() -> None:
    import asyncpg

    async def ask(connection: Any) -> None:
        await connection.fetch("select 1")  # here: asyncpg.<locals>.ask
        await connection.execute("select 2")  # here: asyncpg.<locals>.ask

    async def main() -> None:
        connection = await asyncpg.connect(POSTGRES)
        with tracer.start_as_current_span("async"):
            await asyncio.gather(ask(connection))
        await connection.close()

    asyncio.run(main())


def redis() -> None:
    import redis
    import redis.asyncio

    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    with tracer.start_as_current_span("sync"):
        client.get("key")  # here: redis
        pipeline = client.pipeline()
        pipeline.get("a").get("b")
        pipeline.execute()  # here: redis

    async def main() -> None:
        asynchronous = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
        with tracer.start_as_current_span("async"):
            await asynchronous.get("key")  # here: redis.<locals>.main
        await asynchronous.aclose()

    asyncio.run(main())


def sqlalchemy() -> None:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id = mapped_column(sa.Integer, primary_key=True)

    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session, tracer.start_as_current_span("orm"):
        session.add(User(id=1))
        session.flush()  # here: sqlalchemy
        session.scalars(sa.select(User)).all()  # here: sqlalchemy

    async def main() -> None:
        for url in ("sqlite+aiosqlite://", POSTGRES.replace("postgresql://", "postgresql+asyncpg://")):
            asynchronous = create_async_engine(url)
            async with asynchronous.connect() as connection:
                with tracer.start_as_current_span("async"):
                    await connection.execute(sa.text("select 1"))  # here: sqlalchemy.<locals>.main
                    await connection.run_sync(inner)  # here: sqlalchemy.<locals>.main
            await asynchronous.dispose()

    def inner(connection: Any) -> None:
        connection.execute(sa.text("select 2"))

    asyncio.run(main())


globals()[sys.argv[1]]()
