"""What caches are worth: a sample of look-ups and sets, taken on the program's threads and judged in the background.

A key is watched where its hash is below a threshold, so that all that happens to a watched key is seen (spatially
hashed sampling: Waldspurger, Park, Garthwaite and Ahmad, "Efficient MRC Construction with SHARDS", FAST 2015). Of the
other keys' look-ups one in 31 is seen, which tells what is asked for most. The threshold is lowered until the watched
keys of a cache are few enough. A look-up of a key that is not watched costs 0.3 us, one of a watched key 0.5 us.
A key itself is kept for a second at most, until the background has read it, and none is that would take much room, or
that only code of the program's could tell from others: its `__hash__` is not ours to call.
"""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from collections import deque
from itertools import count
from sys import _getframe

from perfagent.runtime.callers import digest, nearest
from perfagent.runtime.clock import perf_counter_ns
from perfagent.runtime.context import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.runtime.callers import Caller

SPACE = 1 << 24
MASK = SPACE - 1
ONE_IN = 31  # a prime: programs ask in patterns of 2, 4 or 10
MOST_WAITING = 8192  # events, which the background reads every second
MOST_CACHES = 50
LONGEST = 2048  # characters of a key; of a longer one no more is kept than what tells it from others
FIRST_CALLERS = 64  # events whose callers are looked for in any case

LOOKUP, STORE, DROP, EXPIRE = range(4)

caches: dict[tuple[str, str, str], Watched] = {}
"""By system, name and address."""
_changing = allocate_lock()


class Watched:
    """One cache, as the program's threads see it.

    Args:
        system: `cache.system`, such as "redis".
        name: `cache.name`, "" where its metrics have none.
        address: which of these, where there are several.
        most: entries that it may hold; 0 where that is unknown.
    """

    __slots__ = (
        "address", "callers", "events", "hits", "lost", "misses", "most", "name", "sets", "system", "threshold",
    )  # fmt: skip

    def __init__(self, system: str, name: str, address: str = "", most: int = 0) -> None:
        self.system = system
        self.name = name
        self.address = address
        self.most = most
        self.threshold = SPACE
        """A key is watched where its hash is below; at SPACE all are."""
        self.events: deque[tuple[Any, ...]] = deque()
        self.hits = count()
        self.misses = count()
        self.sets = count()
        self.callers = FIRST_CALLERS
        """Of how many events more the caller is to be told."""
        self.lost = 0

    def lookup(self, key: Any, hit: bool, started: int, ended: int, size: int = 0, within: str = "") -> None:
        """Something was looked up.

        Args:
            key: see `plain`.
            hit: whether it was there.
            started, ended: by the monotonic clock, ns.
            size: of what was found, in bytes; 0 where unknown.
            within: the part of the cache that it belongs to, where the cache has named parts.
        """
        if (type(key) is not str and type(key) is not bytes) or len(key) > LONGEST:
            key = plain(key)
            if key is None:
                return
        if hash(key) & MASK < self.threshold:
            weight = 1
        elif next(self.hits if hit else self.misses) % ONE_IN:  # each in its turn, so that the ratio is exact
            return
        else:
            weight = ONE_IN
        events = self.events
        if len(events) >= MOST_WAITING:
            self.lost += 1
            return
        span = current.get()
        context = get_ident() if span is None else span.trace_id
        caller = self._caller() if self.callers else None
        events.append((LOOKUP, weight, key, hit, started, ended, size, None, within, context, caller))

    def store(
        self, key: Any, started: int, ended: int, size: int = 0, ttl: float | None = None, within: str = ""
    ) -> None:
        """Something was set; `ttl` in seconds, None for ever; else as for `lookup`."""
        if (type(key) is not str and type(key) is not bytes) or len(key) > LONGEST:
            key = plain(key)
            if key is None:
                return
        if hash(key) & MASK < self.threshold:
            weight = 1
        elif next(self.sets) % ONE_IN:
            return
        else:
            weight = ONE_IN
        self._add(STORE, weight, key, True, started, ended, size, ttl, within)

    def add(self, key: Any, hit: bool, started: int, ended: int, within: str) -> None:
        """A look-up by somebody who has chosen it as `lookup` does, for its own speed."""
        weight = 1 if hash(key) & MASK < self.threshold else ONE_IN
        self._add(LOOKUP, weight, key, hit, started, ended, 0, None, within)

    def drop(self, key: Any) -> None:
        """A key was deleted by the program."""
        if (type(key) is not str and type(key) is not bytes) or len(key) > LONGEST:
            key = plain(key)
            if key is None:
                return
        if hash(key) & MASK < self.threshold:
            moment = perf_counter_ns()
            self._add(DROP, 1, key, True, moment, moment, 0, None, "")

    def expire(self, key: Any, ttl: float | None) -> None:
        """The time that a key has left was set to `ttl` seconds."""
        if (type(key) is not str and type(key) is not bytes) or len(key) > LONGEST:
            key = plain(key)
            if key is None:
                return
        if hash(key) & MASK < self.threshold:
            moment = perf_counter_ns()
            self._add(EXPIRE, 1, key, True, moment, moment, 0, ttl, "")

    def _add(self, *event: Any) -> None:
        if len(self.events) >= MOST_WAITING:
            self.lost += 1
            return
        span = current.get()
        context = get_ident() if span is None else span.trace_id
        self.events.append((*event, context, self._caller() if self.callers else None))

    def _caller(self) -> Caller | None:
        self.callers -= 1
        return nearest(_getframe(2))


def plain(key: Any) -> Any:
    """A key as what stands for it: hashed without a line of the program's code, and small; None where there is none.

    A tuple stays as it is: it is one of our own cache's, whose keys are made of plain values.
    """
    kind = type(key)
    if kind is int:
        return str(key)  # an int is its own hash: low numbers would be watched, and no others
    if kind is tuple:
        return key
    if issubclass(kind, str):
        text: Any = str.__str__(key)
    elif issubclass(kind, bytes):
        text = bytes.__getitem__(key, slice(None))
    elif kind is memoryview or kind is bytearray:
        text = bytes(key) if memoryview(key).nbytes <= LONGEST else None
    else:
        return digest(key)
    return text if text is None or len(text) <= LONGEST else str(hash(text))


def watched(system: str, name: str, address: str = "", most: int = 0) -> Watched | None:
    """The cache of that system, name and address; None beyond the first 50."""
    key = (system, name, address)
    with _changing:
        found = caches.get(key)
        if found is None and len(caches) < MOST_CACHES:
            if not caches:
                from perfagent.runtime.economics.report import Economics

                Economics().install()
            found = caches[key] = Watched(system, name, address, most)
    return found


def reset() -> None:
    """In a forked child: what its parent saw is told by the parent, and another thread may have had the lock."""
    global _changing
    _changing = allocate_lock()
    for cache in caches.values():
        cache.events.clear()
        cache.lost = 0
