"""The limits: one table, what may be changed in it, and since when a series of minutes violates one.

The table is the only definition of a limit: alerts and the health score read it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Comparison = Literal["greater", "less", "equal"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a figure may be.

    Args:
        name: also that of the figure.
        unit: "ms", "%" or "".
        warning, critical: the limits; None for none.
        comparison: which side of a limit violates it.
        violations: minutes in a row that must violate it.
        cooldown_minutes: an alert that returns within so long is the same alert.
        measure: what is measured, each minute and for each service.
    """

    name: str
    title: str
    unit: str
    warning: float | None
    critical: float | None
    measure: str
    comparison: Comparison = "greater"
    violations: int = 3
    cooldown_minutes: int = 15
    enabled: bool = True

    def violates(self, value: float, limit: float | None) -> bool:
        """Whether a value is on the wrong side of a limit."""
        if limit is None:
            return False
        if self.comparison == "equal":
            return value == limit
        return value > limit if self.comparison == "greater" else value < limit

    def answer(self) -> dict[str, Any]:
        """As the interface gives it."""
        return asdict(self)


Thresholds = dict[str, Threshold]
"""Every threshold by its name."""

DEFAULTS: Thresholds = {
    one.name: one
    for one in (
        Threshold(
            "response_time_p95_ms", "Slow responses", "ms", 2000, 5000,
            "95th percentile of the requests of a minute with at least 5 of them",
        ),
        Threshold(
            "error_rate_percent", "Failing requests", "%", 5, 10,
            "failed requests of the last minutes, up to 5, that have at least 10 requests",
        ),
        Threshold(
            "database_time_average_ms", "Slow database", "ms", 500, 2000,
            "mean duration of the database statements of a minute with at least 5 of them",
        ),
        Threshold(
            "slow_query_ms", "A very slow query", "ms", 5000, None, "longest statement of a minute",
            violations=1,
        ),
        Threshold(
            "database_pool_percent", "Connection pool nearly used up", "%", 80, 95,
            "connections in use of those that a pool may open (db.client.connection.count and .max)",
        ),
        Threshold(
            "cpu_usage_percent", "CPU nearly used up", "%", 80, 95,
            "CPU of the machine (system.cpu.utilization), else of the processes of a service on it "
            "(process.cpu.utilization)",
        ),
        Threshold(
            "memory_usage_percent", "Memory nearly used up", "%", 80, 90,
            "memory of a process of its limit (container.memory.limit, process.memory.limit), or of the machine "
            "(system.memory.utilization)",
        ),
        Threshold(
            "event_loop_lag_p99_ms", "Blocked event loop", "ms", 250, 1000,
            "99th percentile of how late an event loop ran what was ready (perfagent.eventloop.lag)",
        ),
        Threshold(
            "cache_hit_rate_percent", "Cache hardly hit", "%", 70, 50,
            "hits of the last minutes, up to 5, that have at least 100 look-ups in the caches of a service",
            comparison="less",
        ),
        Threshold(
            "disk_usage_percent", "Disk nearly full", "%", 85, 95,
            "the fullest file system (system.filesystem.utilization)",
        ),
        Threshold(
            "page_load_ms", "Slow pages", "ms", 10_000, None,
            "time until the largest content was painted in browsers (LCP), 95th percentile",
        ),
        Threshold(
            "health_check", "Health check failed", "", None, 0, "1 where a health check passed, 0 where it failed",
            comparison="equal",
        ),
    )
}  # fmt: skip

CHANGEABLE = ("warning", "critical", "violations", "cooldown_minutes", "enabled")


def changed(thresholds: Thresholds, changes: Mapping[str, Mapping[str, Any]]) -> Thresholds:
    """The thresholds with some fields of some replaced; raises ValueError for a pair of limits in the wrong order.

    Names and fields that are not there are passed over: a document may come from another version.
    """
    result = dict(thresholds)
    for name, fields in changes.items():
        if name not in result:
            continue
        one = replace(result[name], **{key: value for key, value in fields.items() if key in CHANGEABLE})
        if one.warning is not None and one.critical is not None and one.comparison != "equal":
            rising = one.comparison == "greater"
            if (one.critical < one.warning) if rising else (one.critical > one.warning):
                raise ValueError(
                    f"{name}: critical={one.critical:g} is less severe than warning={one.warning:g}; "
                    f"critical must be {'at least' if rising else 'at most'} warning"
                )
        result[name] = one
    return result


@dataclass(slots=True)
class Episode:
    """A time in which a threshold was violated.

    Args:
        since: start of the first minute of the violation, seconds since the epoch.
        until: start of the first minute after it; None while it lasts.
        severity: "warning" or "critical", the worst that it reached.
        worst, last: values of the figure.
        limit: the limit that was violated.
    """

    since: int
    until: int | None
    severity: str
    worst: float
    last: float
    limit: float


def episodes(threshold: Threshold, times: Sequence[int], values: Sequence[float | None]) -> list[Episode]:
    """When a threshold was violated, by the figure's value in each minute; those without one neither begin nor end it.

    It begins with the first of so many minutes in a row as the threshold asks for, and is critical where so many in a
    row violated the critical limit. What returns within the cooldown goes on.
    """
    found: list[Episode] = []
    row: list[tuple[int, float]] = []
    for time, value in zip(times, values, strict=True):
        if value is None:
            continue
        if threshold.violates(value, threshold.warning) or threshold.violates(value, threshold.critical):
            row.append((time, value))
            if len(row) == threshold.violations:
                _begin(found, threshold, row)
            elif len(row) > threshold.violations:
                _go_on(found[-1], threshold, row)
        else:
            if len(row) >= threshold.violations:
                found[-1].until = time
            row.clear()
    return found


def _begin(found: list[Episode], threshold: Threshold, row: list[tuple[int, float]]) -> None:
    last = found[-1] if found else None
    if last is not None and last.until is not None and row[0][0] - last.until <= threshold.cooldown_minutes * 60:
        last.until = None
    else:
        limit = threshold.warning if threshold.warning is not None else threshold.critical
        assert limit is not None
        found.append(Episode(row[0][0], None, "warning", row[0][1], row[0][1], limit))
    _go_on(found[-1], threshold, row)


def _go_on(episode: Episode, threshold: Threshold, row: list[tuple[int, float]]) -> None:
    newest = [value for _, value in row[-threshold.violations :]]
    worst = min if threshold.comparison == "less" else max
    episode.last = newest[-1]
    episode.worst = worst(episode.worst, *newest)
    if threshold.critical is not None and all(threshold.violates(value, threshold.critical) for value in newest):
        episode.severity, episode.limit = "critical", threshold.critical


def pooled(parts: Sequence[float], wholes: Sequence[float], least: float, minutes: int = 5) -> list[float | None]:
    """A ratio in percent for each minute, over the last minutes, at most 5, that make `least`; None for fewer."""
    ratios: list[float | None] = []
    for end in range(len(wholes)):
        part = whole = 0.0
        for position in range(end, max(end - minutes, -1), -1):
            part, whole = part + parts[position], whole + wholes[position]
            if whole >= least:
                break
        ratios.append(part / whole * 100 if whole >= least else None)
    return ratios
