"""Who is told what in real time: a callback in a thread of its own, whose failures are its own too."""

from __future__ import annotations

import logging
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from perfagent.monitor import emission
from perfagent.monitor.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

logger = logging.getLogger("perfagent.monitor")
MOST = 64  # of one monitor: each may have a thread
SHORTEST = 0.05  # s between two snapshots; one takes some 0.2 ms for ten metrics


class Subscription:
    """What `subscribe` and `on_alert` give: ends with `close`, or with a `with` block.

    Args:
        callback: what is called.
        kind: "snapshot" or "alert".
        ended: told when it ends.
    """

    def __init__(self, callback: Callable[[Any], object], kind: str, ended: Callable[[Subscription], object]) -> None:
        self.callback = callback
        self.kind = kind
        self.calls = 0
        """How often it was called."""
        self.failures = 0
        """How often it raised an exception."""
        self.ticker: Ticker | None = None
        self._ended = ended

    def tell(self, what: object) -> None:
        """Calls the callback; what it raises is counted, and logged the first time."""
        self.calls += 1
        try:
            self.callback(what)
        except Exception:
            self.failures += 1
            emission.own("monitor.failures").of({"kind": self.kind}).record(1)
            if self.failures == 1:
                logger.exception(
                    "a subscriber of the performance monitor failed: %r; the others go on, and so does it; further "
                    "failures are only counted",
                    self.callback,
                )

    def close(self) -> None:
        """Ends it: waits at most a second for a call that is under way, and none follows."""
        if self.ticker is not None:
            self.ticker.close()
        self._ended(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Subscriptions:
    """Those of one monitor."""

    def __init__(self) -> None:
        self._all: tuple[Subscription, ...] = ()

    def add(self, callback: Callable[[Any], object], kind: str) -> Subscription:
        """One more; raises TypeError for what cannot be called, and RuntimeError where there are too many."""
        if not callable(callback):
            raise TypeError(f"{callback!r} is not accepted: give a function, such as `print`")
        if iscoroutinefunction(callback):
            raise TypeError(
                f"{callback!r} is a coroutine function, and a subscriber is called in a thread of its own: give a "
                "function that hands it on, such as `lambda told: loop.call_soon_threadsafe(queue.put_nowait, told)`"
            )
        if len(self._all) >= MOST:
            raise RuntimeError(f"the monitor has {MOST} subscribers already: close() those that are not needed")
        made = Subscription(callback, kind, self._remove)
        self._all = (*self._all, made)
        return made

    def _remove(self, ended: Subscription) -> None:
        self._all = tuple(one for one in self._all if one is not ended)

    def of(self, kind: str) -> tuple[Subscription, ...]:
        """Those of a kind."""
        return tuple(one for one in self._all if one.kind == kind)

    def close(self) -> None:
        """Ends all of them."""
        for one in self._all:
            one.close()

    def repeat(self, subscription: Subscription, interval: float, make: Callable[[], object]) -> None:
        """Has `subscription` told what `make` gives, every so many seconds."""
        subscription.ticker = Ticker(interval, lambda: subscription.tell(make()))
        try:
            subscription.ticker.start()
        except RuntimeError:
            subscription.close()
            raise
