"""What a person should do, in words: what an action would do, and how to have it done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.api.ranges import Range

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.optimise.actions import Action
    from perfagent.hub.optimise.conditions import Holding

LATELY = 900.0  # s of caches that are looked at
POOR, LEAST = 0.5, 50  # share of hits, and look-ups, of a cache that is told of


def text(hub: Hub, holding: Holding, action: Action, now: float) -> str:
    """What is wrong and what to do.

    Args:
        hub: whose figures are told.
        holding: what is wrong.
        action: what would be done, or is to be told.
        now: seconds since the epoch.
    """
    lines = [holding.text]
    if action.name == "index_advice":
        lines += [
            *holding.evidence,
            "Ask the database which index is missing: perfagent index analyze --url DATABASE_URL; it proves each one "
            "by its plan, and `perfagent index create TABLE COLUMN…` makes it.",
        ]
    elif action.name == "cache_advice":
        lines += _caches(hub, holding.service, now)
    else:
        back = "that is put back" if action.reversible else f"that cannot be, and does no harm: {action.harmless}"
        lines.append(
            f"It may help to {action.title}; {back}. The hub does it with PERFAGENT_OPTIMISE=act, or "
            f"`perfagent optimise mode act --rule {holding.rule.name}`."
        )
    return "\n".join(lines)


def _caches(hub: Hub, service: str, now: float) -> list[str]:
    """The caches that hardly help, with what each one lacks."""
    from perfagent.hub.api.caches import figures  # which needs the hub, that needs this

    lines = []
    for cache, _ratios in figures(hub.store, Range(now - LATELY, now), service):
        lookups = cache.hits + cache.misses
        if lookups < LEAST or cache.hits / lookups >= POOR:
            continue
        told = f"{cache.name}: {cache.hits / lookups:.0%} of {lookups:.0f} look-ups hit"
        if cache.evictions > 0.2 * cache.misses:
            lines.append(f"{told}, and {cache.evictions:.0f} entries were pushed out: make it larger (CACHE_L1_SIZE)")
        elif cache.size is not None and cache.size < 0.1 * cache.misses:
            lines.append(
                f"{told}, and few entries stay: a longer ttl, or warm it with `cache.warm(…)` before it is asked"
            )
        else:
            lines.append(f"{told}: the keys hardly repeat; leave out what changes with every call, or the cache itself")
    return lines or ["No cache alone is to blame: look at what is asked once and never again."]
