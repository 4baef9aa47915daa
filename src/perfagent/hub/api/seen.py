"""Which processes sent something in a range, when last, and whether they still do."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any

import orjson

from perfagent.hub.api.calls import bounds

if TYPE_CHECKING:
    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.store import Store

ALIVE = 90.0  # seconds: OpenTelemetry's SDKs send metrics each 60, perfagent each 15
MINUTE = 60_000_000_000  # ns; what came first is known by its minute alone
RECENT = 300.0  # seconds of which raw points are read


@dataclass(frozen=True, slots=True)
class Process:
    """One process that sent.

    Args:
        id: of its resource.
        service: `service.name`.
        instance: `service.instance.id`.
        version: `service.version`.
        environment: `deployment.environment.name`.
        attributes: of its resource.
        first_seen: when the hub first heard of it, seconds since the epoch.
        last_seen: what it last sent is from then.
        requests: how many it had in the range; roll-ups do not tell processes apart, so of those that are kept.
    """

    id: int
    service: str
    instance: str
    version: str
    environment: str
    attributes: dict[str, Any]
    first_seen: float
    last_seen: float
    requests: float

    @property
    def alive(self) -> bool:
        """Whether it sent something within the last ALIVE seconds."""
        return self.last_seen >= time() - ALIVE


def processes(store: Store, within: Range, service: str | None = None) -> list[Process]:
    """The processes that sent something in a range, by service, those that sent last first; 5000 at most."""
    now = time()
    rows = store.rows(
        "services/seen",
        **bounds(store, within.begin, max(now, within.end)),
        begin_ns=within.begin_ns,
        end_ns=within.end_ns,
        recent_ns=round(max(within.begin, now - RECENT) * 1e9),
        service=service,
    )
    return [
        Process(
            row["id"],
            row["service"],
            row["instance"],
            row["version"],
            row["environment"],
            orjson.loads(row["attributes"]),
            (row["earliest"] if row["earliest"] < row["first_seen"] - MINUTE else row["first_seen"]) / 1e9,
            row["latest"] / 1e9,
            row["requests"],
        )
        for row in rows
    ]
