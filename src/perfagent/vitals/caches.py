"""functools.lru_cache and functools.cache: hits, misses and sizes of every cache that the program makes.

The C type that does the caching is left alone: `functools.lru_cache` is wrapped, and what it returned is remembered by
a weak reference (1.5 us a decoration, nothing a call). Finding the caches by `gc.get_objects()` at collection instead
would stop a program of 300,000 objects for 17 ms each time.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock
from _weakref import ref  # `weakref` would add 1 ms to a start

from perfagent.runtime import guard, outbox
from perfagent.runtime.metric import COUNTER, UP_DOWN_COUNTER, registry
from perfagent.vitals import scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

    from perfagent.vitals import WhenImported

MOST = 10_000  # caches; a program that makes one a call would fill the memory with them
NAMED = 100  # functions that are told apart; the rest is one, for each costs four series
OTHERS = "other"
FIGURES = (
    (COUNTER, "hits", "{hit}", "Look-ups in a cache that found something."),
    (COUNTER, "misses", "{miss}", "Look-ups in a cache that found nothing."),
    (UP_DOWN_COUNTER, "size", "{entry}", "Entries in a cache."),
    (UP_DOWN_COUNTER, "max_size", "{entry}", "Most entries that a cache may hold; left out where there is no limit."),
)


def install(namespace: str, when_imported: WhenImported) -> None:
    """Registers `<ns>.cache.*` with `cache.system` lru_cache, and waits for functools."""
    caches = Caches()
    for position, (kind, name, unit, description) in enumerate(FIGURES):
        registry.make(
            scope,
            kind,
            f"{namespace}.cache.{name}",
            unit,
            description,
            callback=caches.reader(position),
            keys=("cache.name", "cache.system"),
        )
    os.register_at_fork(after_in_child=caches.reset)
    outbox.commands["clear_cache"] = caches.clear
    when_imported("functools", lambda module: _wrap(module, caches.register))


def _wrap(functools: ModuleType, register: Callable[[Any], None]) -> None:
    make: Callable[..., Any] = functools.lru_cache

    def lru_cache(maxsize: Any = 128, typed: bool = False) -> Any:
        made = make(maxsize, typed)
        if hasattr(made, "cache_info"):  # used without parentheses
            register(made)
            return made

        def decorating_function(user_function: Any) -> Any:
            cached = made(user_function)
            register(cached)
            return cached

        return decorating_function

    functools.lru_cache = functools.update_wrapper(lru_cache, make)  # type: ignore[attr-defined]


class Cache:
    """One cache, with its figures as last read, for clearing sets them to 0 and it may be gone the next time.

    Args:
        name: module and qualified name of the function.
        cached: what functools made of it.
    """

    __slots__ = ("counted", "function", "last", "name")

    def __init__(self, name: str, cached: Any) -> None:
        self.name = name
        self.function = ref(cached)
        self.last = (0, 0)
        self.counted = (0, 0)  # before the last clearing; less than 0 for what a fork inherited

    def read(self) -> tuple[int, int] | None:
        """Entries and most entries, or None where the cache is gone; brings `last` and `counted` up to date."""
        cached = self.function()
        if cached is None:
            return None
        hits, misses, most, entries = cached.cache_info()
        if hits < self.last[0] or misses < self.last[1]:
            self.counted = self.totals()
        self.last = (hits, misses)
        return entries, most or 0

    def totals(self) -> tuple[int, int]:
        """Hits and misses since the start of the process."""
        return self.counted[0] + self.last[0], self.counted[1] + self.last[1]


class Caches:
    """Every cache that is alive, and what those that are gone had counted when they were last read."""

    def __init__(self) -> None:
        self._caches: list[Cache] = []
        self._gone: dict[str, tuple[int, int]] = {}
        self._named: set[str] = set()
        self._reading = allocate_lock()  # the exporter and the program's own summary may read at once

    def register(self, cached: Any) -> None:
        """Remembers a cache, unless it is the standard library's own or there are very many."""
        try:
            function = cached.__wrapped__
            module = getattr(function, "__module__", None) or ""
            if module.partition(".")[0] in sys.stdlib_module_names or len(self._caches) >= MOST:
                return
            self._caches.append(Cache(f"{module}.{getattr(function, '__qualname__', type(function).__name__)}", cached))
        except Exception:
            guard.failed("lru_cache")

    def reset(self) -> None:
        """In a forked child: what was counted before is its parent's."""
        self._reading = allocate_lock()
        self._gone.clear()
        for cache in self._caches:
            cache.read()
            cache.counted = (-cache.last[0], -cache.last[1])

    def clear(self, name: object) -> dict[str, int]:
        """Empties the caches of that name, or all of them where it is None; what they have counted stays.

        Raises:
            ValueError: there is none of that name.
        """
        cleared = entries = 0
        for cache in list(self._caches):
            sizes, cached = cache.read(), cache.function()
            if sizes is None or cached is None or (name is not None and cache.name != name):
                continue
            cached.cache_clear()
            cache.counted, cache.last = cache.totals(), (0, 0)
            cleared, entries = cleared + 1, entries + sizes[0]
        if name is not None and not cleared:
            raise ValueError(f"no functools cache is called {name!r}, by its function's module and name")
        return {"caches": cleared, "entries": entries}

    def reader(self, position: int) -> Callable[[], Iterator[tuple[float, dict[str, object]]]]:
        """A callback that observes one of FIGURES for each function."""

        def observe() -> Iterator[tuple[float, dict[str, object]]]:
            with self._reading:
                found = self._read()
            for name, figures in found.items():
                if position < len(FIGURES) - 1 or figures[position]:
                    yield figures[position], {"cache.name": name, "cache.system": "lru_cache"}

        return observe

    def _read(self) -> dict[str, list[int]]:
        """The FIGURES of each function whose cache has been used."""
        found = {name: [hits, misses, 0, 0] for name, (hits, misses) in self._gone.items()}
        for cache in list(self._caches):
            sizes = cache.read()
            hits, misses = cache.totals()
            if not hits and not misses and not (sizes and sizes[0]):
                if sizes is None:
                    self._caches.remove(cache)
                continue
            name = self._shown(cache.name)
            figures = found.setdefault(name, [0, 0, 0, 0])
            for position, figure in enumerate((hits, misses, *(sizes or ()))):
                figures[position] += figure
            if sizes is None:
                self._caches.remove(cache)
                gone = self._gone.get(name, (0, 0))
                self._gone[name] = (gone[0] + hits, gone[1] + misses)
        return found

    def _shown(self, name: str) -> str:
        if name in self._named:
            return name
        if len(self._named) >= NAMED:
            return OTHERS
        self._named.add(name)
        return name
