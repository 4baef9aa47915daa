"""The thresholds as a watcher: each time that a service's figure stays beyond its limit is a violation."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from perfagent.hub.alert.violation import Violation
from perfagent.hub.conditions.limits import Limits
from perfagent.hub.conditions.showing import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.analyse.thresholds import Episode, Threshold
    from perfagent.hub.api.ranges import Range
    from perfagent.hub.hub import Hub

QUIET = 600  # s without a figure after which a violation counts as over: the service has stopped
BEFORE = 3600  # s that are read before a range, besides the minutes in a row that a threshold asks for
LINKS = {
    "response_time_p95_ms": "#/endpoints?sort=p95&service=",
    "error_rate_percent": "#/endpoints?sort=errors&service=",
    "database_time_average_ms": "#/queries?service=",
    "slow_query_ms": "#/queries?sort=p95&service=",
    "cache_hit_rate_percent": "#/caches?service=",
}
ADVICE = {
    "response_time_p95_ms": "Open the slowest endpoint: its breakdown shows which calls hold the time.",
    "error_rate_percent": "Open the endpoint that fails: its traces show the exception and the line.",
    "database_time_average_ms": "Look which statement takes most time in all, and ask `perfagent index analyze`.",
    "slow_query_ms": "Look at the statement's plan: `perfagent index analyze` tells which index it lacks.",
    "database_pool_percent": "Look for connections that are held while the program waits; then for a larger pool.",
    "cpu_usage_percent": "See which process it is, and profile it: `perfagent profile PID`.",
    "memory_usage_percent": "See which process grows: `perfagent memory SCRIPT` names the lines that hold memory.",
    "event_loop_lag_p99_ms": "Something blocks the loop: the slow traces show which call holds it.",
    "cache_hit_rate_percent": "Compare the keys that are asked with those that are stored, and the time they live.",
    "disk_usage_percent": "Free some room, or let less be kept.",
    "health_check": "Ask the route itself; its answer says which part is not well.",
    "gc_pause_percent": "Look for many objects that live long; `PERFAGENT_GC_THRESHOLD` makes collections rarer.",
    "restarts": "Read the last log lines of the processes that ended.",
    "replication_lag_ms": "Look at the replica's own load, and at long transactions of the primary.",
    "open_breakers": "Look at the service behind the breaker.",
    "error_budget_remaining_percent": "Let releases wait until the errors have stopped.",
    "deprecated_calls_per_minute": "`perfagent deprecations` lists the lines to change.",
    "deprecated_calls_growth_percent": "`perfagent deprecations` lists the lines to change.",
    "telemetry_dropped_percent": "`perfagent doctor` tells why the agent could not send.",
}


class ThresholdWatcher:
    """Looks at the figures of every threshold that is enabled.

    Args:
        hub: whose figures.
    """

    def __init__(self, hub: Hub) -> None:
        self._limits = Limits(hub.store)

    def look(self, within: Range) -> Iterator[Violation]:
        """The violations of a range, those that are over included."""
        longest = max((one.violations for one in self._limits.all().values()), default=0) * 60
        begin = max(0, int(within.begin) - BEFORE - longest)
        for one in self._limits.judged(begin, int(within.end) + 1):
            for episode in one.episodes:
                last = next(time for time, value in zip(reversed(one.times), reversed(one.values), strict=True)
                            if value is not None)  # fmt: skip
                if episode.until is None and one.times[-1] - last > QUIET:
                    episode.until = last + 60
                yield violation(one.threshold, one.service, episode)


def violation(threshold: Threshold, service: str, episode: Episode) -> Violation:
    """One episode as a violation."""
    unit, of = threshold.unit, f" in {service}" if service else ""
    return Violation(
        kind="threshold",
        rule=threshold.name,
        service=service,
        severity="critical" if episode.severity == "critical" else threshold.severity,
        title=threshold.title,
        text=f"{threshold.title}: at worst {shown(episode.worst, unit)}{of}, the limit is {shown(episode.limit, unit)}",
        since=episode.since,
        until=episode.until,
        value=episode.last,
        worst=episode.worst,
        limit=episode.limit,
        unit=unit,
        cooldown_minutes=threshold.cooldown_minutes,
        link=LINKS.get(threshold.name, "#/processes?service=") + quote(service),
        advice=ADVICE.get(threshold.name, ""),
    )
