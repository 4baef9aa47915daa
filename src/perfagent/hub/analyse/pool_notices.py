"""Words for pools that requests wait for: of connections, of HTTP clients, of worker threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import DAY, Facts, Finding, Notice, severity, sure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WAITING = (0.0, 0.2, 2.0, 1e9)  # requests that wait at any time, on average; never critical
HTTP = ("urllib3", "httpx", "aiohttp")
RAISE = {
    "anyio": (
        "more tokens for the limiter, once at the start: "
        "anyio.to_thread.current_default_thread_limiter().total_tokens = 100"
    ),
    "concurrent.futures": "more max_workers",
    "sqlalchemy": "a larger pool_size or max_overflow",
    "psycopg_pool": "a larger max_size",
    "psycopg2": "a larger maxconn, or psycopg_pool, which waits instead of refusing",
    "asyncpg": "a larger max_size",
    "redis": "more max_connections",
    "pymongo": "a larger maxPoolSize",
    "urllib3": "a larger maxsize (requests: HTTPAdapter(pool_maxsize=…))",
    "httpx": "larger limits: httpx.Limits(max_connections=…)",
    "aiohttp": "a larger limit of the TCPConnector",
}
"""What makes a pool of a library larger."""


def worded(one: Notice, facts: Facts) -> Finding:
    """A pool that requests wait for, or get nothing of."""
    told = one.attributes
    library = str(told.get("perfagent.pool_wait.library") or "a library")
    name, size = str(told.get("perfagent.pool_wait.pool") or ""), _number(one, "size")
    seconds, requests, longest = _number(one, "seconds"), _number(one, "requests"), _number(one, "longest")
    window = max(_number(one, "window"), 1.0)
    pool = _pool(library, name)
    of = f", of which there are {words.count(size)}" if size else ""
    refusals = {how: _number(one, how.replace(" ", "_")) for how in ("refused", "timed out", "discarded")}
    lacking = [f"{words.count(number)} {how}" for how, number in refusals.items() if number]
    first, larger = _advice(library), RAISE.get(library, "a larger pool")
    waits = (
        f"{words.count(requests)} requests waited {words.milliseconds(seconds * 1000)} in "
        f"{words.milliseconds(window * 1000)} all together, {words.milliseconds(longest * 1000)} at most"
    )
    evidence = "; ".join([*([waits] if requests else []), *([f"connections: {', '.join(lacking)}"] if lacking else [])])
    return Finding(
        "pool_wait", "bottleneck", severity(seconds / window, WAITING) or "low",
        f"Requests wait for {pool}" if requests else f"Not every request finds {pool}",
        f"{evidence}; {_where(one, library)}",
        f"requests wait for one{of}" if requests else "requests fail, or open a connection each",
        f"{first}; only then {larger}", sure(requests + sum(refusals.values())), one.service,
        f"#/traces/{one.trace_id.hex()}" if one.trace_id else "#/endpoints",
        {"waited_s": seconds, "requests": requests, "longest_ms": longest * 1000, "size": size},
        subject=one.subject, place=one.place, seconds_per_day=seconds / window * DAY,
        steps=(f"go to {one.place}: {first}" if one.place else first, larger, LOOK),
    )  # fmt: skip


LOOK = "see what requests wait for in their bar: the pool is gone from it when it is no longer the bottleneck"


def told_of(notices: Iterable[Notice], since: float) -> set[str]:
    """The services of which it is known which pool is waited for."""
    return {one.service for one in notices if one.kind == "pool_wait" and one.last_seen >= since}


def _pool(library: str, name: str) -> str:
    if library == "anyio":
        return "a free worker thread, which functions without async run in"
    if library == "concurrent.futures":
        return f"a free thread of {name}"
    if library in HTTP:
        return f"a free connection of {library} to {name}"
    return f"a free connection of the pool {name} ({library})" if name != library else f"a free connection of {library}"


def _where(one: Notice, library: str) -> str:
    if not one.place:
        return "the line is not known"
    share = _number(one, "held_share")
    if share:
        return f"{words.place(one.place)} keeps them for {words.percent(share)} of their time"
    return f"most of them at {words.place(one.place)}"


def _advice(library: str) -> str:
    if library == "anyio":
        return "make what keeps the threads shorter, or async def with an asynchronous driver"
    if library == "concurrent.futures":
        return "make what keeps the threads shorter, or hand over less at once"
    if library in HTTP:
        return "read and close responses soon, and share one client"
    return "give connections back sooner, and before calls of other services"


def _number(one: Notice, name: str) -> float:
    try:
        return float(one.attributes.get(f"perfagent.pool_wait.{name}") or 0.0)
    except (TypeError, ValueError):
        return 0.0


WORDED: dict[str, Callable[[Notice, Facts], Finding]] = {"pool_wait": worded}
