"""threads: one function handed to a pool of threads, within a span."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A `submit`, and what the pool's thread makes of it, in turns; only the former is on the thread that is timed."""
    from concurrent.futures import Future, ThreadPoolExecutor

    from opentelemetry import trace

    class Waiting(ThreadPoolExecutor):
        """Starts no thread: its work is done where the benchmark can time it."""

        def _adjust_thread_count(self) -> None:
            work = self._work_queue.get()
            work.run()

    pool = Waiting(1)
    with trace.get_tracer("benchmark").start_as_current_span("request"):

        def call() -> Future[int]:
            return pool.submit(int)

        yield call
