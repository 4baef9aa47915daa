"""Locks that other processes see: a holder renews its own, and a dead holder's ends by itself."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from perfagent.cache.steps import run
from perfagent.runtime import guard

if TYPE_CHECKING:
    from perfagent.cache.cascade import Store
    from perfagent.cache.key import Key


class Lease:
    """A lock that this process holds.

    Args:
        store: where it is.
        key: whose it is.
        token: that proves it.
        seconds: after which it ends by itself.
    """

    __slots__ = ("due", "key", "seconds", "store", "token")

    def __init__(self, store: Store, key: Key, token: bytes, seconds: float) -> None:
        self.store, self.key, self.token, self.seconds = store, key, token, seconds
        self.due = monotonic() + seconds / 3


class Renewal:
    """The thread that renews them; there while one is held."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """In a forked child: it holds none."""
        self._changed = threading.Condition()
        self._leases: set[Lease] = set()
        self._running = False

    def add(self, lease: Lease) -> None:
        """Has a lease renewed until it is given back."""
        with self._changed:
            self._leases.add(lease)
            if not self._running:
                threading.Thread(target=self._run, name="perfagent-cache-locks", daemon=True).start()
                self._running = True
            self._changed.notify()

    def discard(self, lease: Lease) -> None:
        """The opposite of `add`."""
        with self._changed:
            self._leases.discard(lease)
            self._changed.notify()

    def _run(self) -> None:
        idle = monotonic() + 5  # seconds that the thread waits for the next lease before it ends
        while True:
            with self._changed:
                now = monotonic()
                due = [lease for lease in self._leases if lease.due <= now]
                if not due:
                    if self._leases:
                        idle = now + 5
                    elif now >= idle:
                        self._running = False
                        return
                    self._changed.wait(min([lease.due for lease in self._leases], default=idle) - now)
                    continue
            for lease in due:
                lease.due = monotonic() + lease.seconds / 3
                try:
                    run(lease.store.renew(lease.key, lease.token, lease.seconds))
                except Exception:
                    guard.failed("cache lock")


renewal = Renewal()
