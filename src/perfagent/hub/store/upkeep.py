"""What the store does between commits: merges roll-ups, makes hours of minutes, forgets what is too old or too much."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from perfagent.hub.store.errors import StoreFailed
from perfagent.hub.store.known import SERIES
from perfagent.hub.store.profiles import STACKS

if TYPE_CHECKING:
    from perfagent.hub.store.store import Store
    from perfagent.settings import Settings

EVERY = 60.0  # seconds
LATE = 120  # seconds; batches that come later than this are kept as rows of their own
HOUR_CLOSES = 600  # seconds after its end
MINUTES_KEPT = 7 * 86_400  # seconds; features: baselines are kept seven days
AT_ONCE = 6 * 3600  # seconds merged in one transaction, so that a store that slept for days needs little memory
MIB = 1 << 20
log = logging.getLogger("perfagent.hub")


class Upkeep:
    """Runs every minute until it is cancelled.

    Args:
        store: what is kept up.
        settings: the retention.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._raw = settings.retention_hours * 3600
        self._hours = settings.retention_days * 86_400
        self._size = settings.retention_size * MIB
        self._cleaned = 0.0  # the hour in which the old was forgotten last

    async def run(self) -> None:
        """Goes on for ever; a failure is logged and tried again a minute later."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await asyncio.to_thread(self.once, time.time())
            except StoreFailed as error:
                log.error("upkeep: %s", error)
            except Exception:
                log.exception("upkeep")

    def once(self, now: float) -> None:
        """Does what is due.

        Args:
            now: seconds since the epoch.

        Raises:
            StoreFailed: something could not be written.
        """
        self._merge(int(now))
        self._roll_up(int(now))
        self._store.run("trim_running", since_ns=int((now - 86_400) * 1e9))
        if now // 3600 != self._cleaned:
            self.forget(now, now - self._raw)
            self._forget_unused()
            self._cleaned = now // 3600
        self._shrink(now)

    def _merge(self, now: int) -> None:
        (progress,) = self._store.rows("store/progress")
        until = now // 60 * 60 - LATE
        for since in self._steps(progress["first_minute"], progress["minutes"], until):
            self._store.run("merge_minutes", since=since, until=min(since + AT_ONCE, until))

    def _roll_up(self, now: int) -> None:
        (progress,) = self._store.rows("store/progress")
        until = min((now - HOUR_CLOSES) // 3600 * 3600, progress["minutes"] // 3600 * 3600)
        for since in self._steps(progress["first_minute"], progress["hours"], until):
            self._store.run("roll_up_hours", since=since, until=min(since + AT_ONCE, until))

    @staticmethod
    def _steps(first: int | None, done: int, until: int) -> range:
        if first is None:
            return range(0)
        return range(max(first // 3600 * 3600, done), until, AT_ONCE)

    def forget(self, now: float, raw: float) -> None:
        """Takes away spans, logs and points from before `raw`, and roll-ups past their time; both in epoch seconds."""
        self._store.run("forget", raw_ns=int(raw * 1e9), minutes=int(now - MINUTES_KEPT), hours=int(now - self._hours))

    def _forget_unused(self) -> None:
        """Takes away identities that nothing refers to, and the most silent series before there are too many."""
        with self._store.database.writing:  # so that nobody takes one for known that has just gone
            if self._store.crowded_stacks:
                self._store.run("forget_stacks", most=STACKS // 4)
            self._store.run("forget_unused")
            if self._store.sizes()["series"] > 0.8 * SERIES:
                self._store.run("forget_silent", most=SERIES // 4)
            self._store.refresh()

    def _shrink(self, now: float) -> None:
        """Forgets the oldest twentieth of the spans, logs and points again and again while the file is too big."""
        for _ in range(20):
            used = self._store.used()
            (oldest,) = self._store.rows("store/oldest")
            if used <= self._size or oldest["oldest_ns"] is None:
                return
            begin = oldest["oldest_ns"] / 1e9
            until = begin + max((now - begin) / 20, 60)
            log.warning(
                "the database holds %d MiB, PERFAGENT_RETENTION_SIZE is %d: what is older than %s is forgotten",
                used // MIB, self._size // MIB, time.strftime("%F %T", time.localtime(until)),
            )  # fmt: skip
            self.forget(now, until)
            self._store.checkpoint()
