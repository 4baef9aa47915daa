"""Memory, then Redis, then the disk: looking a value up, filling the faster from the slower, keeping and forgetting.

The slowest tier is the first to forget, and a faster one takes what a slower one had only with a ticket from before it
was looked up: so a value that is on its way up cannot outlive its invalidation.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from perfagent.cache.disk import Disk
from perfagent.cache.entry import Entry, Stamps
from perfagent.cache.envelope import Envelope, Poisoned
from perfagent.cache.redis import Redis
from perfagent.cache.serializer import type_name

if TYPE_CHECKING:
    from perfagent.cache.found import Found
    from perfagent.cache.key import Key
    from perfagent.cache.memory import Memory, Ticket
    from perfagent.cache.serializer import Serializer
    from perfagent.cache.space import Space
    from perfagent.cache.steps import Steps

Store = Redis | Disk


class Cascade:
    """The tiers of a cache.

    Args:
        memory: the first one, or None.
        stores: those that are shared, the faster first.
        serializer: for what is put there.
        most: largest value there, in bytes.
    """

    def __init__(self, memory: Memory | None, stores: tuple[Store, ...], serializer: Serializer, most: int) -> None:
        self.memory = memory
        self.stores = stores
        self.most = most
        self._serializer = serializer
        self._redis = next((store for store in stores if isinstance(store, Redis)), None)

    def look(self, space: Space, key: Key, ticket: Ticket | None) -> Steps[tuple[Entry, str] | None]:
        """The entry of a key and the tier that had it, even a stale one; the faster tiers have it from then on."""
        if self.memory is not None:
            entry = self.memory.read(key.local)
            if entry is not None:
                return entry, "memory"
        for store in self.stores:
            try:
                found = yield from store.read(key)
                if found is None:
                    continue
                entry = self._entry(space, found)
            except Poisoned as poisoned:
                tell(space, "poisoned", store.name, f"an entry that is none of this cache's ({poisoned})")
                continue
            if entry is None or (isinstance(store, Disk) and not (yield from self._vouched(key, found))):
                continue
            if self.memory is not None and ticket is not None:
                self.memory.write(ticket, entry)
            return entry, store.name
        return None

    def _entry(self, space: Space, found: Found) -> Entry | None:
        envelope = found.envelope
        if envelope.serializer != self._serializer.name:
            raise Poisoned(f"of the serializer {envelope.serializer[:20]!r}")
        try:
            value: Any = self._serializer.loads(envelope.body)
            if envelope.failed:
                kind = next((one for one in space.errors if type_name(one) == value[0]), None)
                if kind is None:
                    return None
                value = kind(*value[1])
        except Exception as error:
            raise Poisoned(f"{type(error).__name__}: {error}") from None
        return Entry(value, found.expires - envelope.stale, found.expires, envelope.tags, envelope.failed)

    def _vouched(self, key: Key, found: Found) -> Steps[bool]:
        """Whether what a disk has was not invalidated by another machine, as far as Redis can tell; it has it, then.

        Where Redis does not answer, the disk is believed: it is there for that.
        """
        if self._redis is None:
            return True
        envelope = found.envelope
        stamps = yield from self._redis.begin(key, envelope.tags)
        if stamps is None:
            return True
        if stamps.grave + stamps.depends != envelope.origin:
            return False
        data = replace(envelope, stamps=stamps.depends, origin=b"").packed()
        yield from self._redis.write(key, envelope.tags, stamps, data, found.expires - monotonic())
        return True

    def begin(self, key: Key, tags: tuple[bytes, ...]) -> Steps[list[Stamps | None]]:
        """What each store has before a computation."""
        found = []
        for store in self.stores:
            found.append((yield from store.begin(key, tags)))
        return found

    def written(self, value: object, failed: bool) -> bytes:
        """A value as the stores take it.

        Raises:
            TypeError: of a type that the serializer does not keep.
            ValueError: larger than the stores may keep.
        """
        if failed:
            value = [type_name(type(value)), list(value.args)]  # type: ignore[attr-defined]
        body = self._serializer.dumps(value)
        if len(body) > self.most:
            raise ValueError(f"a value of {len(body)} bytes is not accepted: at most {self.most} (CACHE_MAX_VALUE)")
        return body

    def keep(
        self, key: Key, ticket: Ticket | None, stamps: list[Stamps | None], entry: Entry, body: bytes | None
    ) -> Steps[bool]:
        """Gives an entry to every tier, unless it was invalidated since its computation began.

        Args:
            key: its key.
            ticket: of the memory.
            stamps: of the stores, as `begin` gave them.
            entry: the entry.
            body: the same for the stores; None where they do not take it.

        Returns:
            False where it was invalidated.
        """
        origin = b""
        for store, one in zip(self.stores, stamps, strict=True):
            if one is None or body is None:
                continue
            stale = entry.expires - entry.fresh if entry.expires != entry.fresh else 0.0
            envelope = Envelope(body, self._serializer.name, stale, entry.failed, entry.tags, one.depends, origin)
            ttl = entry.expires - monotonic()
            if (yield from store.write(key, entry.tags, one, envelope.packed(), ttl)) is False:
                return False
            if store is self._redis:
                origin = one.grave + one.depends
        return self.memory is None or ticket is None or self.memory.write(ticket, entry)

    def remove(self, key: Key) -> Steps[int]:
        """Forgets a key; says in how many tiers it was."""
        removed = 0
        for store in reversed(self.stores):
            removed += yield from store.remove(key)
        return removed + (self.memory.remove(key.local) if self.memory else 0)

    def remove_tags(self, tags: tuple[bytes, ...]) -> Steps[int]:
        """Forgets what has one of some tags; says how many the memory had of them."""
        for store in reversed(self.stores):
            yield from store.remove_tags(tags)
        return self.memory.remove_tags(tags) if self.memory else 0

    def clear(self, level: str | None, space: str | None) -> Steps[int]:
        """Forgets everything, of one tier or of all, of one space or of all; says how many entries that were."""
        removed = 0
        for store in reversed(self.stores):
            if level in (None, store.name):
                removed += yield from store.clear(space)
        if self.memory is not None and level in (None, "memory"):
            removed += self.memory.clear(space)
        return removed


def tell(space: Space, what: str, tier: str, message: str) -> None:
    """Counts something that did not work, and says the first of its kind."""
    if space.figures.fail(what, tier) == 1:
        logging.getLogger("perfagent.cache").warning(
            "the cache %s goes on without: %s; further ones of this kind are only counted", space.name, message
        )
