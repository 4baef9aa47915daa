"""What follows from a cache's events: what a miss costs, why keys miss, and what other times and sizes would bring.

For each watched key the model plays the cache at other times to live (a miniature simulation; Waldspurger, Saemundsson,
Ahmad and Park, "Cache Modeling and Optimization using Miniature Simulations", USENIX ATC 2017): a look-up that a longer
time would have answered is a hit there and is followed by no set; one that a shorter time would not have is a miss, and
fills it at once. What other sizes would bring follows from reuse distances (`curve`). A hit takes 3 us in the
background, a miss with its set 10 us.
"""

from __future__ import annotations

from math import inf

from perfagent.runtime.callers import attributes
from perfagent.runtime.economics import DROP, EXPIRE, LONGEST, LOOKUP, MASK, SPACE, STORE
from perfagent.runtime.economics.curve import FACTORS, Distances, Stack
from perfagent.runtime.economics.frequent import Frequent
from perfagent.runtime.economics.shapes import VALUE, Shapes
from perfagent.runtime.economics.tally import COLD, DROPPED, EVICTED, EXPIRED, Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.runtime.economics import Watched

    Shape = tuple[str, ...]

WATCHED = 4096
"""Most keys of a cache that are watched."""
MOST_SHAPES = 100
OTHER: Shape = (VALUE, " and others")
FREQUENT = 200
MOST_NAMES = 5000
FEW, VERY_BUSY = 256, 1500  # keys, and events that as few keys may have
BUSY, IDLE = 600, 150  # events between two looks, beyond and below which fewer or more keys are watched
LEAST_THRESHOLD = SPACE >> 12
SLACK = 0.05  # s by which the server's clock may begin before or after what the program sees of it
ABANDONED = 60.0  # s after a miss, when a set is none of its doing any more
MOST_PENDING = 256  # misses of one key
WORLDS = len(FACTORS)
NOW, BOUNDLESS = FACTORS.index(1.0), WORLDS  # positions: the cache as it is, and one without a limit of entries
CALLERS = 16


class Key:
    """What is known of a watched key; not the key itself."""

    __slots__ = (
        "cause",
        "dropped",
        "filled",
        "guessed",
        "open",
        "pending",
        "read",
        "shape",
        "ttl",
        "until",
        "use",
        "version",
    )

    def __init__(self) -> None:
        self.shape: Shape = ()
        self.version = -1
        self.use = 0
        self.filled = -inf
        self.ttl = inf
        self.guessed = False  # nobody saw it being set
        self.cause = COLD  # of the misses since it was set
        self.dropped = False
        self.read = True
        self.open = 0  # bit by bit, in which worlds it missed and was not set since
        self.until = [-inf] * (WORLDS + 1)
        """Until when it is good, in the world of each factor, and in one without a limit of entries."""
        self.pending: list[tuple[object, float]] = []
        """Who missed it, and when, and has not set it since."""


class Model:
    """The model of one cache.

    Args:
        watched: where its events come from.
    """

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.most = WATCHED
        self.keys: dict[int, Key] = {}
        self.stack = Stack()
        self.shapes = Shapes()
        self.remembers_names = False
        """Whether `names` is kept: only where somebody has asked for it."""
        self.names: dict[int, str] = {}
        self.places: dict[tuple[Shape, int], dict[str, object]] = {}
        """Where a shape is looked up and where it is set."""
        self.limit = float(watched.most or inf)
        """Entries that it holds, as far as is known."""
        self.stood_for = 0
        """Events of the cache so far; those that are taken in are a sample of them."""
        self.begin()

    def begin(self) -> None:
        """Begins a period: counts start from 0, what is known of keys stays."""
        self.tallies: dict[Shape, Tally] = {}
        self.distances = Distances()
        self.frequent = Frequent(FREQUENT)
        self.names.clear()
        self.events = 0

    def take(self) -> None:
        """Takes in what has happened; called every second."""
        events, taken = self.watched.events, 0
        for _ in range(len(events)):
            self._event(events.popleft())
            taken += 1
        self.events += taken
        if taken:
            self._trim(taken)
        if any((shape, LOOKUP) not in self.places for shape in self.tallies):
            self.watched.callers = CALLERS

    def _event(self, event: tuple[Any, ...]) -> None:
        kind, weight, name, hit, started, ended, size, ttl, within, context, caller = event
        identity = hash(name)
        is_watched = weight == 1 and identity & MASK < self.watched.threshold
        self.stood_for += weight
        if kind in (DROP, EXPIRE):
            self._changed(kind, identity, ttl, started / 1e9)
            return
        if caller is not None and not within:
            self.shapes.learn(caller[0])
        key = self._key(identity, name, within, is_watched)
        tally = self._tally(key)
        if caller is not None and len(self.places) < 4 * MOST_SHAPES and (key.shape, kind) not in self.places:
            self.places[key.shape, kind] = attributes(caller)
        began, end = started / 1e9, ended / 1e9
        if kind == STORE:
            tally.sets += weight
            tally.set_seconds += weight * (end - began)
            tally.set_bytes += weight * size
            if ttl is not None:
                tally.ttls += weight
                tally.ttl_seconds += weight * ttl
            if is_watched:
                self._stored(key, tally, began, end, inf if ttl is None else ttl, context)
            return
        tally.gets += weight
        tally.lookup_seconds += weight * (end - began)
        if hit:
            tally.hits += weight
            tally.bytes += weight * size
        self._count(identity, name, key, weight)
        if is_watched:
            key.use, distance = self.stack.use(key.use)
            if hit:
                self._hit(key, tally, began, distance)
            else:
                self._missed(key, tally, began, end, distance, context)

    def _count(self, identity: int, name: object, key: Key, weight: int) -> None:
        self.frequent.add((identity, key.shape), weight)
        if self.remembers_names and len(self.names) < MOST_NAMES:
            text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
            self.names[identity] = text[:LONGEST]

    def _changed(self, kind: int, identity: int, ttl: float | None, now: float) -> None:
        key = self.keys.get(identity)
        if key is None:
            return
        if kind == DROP:
            key.dropped = True
            key.until = [-inf] * (WORLDS + 1)
            if key.use:
                self.stack.drop(key.use)
                key.use = 0
        else:
            key.ttl = inf if ttl is None else ttl
            self._renew(key, now)

    def _key(self, identity: int, name: object, within: str, is_watched: bool) -> Key:
        """What is known of a key; of one that is not watched, its shape."""
        key = self.keys.get(identity)
        is_new = key is None
        if key is None:
            key = Key()
            if is_watched:
                self.keys[identity] = key
        if key.version != self.shapes.version:
            key.shape = (within,) if within else self.shapes.of(name, is_new and is_watched)
            key.version = self.shapes.version
        return key

    def _tally(self, key: Key) -> Tally:
        tally = self.tallies.get(key.shape)
        if tally is None:
            if len(self.tallies) >= MOST_SHAPES:
                key.shape = OTHER
            tally = self.tallies.setdefault(key.shape, Tally())
        return tally

    @property
    def stands_for(self) -> float:
        """How many keys a watched one stands for."""
        return SPACE / self.watched.threshold

    def _hit(self, key: Key, tally: Tally, now: float, distance: int) -> None:
        weight, until = self.stands_for, key.until
        key.read = True
        if until[NOW] + SLACK <= now:
            self._filled_elsewhere(key, tally, now)
        elif until[NOW] <= now:
            until[NOW] = now + 1e-6
        for world, factor in enumerate(FACTORS):
            if until[world] > now:
                tally.ttl_hits[world] += weight
            else:
                until[world] = now + key.ttl * factor
        if until[BOUNDLESS] <= now:
            until[BOUNDLESS] = now + key.ttl
        elif distance >= 0:
            self.distances.add(distance * weight, weight)

    def _missed(self, key: Key, tally: Tally, now: float, end: float, distance: int, context: object) -> None:
        weight, until = self.stands_for, key.until
        cause = self._cause(key, end)
        tally.misses[cause] += weight
        kept = cause is not EVICTED and distance * weight < self.limit  # else it would be gone however long it is good
        until[NOW] = -inf
        for world in range(WORLDS):
            if kept and until[world] > now:
                tally.ttl_hits[world] += weight
            else:
                key.open |= 1 << world
        if until[BOUNDLESS] <= now:
            key.open |= 1 << BOUNDLESS
        elif distance >= 0:
            self.distances.add(distance * weight, weight)
        pending = key.pending
        if pending:
            pending[:] = [one for one in pending if one[0] != context and one[1] > now - ABANDONED][-MOST_PENDING:]
        pending.append((context, end))
        tally.peak = max(tally.peak, len(pending))

    @staticmethod
    def _cause(key: Key, now: float) -> str:
        if not key.open & 1 << NOW:  # else it was missed before, and not set since
            if key.dropped:
                key.cause = DROPPED
            elif key.filled == -inf or key.guessed:
                key.cause = COLD
            else:
                key.cause = EVICTED if key.until[NOW] > now + SLACK else EXPIRED
        return key.cause

    def _filled_elsewhere(self, key: Key, tally: Tally, now: float) -> None:
        """A hit of what has expired here, or was never set: another process has set it, in all worlds alike."""
        since = max(key.until[NOW], key.pending[-1][1] if key.pending else -inf)
        if key.filled == -inf:
            key.guessed = True
            key.ttl = inf if tally.ttl is None else tally.ttl
        else:
            key.guessed = key.guessed or since == -inf
        key.filled = (since + now) / 2 if since > -inf else now
        key.pending.clear()
        key.open = 0
        for world in range(WORLDS + 1):
            if key.until[world] <= now:
                factor = FACTORS[world] if world < WORLDS else 1.0
                key.until[world] = max(key.filled + key.ttl * factor, now + 1e-6)

    def _stored(self, key: Key, tally: Tally, began: float, now: float, ttl: float, context: object) -> None:
        weight = self.stands_for
        missed = next((one for one in key.pending if one[0] == context), None)
        if missed is not None:
            key.pending.remove(missed)
            cost = began - missed[1]
            if cost <= ABANDONED:
                tally.fills += weight
                tally.fill_seconds += weight * cost
                if key.filled > missed[1]:
                    tally.duplicates += weight
                    tally.wasted_seconds += weight * cost
        if not key.read:
            tally.unread += weight
        key.read = key.guessed = key.dropped = False
        key.ttl = ttl
        key.filled = now = (began + now) / 2  # when the server has it
        key.use, _ = self.stack.use(key.use)
        if key.open:
            for world in range(WORLDS + 1):
                if key.open & 1 << world:
                    key.until[world] = now + ttl * (FACTORS[world] if world < WORLDS else 1.0)
            key.open = 0
        elif missed is not None:  # somebody else has filled it meanwhile: where it had not missed, nobody would set it
            key.until[NOW] = now + ttl
        else:
            self._renew(key, now)

    @staticmethod
    def _renew(key: Key, now: float) -> None:
        for world, factor in enumerate(FACTORS):
            key.until[world] = now + key.ttl * factor
        key.until[BOUNDLESS] = now + key.ttl

    def _trim(self, taken: int) -> None:
        """Watches fewer keys where these are too many, more where they are few."""
        watched = self.watched
        if len(self.keys) > self.most:
            latest = max((key.filled for key in self.keys.values()), default=0.0)
            self._forget([identity for identity, key in self.keys.items() if max(key.until) < latest - ABANDONED])
        while len(self.keys) > self.most or self._is_busy(taken):
            watched.threshold //= 2
            self._forget([one for one in self.keys if one & MASK >= watched.threshold])
            taken //= 2
            if watched.threshold <= 1:
                return
        if watched.threshold < SPACE and len(self.keys) < self.most // 4 and taken < IDLE:
            watched.threshold *= 2

    def _is_busy(self, taken: int) -> bool:
        """Whether so many events cost too much; of a few keys that are used all the time each is needed."""
        most = BUSY * self.most // WATCHED if len(self.keys) > FEW else VERY_BUSY
        return taken > most and self.watched.threshold > LEAST_THRESHOLD

    def _forget(self, identities: list[int]) -> None:
        for identity in identities:
            key = self.keys.pop(identity)
            if key.use:
                self.stack.drop(key.use)

    def size_curve(self, tally: Tally) -> tuple[float, list[float]] | None:
        """The size that FACTORS are of, and the weight of hits at each; None where sizes tell nothing.

        Args:
            tally: of the whole cache.
        """
        if not self.distances.total:
            return None
        size = float(self.watched.most)
        if not size:
            evicted = tally.misses[EVICTED]
            if evicted > 0.02 * sum(tally.misses.values()) and evicted > 10:  # as many as were evicted did not fit
                self.limit = size = self.distances.size_for(self.distances.total - evicted)
            else:
                self.limit = inf
                size = max(len(self.stack.uses) * self.stands_for, 1.0)
        return size, list(self.distances.curve(size))
