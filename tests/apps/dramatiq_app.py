"""The Dramatiq program of the tests: its actors, and what a client sends when it is run with words."""

from __future__ import annotations

import os
import sqlite3
import time

import dramatiq
import redis
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from opentelemetry import trace

BROKER, STORE = os.environ["BROKER"], os.environ["STORE"]
broker = RedisBroker(url=BROKER) if BROKER.startswith("redis") else RabbitmqBroker(url=BROKER)
dramatiq.set_broker(broker)
tracer = trace.get_tracer("test")
store = redis.Redis.from_url(STORE)


@dramatiq.actor
def add(one: int, other: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("select ? + ?", (one, other)).fetchone()
    connection.close()
    store.incr("add")


@dramatiq.actor(max_retries=0)
def boom(secret: str) -> None:
    store.incr("boom")
    raise LookupError(f"nobody knows '{secret}'")


@dramatiq.actor(max_retries=3, min_backoff=10, max_backoff=20)
def again() -> None:
    if store.incr("again") < 3:
        raise LookupError("not yet")


@dramatiq.actor(max_retries=3)
def politely() -> None:
    if store.incr("politely") < 2:
        raise dramatiq.errors.Retry("not yet", delay=10)


@dramatiq.actor
def after(word: str) -> None:
    store.incr("after")


@dramatiq.actor
def calling() -> None:
    after.send("called")
    store.incr("calling")


WANTED = {"add": 1, "boom": 1, "again": 3, "politely": 2, "after": 5, "calling": 1}


def main() -> None:
    ways = {
        "add": lambda: add.send(1, 2),
        "boom": lambda: boom.send("4111-1111"),
        "again": again.send,
        "politely": politely.send,
        "calling": calling.send,
        "later": lambda: after.send_with_options(args=("later",), delay=500),
        "many": lambda: dramatiq.group([after.message(str(number)) for number in range(3)]).run(),
    }
    message = after.message("mine")
    print(message.options, broker.enqueue(add.message(1, 1)).args, message.options)
    WANTED["add"] = 2
    for word, send in ways.items():
        with tracer.start_as_current_span(f"caller {word}"):
            send()
    deadline = time.monotonic() + 40
    while (found := {name: int(store.get(name) or 0) for name in WANTED}) != WANTED:
        if time.monotonic() > deadline:
            raise SystemExit(f"{found}")
        time.sleep(0.05)
    print(found)


if __name__ == "__main__":
    main()
