"""Points of sources as rows of the store: each source is a resource of its own."""

from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING

from perfagent.hub.receive.known import resource
from perfagent.hub.receive.series import series_of
from perfagent.hub.store.rows import Batch, PointRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfagent.hub.sources.source import Point
    from perfagent.hub.store.rows import Resource, Series

SCOPE = "perfagent.hub.sources"
KIND = "perfagent.source.kind"
"""The attribute of a resource that tells a source from a program."""
MOST = 5_000  # series of one source


def owner(name: str, kind: str, told: Mapping[str, str]) -> Resource:
    """The resource of a source.

    Args:
        name: of the source.
        kind: of the source.
        told: what it tells of what it watches, such as `server.address`.
    """
    attributes = {"service.name": name, "service.instance.id": name, KIND: kind, "host.name": socket.gethostname()}
    return resource({**attributes, **told})


def series(whose: Resource, point: Point) -> Series:
    """The series of a point."""
    return series_of(
        whose,
        SCOPE,
        point.name,
        "gauge" if point.kind == "gauge" else "sum",
        point.unit,
        point.description,
        point.kind != "gauge",
        point.kind == "counter",
        point.attributes,
        None,
    )


def batch(whose: Resource, points: Iterable[Point], now: float) -> Batch:
    """The batch of a collection.

    Args:
        whose: the resource.
        points: those beyond MOST series, and those without a finite value, are left out and counted.
        now: when they were measured, seconds since the epoch.
    """
    made = Batch(resources={whose.id: whose}, own=True)
    moment = int(now * 1e9)
    for point in points:
        if len(made.series) >= MOST or not math.isfinite(point.value):
            made.rejected += 1
            made.reason = f"without a finite value, or beyond {MOST} series"
            continue
        found = series(whose, point)
        made.series[found.id] = found
        start = int(point.start * 1e9)
        made.points.append(
            PointRow(found.id, moment, start, point.value, None, None, None, None, None, None, None, None)
        )
    made.bytes = 64 * len(made.points)
    return made
