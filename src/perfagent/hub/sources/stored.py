"""What programs have sent, seen as sources: who sends, their endpoints, their caches. Read from the store, not sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfagent.hub.sources.seen import CacheUse, EndpointUse
from perfagent.hub.sources.source import Collected

if TYPE_CHECKING:
    from perfagent.hub.api.ranges import Range
    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan

WINDOW = 300.0  # seconds that are looked back
MOST = 100  # endpoints or caches that are told


class Applications:
    """The source `application`: how many processes of each service send.

    Args:
        plan: as any.
        hub: whose store it is.
    """

    def __init__(self, plan: Plan, hub: Hub) -> None:
        self._hub = hub

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """What there is now."""
        from perfagent.hub.api.seen import processes

        found = Collected()
        services: dict[str, list[bool]] = {}
        for one in processes(self._hub.store, _lately()):
            services.setdefault(one.service, []).append(one.alive)
        for service, alive in services.items():
            text = "Processes of a service that sent within 5 minutes."
            name = "perfagent.hub.processes"
            found.level(name, sum(alive), "{process}", text, service=service, state="alive")
            found.level(name, len(alive) - sum(alive), "{process}", text, service=service, state="silent")
        return found


class Endpoints:
    """The source `api`: rate, percentiles, status codes and payload sizes of endpoints, from their spans.

    Args:
        plan: as any.
        hub: whose store it is.
    """

    def __init__(self, plan: Plan, hub: Hub) -> None:
        self._hub, self._name = hub, plan.name

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """What there was in the last 5 minutes."""
        from perfagent.hub.api import calls

        store, within = self._hub.store, _lately()
        found, now, long = Collected(), time.time(), calls.seconds(within)
        endpoints = [
            one for one in calls.by_operation(store, within, None, ("server", "consumer")) if one.durations.calls > 0
        ][:MOST]
        if not endpoints:
            return found
        limits = calls.bounds(store, within.begin, within.end)
        codes: dict[int, dict[str, float]] = {}
        for row in store.rows("sources/codes", **limits, operations=[one.operation for one in endpoints]):
            codes.setdefault(row["operation"], {})[str(row["code"])] = row["requests"]
        sizes = {
            (row["service"], row["endpoint"], row["name"]): row["bytes"]
            for row in store.rows("sources/sizes", **limits)
        }
        for one in endpoints:
            p50, p95, p99 = one.durations.quantiles(0.5, 0.95, 0.99)
            request, response = (
                sizes.get((one.service, one.name, f"http.server.{way}.body.size")) for way in ("request", "response")
            )
            found.seen.append(
                EndpointUse(
                    source=self._name, time=now, service=one.service, endpoint=one.name, requests=one.durations.calls,
                    per_second=one.durations.calls / long, p50_ms=p50 or 0.0, p95_ms=p95 or 0.0, p99_ms=p99 or 0.0,
                    error_ratio=one.durations.error_ratio or 0.0, codes=codes.get(one.operation, {}),
                    request_bytes=request, response_bytes=response,
                )
            )  # fmt: skip
        return found


class Caches:
    """The source `cache`: hit rate, evictions and room of caches, as agents tell them.

    Args:
        plan: as any.
        hub: whose store it is.
    """

    def __init__(self, plan: Plan, hub: Hub) -> None:
        self._hub, self._name = hub, plan.name

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """What there was in the last 5 minutes."""
        from perfagent.hub.api.caches import figures

        found, now = Collected(), time.time()
        for cache, _ in figures(self._hub.store, _lately(), None)[:MOST]:
            lookups = cache.hits + cache.misses
            if not lookups:
                continue
            found.seen.append(
                CacheUse(
                    source=self._name, time=now, service=cache.service, cache=cache.name, system=cache.system,
                    lookups=lookups, hit_ratio=cache.hits / lookups, evictions=cache.evictions,
                    utilisation=cache.size / cache.most if cache.size is not None and cache.most else None,
                )
            )  # fmt: skip
        return found


def _lately() -> Range:
    from perfagent.hub.api.ranges import Range

    now = time.time()
    return Range(now - WINDOW, now)
