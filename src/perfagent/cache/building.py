"""Makes the tiers of a cache from what its author and the settings say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfagent.cache.accepted import FOREVER
from perfagent.cache.cascade import Cascade, Store
from perfagent.cache.connection import Connection, from_settings
from perfagent.cache.disk import Disk
from perfagent.cache.memory import Memory
from perfagent.cache.names import Names
from perfagent.cache.redis import Redis
from perfagent.cache.serializer import Serializer

if TYPE_CHECKING:
    from perfagent.settings.cache import CacheSettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a cache is to be; arguments as for `Cache`, `url` and `path` from the settings where they are None."""

    tiers: tuple[str, ...]
    size: int
    prefix: str
    version: str
    url: str | None
    path: Path | None
    serializer: Serializer

    def names(self) -> Names:
        """What things are called in its stores."""
        return Names(self.prefix, self.version)


def tiers(
    wanted: Wanted,
    settings: CacheSettings,
    failed: Callable[[str], None],
    evicted: Callable[[str, int], None],
) -> Cascade:
    """The tiers.

    Args:
        wanted: what they are to be.
        settings: for the rest.
        failed: told the name of a tier that does not answer.
        evicted: told the space, "" for unknown, and how many values had to go from there.
    """
    stores: list[Store] = []
    below = "disk" in wanted.tiers
    if "redis" in wanted.tiers:
        connection = from_settings(settings) if wanted.url is None else Connection(wanted.url, settings.timeout)
        buried = settings.disk_ttl if below else 0.0
        stores.append(Redis(connection, wanted.names(), settings.max_value, buried, lambda: failed("redis")))
    if below:
        stores.append(
            Disk(
                wanted.path or Path(settings.disk_path or "~/.cache/perfagent/values").expanduser(),
                wanted.names(),
                entries=settings.disk_entries,
                size=settings.disk_size << 20,
                longest=settings.disk_ttl,
                largest=settings.max_value,
                failed=lambda: failed("disk"),
                evicted=lambda count: evicted("", count),
            )
        )
    if stores:
        wanted.serializer.dumps(None)  # a package that is missing is missed here, and not with the first value
    memory = None
    if "memory" in wanted.tiers:
        longest = settings.l1_ttl if "redis" in wanted.tiers else FOREVER
        memory = Memory(wanted.size, longest, lambda space: evicted(space, 1))
    return Cascade(memory, tuple(stores), wanted.serializer, settings.max_value)
