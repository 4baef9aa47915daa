"""Four requests want the only connection, or worker, of a pool, each for 150 ms. Prints what they waited."""

from __future__ import annotations

import asyncio
import http.server
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import trace

KEPT = 0.15
tracer = trace.get_tracer("test")
waited: list[float] = []


class Slow(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(KEPT)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/"
postgres = os.environ.get("POSTGRES_URL", "")


def in_threads(take: Any, give: Any) -> None:
    """Requests in threads."""
    give(take())  # the connection is made

    def request() -> None:
        with tracer.start_as_current_span("request"):
            began = time.perf_counter()
            connection = take()  # the wait
            waited.append(time.perf_counter() - began)
            time.sleep(KEPT)
            give(connection)

    together(request)


def together(request: Any) -> None:
    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def calls(get: Any) -> None:
    """Requests in threads that call another service."""
    get()

    def request() -> None:
        with tracer.start_as_current_span("request"):
            began = time.perf_counter()
            get()  # the wait
            waited.append(time.perf_counter() - began - KEPT)

    together(request)


async def on_loop(take: Any, give: Any) -> None:
    """Requests on an event loop."""
    await give(await take())

    async def request() -> None:
        with tracer.start_as_current_span("request"):
            began = time.perf_counter()
            connection = await take()  # the wait
            waited.append(time.perf_counter() - began)
            await asyncio.sleep(KEPT)
            await give(connection)

    await asyncio.gather(*[request() for _ in range(4)])


async def calls_on_loop(get: Any) -> None:
    await get()

    async def request() -> None:
        with tracer.start_as_current_span("request"):
            began = time.perf_counter()
            await get()  # the wait
            waited.append(time.perf_counter() - began - KEPT)

    await asyncio.gather(*[request() for _ in range(4)])


def sqlalchemy() -> None:
    from sqlalchemy import create_engine

    engine = create_engine(postgres.replace("://", "+psycopg://"), pool_size=1, max_overflow=0)
    in_threads(engine.connect, lambda connection: connection.close())


async def sqlalchemy_async() -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(postgres.replace("://", "+asyncpg://"), pool_size=1, max_overflow=0)

    async def take() -> Any:
        return await engine.connect()  # the wait

    await on_loop(take, lambda connection: connection.close())
    await engine.dispose()


def psycopg_pool() -> None:
    from psycopg_pool import ConnectionPool

    with ConnectionPool(postgres, min_size=1, max_size=1, name="the pool") as pool:
        pool.wait()
        in_threads(pool.getconn, pool.putconn)


async def psycopg_pool_async() -> None:
    from psycopg_pool import AsyncConnectionPool

    async with AsyncConnectionPool(postgres, min_size=1, max_size=1, name="the pool", open=False) as pool:
        await pool.wait()
        await on_loop(pool.getconn, pool.putconn)


def psycopg2() -> None:
    from psycopg2.pool import PoolError, ThreadedConnectionPool

    pool = ThreadedConnectionPool(1, 1, postgres)
    connection = pool.getconn()
    for _ in range(4):
        try:
            pool.getconn()  # the wait
        except PoolError:
            waited.append(0)
    pool.putconn(connection)


async def asyncpg() -> None:
    import asyncpg

    async with asyncpg.create_pool(postgres, min_size=1, max_size=1) as pool:
        await on_loop(pool.acquire, pool.release)


def redis() -> None:
    from redis import BlockingConnectionPool

    pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=1)
    in_threads(pool.get_connection, pool.release)


async def redis_async() -> None:
    from redis.asyncio import BlockingConnectionPool

    pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=1)
    await on_loop(pool.get_connection, pool.release)
    await pool.aclose()


def pymongo() -> None:
    from pymongo import MongoClient

    with MongoClient(port=int(os.environ["MONGODB"]), maxPoolSize=1) as client:
        calls(lambda: client.shop.command("ping", "slow"))  # the wait


async def pymongo_async() -> None:
    from pymongo import AsyncMongoClient

    async with AsyncMongoClient(port=int(os.environ["MONGODB"]), maxPoolSize=1) as client:
        await calls_on_loop(lambda: client.shop.command("ping", "slow"))


def urllib3() -> None:
    import urllib3

    pool = urllib3.PoolManager(maxsize=1, block=True)
    calls(lambda: pool.request("GET", address))  # the wait


def discarding() -> None:
    import urllib3

    pool = urllib3.PoolManager(maxsize=1)
    together(lambda: pool.request("GET", address))  # the wait


def httpx() -> None:
    import httpx

    with httpx.Client(limits=httpx.Limits(max_connections=1)) as client:
        calls(lambda: client.get(address))  # the wait


async def httpx_async() -> None:
    import httpx

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
        await calls_on_loop(lambda: client.get(address))


async def aiohttp() -> None:
    from aiohttp import ClientSession, TCPConnector

    async with ClientSession(connector=TCPConnector(limit=1)) as session:

        async def get() -> None:
            async with session.get(address) as response:  # the wait
                await response.read()

        await calls_on_loop(get)


def executor() -> None:
    pool = ThreadPoolExecutor(1, thread_name_prefix="the pool")

    def work(asked: float) -> None:  # the wait
        waited.append(time.perf_counter() - asked)
        time.sleep(KEPT)

    def request() -> None:
        with tracer.start_as_current_span("request"):
            pool.submit(work, time.perf_counter()).result()

    together(request)


part = globals()[sys.argv[1]]
if asyncio.iscoroutinefunction(part):
    asyncio.run(part())
else:
    part()
print(sum(waited))
