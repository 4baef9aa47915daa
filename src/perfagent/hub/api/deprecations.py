"""Deprecated things that are still called, from the agents' counters and log events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import Field

from perfagent.hub.api.calls import bounds
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.envelope import Answer, Listing, Model, Success, success
from perfagent.hub.api.paging import Paging
from perfagent.hub.api.ranges import Range, Within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.store.store import Store

router = APIRouter(tags=["deprecations"])


class Deprecation(Model):
    """One deprecated thing, and one place that calls it."""

    what: str = Field(description="The function, or the warning's text.", examples=["shop.pricing.old_price"])
    library: str | None = Field(examples=["sqlalchemy"])
    version: str | None = Field(description="Of the library.", examples=["2.0.43"])
    file: str | None = Field(description="Of the caller.", examples=["shop/orders.py"])
    line: int | None = Field(examples=[88])
    function: str | None = Field(examples=["list_orders"])
    calls: float = Field(examples=[120.0])
    first_seen: float = Field(description="In the range, seconds since the epoch.", examples=[1789000000.0])
    last_seen: float = Field(examples=[1789003600.0])
    service: str = Field(examples=["shop"])


@router.get("/deprecations", response_model=Success[Listing[Deprecation]])
def deprecations(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """The deprecated things that were called in the range, the most called first; empty where nothing was."""
    found = ledger(hub.store, within, service)
    return success(page.listing(found[page.offset : page.offset + page.limit + 1], within))


def ledger(store: Store, within: Range, service: str | None) -> list[dict[str, Any]]:
    """All deprecated things of a range: counters where there are some, else events, one a place."""
    items = []
    for row in store.rows("deprecations/calls", **bounds(store, within.begin, within.end), service=service):
        items.append(_item(row["service"], json.loads(row["attributes"]), row["calls"], row, 1))
    counted = {(item["service"], item["what"]) for item in items}
    for row in store.rows("deprecations/events", begin_ns=within.begin_ns, end_ns=within.end_ns, service=service):
        item = _item(row["service"], json.loads(row["attributes"]), row["events"], row, 1e9)
        if (item["service"], item["what"]) not in counted or item["file"]:
            items.append(item)
    return sorted(items, key=lambda item: -item["calls"])


def _item(
    service: str, attributes: Mapping[str, Any], calls: float, row: Mapping[str, Any], unit: float
) -> dict[str, Any]:
    def text(*names: str) -> str | None:
        return next((str(attributes[name]) for name in names if attributes.get(name)), None)

    line = text("code.line.number", "line")
    return {
        "what": text("deprecation.what", "function", "deprecated.function", "deprecation.message") or "unknown",
        "library": text("deprecation.library", "library"),
        "version": text("deprecation.version", "version"),
        "file": text("code.file.path", "file"),
        "line": int(line) if line is not None and line.isdecimal() else None,
        "function": text("code.function.name", "caller"),
        "calls": calls,
        "first_seen": row["first_seen"] / unit,
        "last_seen": row["last_seen"] / unit,
        "service": service,
    }
