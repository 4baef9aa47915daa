"""A store that does not answer is left alone for a while, and hears what was invalidated meanwhile when it is back."""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, LONGEST = 0.5, 15.0  # seconds
MOST = 10_000  # invalidations that wait; with more, the whole store is cleared when it is back
EVERYTHING = ("clear", "", ())

Missed = tuple[str, str, tuple[bytes, ...]]  # what was asked: remove, remove_tags or clear; key or space; tags


class Outage:
    """Whether a store answers.

    Args:
        what: the store, for the message.
        failed: told of each attempt that failed.
    """

    def __init__(self, what: str, failed: Callable[[], None]) -> None:
        self._what = what
        self._failed = failed
        self._refused = False
        self.reset()

    def reset(self) -> None:
        """Makes its lock anew, as in a forked child."""
        self._lock = threading.Lock()
        self._pause = FIRST
        self._until = 0.0
        self._down = False
        self.missed: dict[Missed, None] = {}

    @property
    def down(self) -> bool:
        """Whether the last attempt failed."""
        return self._down

    @property
    def closed(self) -> bool:
        """Whether nobody should ask it now. One caller at a time gets through once the pause is over."""
        if not self._down:
            return False
        with self._lock:
            if monotonic() < self._until:
                return True
            self._until = monotonic() + self._pause
            return False

    def refused(self, error: BaseException) -> None:
        """It answered, and refused: that is counted and said once, and it is asked on."""
        self._failed()
        if not self._refused:
            self._refused = True
            told = f"{type(error).__name__}: {error}"
            logging.getLogger("perfagent.cache").warning("%s refuses, the cache goes on without: %s", self._what, told)

    def failed(self, error: BaseException) -> None:
        """An attempt failed: the next one is after a pause, twice as long each time."""
        self._failed()
        with self._lock:
            first = not self._down
            self._until = monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST)
            self._down = True
        if first:
            told = f"{type(error).__name__}: {error}"
            logging.getLogger("perfagent.cache").warning("%s is down, the cache goes on without: %s", self._what, told)

    def answered(self) -> None:
        """An attempt succeeded."""
        if self._down:
            with self._lock:
                self._down, self._pause = False, FIRST
            logging.getLogger("perfagent.cache").warning("%s is back", self._what)

    def miss(self, missed: Missed) -> None:
        """Remembers an invalidation that the store did not hear of."""
        with self._lock:
            if len(self.missed) >= MOST or EVERYTHING in self.missed:
                self.missed = {EVERYTHING: None}
            else:
                self.missed[missed] = None

    def take(self) -> list[Missed]:
        """What it has to hear before anybody reads it; whoever takes it gives back what fails again."""
        with self._lock:
            found, self.missed = list(self.missed), {}
            return found
