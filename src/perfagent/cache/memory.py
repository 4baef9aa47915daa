"""The tier in memory: the most recently used values of this process, the very objects that were computed."""

from __future__ import annotations

import threading
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from perfagent.cache.needed import needed

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.cache.entry import Entry
    from perfagent.cache.key import Key


class Ticket:
    """A computation under way: what is invalidated meanwhile, it must not bring back."""

    __slots__ = ("local", "space", "spoiled", "tags")

    def __init__(self, local: object, space: str) -> None:
        self.local = local
        self.space = space
        self.spoiled = False
        self.tags: set[bytes] = set()


class Memory:
    """Values by key.

    Args:
        most: how many; the least recently used goes.
        longest: how many seconds one stays at most.
        evicted: told the space of each that had to go for want of room.
    """

    name = "memory"

    def __init__(self, most: int, longest: float, evicted: Callable[[str], None]) -> None:
        cachetools = needed("cachetools", "a cache in memory", "cachetools")
        self._peek = cachetools.Cache.__getitem__  # a look that does not count as a use
        self.most = most
        self.longest = longest
        self._evicted = evicted
        self._spaces: dict[object, str] = {}
        self._tagged: dict[bytes, set[object]] = {}
        self._underway: set[Ticket] = set()
        self._changing = False
        self.sizes: dict[str, int] = {}

        class Bounded(cachetools.LRUCache):  # type: ignore[name-defined,misc]
            """Tells of what it evicts."""

            def popitem(bounded) -> Any:  # noqa: N805
                local, entry = super().popitem()
                self._forget(local, entry, True)
                return local, entry

        self.values: Any = Bounded(most)
        self.lock = threading.RLock()  # a destructor of what is evicted may use the cache again

    def reset(self) -> None:
        """For a forked child: a lock of its own; and no values, where another thread was at work when it was forked."""
        if not self.lock.acquire(blocking=False):
            self.values.clear()
            for part in (self._spaces, self._tagged, self.sizes):
                part.clear()
        self.lock = threading.RLock()
        self._changing = False
        self._underway.clear()

    def read(self, local: object) -> Entry | None:
        """The value of a key, even a stale one."""
        with self.lock:
            try:
                entry: Entry = self.values[local]
            except KeyError:
                return None
            if entry.expires > monotonic():
                return entry
            self._pop(local)
            return None

    def begin(self, key: Key) -> Ticket:
        """Notes that the value of a key is being found; to be ended by `end`."""
        ticket = Ticket(key.local, key.space)
        with self.lock:
            self._underway.add(ticket)
        return ticket

    def end(self, ticket: Ticket) -> None:
        """The opposite of `begin`."""
        with self.lock:
            self._underway.discard(ticket)

    def write(self, ticket: Ticket, entry: Entry) -> bool:
        """Keeps a value, unless it was invalidated since the ticket was made; says whether it did."""
        if self.longest < float("inf"):
            end = monotonic() + self.longest
            if entry.expires > end:
                entry = replace(entry, fresh=min(entry.fresh, end), expires=end)
        with self.lock:
            if ticket.spoiled or (ticket.tags and not ticket.tags.isdisjoint(entry.tags)):
                return False
            if self._changing:  # by this very thread, whom a signal's handler or a destructor interrupted
                return True
            self._changing = True
            try:
                self._put(ticket.local, ticket.space, entry)
            finally:
                self._changing = False
        return True

    def _put(self, local: object, space: str, entry: Entry) -> None:
        if local in self._spaces:
            self._pop(local)
        self.values[local] = entry
        self._spaces[local] = space
        self.sizes[space] = self.sizes.get(space, 0) + 1
        for tag in entry.tags:
            self._tagged.setdefault(tag, set()).add(local)

    def remove(self, local: object) -> bool:
        """Forgets a key; says whether it was there."""
        with self.lock:
            for ticket in self._underway:
                ticket.spoiled = ticket.spoiled or ticket.local == local
            return self._pop(local)

    def remove_tags(self, tags: tuple[bytes, ...]) -> int:
        """Forgets what has one of some tags; says how many that were."""
        with self.lock:
            for ticket in self._underway:
                ticket.tags.update(tags)
            found = {local for tag in tags for local in self._tagged.get(tag, ())}
            return sum(self._pop(local) for local in found)

    def clear(self, space: str | None = None) -> int:
        """Forgets everything, or what is of one space; says how many that were."""
        with self.lock:
            for ticket in self._underway:
                ticket.spoiled = ticket.spoiled or space is None or ticket.space == space
            found = [local for local, of in self._spaces.items() if space is None or of == space]
            return sum(self._pop(local) for local in found)

    def clean(self) -> int:
        """Forgets what has expired; says how many that were. A thousand at a time, so that nobody waits long."""
        removed = 0
        with self.lock:
            known = list(self._spaces)
        for begin in range(0, len(known), 1000):
            now = monotonic()
            with self.lock:
                for local in known[begin : begin + 1000]:
                    if local in self._spaces and self._peek(self.values, local).expires <= now:
                        removed += self._pop(local)
        return removed

    def _pop(self, local: object) -> bool:
        if local not in self._spaces:
            return False
        entry = self._peek(self.values, local)
        del self.values[local]
        self._forget(local, entry, False)
        return True

    def _forget(self, local: object, entry: Entry, evicted: bool) -> None:
        space = self._spaces.pop(local)
        self.sizes[space] -= 1
        if not self.sizes[space]:
            del self.sizes[space]
        for tag in entry.tags:
            tagged = self._tagged[tag]
            tagged.discard(local)
            if not tagged:
                del self._tagged[tag]
        if evicted and entry.expires > monotonic():
            self._evicted(space)
