"""Which of several violations explains the others: what is deeper comes first, a machine below a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.hub.alert.violation import Violation

# The higher, the deeper: what is higher makes what is lower, hardly ever the other way round.
DEPTHS = {
    "disk_usage_percent": 95,
    "memory_usage_percent": 90,
    "cpu_usage_percent": 85,
    "gc_pause_percent": 80,
    "event_loop_lag_p99_ms": 75,
    "slow_query_ms": 70,
    "database_time_average_ms": 68,
    "replication_lag_ms": 66,
    "cache_hit_rate_percent": 64,
    "database_pool_percent": 60,
    "restarts": 55,
    "response_time_p95_ms": 40,
    "error_rate_percent": 30,
    "health_check": 25,
    "open_breakers": 22,
    "page_load_ms": 20,
    "error_budget_remaining_percent": 10,
}
KINDS = {"finding": 72, "anomaly": 50, "rule": 45, "threshold": 35, "slo": 5}
"""What is not in the table above counts as what it is of."""


def depth(violation: Violation) -> int:
    """How likely it is that a violation is the reason of others, as a number that only its order means something."""
    return DEPTHS.get(violation.rule, KINDS[violation.kind])


def explain(
    violations: Iterable[Violation], below: Callable[[str, str], bool] = lambda one, other: False
) -> tuple[list[Violation], str]:
    """Puts violations in order, the one that explains the others first.

    Args:
        violations: of one incident.
        below: whether the first service is called by the second one, by however many others in between.

    Returns:
        Them, and in a sentence what explains what; "" for one alone.
    """
    found = list(violations)
    services = {one.service for one in found}
    callers = {one: sum(below(one, other) for other in services if other != one) for one in services}
    # What explains it from spans goes first; then a machine, which is nobody's service and below all of them; then the
    # service that the most others call.
    found.sort(
        key=lambda one: (-_score(one), one.service != "", -callers[one.service], -depth(one), one.since, one.identity)
    )
    first, others = found[0], found[1:]
    if first.kind == "finding":
        evidence = first.text.partition(";")[0]
        return found, f"{first.title}: {evidence}." if evidence else f"{first.title}."
    if not others:
        return found, ""
    shown = [_named(one) for one in others[:3]]
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    named = _named(first)
    return found, f"{named[0].upper()}{named[1:]} came with {', '.join(shown)}{more}, and lies deepest: begin there."


def _score(violation: Violation) -> float:
    """How sure it is that a violation explains others, where its watcher has ranked causes; else 0."""
    return float(violation.details.get("score", 0.0)) if violation.kind == "finding" else 0.0


def _named(violation: Violation) -> str:
    of = f" of {violation.subject}" if violation.subject else ""
    title = violation.title
    if title[1:2] in " " or title[1:2].islower():  # not an abbreviation
        title = title[0].lower() + title[1:]
    return f"{title}{of} in {violation.service}" if violation.service else f"{title}{of}"
