"""A hub's command to clear a cache reaches those of the library too, by the name that the page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.cache.measures import caches
from perfagent.cache.steps import run
from perfagent.runtime import outbox

if TYPE_CHECKING:
    from collections.abc import Callable


def connect() -> None:
    """Puts our part before the one that the agent has for the caches of functools; called with every new cache."""
    known = outbox.commands.get("clear_cache")
    if not isinstance(known, Clearing):
        outbox.commands["clear_cache"] = Clearing(known)
        outbox.commands["invalidate_tags"] = _invalidate


def _invalidate(tags: Any) -> dict[str, int]:
    """Has every cache forget what has one of these tags; tells how many entries of this process' memory that were."""
    return {"caches": len(caches), "entries": sum(cache.invalidate_tags(*tags) for cache in list(caches))}


class Clearing:
    """Clears caches by name.

    Args:
        rest: clears those of others, or None.
    """

    def __init__(self, rest: Callable[[object], object] | None) -> None:
        self._rest = rest

    def __call__(self, name: object) -> dict[str, int]:
        """Clears the cache or the function of that name, or everything where it is None.

        Raises:
            ValueError: there is none of that name.
        """
        cleared = entries = 0
        for cache in list(caches):
            for space in list(cache._spaces):
                if name in (None, space.name):
                    cleared += 1
                    entries += run(cache._core.clear(None, space.shared))
        others: Any = {}
        if self._rest is not None:
            try:
                others = self._rest(name)
            except ValueError:
                if not cleared:
                    raise
        elif not cleared and name is not None:
            raise ValueError(f"no cache is called {name!r}")
        return {"caches": cleared + others.get("caches", 0), "entries": entries + others.get("entries", 0)}
