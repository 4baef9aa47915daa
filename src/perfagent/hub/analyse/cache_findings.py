"""Findings about what caches are worth: entries that go too soon, caches that cost more than they save, stampedes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.economy import NOW
from perfagent.hub.analyse.finding import DAY, Facts, Finding, sure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfagent.hub.analyse.economy import Economy, WhatIf

ENOUGH_GETS, ENOUGH_MISSES = 100.0, 20.0
GAIN = 0.05  # of hits that a change must bring
MOST_OF_IT = 0.7  # of what the largest change brings: more is not asked for
ENOUGH_SETS, UNREAD_FOR = 100.0, 30.0  # sets, and seconds
ENOUGH_FILLS = 20.0
STAMPEDE, DUPLICATES = 3, 10.0  # that compute one value at a time, and how many did so for nothing
MUCH, SOME = 3600.0, 300.0  # seconds a day that make a finding severe

KINDS = ("cache_ttl", "cache_size", "cache_costs", "cache_unread", "cache_stampede")


def of_economies(facts: Facts) -> Iterator[Finding]:
    """All of them."""
    read = {(one.address, one.shape) for one in facts.economies if one.gets}
    small: set[tuple[str, ...]] = set()
    places: dict[tuple[str, ...], str] = {}
    for one in facts.economies:  # the most used first
        if one.shape:
            places.setdefault(_cache(one), one.set_place or one.place)
    for one in facts.economies:
        if not one.shape:
            for finding in _too_small(one, places.get(_cache(one), "")):
                small.add(_cache(one))
                yield finding
    for one in facts.economies:
        if not one.shape:
            continue
        short = list(_too_short(one))
        yield from short
        if not short and _cache(one) not in small:  # else it may well be worth its cost when that is repaired
            yield from _costs(one)
        yield from _stampede(one)
        if (one.address, one.shape) not in read:  # another service may read what this one writes
            yield from _unread(one)


def subject(one: Economy) -> str:
    """What tells it from the others of its service."""
    return " ".join((one.system, one.name, one.address, one.shape))


def _cache(one: Economy) -> tuple[str, ...]:
    return one.service, one.system, one.name, one.address


def _long(seconds: float) -> str:
    """A time of hours, or as all others."""
    return (
        words.milliseconds(seconds * 1000) if abs(seconds) < 7200 else f"{seconds / 3600:.1f} h".replace(".0 h", " h")
    )


def _severity(per_day: float | None) -> str:
    return "low" if per_day is None or per_day < SOME else "medium" if per_day < MUCH else "high"


def _best(found: Sequence[WhatIf]) -> WhatIf | None:
    """The least change that brings most of what there is to be had; None where that is not much."""
    if not found:
        return None
    now = found[NOW].hit_ratio
    most = max(one.hit_ratio for one in found) - now
    if most < GAIN:
        return None
    return next((one for one in found[NOW + 1 :] if one.hit_ratio - now >= MOST_OF_IT * most), None)


def _saves(best: WhatIf) -> str:
    if best.seconds_per_day is None:
        return ""
    return f" and save {_long(best.seconds_per_day)} a day"


def _too_short(one: Economy) -> Iterator[Finding]:
    best = _best(one.longer()) if one.gets >= ENOUGH_GETS and one.expired >= ENOUGH_MISSES else None
    if best is None or one.ttl is None:
        return
    now, then = _long(one.ttl), _long(best.value)
    advice = (
        f"a time to live of {then} instead of {now} would raise hits from {words.percent(one.hit_ratio)} to "
        f"{words.percent(best.hit_ratio)}{_saves(best)}"
    )
    yield Finding(
        "cache_ttl", "optimisation", _severity(best.seconds_per_day), f"{one.title} expires too soon",
        f"{words.percent(one.expired / one.gets)} of its {words.count(one.gets)} look-ups found a value that had "
        f"expired; it lives for {now}" + (f", and making it anew takes {words.milliseconds(one.cost * 1000)}"
        if one.cost is not None else ""),
        f"{words.count(one.expired / one.active * 60)} values a minute are made again that were there before", advice,
        sure(one.expired), one.service, "#/caches",
        {"hit_ratio": one.hit_ratio or 0.0, "hit_ratio_then": best.hit_ratio, "ttl": one.ttl, "ttl_then": best.value},
        subject=subject(one), requests_per_day=one.expired / one.active * DAY,
        seconds_per_day=max(best.seconds_per_day or 0.0, 0.0), place=one.set_place or one.place,
        steps=(f"see whether the values may be {then} old; where they may not, drop them when they change", advice,
               "compare hits and the seconds saved after the change: GET caches/economics"),
    )  # fmt: skip


def _too_small(one: Economy, place: str) -> Iterator[Finding]:
    best = _best(one.larger()) if one.gets >= ENOUGH_GETS and one.evicted >= ENOUGH_MISSES else None
    if best is None or one.size is None:
        return
    advice = (
        f"{words.count(best.value)} entries instead of {'' if one.size_known else 'about '}{words.count(one.size)} "
        f"would raise hits from {words.percent(one.hit_ratio)} to {words.percent(best.hit_ratio)}{_saves(best)}"
    )
    yield Finding(
        "cache_size", "optimisation", _severity(best.seconds_per_day), f"{one.title} is too small",
        f"{words.percent(one.evicted / one.gets)} of its {words.count(one.gets)} look-ups found a value gone that had "
        "not expired",
        f"{words.count(one.evicted / one.active * 60)} values a minute are made again that were there before", advice,
        sure(one.evicted), one.service, "#/caches",
        {"hit_ratio": one.hit_ratio or 0.0, "hit_ratio_then": best.hit_ratio, "size": one.size,
         "size_then": best.value},
        subject=subject(one), requests_per_day=one.evicted / one.active * DAY,
        seconds_per_day=max(best.seconds_per_day or 0.0, 0.0), place=place,
        steps=("see that there is memory for it: entries and their sizes are in GET caches/economics", advice,
               "for Redis: maxmemory, and maxmemory-policy allkeys-lru or allkeys-lfu"),
    )  # fmt: skip


def _costs(one: Economy) -> Iterator[Finding]:
    if one.gets < ENOUGH_GETS or one.fills < ENOUGH_FILLS or one.cost is None or one.saved is None or one.saved >= 0:
        return
    lost = -(one.per_day(one.saved) or 0.0)
    yield Finding(
        "cache_costs", "optimisation", _severity(lost), f"{one.title} costs more than it saves",
        f"a look-up takes {words.milliseconds(one.lookup_seconds / one.gets * 1000)}, a value is made in "
        f"{words.milliseconds(one.cost * 1000)}, and {words.percent(one.hit_ratio)} of {words.count(one.gets)} "
        "look-ups find one",
        f"{_long(lost)} a day are lost by asking it",
        "make the value each time, or keep it in the process, where a look-up takes a microsecond",
        sure(one.fills), one.service, "#/caches", {"saved": one.saved, "hit_ratio": one.hit_ratio or 0.0},
        subject=subject(one), requests_per_day=one.gets / one.active * DAY, seconds_per_day=lost, place=one.place,
    )  # fmt: skip


def _unread(one: Economy) -> Iterator[Finding]:
    if one.gets or one.sets < ENOUGH_SETS or one.active < UNREAD_FOR:
        return
    lost = one.per_day(one.set_seconds) or 0.0
    yield Finding(
        "cache_unread", "optimisation", _severity(lost), f"{one.title} is set and never read",
        f"{words.count(one.sets)} sets of {words.size(one.set_bytes)}, and no look-up by any service that reports here",
        f"{_long(lost)} a day are spent on it, and its room is taken from what is read",
        "leave it out, unless a program that reports elsewhere reads it", min(sure(one.sets), 0.7), one.service,
        "#/caches", {"sets": one.sets, "bytes": one.set_bytes}, subject=subject(one), seconds_per_day=lost,
        place=one.set_place,
    )  # fmt: skip


def _stampede(one: Economy) -> Iterator[Finding]:
    if one.peak < STAMPEDE or one.duplicates < DUPLICATES:
        return
    wasted = one.per_day(one.wasted_seconds) or 0.0
    yield Finding(
        "cache_stampede", "bottleneck", "high" if one.duplicates >= one.fills / 2 else "medium",
        f"{one.title}: up to {words.count(one.peak)} at a time make the same value anew",
        f"{words.count(one.duplicates)} of {words.count(one.fills)} values were made while somebody else made the same "
        f"one, which took {_long(one.wasted_seconds)}",
        f"when a value expires, all who ask for it wait for their own copy: {_long(wasted)} a day",
        "let one make it while the others wait or get the old one: a lock a key, or `perfagent.cache`'s `cached`",
        sure(one.duplicates), one.service, "#/caches",
        {"peak": one.peak, "duplicates": one.duplicates, "fills": one.fills}, subject=subject(one),
        requests_per_day=one.duplicates / one.active * DAY, seconds_per_day=wasted, place=one.set_place or one.place,
        steps=("let one make it while the others wait: SET key token NX EX in Redis, a lock in one process, or "
               "`@cached` of perfagent.cache, which does both", "serve the old value while the new one is made "
               "(`stale=` there), or make it anew some time before it expires",
               "spread the ends: a tenth of the time to live at random (`jitter=`)"),
    )  # fmt: skip
