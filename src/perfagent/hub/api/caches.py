"""Caches: how often they are hit, how full they are, and clearing them."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints

from perfagent.hub.analyse.finding import Cache
from perfagent.hub.api.audit import record
from perfagent.hub.api.calls import bounds, seconds
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.economics import economies, saved_per_day
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Range, Within
from perfagent.hub.api.seen import processes
from perfagent.hub.control.commands import Full

if TYPE_CHECKING:
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["caches"])

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=PLAIN)]


class CacheItem(Model):
    """One cache of a service, its processes together."""

    service: str = Field(examples=["shop"])
    name: str = Field(description="Empty for one that is known by its system only.", examples=["prices"])
    system: str = Field(examples=["lru_cache"])
    hits: float = Field(examples=[6400.0])
    misses: float = Field(examples=[4000.0])
    hit_ratio: float | None = Field(description="0..1; null without look-ups.", examples=[0.62])
    size: float | None = Field(description="Entries.", examples=[128.0])
    max_size: float | None = Field(description="Entries that it may hold; null without a limit.", examples=[128.0])
    utilisation: float | None = Field(description="0..1", examples=[1.0])
    lookups_per_second: float = Field(examples=[2.9])
    evictions: float = Field(examples=[0.0])
    saved_seconds_per_day: float | None = Field(
        description="What it saves if it goes on like that; less than 0 where it costs more, null where unknown.",
        examples=[5400.0],
    )
    spark_hit_ratio: list[float | None] = Field(description="By step of the range.", examples=[[0.6, 0.63]])


class CacheTotals(Model):
    """All caches together."""

    caches: int
    hits: float
    misses: float
    hit_ratio: float | None
    evictions: float
    size: float | None
    lookups_per_second: float


class Clearing(Model):
    """What to clear: everything, one cache, or the entries with one of some tags."""

    tags: list[Name] | None = Field(default=None, max_length=50, description="Only entries with one of these tags.")
    cache: Name | None = Field(default=None, description="Only this cache.", examples=["prices"])
    service: Name | None = Field(default=None, description="Only processes of this service.", examples=["shop"])


class Asked(Model):
    """A process that was asked."""

    service: str
    instance: str
    command: str = Field(description="Identity of the command; `agents/{instance}/commands` tells what became of it.")


class Cleared(Model):
    """Who was asked to clear what."""

    cache: str | None = Field(description="The one that was named; null for all.", examples=["prices"])
    asked: list[Asked] = Field(description="The processes; each tells later what it has cleared.")


def figures(store: Store, within: Range, service: str | None) -> list[tuple[Cache, list[float | None]]]:
    """Each cache's figures in a range and its hit ratio by step, the most used first."""
    step, times = within.step, within.times()
    rows = store.rows("caches/figures", **bounds(store, within.first, within.end, step), step=step, service=service)
    sums: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        cache = sums.setdefault(
            (row["service"], row["cache"], row["system"]),
            {
                "hits": [0.0] * len(times),
                "misses": [0.0] * len(times),
                "evictions": 0.0,
                "size": None,
                "max_size": None,
            },
        )
        position = (row["time"] - times[0]) // step
        figure = row["figure"]
        if figure in ("hits", "misses"):
            cache[figure][min(max(position, 0), len(times) - 1)] += row["delta"]
        elif figure == "evictions":
            cache[figure] += row["delta"]
        else:
            cache[figure] = row["value"]  # in the order of time: the last one stays
    found = []
    for (of_service, name, system), one in sums.items():
        whole = Cache(
            of_service, name, system, sum(one["hits"]), sum(one["misses"]), one["size"], one["max_size"],
            one["evictions"],
        )  # fmt: skip
        ratios = [
            hits / (hits + misses) if hits + misses else None
            for hits, misses in zip(one["hits"], one["misses"], strict=True)
        ]
        found.append((whole, ratios))
    return sorted(found, key=lambda pair: -(pair[0].hits + pair[0].misses))


def _ratio(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest else None


@router.get("/caches", response_model=Success[Listing[CacheItem]])
def caches(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """The caches that were used in the range, the most used first."""
    long = seconds(within)
    found = figures(hub.store, within, service)[page.offset : page.offset + page.limit + 1]
    saved = saved_per_day(economies(hub.store, within, service))
    items = [
        {
            "service": cache.service,
            "name": cache.name,
            "system": cache.system,
            "hits": cache.hits,
            "misses": cache.misses,
            "hit_ratio": _ratio(cache.hits, cache.misses),
            "size": cache.size,
            "max_size": cache.most,
            "utilisation": cache.size / cache.most if cache.size is not None and cache.most else None,
            "lookups_per_second": (cache.hits + cache.misses) / long,
            "evictions": cache.evictions,
            "saved_seconds_per_day": saved.get((cache.service, cache.system, cache.name)),
            "spark_hit_ratio": ratios,
        }
        for cache, ratios in found
    ]
    return success(page.listing(items, within))


@router.get("/cache/stats", response_model=Success[CacheTotals])
def cache_stats(hub: TheHub, within: Within, service: OfService = None) -> Answer:
    """All caches of the range together."""
    return success(totals(hub.store, within, service))


def totals(store: Store, within: Range, service: str | None) -> dict[str, Any]:
    """The sums of all caches."""
    found = [cache for cache, _ in figures(store, within, service)]
    hits, misses = sum(one.hits for one in found), sum(one.misses for one in found)
    sizes = [one.size for one in found if one.size is not None]
    return {
        "caches": len(found),
        "hits": hits,
        "misses": misses,
        "hit_ratio": _ratio(hits, misses),
        "evictions": sum(one.evictions for one in found),
        "size": sum(sizes) if sizes else None,
        "lookups_per_second": (hits + misses) / seconds(within),
    }


@router.post("/cache/clear", response_model=Success[Cleared], responses=refuses(404, 409), status_code=202)
def cache_clear(hub: TheHub, request: Request, what: Clearing) -> Answer:
    """Asks the processes of a service, or all that report, to clear caches; they do so when they report next."""
    if what.tags and what.cache:
        message = "tags hold for all caches of a program; leave `cache` out, or `tags` to clear that whole cache"
        raise Refused(409, "conflict", message, "tags")
    now = time()
    recent = processes(hub.store, Range(now - 600, now), what.service)
    alive = [one for one in recent if one.alive]
    if not alive:
        whose = f"of {what.service!r} " if what.service else ""
        message = f"no process {whose}reports at this moment; GET processes tells which do"
        raise Refused(404, "not_found", message, "service")
    try:
        command, value = ("invalidate_tags", what.tags) if what.tags else ("clear_cache", what.cache)
        asked = [(one, hub.commands.ask(one.instance, command, value)) for one in alive]
    except Full as full:
        raise Refused(409, "conflict", str(full)) from None
    record(request, "cache.clear", what.service or "all services", after={"cache": what.cache, "tags": what.tags})
    people = [{"service": one.service, "instance": one.instance, "command": sent.id} for one, sent in asked]
    return success({"cache": what.cache, "asked": people})
