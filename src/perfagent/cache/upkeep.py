"""Removing what has expired, and telling a store that is back what it missed: one thread, there while there is work.

It ends with the last value, before a fork and with the process, and the next value starts it again.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from perfagent.cache.lease import renewal
from perfagent.cache.steps import run
from perfagent.runtime import guard

if TYPE_CHECKING:
    from perfagent.cache.cache import Cache

SOON, LATER = 1.0, 5.0  # seconds between two looks whether a store is back, where it missed something and where not


class Upkeep:
    """The thread."""

    def __init__(self) -> None:
        self._caches: WeakSet[Cache] = WeakSet()
        self.reset()
        os.register_at_fork(before=self.halt, after_in_child=self.in_child)

    def reset(self) -> None:
        """Forgets the thread, which a child does not have."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def in_child(self) -> None:
        """After a fork, in the child: every cache begins anew, with the values that it has in memory."""
        self.reset()
        renewal.reset()
        for cache in self._known():
            cache._in_child()

    def halt(self) -> None:
        """Ends the thread, so that a fork finds none: Python 3.12 warns of forks in a process of several."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            self._stop = threading.Event()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1)

    def watch(self, cache: Cache) -> None:
        """Has a cache kept up; called with every value, for the thread may have ended."""
        if cache not in self._caches:
            self._caches.add(cache)
            self.halt()  # it waits for what others need
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    stop = self._stop
                    thread = threading.Thread(target=self._run, args=(stop,), name="perfagent-cache", daemon=True)
                    try:
                        thread.start()
                    except RuntimeError:  # no thread any more: the interpreter is about to end
                        return
                    self._thread = thread

    def _known(self) -> list[Cache]:
        while True:
            try:
                return list(self._caches)
            except RuntimeError:  # another thread has made one meanwhile
                continue

    def _run(self, stop: threading.Event) -> None:
        due = {cache: monotonic() + cache.cleanup_interval for cache in self._known() if cache.cleanup_interval}
        due_of = WeakKeyDictionary(due)
        del due
        while not stop.wait(self._wait(due_of)):
            busy = False
            for cache in self._known():
                try:
                    busy = self._keep(cache, due_of) or busy
                except Exception:
                    guard.failed("cache upkeep")
                    busy = True
                del cache
            with self._lock:
                if stop.is_set():
                    return
                if not busy:
                    self._thread = None
                    return

    def _wait(self, due: WeakKeyDictionary[Cache, float]) -> float:
        """Seconds until there may be something to do."""
        stores = [store for cache in self._known() for store in cache._core.tiers.stores]
        if stores:
            return SOON if any(store.outage.missed for store in stores) else LATER
        return max(SOON, min(due.values(), default=0.0) - monotonic())

    def _keep(self, cache: Cache, due: WeakKeyDictionary[Cache, float]) -> bool:
        """Does what is due for a cache; says whether there may be more later."""
        tiers = cache._core.tiers
        for store in tiers.stores:
            if store.outage.missed and not store.outage.closed:
                run(store.catch_up())
        now = monotonic()
        if due.get(cache, now + 1) <= now:
            due[cache] = now + cache.cleanup_interval
            cache.clean()
        waiting = cache.cleanup_interval > 0 and tiers.memory is not None and len(tiers.memory.values) > 0
        return bool(tiers.stores) or waiting


upkeep = Upkeep()
