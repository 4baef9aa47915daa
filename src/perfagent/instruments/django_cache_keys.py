"""What Django's caches look up, set and drop, told to their economics; put around the methods that count look-ups."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from perfagent.runtime import economics, guard
from perfagent.runtime.callers import digest
from perfagent.runtime.clock import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.instruments.base import Instrument
    from perfagent.runtime.economics import Watched

MOST_KEYS = 200  # of one call
_watched: WeakKeyDictionary[Any, Watched] = WeakKeyDictionary()
_inside: ContextVar[bool] = ContextVar("perfagent_django_cache_keys", default=False)
_absent = object()


def watch(instrument: Instrument, backend: Any, alias: str, seen: set[tuple[type, str]]) -> None:
    """Watches what `CacheHandler` has made.

    Args:
        instrument: replaces the methods, and puts them back.
        backend: the cache.
        alias: its name in the settings.
        seen: the methods that are replaced already.
    """
    kind = type(backend)
    is_lru = kind.__name__ == "LocMemCache"  # others drop what they like
    watched = economics.watched("django", alias, most=int(getattr(backend, "_max_entries", 0) or 0) if is_lru else 0)
    if watched is None:
        return
    _watched[backend] = watched
    for method, make in METHODS.items():
        owner = next((one for one in kind.__mro__ if method in vars(one)), None)
        key = (owner or kind, f"{method} keys")
        if owner is not None and key not in seen:
            seen.add(key)
            instrument.replace(owner, method, make)


def _of(backend: Any) -> Watched | None:
    """The cache, unless one of its own methods calls: some look up before they add."""
    return None if _inside.get() else _watched.get(backend)


def _undisturbed(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    token = _inside.set(True)
    try:
        return call(*args, **options)
    finally:
        _inside.reset(token)


def _get(get: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(backend: Any, key: Any, default: Any = None, version: Any = None) -> Any:
        watched = _of(backend)
        if watched is None:
            return get(backend, key, default, version)
        started = now()
        value = _undisturbed(get, backend, key, _absent, version)
        try:
            name = _named(key, version)
            if name is not None:
                watched.lookup(name, value is not _absent, started, now())
        except Exception:
            guard.failed("django cache")
        return default if value is _absent else value

    return wrapper


def _set(set_: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(backend: Any, key: Any, value: Any, *args: Any, **options: Any) -> Any:
        watched = _of(backend)
        if watched is None:
            return set_(backend, key, value, *args, **options)
        started = now()
        result = _undisturbed(set_, backend, key, value, *args, **options)
        try:
            version = args[1] if len(args) > 1 else options.get("version")
            name = _named(key, version)
            if name is not None and result is not False:  # `add` has not, where there is a value
                timeout = args[0] if args else options.get("timeout", _absent)
                watched.store(name, started, now(), 0, _ttl(backend, timeout))
        except Exception:
            guard.failed("django cache")
        return result

    return wrapper


def _delete(delete: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(backend: Any, key: Any, version: Any = None) -> Any:
        watched = _of(backend)
        if watched is not None:
            try:
                name = _named(key, version)
                if name is not None:
                    watched.drop(name)
            except Exception:
                guard.failed("django cache")
        return delete(backend, key, version)

    return wrapper


METHODS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "get": _get, "set": _set, "add": _set, "delete": _delete,
}  # fmt: skip


def _named(key: Any, version: Any) -> Any:
    """What stands for a key, which Django takes as its text: of any type; None where that takes the program's code."""
    if version is not None:
        plain = type(key) is str and type(version) in (int, str)
        return f"{version}:{key}" if plain else digest((version, key))
    return key if type(key) is str else digest(key) if type(key) is tuple else economics.plain(key)


def _ttl(backend: Any, timeout: Any) -> float | None:
    base = sys.modules["django.core.cache.backends.base"]
    if timeout is _absent or timeout is base.DEFAULT_TIMEOUT:
        timeout = backend.default_timeout
    return None if timeout is None else float(timeout)
