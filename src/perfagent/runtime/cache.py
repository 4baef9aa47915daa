"""Hits and misses of caches: one pair of counters for caches of every kind, told apart by `cache.system`."""

from __future__ import annotations

from perfagent import settings
from perfagent.runtime.metric import COUNTER, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.metric import Instrument

_scope = Scope("perfagent.cache")


class Lookups:
    """What the look-ups in one cache found, as `<namespace>.cache.hits` and `<namespace>.cache.misses`.

    Args:
        system: what kind of cache it is, such as "redis".
        attributes: what else tells it from the others.
    """

    __slots__ = ("hits", "misses")

    def __init__(self, system: str, **attributes: str) -> None:
        shared = {"cache.system": system, **attributes}
        self.hits = _counter("hits", "{hit}", "Look-ups in a cache that found something.").of(shared)
        self.misses = _counter("misses", "{miss}", "Look-ups in a cache that found nothing.").of(shared)

    def record(self, hits: int, misses: int) -> None:
        """Adds look-ups; both counters exist from the first one on, so that their ratio can be taken."""
        if hits:
            self.hits.record(hits)
        if misses:
            self.misses.record(misses)


def _counter(name: str, unit: str, description: str) -> Instrument:
    name = f"{settings.current().namespace}.cache.{name}"
    return registry.make(_scope, COUNTER, name, unit, description, keys=("cache.system",))
