"""rq: one job performed, without what a worker tells Redis before and after."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A job that nobody has enqueued."""
    import redis
    from rq.job import Job

    job = Job.create(len, ("job",), connection=redis.Redis())
    yield job.perform
