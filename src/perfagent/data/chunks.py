"""Large files piece by piece from asyncio: in threads, in order, in bounded memory."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from perfagent.data.budget import LARGEST, Budget
from perfagent.data.csvreaders import FrameChunks, RowChunks
from perfagent.data.extras import wrong
from perfagent.settings.data import DataSettings

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from concurrent.futures import Executor

    from pandas import DataFrame

    from perfagent.data.csvreaders import Chunks

Result = TypeVar("Result")
_HELD = 3
"""Chunks at once: the one consumed, the one read ahead, and the one before, which a loop's name still holds."""


class AsyncFileProcessor:
    """Reads files in chunks without blocking the event loop.

    Args:
        chunk_size: the most rows of a chunk; ANALYTICS_CHUNK_SIZE when left out.
        max_memory_mb: the most memory, in MB, that reading one file takes besides what the process takes anyway, the
            chunks included that the program still works on; ANALYTICS_MAX_MEMORY_MB when left out. Chunks get
            shorter where their rows are long.
        max_workers: the threads that `process` runs its function in; ANALYTICS_MAX_WORKERS when left out.

    Raises:
        ValueError: for a value out of bounds.
    """

    def __init__(
        self, *, chunk_size: int | None = None, max_memory_mb: int | None = None, max_workers: int | None = None
    ) -> None:
        settings = DataSettings.current()
        self.chunk_size = _whole("chunk_size", chunk_size, settings.chunk_size, 1)
        self.max_memory_mb = _whole("max_memory_mb", max_memory_mb, settings.max_memory_mb, 16)
        self.max_workers = _whole("max_workers", max_workers, settings.max_workers, 1)

    def read_csv_chunks(
        self, path: str | os.PathLike[str], *, compression: str = "infer", **options: Any
    ) -> AsyncGenerator[DataFrame, None]:
        """Frames of a CSV file, in its order; the next one is read while the program works on this one.

        One thread reads, and never more than one chunk ahead. Leaving the loop by an exception or a cancellation closes
        the file; after a `break` it is closed as soon as the iterator is given up, or at once by
        `contextlib.aclosing`.

        Args:
            path: the file.
            compression: `gzip`, `bz2`, `xz`, `zstd`, `none`, or `infer`: by the first bytes of the file.
            options: anything that `pandas.read_csv` takes, such as `encoding`, `sep`, `usecols`, `dtype`,
                `parse_dates` and `on_bad_lines` (`error`, `warn` or `skip`). Types are found chunk by chunk and only
                widen from one to the next; give `dtype` where they must be known.

        Raises:
            ValueError: for an option that chunks exclude, an empty file, and lines or bytes that pandas refuses.
            OSError: where the file cannot be read.
            ImportError: where pandas is not installed.
        """
        budget = self._budget(_HELD)
        return _read(lambda: FrameChunks(path, budget, compression, options))

    def read_rows(
        self,
        path: str | os.PathLike[str],
        *,
        compression: str = "infer",
        encoding: str = "utf-8-sig",
        **options: Any,
    ) -> AsyncGenerator[list[list[str]], None]:
        """Lists of rows of a CSV file, each row a list of texts; the same without pandas.

        Args:
            path: the file.
            compression: as for `read_csv_chunks`.
            encoding: of the file.
            options: anything that `csv.reader` takes, such as `delimiter`.

        Raises:
            ValueError: for bytes that are not of the encoding.
            csv.Error: for lines that `csv` refuses.
            OSError: where the file cannot be read.
        """
        budget = self._budget(_HELD, largest=1 << 20)  # to free 100,000 lists holds the event loop for 50 ms
        return _read(lambda: RowChunks(path, budget, compression, encoding, options))

    async def process(
        self,
        path: str | os.PathLike[str],
        function: Callable[[DataFrame], Result | Awaitable[Result]],
        *,
        combine: Callable[[Any, Any], Any] | None = None,
        executor: Executor | None = None,
        compression: str = "infer",
        **options: Any,
    ) -> Any:
        """Calls a function with every chunk, several at a time, and puts the results together in the file's order.

        Args:
            path: the file.
            function: takes a frame. A plain function runs in a thread, a coroutine function in the event loop.
            combine: takes two results and returns one, as for `functools.reduce`; left to right. A list of all results
                when left out.
            executor: where plain functions run instead of `max_workers` threads, such as a ProcessPoolExecutor for what
                holds the interpreter.
            compression: as for `read_csv_chunks`.
            options: as for `read_csv_chunks`.

        Returns:
            The combined result, None where there were no chunks; or the list of results.

        Raises:
            Exception: what the function raises first, in the file's order. What has begun is waited for, nothing new
                begins, and the file is closed.
        """
        if not callable(function):
            raise wrong("function", function, "a function of a frame", "process(path, lambda frame: len(frame))")
        budget = self._budget(self.max_workers + _HELD)
        pool = executor or ThreadPoolExecutor(self.max_workers, "perfagent-chunk")
        loop = asyncio.get_running_loop()
        is_async = inspect.iscoroutinefunction(function)
        results, running = _Results(combine), deque[Any]()
        chunks = _read(lambda: FrameChunks(path, budget, compression, options))
        try:
            async for chunk in chunks:
                if len(running) >= self.max_workers:
                    results.add(await running.popleft())
                running.append(
                    asyncio.ensure_future(function(chunk))  # type: ignore[arg-type]
                    if is_async
                    else loop.run_in_executor(pool, function, chunk)
                )
                del chunk
            while running:
                results.add(await running.popleft())
        finally:
            for future in running:
                future.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await chunks.aclose()
            if executor is None:
                pool.shutdown(wait=False)
        return results.value

    def _budget(self, in_flight: int, largest: int = LARGEST) -> Budget:
        return Budget(self.chunk_size, self.max_memory_mb * 1_000_000, in_flight, largest)


class _Results:
    """What the chunks gave so far."""

    def __init__(self, combine: Callable[[Any, Any], Any] | None) -> None:
        self.value: Any = [] if combine is None else None
        self._combine = combine
        self._empty = True

    def add(self, result: Any) -> None:
        """Takes the next result."""
        if self._combine is None:
            self.value.append(result)
        else:
            self.value = result if self._empty else self._combine(self.value, result)
            self._empty = False


async def _read(make: Callable[[], Chunks]) -> AsyncGenerator[Any, None]:
    """The chunks of a reader that lives in one thread of its own, where it is also made and closed."""
    pool = ThreadPoolExecutor(1, "perfagent-read")
    reader: list[Chunks] = []

    def start() -> Any:
        reader.append(make())
        return reader[0].next()

    def close() -> None:
        for one in reader:
            one.close()

    loop = asyncio.get_running_loop()
    try:
        coming = loop.run_in_executor(pool, start)
        while (chunk := await asyncio.shield(coming)) is not None:
            coming = loop.run_in_executor(pool, reader[0].next)
            yield chunk
            del chunk
    finally:
        # The thread is done with what it reads before it closes the file; a further cancellation does not stop it.
        coming.add_done_callback(_look)
        closing = loop.run_in_executor(pool, close)
        pool.shutdown(wait=False)
        await asyncio.shield(closing)


def _look(future: asyncio.Future[Any]) -> None:
    """Nobody waits for a chunk that was read ahead in vain: its exception is not to be reported as forgotten."""
    if not future.cancelled():
        future.exception()


def _whole(entry: str, value: object, default: int, low: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise wrong(entry, value, f"a whole number from {low}", f"{entry}={default}")
    return value
