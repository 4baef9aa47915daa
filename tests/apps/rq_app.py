"""The RQ program of the tests: its functions, and what a client enqueues when it is run with a word."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from datetime import timedelta
from typing import Any

import redis
from opentelemetry import trace
from rq import Callback, Queue, Retry, SimpleWorker, get_current_job

BROKER = os.environ["BROKER"]
tracer = trace.get_tracer("test")


def add(one: int, other: int) -> int:
    connection = sqlite3.connect(":memory:")
    (found,) = connection.execute("select ? + ?", (one, other)).fetchone()
    connection.close()
    return int(found)


def look(key: str) -> Any:
    """Uses the program's own client, of the same Redis."""
    with redis.Redis.from_url(BROKER) as client:
        return client.get(key)


def boom(secret: str) -> None:
    raise LookupError(f"nobody knows '{secret}'")


def again() -> int:
    job = get_current_job()
    assert job is not None
    if job.retries_left:
        raise LookupError("not yet")
    return os.getpid()


def again_politely() -> Any:
    job = get_current_job()
    assert job is not None
    return "done" if job.number_of_retries else Retry(max=2)


def after(other: str) -> str:
    return other


def failed(*_: Any) -> None:
    """A callback of the program's."""


def wait_for(job: Any) -> Any:
    deadline = time.monotonic() + 40
    while not (job.is_finished or job.is_failed):
        if time.monotonic() > deadline:
            raise SystemExit(f"the job is {job.get_status()}")
        time.sleep(0.05)
        job.refresh()
    return job.return_value() if job.is_finished else job.get_status().value


def enqueued(word: str, queue: Queue, mine: dict[str, str]) -> Any:
    """The job, or the last one, that a word stands for."""
    path = "tests.apps.rq_app"
    ways: dict[str, Any] = {
        "add": lambda: queue.enqueue(f"{path}.add", 1, 2, meta=mine),
        "look": lambda: queue.enqueue(f"{path}.look", "secret"),
        "boom": lambda: queue.enqueue(f"{path}.boom", "4111-1111", on_failure=Callback(f"{path}.failed")),
        "again": lambda: queue.enqueue(f"{path}.again", retry=Retry(max=2)),
        "later": lambda: queue.enqueue(f"{path}.again", retry=Retry(max=1, interval=1)),
        "politely": lambda: queue.enqueue(f"{path}.again_politely"),
        "scheduled": lambda: queue.enqueue_in(timedelta(seconds=1), f"{path}.after", "scheduled"),
        "dependent": lambda: queue.enqueue(f"{path}.after", "second", depends_on=queue.enqueue(f"{path}.add", 1, 1)),
        "many": lambda: queue.enqueue_many([Queue.prepare_data(f"{path}.after", (str(n),)) for n in range(5)])[-1],
        "sync": lambda: Queue("now", connection=queue.connection, is_async=False).enqueue(f"{path}.add", 5, 6),
    }
    with tracer.start_as_current_span(f"caller {word}"):
        return ways[word]()


def main(words: list[str]) -> None:
    client = redis.Redis.from_url(BROKER)
    queue, mine = Queue("default", connection=client), {"mine": "secret"}
    jobs = {word: enqueued(word, queue, mine) for word in words}
    print({word: wait_for(job) for word, job in jobs.items()}, mine)
    SimpleWorker([Queue("own", connection=client)], connection=client).work(burst=True)
    print(client.get("own"))


if __name__ == "__main__":
    main(sys.argv[1].split())
