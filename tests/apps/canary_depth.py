"""A program that has a secret wherever the agent looks deeper: at statements that repeat or are slow, at what blocks,
at what leaks, at caches, at habits, at stacks and tasks.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
import threading
import time
import urllib.request
import warnings
from collections import deque
from typing import Any

import httpx
import psycopg
import redis
import requests
import urllib3
import uvicorn
from fastapi import FastAPI, Request

from tests.apps.canary import TOLD, canary, failing, is_released, wait_for_release

URL = f"http://127.0.0.1:{TOLD['port']}"
ROUNDS = 5
PATH = "whatstandsinapath"  # which a span may tell as `url.path`, and nothing else


class Account:
    """What leaks; its objects and what holds them are full of secrets."""

    def __init__(self, number: int) -> None:
        self.password = canary("attribute of an object that leaks")
        self.number = number


kept: dict[str, Account] = {}
by_secret: dict[str, dict[int, str]] = {canary("key on the way to what leaks"): {}}
recent: deque[str] = deque(maxlen=10)
database = sqlite3.connect("file:depth?mode=memory&cache=shared", uri=True, check_same_thread=False)
app = FastAPI()


def asked_with(secret: str) -> tuple[str, dict[str, str]]:
    """A URL with secrets, and headers."""
    return f"{URL}/plain?token={secret}", {"Authorization": f"Bearer {secret}", "X-Key": secret}


@app.get("/plain")
async def plain() -> str:
    await asyncio.sleep(0.03)  # long enough to matter for a transaction that is open meanwhile
    return canary("response body of a habit")


@app.get("/repeats/{name}")
def repeats(name: str) -> int:
    """A query for each of many, all alike but for their literals; and the same one again and again."""
    rows = 0
    for number in range(15):
        literal = f"{canary('literal of a statement that repeats')}{number}"
        rows += len(database.execute(f"select * from many where note = '{literal}' and note <> '{name}'").fetchall())
    for _ in range(5):
        database.execute(
            "select id from many where note = ?", (canary("parameter of a statement that repeats"),)
        ).fetchall()
    return rows


@app.get("/rows")
def rows() -> int:
    """Many rows, none of which is used."""
    secret = canary("literal of a statement that gets too much")
    text = f"select n, '{secret}' from generate_series(1, 3000) as n where n::text <> '{secret}'"
    with psycopg.connect(TOLD["postgres"]) as connection:
        return len(connection.execute(text).fetchall())


@app.get("/slow")
def slow() -> str:
    """Slow statements with literals, whose plans are asked for; the statements carry comments."""
    secret = canary("literal of a slow statement")
    database.execute(
        f"select count(*) from many v, many w where v.id + 0 = w.id + 0 and v.note = '{secret}'"
    ).fetchall()
    with psycopg.connect(TOLD["postgres"]) as connection:
        text = f"""select current_query(), count(*) from generate_series(1, 200000) as n
            where n::text <> '{secret}' and n::text <> %s"""
        (found, _count) = connection.execute(text, (canary("parameter of a slow statement"),)).fetchone() or ("", 0)
    return str(found).partition("/*")[2]


@app.get("/holds")
def holds() -> str:
    """A transaction that is held open across a call."""
    with psycopg.connect(TOLD["postgres"]) as connection:
        connection.execute(f"select '{canary('literal in a transaction')}'")
        url, headers = asked_with(canary("call in a transaction"))
        requests.get(url, headers=headers, timeout=20)
        time.sleep(0.15)
    return "held"


@app.get("/blocks/{name}")
async def blocks(name: str, request: Request) -> str:
    """Blocks its loop, with secrets around."""
    password, token = canary("local variable of what blocks"), request.headers.get("x-key", name)
    time.sleep(0.3)
    return str(len(password + token))


@functools.lru_cache(maxsize=64)
def remembered(key: str, *, password: str) -> int:
    return len(key) + len(password)


def caches(number: int) -> None:
    """A key that is asked for most, and others, all of them secrets."""
    server = redis.Redis.from_url(TOLD["redis"])
    for each in range(20):
        key = f"session:{canary('key that is asked for most')}" if each % 2 else f"{canary('key of many')}:{number}"
        if server.get(key) is None:
            server.setex(key, 60, canary("value that is cached"))
        server.hget(f"user:{canary('key that is asked for most')}", canary("field that is asked for most"))
        remembered(f"{canary('argument that is cached')}{each}", password=canary("argument that is cached"))


def habits() -> None:
    """What a program should not do, with secrets in its addresses."""
    url, headers = asked_with(canary("URL of a habit"))
    requests.get(url, headers=headers)
    urllib.request.urlopen(urllib.request.Request(url, headers=headers)).read()
    urllib3.PoolManager().request("GET", url, headers=headers, preload_content=False, timeout=None)
    for _ in range(6):
        httpx.get(url, headers=headers, timeout=None)
    for _ in range(12):
        with failing():
            requests.get(url.replace(str(TOLD["port"]), str(TOLD["dead_port"])), headers=headers, timeout=1)


async def lost(password: str) -> None:
    await asyncio.sleep(0)
    raise ValueError(f"password={password}")


async def tasks() -> None:
    """Tasks that are named and called with secrets, and one whose exception nobody asks for."""

    async def waits(token: str) -> int:
        await asyncio.sleep(0.5)
        return len(token)

    secret = canary("argument of a task")
    many = [asyncio.create_task(waits(secret), name=canary("name of a task")) for _ in range(4)]
    asyncio.create_task(lost(secret))  # noqa: RUF006 - that is the fault
    await asyncio.gather(*many)


def busy(token: str) -> int:
    """Takes CPU time, so that stacks with it are seen."""
    found = 0
    while not is_released():
        found += sum(hash(token + str(number)) & 1 for number in range(2000))
        time.sleep(0.005)
    return found


def leak() -> None:
    number = 0
    while not is_released():
        number += 1
        kept[f"{canary('key of what leaks')}{number}"] = Account(number)
        by_secret[canary("key on the way to what leaks")][number] = canary("value of what leaks")
        recent.append(canary("value of what leaks"))
        time.sleep(0.005)


def ask(path: str) -> Any:
    return requests.get(
        f"{URL}{path}", headers={"X-Key": canary("header of a request that is looked into")}, timeout=30
    )


def main() -> None:
    logging.getLogger().addHandler(logging.NullHandler())  # what the program prints itself is no matter of ours
    warnings.simplefilter("ignore")
    database.execute("create table if not exists many (id integer primary key, note text)")
    database.executemany("insert into many (note) values (?)", [(f"note {number}",) for number in range(4000)])
    database.commit()
    server = uvicorn.Server(uvicorn.Config(app, port=TOLD["port"], log_level="critical"))
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    while not server.started:
        time.sleep(0.01)
    others = [
        threading.Thread(target=leak),
        threading.Thread(target=busy, args=(canary("argument of what runs"),)),
    ]
    for thread in others:
        thread.start()
    habits()
    asyncio.run(tasks())
    for number in range(ROUNDS):
        for path in (f"/repeats/{PATH}", "/rows", "/holds", f"/blocks/{PATH}", "/slow"):
            answer = ask(path)
        print("comment:", answer.json(), flush=True)
        caches(number)
    wait_for_release()
    for thread in others:
        thread.join()
    server.should_exit = True
    serving.join()


if __name__ == "__main__":
    main()
