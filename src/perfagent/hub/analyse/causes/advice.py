"""What to do about each kind of cause, in this order, and how much work that is."""

from __future__ import annotations

STEPS: dict[str, tuple[str, ...]] = {
    "slow_query": (
        "run EXPLAIN (ANALYZE, BUFFERS) on the statement, with values of a slow request",
        "look for a scan of the whole table, a sort without an index, or far more rows than are used",
        "create the index for its WHERE and ORDER BY (`perfagent index analyze` proposes one), or fetch fewer rows",
        "if a release changed the statement, go back to the one before until the index is there",
    ),
    "lock": (
        "find the transaction that holds the lock: the blocker named here, or the oldest one that is open",
        "end it (pg_terminate_backend, KILL) if it is stuck",
        "keep transactions short: no calls of other services and no waiting for people between BEGIN and COMMIT",
        "set lock_timeout and idle_in_transaction_session_timeout, and lock rows in the same order everywhere",
    ),
    "n_plus_one": (
        "load all rows at once: a join, WHERE … IN (…), or selectinload/select_related of the ORM",
        "go back to the release before, if this one brought it",
        "keep it out with a test that counts the statements of a request",
    ),
    "cache": (
        "look whether the cache answers, and whether its keys or its version have changed",
        "bring it back, or warm it before it takes traffic",
        "let one request compute a value while the others wait (cache_with_lock), so that the database is not flooded",
        "set a short timeout for the cache, so that requests do not wait for one that is down",
    ),
    "slow_dependency": (
        "ask those who run it, with the traces shown here",
        "give the call a timeout near its usual 99th percentile, and a circuit breaker",
        "answer without it where that is possible: the last good answer, a cache, a job in the background",
    ),
    "failing_dependency": (
        "ask those who run it, with the traces shown here",
        "put a circuit breaker around the call, and answer without it where that is possible",
        "try again only what may be repeated, with growing pauses and not more than twice",
    ),
    "pool": (
        "find what holds connections: a call, a computation or a wait between taking one and giving it back",
        "give them back sooner, in a `with` block, and before calls of other services",
        "only then make the pool larger, within what the database allows",
        "set a timeout for taking one, so that requests fail quickly when all are in use",
    ),
    "blocked_loop": (
        "find the blocking call in an async function: time.sleep, a synchronous driver or HTTP client, a long loop",
        "await its asynchronous counterpart, or run it in a thread (asyncio.to_thread)",
        "move long computations into another process",
    ),
    "cpu": (
        "profile the process: `perfagent profile --pid PID` shows the functions that take the time",
        "make the hot function cheaper, or move it into another process",
        "if nothing can be saved, start more processes",
    ),
    "gc": (
        "raise the collector's thresholds (PERFAGENT_GC_THRESHOLD=true)",
        "call gc.freeze() once the program has started",
        "make fewer objects that refer to each other in a circle",
    ),
    "memory_leak": (
        "compare two snapshots: `perfagent memory` shows the lines whose memory grows",
        "look for caches, lists and dictionaries at module level that are only added to",
        "give these a limit (lru_cache(maxsize=…), a bounded queue)",
        "until then, restart the process before it reaches its limit",
    ),
    "errors": (
        "open the newest failed trace: the span that failed first tells the exception and the line",
        "go back to the release before, if the failures began with this one",
        "write the test that fails, then repair it",
    ),
    "slow_code": (
        "profile the endpoint: its time is spent in the program, not in queries or calls",
        "compare a slow trace with a quick one of before",
        "go back to the release before, if this one brought it",
    ),
}  # fmt: skip

EFFORT = {
    "slow_query": "medium", "lock": "medium", "n_plus_one": "low", "cache": "medium", "slow_dependency": "medium",
    "failing_dependency": "medium", "pool": "medium", "blocked_loop": "medium", "cpu": "medium",
    "gc": "low", "memory_leak": "high", "errors": "medium", "slow_code": "medium",
}  # fmt: skip
