"""One computation at a time for a key in this process, whoever asks: threads, tasks of one loop or of several."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from perfagent.cache.steps import Outcome, worker

if TYPE_CHECKING:
    from collections.abc import Hashable


OWN = object()


class Flight:
    """A computation that others may wait for."""

    __slots__ = ("future", "owner")

    def __init__(self) -> None:
        self.future: Future[Outcome | None] = Future()
        self.owner = worker()

    def finish(self, outcome: Outcome | None) -> None:
        """Tells those who wait; None where there is no result and the next of them shall compute."""
        self.future.set_result(outcome)

    def now(self) -> Outcome | object | None:
        """Waits in this thread; OWN where that would last for ever, for this very thread computes."""
        if not self.future.done() and self.owner[0] == threading.get_ident():
            return OWN
        return self.future.result()

    async def later(self) -> Outcome | object | None:
        """Waits in this task, whose cancellation leaves the others alone; OWN where this very task computes."""
        if not self.future.done() and self.owner == worker():
            return OWN
        return await asyncio.shield(asyncio.wrap_future(self.future))


class Flights:
    """Those under way, by key: one entry each while it is, so their number is that of computations."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets them all: in a forked child nobody computes them."""
        self._lock = threading.RLock()  # a signal's handler or a destructor may use the cache at any moment
        self._flights: dict[Any, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, local: Hashable) -> tuple[Flight, bool]:
        """The flight of a key, and whether the caller is to compute it."""
        made = Flight()
        with self._lock:
            found = self._flights.setdefault(local, made)
        return found, found is made

    def leave(self, local: Hashable, flight: Flight) -> None:
        """Ends a flight for those who come from now on."""
        with self._lock:
            if self._flights.get(local) is flight:
                del self._flights[local]

    def forget(self, local: Hashable) -> None:
        """Who asks from now on computes anew: the key was invalidated."""
        with self._lock:
            self._flights.pop(local, None)

    def forget_all(self) -> None:
        """The same for every key: tags are known only when a result is there."""
        with self._lock:
            self._flights.clear()
