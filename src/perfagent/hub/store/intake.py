"""The queue in front of the store: what waits together is committed together, and is answered for once it is stored."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfagent.hub.store.errors import StoreFailed, Unfit

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.hub.store.rows import Batch
    from perfagent.hub.store.store import Store

    Waiting = tuple[Batch, asyncio.Future[None]]

MOST_ITEMS = 20_000  # of one commit: 100 ms, and 25 MB for its rows and their Arrow copy
FEW_ITEMS = 200  # a commit of less costs the same 3 ms, so the next one waits twice as long as it took
LONGEST_REST = 0.03  # seconds
RETRY_AFTER = 1.0  # seconds; a full queue of 128 MiB is empty after about three
log = logging.getLogger("perfagent.hub")


class Overloaded(Exception):  # noqa: N818 - an answer, not a fault
    """More waits than may wait; the sender shall come back.

    Args:
        retry_after: seconds.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            f"more telemetry waits to be stored than PERFAGENT_HUB_QUEUE allows; retry in {retry_after:g} s"
        )
        self.retry_after = retry_after


@dataclass(slots=True)
class Counts:
    """What has become of batches since the start.

    Args:
        spans, logs, points, samples, batches: stored.
        refused: items that were not taken, because too much waited or because they break a limit or have no form.
        failed: items that were taken and could not be stored; their senders were told.
        commits, seconds: how often something was committed, and how long that took in all.
        last: when the last commit of what a program sent ended, seconds since the epoch.
    """

    spans: int = 0
    logs: int = 0
    points: int = 0
    samples: int = 0
    batches: int = 0
    refused: int = 0
    failed: int = 0
    commits: int = 0
    seconds: float = 0.0
    last: float | None = None


class Intake:
    """Takes batches on the event loop and stores them by a thread of its own.

    Args:
        store: where they go.
        limit: the most bytes of requests that may wait.
    """

    def __init__(self, store: Store, limit: int) -> None:
        self._store, self._limit = store, limit
        self._queue: list[Waiting] = []
        self._wake = asyncio.Event()
        self._counts = Counts()
        self._listeners: list[Callable[[Counts], None]] = []
        self._writer = ThreadPoolExecutor(1, "store")
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self.failing = ""
        """Why the last batch could not be stored; empty where it was."""
        self.waiting = 0
        """Bytes of requests that are not stored yet."""

    async def put(self, batch: Batch) -> None:
        """Returns when the batch is committed.

        Raises:
            Overloaded: it was not taken.
            StoreFailed: it could not be written; the text says why.
        """
        if self._ending or (self.waiting and self.waiting + batch.bytes > self._limit):
            self._counts.refused += batch.items
            raise Overloaded(RETRY_AFTER)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((batch, stored))
        self.waiting += batch.bytes
        self._wake.set()
        await stored

    def stored(self) -> Counts:
        """A copy of the counts."""
        return replace(self._counts)

    def on_commit(self, listener: Callable[[Counts], None]) -> Callable[[], None]:
        """Calls `listener` on the event loop after each commit, until what is returned is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def start(self) -> None:
        """Begins to store."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Takes nothing more, stores what waits, and returns."""
        self._ending = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._writer.shutdown()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                began = time.monotonic()
                taken = self._take()
                await self._commit(taken)
                if not self._ending and sum(batch.items for batch, _stored in taken) < FEW_ITEMS:
                    # A client that sends span by span gets a third of a core, and one that comes seldom no delay.
                    await asyncio.sleep(min(2 * (time.monotonic() - began), LONGEST_REST))
            if self._ending:
                return

    def _take(self) -> list[Waiting]:
        """What waits, up to a commit's size, and at least one."""
        items = taken = 0
        while taken < len(self._queue) and (not taken or items < MOST_ITEMS):
            items += self._queue[taken][0].items
            taken += 1
        found, self._queue = self._queue[:taken], self._queue[taken:]
        return found

    async def _commit(self, taken: list[Waiting]) -> None:
        began = time.monotonic()
        failure = await self._append([batch for batch, _stored in taken])
        self._counts.commits += failure is None
        self._counts.seconds += time.monotonic() - began
        if isinstance(failure, Unfit) and len(taken) > 1:
            for one in taken:  # so that it fails alone
                await self._commit([one])
            return
        self.waiting -= sum(batch.bytes for batch, _stored in taken)
        for _batch, stored in taken:
            if not stored.done():  # its sender may have gone
                stored.set_exception(failure) if failure else stored.set_result(None)
        self._tell([batch for batch, _stored in taken], failure)

    async def _append(self, batches: list[Batch]) -> StoreFailed | None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._store.append, batches)
        except StoreFailed as error:
            return error
        except Exception as error:
            log.exception("a batch could not be stored")
            return Unfit(f"{type(error).__name__}: {error}")
        return None

    def _tell(self, batches: list[Batch], failure: StoreFailed | None) -> None:
        counts = self._counts
        if failure is not None:
            counts.failed += sum(batch.items for batch in batches)
            if not self.failing:
                log.error("%s", failure)
        else:
            counts.spans += sum(len(batch.spans) for batch in batches)
            counts.logs += sum(len(batch.logs) for batch in batches)
            counts.points += sum(len(batch.points) for batch in batches)
            counts.samples += sum(len(batch.profiles) for batch in batches)
            counts.batches += len(batches)
            counts.refused += sum(batch.rejected for batch in batches)
            if not all(batch.own for batch in batches):
                counts.last = time.time()
            if self.failing:
                log.warning("telemetry is stored again")
        self.failing = str(failure) if failure else ""
        for listener in list(self._listeners) if failure is None else ():
            try:
                listener(replace(counts))
            except Exception:  # must not end the storing
                log.exception("a listener failed")
