"""The Celery program of the tests: its tasks, and what a client sends when it is run with a word."""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import Any

import redis
from celery import Celery, chain

app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_acks_late=True, result_expires=60)
app.conf.beat_schedule = {"tick": {"task": "shop.tick", "schedule": 0.2}}
app.conf.beat_max_loop_interval = 0.1


@app.task(name="shop.add")
def add(one: int, other: int) -> int:
    connection = sqlite3.connect(":memory:")
    (found,) = connection.execute("select ? + ?", (one, other)).fetchone()
    connection.close()
    return int(found)


@app.task(name="shop.boom")
def boom(secret: str) -> None:
    raise LookupError(f"nobody knows '{secret}'")


@app.task(name="shop.again", bind=True, max_retries=2)
def again(self) -> int:
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return int(self.request.retries)


@app.task(name="shop.pid")
def pid() -> int:
    return os.getpid()


@app.task(name="shop.look")
def look(key: str) -> Any:
    """Uses the program's own client, of the broker's Redis."""
    with redis.Redis.from_url(os.environ["BROKER"]) as client:
        return client.strlen(key)


@app.task(name="shop.tick", ignore_result=True)
def tick() -> None:
    """What beat sends."""


def main(word: str) -> None:
    if word == "add":
        print(add.delay(1, 2).get(timeout=30))
    elif word == "look":
        print(look.delay("secret").get(timeout=30))
    elif word == "boom":
        print(repr(boom.delay("4111-1111").get(timeout=30, propagate=False)))
    elif word == "again":
        print(again.apply_async(queue="celery").get(timeout=30))
    elif word == "chain":
        print(chain(add.s(1, 2), add.s(10)).delay().get(timeout=30))
    elif word == "many":
        results = [pid.delay() for _ in range(12)]
        print(len({result.get(timeout=60) for result in results}))
    elif word == "eager":
        print(add.apply((3, 4)).get(), add(5, 6))


if __name__ == "__main__":
    main(sys.argv[1])
