"""What sources saw, kept in the database: each kind of it when it differs from what was there, with its time."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import orjson

from perfagent.hub.sources.seen import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.seen import Seen
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

SAME = 300.0
"""Seconds after which what did not change is kept once more."""
MOST = 200
"""Of one kind and moment; the rest is left out."""
LATELY = 3600
"""Seconds before a moment that a source saw something in counts as what it had seen at that moment."""


class Kept:
    """What the sources of a hub saw, over time.

    Args:
        hub: whose database it is in; also where it reads from elsewhere, its own.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._last: dict[tuple[str, str], tuple[float, bytes]] = {}

    @property
    def _store(self) -> Store:
        return self._hub.store if self._hub.remote is None else self._hub.remote.window.keeper

    def keep(self, source: str, now: float, seen: Iterable[Seen]) -> None:
        """Keeps what is new; raises StoreFailed.

        Args:
            source: its name.
            now: seconds since the epoch.
            seen: all that the source saw.
        """
        by_kind: dict[str, list[Seen]] = {}
        for one in seen:
            by_kind.setdefault(type(one).__name__, []).append(one)
        rows = []
        for kind in KINDS:
            found = by_kind.get(kind, [])[:MOST]
            content = orjson.dumps([plain(one) for one in found])
            before = self._last.get((source, kind))
            if before is None and not found:
                continue
            if before is not None and before[1] == content and (not found or now - before[0] < SAME):
                continue
            self._last[source, kind] = (now, content)
            rows.append((int(now * 1e9), source, kind, content.decode()))
        if rows:
            with self._store.transaction() as cursor:
                cursor.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", rows)

    def read(self, source: str, until: float) -> list[Seen]:
        """What a source had seen last at a time.

        Args:
            until: seconds since the epoch.
        """
        until_ns, since_ns = int(until * 1e9), int((until - LATELY) * 1e9)
        found: list[Seen] = []
        for row in self._store.rows("sources/seen", source=source, since_ns=since_ns, until_ns=until_ns):
            kind = KINDS.get(row["kind"])
            if kind is None:
                continue
            known = {one.name for one in fields(kind)} - {"source", "time"}
            for content in orjson.loads(row["content"]):
                kept = {key: value for key, value in content.items() if key in known}
                found.append(kind(source=source, time=row["time"] / 1e9, **kept))
        return found

    def history(self, source: str, since: float, until: float) -> list[Row]:
        """How many of each kind a source saw when, in a range of seconds since the epoch: the latest 1000 changes."""
        bounds = {"since_ns": int(since * 1e9), "until_ns": int(until * 1e9)}
        return self._store.rows("sources/history", source=source, **bounds)


def plain(one: Seen) -> dict[str, Any]:
    """What was seen, without its source and time."""
    return {key: value for key, value in asdict(one).items() if key not in ("source", "time")}
