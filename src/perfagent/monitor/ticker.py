"""A thread that does something at intervals: it ends around a fork, and the end of the process does not wait for it."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

from perfagent.runtime import companions, guard, outbox

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable


class Ticker(companions.Worker):
    """Calls `action` every so often, from a thread of its own that is made by `start`.

    Args:
        interval: seconds between the beginnings of two calls; a call that takes longer is followed at once by the next.
        action: what to do; its failures are counted as perfagent's own.
    """

    def __init__(self, interval: float, action: Callable[[], object]) -> None:
        self.interval = interval
        self.action = action
        self._wanted = False
        super().__init__()

    def start(self) -> None:
        """Starts the thread unless it runs; ends with `close`."""
        self._wanted = True
        _join(self)
        self._begin()

    def close(self, timeout: float = 1.0) -> None:
        """Ends the thread; waits for a call that is under way, unless this is that call.

        Args:
            timeout: longest wait, in seconds.
        """
        self._wanted = False
        self._end(timeout)
        if self in companions.all_of_them:
            companions.all_of_them.remove(self)
        _alone.discard(self)

    def resume(self) -> None:
        """After a fork; see Companion."""
        self._halted = False
        try:
            self._begin()
        except RuntimeError:
            guard.failed("monitor")

    def stop(self) -> None:
        """At the end of the process."""
        self._wanted = False

    def _is_wanted(self) -> bool:
        return self._wanted

    def _work(self, wake: LockType) -> None:
        due = monotonic() + self.interval
        while True:
            wake.acquire(timeout=max(due - monotonic(), 0))
            if self._is_over():
                return
            if monotonic() >= due:
                due = max(due + self.interval, monotonic())
                self._act()

    def _act(self) -> None:
        try:
            self.action()
        except Exception:
            guard.failed("monitor")


_alone: WeakSet[Ticker] = WeakSet()
_hooked = False


def _join(ticker: Ticker) -> None:
    """Has the thread end before a fork: with the agent's own threads, or where no agent runs, by itself."""
    global _hooked
    if outbox.wake is not outbox._nobody:
        if ticker not in companions.all_of_them:
            companions.all_of_them.append(ticker)
        return
    _alone.add(ticker)
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_halt, after_in_parent=_resume, after_in_child=_reset)


def _halt() -> None:
    for ticker in list(_alone):
        native = ticker.halt()
        if native:
            companions.wait_until_gone(native)


def _resume() -> None:
    for ticker in list(_alone):
        ticker.resume()


def _reset() -> None:
    for ticker in list(_alone):
        ticker.reset()
        ticker.resume()
