"""A hub's commands reach the caches of the library, by the name that the page shows: to clear them, and for how long
their values are good.
"""

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
        outbox.commands["cache_ttl"] = _stretch


def _invalidate(tags: Any) -> dict[str, int]:
    """Has every cache forget what has one of these tags; tells how many entries of this process' memory that were."""
    return {"caches": len(caches), "entries": sum(cache.invalidate_tags(*tags) for cache in list(caches))}


def _stretch(factors: Any) -> dict[str, dict[str, float]]:
    """Multiplies the ttl of new values from now on; what is kept already ends when it would have.

    Args:
        factors: by the name of a cache or a function; "" stands for every one that is not named.

    Returns:
        What each was multiplied by before, and is now: to be asked for again, `before` puts things back.

    Raises:
        ValueError: there is none of a name; nothing is changed.
    """
    spaces = [space for cache in list(caches) for space in list(cache._spaces)]
    unknown = set(factors) - {space.name for space in spaces} - {""}
    if unknown or not spaces:
        raise ValueError(f"no cache is called {sorted(unknown)[0]!r}" if unknown else "no cache is in use")
    chosen = [(space, factors.get(space.name, factors.get(""))) for space in spaces]
    found = {"before": {space.name: space.stretch for space, factor in chosen if factor is not None}}
    for space, factor in chosen:
        if factor is not None:
            space.stretch = float(factor)
    return {**found, "now": {space.name: space.stretch for space, factor in chosen if factor is not None}}


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
