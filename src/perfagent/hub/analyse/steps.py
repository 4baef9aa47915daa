"""The steps of each kind of finding, how much work they are, and what they are about."""

from __future__ import annotations

from perfagent.hub.analyse import habit_notices
from perfagent.hub.analyse.causes import advice

STEPS: dict[str, tuple[str, ...]] = {
    **advice.STEPS,
    "heavy_query": (
        "see which requests run it, and whether they need it: its page shows the callers",
        "keep its result in a cache for some seconds, or fetch it together with another statement",
        "compare its total time after the change",
    ),
    "slow_call": advice.STEPS["slow_dependency"],
    "retries": (
        "look at the trace: what fails, and how often it is tried",
        "try again twice at most, with growing pauses and some chance in them",
        "put a circuit breaker around the call, so that nothing is tried while it is open",
    ),
    "serial_calls": (
        "see in the trace which calls need the answer of another one",
        "make the others side by side: asyncio.gather, a TaskGroup or a ThreadPoolExecutor",
        "keep a limit of calls at once, so that the other side is not flooded",
    ),
    "pool": advice.STEPS["pool"],
    "release": (
        "compare a trace of this version with one of the version before",
        "go back to the version before if it cannot be repaired soon",
        "`perfagent compare` of the two keeps the next one from being released",
    ),
    "slower": (
        "compare a trace of now with one of before: what is longer, or runs more often?",
        "look what came in between: a release, a migration, more data, a busy neighbour",
        "the likely causes of the overview name the span that takes the extra time",
    ),
    "memory_growth": advice.STEPS["memory_leak"],
    "process_died": (
        "see what it was answering, for how long, and how much memory it had: the log record tells",
        "look for who ended it: `dmesg | grep -i oom`, the supervisor's log, the container's last state",
        "a native crash: run with PYTHONFAULTHANDLER=1, and repeat the request",
        "keep one request from taking the others with it: a limit of time and of memory for each",
    ),
    "unused_index": (
        "look whether a replica or a job that runs once a month needs it",
        "drop it: DROP INDEX CONCURRENTLY",
        "keep its definition at hand: to create it again takes a scan of the table",
    ),
    "dead_tuples": (
        "end transactions that are open for long: rows they may still see cannot be cleaned up",
        "VACUUM (ANALYZE) the table",
        "lower autovacuum_vacuum_scale_factor for it, so that it is done sooner by itself",
    ),
    "missing_index": (
        "run EXPLAIN on the statement with real values: it shows Seq Scan",
        "`perfagent index analyze` proposes the index, `perfagent index create TABLE COLUMN` creates it",
        "look at the plan again, and at the time of changes of the table",
    ),
    "long_transaction": (
        "find out who it is: application name and last statement are told here",
        "commit before calls of other services, and before anybody is waited for",
        "set idle_in_transaction_session_timeout",
    ),
    "connections": (
        "close idle connections: smaller pools, or fewer processes",
        "put a pooler such as PgBouncer in front",
        "only then raise the limit: each connection takes memory",
    ),
    "deprecation": (
        "replace the calls: GET deprecations tells every file and line",
        "keep new ones out: PYTHONWARNINGS=error::DeprecationWarning in the tests",
    ),
    "dropped": (
        "look whether the hub is reachable: `perfagent doctor`",
        "send more often or sample (OTEL_BSP_SCHEDULE_DELAY, OTEL_TRACES_SAMPLER_ARG)",
    ),
    "internal_errors": ("run `perfagent doctor`", "report what it says: the program itself is not affected"),
}

EFFORTS = {
    **advice.EFFORT, **habit_notices.EFFORTS,
    "heavy_query": "low", "slow_call": "medium", "retries": "low", "serial_calls": "medium",
    "release": "low", "slower": "medium", "memory_growth": "high", "unused_index": "low", "dead_tuples": "low",
    "missing_index": "low", "long_transaction": "medium", "connections": "medium", "deprecation": "low",
    "dropped": "low", "internal_errors": "low", "slow_endpoint": "medium", "process_died": "medium",
    "overhead": "low", "cache_ttl": "low", "cache_size": "low", "cache_costs": "low", "cache_unread": "low",
    "cache_stampede": "medium",
    "duplicate_queries": "low", "transaction_across_call": "medium", "pool_wait": "medium", "over_fetch": "low",
}  # fmt: skip

CATEGORIES = {
    **habit_notices.CATEGORIES,
    "duplicate_queries": "database", "transaction_across_call": "database", "pool_wait": "capacity",
    "over_fetch": "database",
    "n_plus_one": "database", "slow_query": "database", "heavy_query": "database", "lock": "database",
    "missing_index": "database", "unused_index": "database", "dead_tuples": "database", "long_transaction": "database",
    "connections": "capacity", "pool": "capacity", "slow_call": "network", "slow_dependency": "network",
    "failing_dependency": "network", "retries": "network", "serial_calls": "network", "cache": "cache",
    "cpu": "capacity", "gc": "capacity", "dropped": "telemetry", "internal_errors": "telemetry",
    "overhead": "telemetry", "cache_ttl": "cache", "cache_size": "cache", "cache_costs": "cache",
    "cache_unread": "cache", "cache_stampede": "cache",
}  # fmt: skip
"""What a recommendation is about; "code" for all others."""
