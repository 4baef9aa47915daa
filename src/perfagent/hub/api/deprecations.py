"""Deprecated things that are still called, and the lines to fix, from the agents' counters."""

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

    what: str = Field(description="The function, class or module.", examples=["shop.pricing.old_price"])
    message: str | None = Field(description="What the warning says.", examples=["use gross_price()"])
    category: str | None = Field(description="Its class.", examples=["DeprecationWarning"])
    library: str | None = Field(
        description="The distribution that warns; `python` is the standard library, null the program itself.",
        examples=["sqlalchemy"],
    )
    version: str | None = Field(description="Of the library.", examples=["2.0.43"])
    own: bool = Field(description="Whether the place is in the program's own code.", examples=[True])
    file: str | None = Field(description="Of the line to change.", examples=["shop/orders.py"])
    line: int | None = Field(examples=[88])
    function: str | None = Field(description="That the line is in.", examples=["list_orders"])
    warned_at: str | None = Field(
        description="The library's line that Python's warning blames, where that is another one.",
        examples=["/usr/lib/python3/site-packages/parrot/client.py:40"],
    )
    calls: float = Field(examples=[120.0])
    first_seen: float = Field(description="In the range, seconds since the epoch.", examples=[1789000000.0])
    last_seen: float = Field(examples=[1789003600.0])
    service: str = Field(examples=["shop"])


@router.get("/deprecations", response_model=Success[Listing[Deprecation]])
def deprecations(hub: TheHub, within: Within, page: Paging, service: OfService = None) -> Answer:
    """The deprecated calls of the range, those to fix first at the top: the program's own lines, the most calls."""
    found = ledger(hub.store, within, service)
    return success(page.listing(found[page.offset : page.offset + page.limit + 1], within))


def ledger(store: Store, within: Range, service: str | None) -> list[dict[str, Any]]:
    """All deprecated calls of a range, one a place; of a function whose places nobody told, one a function."""
    rows = store.rows("deprecations/calls", **bounds(store, within.begin, within.end), service=service)
    items = [(_item(row, json.loads(row["attributes"])), row["placed"]) for row in rows]
    placed = {(item["service"], item["what"]) for item, known in items if known}
    found = [item for item, known in items if known or (item["service"], item["what"]) not in placed]
    return sorted(found, key=lambda item: (not item["own"], -item["calls"]))


def _item(row: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    def text(name: str) -> str | None:
        return str(attributes[name]) if attributes.get(name) else None

    line = text("code.line.number")
    return {
        "what": text("function") or "unknown",
        "message": text("deprecation.message"),
        "category": text("deprecation.category"),
        "library": text("deprecation.library"),
        "version": text("deprecation.version"),
        "own": text("deprecation.own") == "true",
        "file": text("code.file.path"),
        "line": int(line) if line is not None and line.isdecimal() else None,
        "function": text("code.function.name"),
        "warned_at": text("deprecation.warned_at"),
        "calls": row["calls"],
        "first_seen": row["first_seen"],
        "last_seen": row["last_seen"],
        "service": row["service"],
    }
