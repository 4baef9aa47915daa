"""Caches: `@cached`, `@cache_with_lock` and `get_cache()`, in memory, in Redis, on disk, or in all three.

Nothing is imported before somebody asks for it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.cache.cache import Cache as Cache
    from perfagent.cache.decorate import cache_with_lock as cache_with_lock
    from perfagent.cache.decorate import cached as cached
    from perfagent.cache.default import get_cache as get_cache
    from perfagent.cache.function import CachedFunction as CachedFunction
    from perfagent.cache.report import Report as Report
    from perfagent.cache.report import SpaceReport as SpaceReport
    from perfagent.cache.report import TierReport as TierReport
    from perfagent.cache.report import Warmed as Warmed
    from perfagent.cache.serializer import Pickled as Pickled
    from perfagent.cache.serializer import Safe as Safe
    from perfagent.cache.serializer import Serializer as Serializer
    from perfagent.cache.serializer import cacheable as cacheable

_PUBLIC = {
    "Cache": "cache",
    "CachedFunction": "function",
    "Pickled": "serializer",
    "Report": "report",
    "Safe": "serializer",
    "Serializer": "serializer",
    "SpaceReport": "report",
    "TierReport": "report",
    "Warmed": "report",
    "cache_with_lock": "decorate",
    "cacheable": "serializer",
    "cached": "decorate",
    "get_cache": "default",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'perfagent.cache' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"perfagent.cache.{module}"), name)
    return found
