"""Celery: one task, published to Redis."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


server = servers.redis


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A task that nobody waits for."""
    from celery import Celery

    def work() -> int:
        return 1

    task = Celery("benchmark", broker=address).task(work, name="benchmark.work", ignore_result=True)
    yield lambda: task.delay()
