"""What sources collected last, for Prometheus: where the hub reads from one, that is where their points go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from perfagent.hub.remote.names import in_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.hub import Hub

OWN = "perfagent.hub."
"""Metrics that /metrics has anyway begin with this."""
UNITS = {"s": "_seconds", "By": "_bytes", "ms": "_milliseconds"}


def families(hub: Hub) -> Iterator[Metric]:
    """The metrics of each source, by the names that a Prometheus that takes OTLP would give them."""
    found: dict[str, Metric] = {}
    for whose, points in hub.sources.latest():
        for point in points:
            if point.name.startswith(OWN):
                continue
            name, kind = _named(point.name, point.unit), "counter" if point.kind == "counter" else "gauge"
            metric = found.setdefault(name, Metric(name, point.description or "Of a source.", kind))
            labels = {key.replace(".", "_"): value for key, value in point.attributes.items()}
            suffix = "_total" if kind == "counter" else ""
            metric.add_sample(name + suffix, {"service_name": whose.service, **labels}, point.value)
    yield from found.values()


def _named(name: str, unit: str) -> str:
    known = in_prometheus(name)
    if known != name:
        return known.removesuffix("_total")
    shown = re.sub(r"[^A-Za-z0-9_:]", "_", name)
    ending = UNITS.get(unit, "_ratio" if unit == "1" and name.endswith("utilization") else "")
    return shown if not ending or shown.endswith(ending) else shown + ending
