"""Django's caches: hits and misses by alias, whatever the backend; those of redis and pymemcache are counted below."""

from __future__ import annotations

from contextvars import ContextVar
from weakref import WeakKeyDictionary

from perfagent import settings
from perfagent.runtime import guard
from perfagent.runtime.cache import Lookups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.instruments.base import Instrument

LEFT_OUT = ("redis", "pymemcache", "dummy")
"""Words in the name of a backend that is not counted: two are counted below, the third finds nothing by design."""
_caches: WeakKeyDictionary[Any, Lookups] = WeakKeyDictionary()
_inside: ContextVar[bool] = ContextVar("perfagent_django_cache", default=False)
_absent = object()


def creating(instrument: Instrument, create: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """What stands for `CacheHandler.create_connection`: the look-ups of what it makes are counted.

    Args:
        instrument: replaces the methods of the backends' classes, and puts them back.
        create: the original.
    """
    seen: set[tuple[type, str]] = set()

    def create_connection(handler: Any, alias: str) -> Any:
        backend = create(handler, alias)
        try:
            kind = type(backend)
            if not any(word in f"{kind.__module__}.{kind.__name__}".lower() for word in LEFT_OUT):
                _count(instrument, kind, seen)
                _caches[backend] = Lookups("django", **{"cache.name": alias})
                if settings.current().cache_economics:
                    from perfagent.instruments import django_cache_keys

                    django_cache_keys.watch(instrument, backend, alias, seen)
        except Exception:
            guard.failed("django")
        return backend

    return create_connection


def _count(instrument: Instrument, kind: type, seen: set[tuple[type, str]]) -> None:
    """Replaces the look-ups of a class where they are defined, which may be above it, once."""
    for method, make in (("get", _one), ("get_many", _many)):
        owner = next(one for one in kind.__mro__ if method in vars(one))
        if (owner, method) not in seen:
            seen.add((owner, method))
            instrument.replace(owner, method, make)


def _one(get: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(backend: Any, key: Any, default: Any = None, version: Any = None) -> Any:
        lookups = None if _inside.get() else _caches.get(backend)
        if lookups is None:
            return get(backend, key, default, version)
        token = _inside.set(True)
        try:
            value = get(backend, key, _absent, version)
        finally:
            _inside.reset(token)
        if value is _absent:
            lookups.record(0, 1)
            return default
        lookups.record(1, 0)
        return value

    return wrapper


def _many(get: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(backend: Any, keys: Any, version: Any = None) -> Any:
        lookups = None if _inside.get() else _caches.get(backend)
        if lookups is None:
            return get(backend, keys, version)
        keys = list(keys)
        token = _inside.set(True)
        try:
            found = get(backend, keys, version)
        finally:
            _inside.reset(token)
        lookups.record(len(found), len(keys) - len(found))
        return found

    return wrapper
