"""A program that has a secret in every place that an instrument can see: `canary(PLACE)` is that place's own."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import psycopg
import psycopg2
import pymysql
import redis
import requests
import sqlalchemy
import uvicorn
from celery import Celery
from fastapi import FastAPI, Request, Response
from opentelemetry import baggage, context

from tests.apps.canary import TOLD, canary, failing, wait_for_release

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger("canaries")


def served() -> FastAPI:
    app = FastAPI()

    @app.api_route("/answer", methods=["GET", "POST"])
    async def answer(request: Request) -> Response:
        await request.body()
        headers = {"set-cookie": f"session={canary('response cookie')}", "x-secret": canary("response header")}
        return Response(canary("response body"), headers=headers)

    @app.get("/fails")
    async def fails() -> None:
        secret = canary("exception raised by a request")
        raise ValueError(f"no connection: password={secret} to postgresql://joe:{secret}@db/shop")

    @app.get("/fails/query")
    def fails_with_query() -> None:
        sqlite3.connect(":memory:").execute(f"select '{canary('SQL of a request that fails')}' frm x")

    return app


def http(url: str) -> None:
    headers = {
        "Authorization": f"Bearer {canary('request Authorization')}",
        "Cookie": f"session={canary('request cookie')}",
        "X-Secret": canary("request header"),
        "baggage": f"token={canary('request baggage')}",
    }
    secret = f"{url}?token={canary('query of a URL')}#{canary('fragment of a URL')}"
    with_user = secret.replace("://", f"://joe:{canary('password in a URL')}@")
    requests.post(with_user, headers=headers, data=canary("request body"), timeout=30)
    httpx.post(with_user, headers=headers, content=canary("request body"), timeout=30)
    urllib.request.urlopen(urllib.request.Request(secret, headers=headers), timeout=30).read()
    for path in ("/fails", "/fails/query"):
        requests.get(url.replace("/answer", path), headers=headers, timeout=30)
    dead = with_user.replace(str(TOLD["port"]), str(TOLD["dead_port"]))
    for get in (requests.get, httpx.get, urllib.request.urlopen):
        with failing():
            get(dead, timeout=5)

    async def asynchronously() -> None:
        del headers["Authorization"]  # aiohttp takes either
        async with aiohttp.ClientSession() as session, session.post(with_user, headers=headers, data=b"x") as answer:
            await answer.read()
        with failing():
            async with aiohttp.ClientSession() as session, session.get(dead):
                pass

    asyncio.run(asynchronously())


def queries(execute: Callable[..., Any], mark: str) -> None:
    execute("create table if not exists canaries (name varchar(80) primary key, value varchar(80))")
    execute(f"insert into canaries values ('{canary('SQL literal')}', '4111111111111111')")
    execute(f"insert into canaries values ({mark}, {mark})", (canary("SQL parameter"), canary("SQL parameter")))
    for statement in (
        f"insert into canaries values ('{canary('SQL literal')}', 'again')",
        f"select * from canaries where name = '{canary('SQL literal')}' oops",
        f"select cast('{canary('SQL literal')}' as date) + '{canary('SQL literal')}' from missing",
    ):
        with failing():
            execute(statement)
    with failing():
        execute(f"insert into canaries values ({mark}, {mark})", (canary("SQL parameter"), "again"))
    execute("drop table canaries")


def databases() -> None:
    connection = sqlite3.connect(":memory:")
    queries(connection.execute, "?")
    engine = sqlalchemy.create_engine(
        f"sqlite:///file:shop?mode=memory&uri=true&key={canary('connection string')}", poolclass=sqlalchemy.StaticPool
    )
    with engine.begin() as begun:
        queries(lambda text, values=(): begun.exec_driver_sql(text, values or None), "?")
    own = {"mark": "%s"}
    with psycopg.connect(TOLD["postgres"], autocommit=True) as postgres:
        queries(postgres.execute, own["mark"])
        postgres.execute(f"set application_name = '{canary('SQL literal')}'")
    older = psycopg2.connect(TOLD["postgres"])
    older.autocommit = True
    queries(older.cursor().execute, own["mark"])
    mysql = pymysql.connect(**TOLD["mysql"], autocommit=True)
    queries(mysql.cursor().execute, own["mark"])
    for connect in (psycopg.connect, psycopg2.connect):
        with failing():
            connect(
                f"postgresql://joe:{canary('connection string')}@127.0.0.1:{TOLD['dead_port']}/shop", connect_timeout=3
            )
    with failing():
        pymysql.connect(**{**TOLD["mysql"], "password": canary("connection string"), "user": "nobody"})


def keys_and_values() -> None:
    server = redis.Redis.from_url(TOLD["redis"])
    server.set(canary("Redis key"), canary("Redis value"))
    server.mset({canary("Redis key"): canary("Redis value")})
    server.get(canary("Redis key"))
    server.delete(canary("Redis key"))
    server.hset(canary("Redis key"), canary("Redis field"), canary("Redis value"))
    server.delete(canary("Redis key"))
    server.eval("return redis.call('get', KEYS[1])", 1, canary("Redis key"), canary("Redis value"))
    with server.pipeline() as pipeline:
        pipeline.set(canary("Redis key"), canary("Redis value")).get(canary("Redis key")).execute()
    for command in (("AUTH", canary("Redis AUTH")), ("LPUSH", canary("Redis key"), canary("Redis value"))):
        with failing():
            server.execute_command(*command)
    with failing():
        redis.Redis.from_url(TOLD["redis"].replace("://", f"://joe:{canary('connection string')}@")).ping()
    server.delete(canary("Redis key"))


def tasks() -> None:
    app = Celery("canaries", broker=TOLD["redis"], set_as_current=False)

    @app.task(name="canaries.add", bind=True)
    def add(self: Any, *arguments: object, **options: object) -> None:
        raise ValueError(f"token={canary('exception of a task')}")

    add.apply_async(
        (canary("task argument"),), {"password": canary("task argument")}, headers={"x": canary("task header")}
    )
    app.conf.task_always_eager = True
    with failing():
        add.apply((canary("task argument"),), {"password": canary("task argument")})


def logs() -> None:
    secret = canary("log message")
    log.error("login failed: password=%s, Authorization: Bearer %s, card 4556737586899855", secret, secret)
    log.warning("cannot reach https://joe:%s@api/x?api_key=%s", secret, secret)
    log.error({"user": "joe", "password": secret})
    log.error("extra", extra={"api_key": canary("log extra"), "session": {"password": canary("log extra")}})
    try:
        raise RuntimeError(f"{{'secret': '{canary('logged exception')}'}}")
    except RuntimeError:
        log.exception("it failed")


async def context_of_its_own(function: Callable[[], Awaitable[None]]) -> None:
    token = context.attach(baggage.set_baggage("card", canary("baggage set by the program")))
    await function()
    context.detach(token)


def main() -> None:
    logging.getLogger().addHandler(logging.NullHandler())  # what the program prints itself is no matter of ours
    os.environ["DATABASE_PASSWORD"] = canary("environment")
    server = uvicorn.Server(uvicorn.Config(served(), port=TOLD["port"], log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{TOLD['port']}/answer"
    for part in (lambda: http(url), databases, keys_and_values, tasks, logs):
        part()

    async def ask() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    asyncio.run(context_of_its_own(ask))
    wait_for_release()
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    main()
