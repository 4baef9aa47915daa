"""What caches are worth: seconds saved, what is asked for most, and what other times and sizes would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import Field

from perfagent.hub.analyse.economy import Economy, WhatIf
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Range, Within

if TYPE_CHECKING:
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

router = APIRouter(tags=["caches"])

JOINT = "\u2060"  # what agents join the parts of a shape by
SUMS = (
    "first_seen", "last_seen", "gets", "hits", "sets", "lookup_seconds", "set_seconds", "bytes", "set_bytes", "fills",
    "fill_seconds", "duplicates", "wasted_seconds", "peak", "unread", "cold", "expired", "evicted", "dropped", "ttls",
    "ttl_seconds", "priced_gets",
)  # fmt: skip
SHAPES = 10  # of a cache in an answer
MOST = 1e18  # of any figure
OWN = ("memory", "redis", "disk", "intelligent")
"""Kinds of perfagent's own caches, whose shapes are the names of functions."""


class Guess(Model):
    """One point of a curve."""

    factor: float = Field(description="Of what is set now.", examples=[2.0])
    value: float = Field(description="Seconds to live, or entries.", examples=[600.0])
    hit_ratio: float = Field(description="0..1, estimated.", examples=[0.81])
    seconds_per_day: float | None = Field(description="Saved more than now; null where unknown.", examples=[340.0])


class Misses(Model):
    """Why look-ups found nothing, estimated from the watched keys."""

    cold: float = Field(description="Never set before, as far as is known.", examples=[120.0])
    expired: float = Field(description="It had been set, and its time was over.", examples=[300.0])
    evicted: float = Field(description="It was gone before its time.", examples=[0.0])
    dropped: float = Field(description="The program had deleted it.", examples=[4.0])


class Worth(Model):
    """What a cache, or the keys of one shape, did in the range."""

    shape: str = Field(description="What its keys have in common; empty for a whole cache.", examples=["price:{}"])
    gets: float = Field(examples=[1500.0])
    hits: float = Field(examples=[1070.0])
    hit_ratio: float | None = Field(description="0..1; null without look-ups.", examples=[0.71])
    sets: float = Field(examples=[430.0])
    mean_bytes: float | None = Field(description="Of a value that was found, or set.", examples=[100.0])
    ttl: float | None = Field(description="Mean time to live that was set, s.", examples=[300.0])
    miss_cost_ms: float | None = Field(description="From a miss to the set that follows, mean.", examples=[42.0])
    lookup_ms: float | None = Field(description="Mean time of a look-up.", examples=[0.4])
    saved_seconds: float | None = Field(description="In the range; less than 0 where it costs more.", examples=[39.5])
    saved_seconds_per_day: float | None = Field(description="If it goes on like that.", examples=[5400.0])
    unread: float = Field(description="Values that were replaced before anybody had read them.", examples=[131.0])
    duplicates: float = Field(description="Values made while somebody else made the same.", examples=[0.0])
    peak: float = Field(description="Most that missed one key at a time.", examples=[1.0])
    misses: Misses
    longer: list[Guess] = Field(description="At multiples of the time to live; empty where none is set.")
    place: str = Field(description="Where it is looked up.", examples=["/srv/shop/prices.py:14 price"])
    set_place: str = Field(description="Where it is set.", examples=["/srv/shop/prices.py:18 price"])


class Hot(Model):
    """One of the keys that are asked for most, by its shape unless PERFAGENT_CACHE_KEYS says more."""

    key: str = Field(examples=["price:{}"])
    gets: float = Field(description="In the last report, at least.", examples=[510.0])
    share: float | None = Field(description="Of all look-ups then, 0..1.", examples=[0.34])


class CacheWorth(Worth):
    """A whole cache of a service, its processes together."""

    service: str = Field(examples=["shop"])
    name: str = Field(description="Empty for one that is known by its system only.", examples=["prices"])
    system: str = Field(examples=["redis"])
    address: str = Field(examples=["cache.example.com:6379/0"])
    size: float | None = Field(description="Entries that `larger` has multiples of.", examples=[1000.0])
    size_known: bool = Field(description="Whether the cache told it; else it is an estimate.")
    larger: list[Guess] = Field(description="At multiples of the size.")
    watched: float | None = Field(description="Share of the keys that the estimates are made of.", examples=[1.0])
    hottest: list[Hot]
    shapes: list[Worth] = Field(description="What most look-ups and sets are of.")


@router.get("/caches/economics", response_model=Success[Listing[CacheWorth]])
def economics(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """What caches saved, why they missed, and what other times and sizes would bring; what saves most first."""
    found = economies(hub.store, within, service)
    shapes: dict[tuple[str, str, str, str], list[Economy]] = {}
    for one in found:
        if one.shape:
            shapes.setdefault(_cache(one), []).append(one)
    whole = sorted((one for one in found if not one.shape), key=lambda one: -(one.saved or 0.0))
    items = [
        {
            **_worth(one),
            "service": one.service,
            "name": one.name,
            "system": one.system,
            "address": one.address,
            "size": one.size,
            "size_known": one.size_known,
            "larger": _guesses(one.larger()),
            "watched": one.watched,
            "hottest": [{"key": key, "gets": gets, "share": share} for key, gets, share in one.hottest],
            "shapes": [_worth(shape) for shape in shapes.get(_cache(one), ())[:SHAPES]],
        }
        for one in whole[page.offset : page.offset + page.limit + 1]
    ]
    return success(page.listing(items, within))


def economies(store: Store, within: Range, service: str | None) -> list[Economy]:
    """Each cache and each shape that was told of in a range, the most used first."""
    rows = store.rows("caches/economics", begin_ns=within.begin_ns, end_ns=within.end_ns, service=service)
    return [_economy(row) for row in rows]


def saved_per_day(found: list[Economy]) -> dict[tuple[str, str, str], float]:
    """Seconds saved a day by service, system and name, of caches and of the parts of one that have names."""
    saved: dict[tuple[str, str, str], float] = {}
    for one in found:
        told = one.per_day(one.saved)
        is_own = not one.address and one.system in OWN
        if told is not None and is_own == bool(one.shape):
            key = (one.service, one.system, one.shape or one.name)
            saved[key] = saved.get(key, 0.0) + told
    return saved


def _economy(row: Row) -> Economy:
    last = row["last_gets"]
    hottest = [
        (text.replace(JOINT, ""), gets, gets / last if last else None)
        for text, gets in zip(row["hottest"] or (), row["hottest_gets"] or (), strict=False)
    ]
    return Economy(
        row["service"], row["system"], row["cache"], row["address"], row["shape"].replace(JOINT, ""),
        **{name: max(_finite(row[name]) or 0.0, 0.0) for name in SUMS},
        ttl_hits=_curve(row["ttl_hits"]), size=_finite(row["size"]), size_hits=_curve(row["size_hits"]),
        size_known=bool(row["size_known"]), saved_seconds=_finite(row["saved_seconds"]),
        watched=_finite(row["watched"]),
        hottest=hottest, place=_place(row["path"], row["line"], row["function"]),
        set_place=_place(row["set_path"], row["set_line"], row["set_function"]),
    )  # fmt: skip


def _curve(values: list[float | None]) -> list[float]:
    return [value for value in map(_finite, values) if value is not None]


def _finite(value: float | None) -> float | None:
    """A figure that one can reckon with: whoever may send may send anything."""
    return value if value is not None and abs(value) <= MOST else None


def _place(path: str | None, line: int | None, function: str | None) -> str:
    return f"{path}:{line} {function or ''}".rstrip() if path else ""


def _cache(one: Economy) -> tuple[str, str, str, str]:
    return one.service, one.system, one.name, one.address


def _guesses(found: list[WhatIf]) -> list[dict[str, Any]]:
    return [one._asdict() for one in found]


def _worth(one: Economy) -> dict[str, Any]:
    return {
        "shape": one.shape,
        "gets": one.gets,
        "hits": one.hits,
        "hit_ratio": one.hit_ratio,
        "sets": one.sets,
        "mean_bytes": (one.bytes + one.set_bytes) / (one.hits + one.sets) if one.hits + one.sets else None,
        "ttl": one.ttl,
        "miss_cost_ms": one.cost * 1000 if one.cost is not None else None,
        "lookup_ms": one.lookup_seconds / one.gets * 1000 if one.gets else None,
        "saved_seconds": one.saved,
        "saved_seconds_per_day": one.per_day(one.saved),
        "unread": one.unread,
        "duplicates": one.duplicates,
        "peak": one.peak,
        "misses": {"cold": one.cold, "expired": one.expired, "evicted": one.evicted, "dropped": one.dropped},
        "longer": _guesses(one.longer()),
        "place": one.place,
        "set_place": one.set_place,
    }
