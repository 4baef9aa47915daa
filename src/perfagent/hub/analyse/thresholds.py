"""The limits: one table, what may be changed in it, and since when a series of minutes violates one.

The table is the only definition of a limit: alerts and the health score read it, and so does `perfagent rules export`,
by the expressions of `perfagent.hub.rules.figures`. Standard library alone, for that command runs without the hub.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
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
        violations: minutes in a row that must violate it; 0 is as good as 1.
        cooldown_minutes: an alert that returns within so long is the same alert.
        measure: what is measured, each minute and for each service.
        severity: of what violates `warning`; `low` is shown, and nobody is paged for it.
        dynamic: whether `warning` follows what is usual at that hour of the day, between bounds (see `usual.bounds`).
        quantile: what of the past counts as usual, 0.5..1.
        factor: how many times that is too much.
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
    severity: Literal["warning", "low"] = "warning"
    dynamic: bool = False
    quantile: float = 0.99
    factor: float = 1.5

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
            "health_check", "Health check failed", "", None, 0,
            "1 where the requests to a health route (/health, /healthz, /livez, /readyz …) passed in a minute, 0 where "
            "one failed; in Prometheus also 0 where a program or a part of the stack cannot be scraped",
            comparison="equal",
        ),
        Threshold(
            "gc_pause_percent", "Garbage collection takes long", "%", 5, 20,
            "share of a minute in which the garbage collector stopped a process (perfagent.gc.pause)",
        ),
        Threshold(
            "restarts", "Processes end young", "", 2, 5,
            "processes of the last 15 minutes that were at most 10 minutes old when they reported last, 2 minutes ago "
            "or longer (process.uptime)",
            violations=1,
        ),
        Threshold(
            "replication_lag_ms", "Replica behind", "ms", 10_000, 60_000,
            "how far a replica is behind its primary (replication_lag_seconds)",
        ),
        Threshold(
            "open_breakers", "Circuit breaker open", "", 0, None,
            "circuit breakers that opened in the last hour and are open (circuit_breaker_state_transitions_total)",
            violations=1,
        ),
        Threshold(
            "error_budget_remaining_percent", "Error budget nearly spent", "%", 25, 1,
            "errors that a service may still make of all that it may make (service_error_budget_remaining, "
            "service_error_budget_limit)",
            comparison="less", violations=1,
        ),
        Threshold(
            "deprecated_calls_per_minute", "Deprecated code is called", "", 0, None,
            "calls of deprecated functions in a minute (deprecated_function_calls_total)",
            violations=1, cooldown_minutes=60, severity="low",
        ),
        Threshold(
            "deprecated_calls_growth_percent", "Deprecated code is called more often", "%", 50, None,
            "how many more calls of deprecated functions an hour with at least 20 of them has than the hour before it",
            cooldown_minutes=60, severity="low",
        ),
        Threshold(
            "telemetry_dropped_percent", "Telemetry is lost", "%", 0, 5,
            "spans, points and log records that an agent lost of all that it had in the last minutes, up to 5 "
            "(perfagent.telemetry.dropped)",
        ),
        # The rest is in Prometheus alone. A hub is often on a developer's machine, where programs stop all the time,
        # and the page shows them as idle; and the Collector's own figures are scraped, they never come by a hub.
        Threshold(
            "telemetry_silence_minutes", "A service is silent", "", 5, None,
            "minutes since a service reported last, of those that did within the hour; in Prometheus alone",
            violations=1,
        ),
        Threshold(
            "collector_lost_items_per_minute", "A Collector loses telemetry", "", 0, None,
            "items that a Collector could not send or queue, a minute (otelcol_exporter_send_failed, "
            "otelcol_exporter_enqueue_failed); in Prometheus alone",
        ),
        Threshold(
            "collector_refused_items_per_minute", "A Collector refuses telemetry", "", 0, None,
            "items that a Collector had no memory or no room for, a minute; their senders keep them and try again "
            "(otelcol_receiver_refused); in Prometheus alone",
        ),
        Threshold(
            "collector_queue_percent", "A Collector's queue is nearly full", "%", 50, 80,
            "items that wait in the queue of an exporter of those that it holds (otelcol_exporter_queue_size and "
            "_capacity); in Prometheus alone",
        ),
    )
}  # fmt: skip

CHANGEABLE = (
    "warning", "critical", "violations", "cooldown_minutes", "enabled", "dynamic", "quantile", "factor",
)  # fmt: skip
SERVICES = "services"
"""What holds the changes for single services, by their names, among the changes of a threshold."""


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


NUMBER = "a number from 0, or null for no limit"
RANGES = {"quantile": (0.5, 0.9999), "factor": (1.0, 100.0)}
MOST_MINUTES = {"violations": 1440, "cooldown_minutes": 10_080}
EXAMPLE = '{"error_rate_percent": {"warning": 2, "critical": 5, "violations": 1}}'


def parse(text: str) -> dict[str, dict[str, Any]]:
    """The changes that PERFAGENT_ALERT_THRESHOLDS asks for, as `changed` takes them; none for an empty text.

    Args:
        text: a JSON object of thresholds by name, each an object of some of the fields in `CHANGEABLE`.

    Raises:
        ValueError: names what is off, and says what is accepted.
    """
    try:
        document = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ValueError(f"{text[:80]!r} is no JSON ({error}); give an object such as {EXAMPLE}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{text[:80]!r} is no object; give one such as {EXAMPLE}")
    for name, fields in document.items():
        if name not in DEFAULTS:
            raise ValueError(unknown(name))
        _check(name, fields)
        for service, others in of_services(fields).items():
            _check(f"{name}.services.{service}", others)
    for_services(changed(DEFAULTS, document), document)
    return document


def unknown(name: str) -> str:
    """What to say of a threshold that there is not: the nearest names, and where all are."""
    near = get_close_matches(name, DEFAULTS, 3, 0.5) or [one for one in DEFAULTS if name and name in one][:3]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{name[:100]!r} is no threshold; {hint}`perfagent thresholds list` shows all {len(DEFAULTS)}"


def of_services(fields: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The changes for single services among the changes of a threshold."""
    found = fields.get(SERVICES)
    return found if isinstance(found, dict) else {}


def for_services(thresholds: Thresholds, changes: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Threshold]:
    """The thresholds that differ for single services, by name and service; raises ValueError as `changed` does."""
    found = {}
    for name, fields in changes.items():
        if name in thresholds:
            for service, others in of_services(fields).items():
                try:
                    found[name, service] = changed({name: thresholds[name]}, {name: others})[name]
                except ValueError as error:
                    raise ValueError(f"for service {service}: {error}") from None
    return found


def _check(name: str, fields: object) -> None:
    if not isinstance(fields, dict):
        raise ValueError(f"{name}={fields!r} is no object; give one such as {EXAMPLE}")
    for field, value in fields.items():
        accepted = "" if field == SERVICES and isinstance(value, dict) and "." not in name else _accepted(field, value)
        if accepted:
            raise ValueError(f"{name}.{field}={json.dumps(value)} is not accepted: {accepted}")


def _accepted(field: str, value: object) -> str:
    """What the field accepts, where the value is not it; else ""."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
    if field in ("warning", "critical"):
        return "" if number or value is None else NUMBER
    if field in MOST_MINUTES:
        most = MOST_MINUTES[field]
        return "" if number and isinstance(value, int) and value <= most else f"a whole number from 0 to {most}"
    if field in ("enabled", "dynamic"):
        return "" if isinstance(value, bool) else "true or false"
    if field in RANGES:
        low, high = RANGES[field]
        return "" if number and low <= value <= high else f"a number from {low:g} to {high:g}"  # type: ignore[operator]
    return f"one of the fields {', '.join(CHANGEABLE)}"


@dataclass(slots=True)
class Episode:
    """A time in which a threshold was violated.

    Args:
        since: start of the first minute of the violation, seconds since the epoch.
        until: start of the first minute after it; None while it lasts.
        severity: "warning" or "critical", the worst that it reached.
        worst, last: values of the figure.
        limit: the limit that was violated.
        minutes: how many violated it, from the one with which it began.
    """

    since: int
    until: int | None
    severity: str
    worst: float
    last: float
    limit: float
    minutes: int = 0


def episodes(
    threshold: Threshold,
    times: Sequence[int],
    values: Sequence[float | None],
    warnings: Sequence[float | None] | None = None,
) -> list[Episode]:
    """When a threshold was violated, by the figure's value in each minute; those without one neither begin nor end it.

    It begins with the first of so many minutes in a row as the threshold asks for, and is critical where so many in a
    row violated the critical limit. What returns within the cooldown goes on. `warnings` are the limits of single
    minutes in place of the threshold's own, where that is dynamic.
    """
    found: list[Episode] = []
    row: list[tuple[int, float]] = []
    least = max(threshold.violations, 1)
    limits = warnings if warnings is not None else [threshold.warning] * len(times)
    for time, value, warning in zip(times, values, limits, strict=True):
        if value is None:
            continue
        if threshold.violates(value, warning) or threshold.violates(value, threshold.critical):
            row.append((time, value))
            if len(row) == least:
                _begin(found, threshold, row, warning)
            elif len(row) > least:
                _go_on(found[-1], threshold, row)
        else:
            if len(row) >= least:
                found[-1].until = time
            row.clear()
    return found


def _begin(found: list[Episode], threshold: Threshold, row: list[tuple[int, float]], warning: float | None) -> None:
    last = found[-1] if found else None
    if last is not None and last.until is not None and row[0][0] - last.until <= threshold.cooldown_minutes * 60:
        last.until = None
    else:
        limit = warning if warning is not None else threshold.critical
        assert limit is not None
        found.append(Episode(row[0][0], None, "warning", row[0][1], row[0][1], limit))
    _go_on(found[-1], threshold, row)


def _go_on(episode: Episode, threshold: Threshold, row: list[tuple[int, float]]) -> None:
    newest = [value for _, value in row[-max(threshold.violations, 1) :]]
    worst = min if threshold.comparison == "less" else max
    episode.minutes += 1
    episode.last = newest[-1]
    episode.worst = worst(episode.worst, *newest)
    if threshold.critical is not None and all(threshold.violates(value, threshold.critical) for value in newest):
        episode.severity, episode.limit = "critical", threshold.critical


def pooled(
    parts: Sequence[float], wholes: Sequence[float], least: float, minutes: int = 5, least_part: float = 0.0
) -> list[float | None]:
    """A ratio in percent for each minute, over the last minutes, at most 5, that make `least`; None for fewer.

    A part below `least_part` counts as none: one failure of ten requests tells nothing.
    """
    ratios: list[float | None] = []
    for end in range(len(wholes)):
        part = whole = 0.0
        for position in range(end, max(end - minutes, -1), -1):
            part, whole = part + parts[position], whole + wholes[position]
            if whole >= least:
                break
        part = part if part >= least_part else 0.0
        ratios.append(part / whole * 100 if whole >= least else None)
    return ratios
