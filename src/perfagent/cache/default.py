"""The cache that the settings describe: one a process, made when it is first asked for."""

from __future__ import annotations

import threading

from perfagent.cache.cache import Cache
from perfagent.settings.cache import CacheSettings

_lock = threading.Lock()
_cache: Cache | None = None


def get_cache() -> Cache:
    """The cache of this process, as CACHE_TYPE and the other settings say; the decorators use it, too.

    Raises:
        ImportError: what a tier needs is not installed.
        ValueError: CACHE_URL is no address of Redis.
    """
    global _cache
    if _cache is None:
        with _lock:
            if _cache is None:
                _cache = Cache(CacheSettings.current().name or "default")
    return _cache
