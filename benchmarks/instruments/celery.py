"""Celery: one task, published to Redis."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.servers import running_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a Redis."""
    with running_redis() as (url, _):
        yield url


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A task that nobody waits for."""
    from celery import Celery

    application = Celery("benchmark", broker=address)
    task = application.task(lambda: 1, name="benchmark.work", ignore_result=True)
    yield lambda: task.delay()
