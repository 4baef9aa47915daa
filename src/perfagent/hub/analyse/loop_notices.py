"""Words for what blocks an event loop: the line, what it does there, and what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import DAY, Facts, Finding, Notice, severity, sure

if TYPE_CHECKING:
    from collections.abc import Iterable

LONG = (0.0, 250.0, 1000.0, 5000.0)  # ms of the longest block
THREAD = "or run it in a thread: asyncio.to_thread, run_in_threadpool"
KINDS: dict[str, tuple[str, str]] = {
    "sleep": ("it sleeps", "await asyncio.sleep in place of time.sleep"),
    "driver": ("it waits for {call}, a synchronous driver", f"use the asynchronous driver, {THREAD}"),
    "http": ("it waits for {call}, a synchronous client", f"use an asynchronous client (httpx, aiohttp), {THREAD}"),
    "socket": ("it waits for a socket", f"use asyncio's streams, or an asynchronous library, {THREAD}"),
    "dns": ("it looks up a host's name", "await loop.getaddrinfo, which asks in a thread, and keep the answer"),
    "process": ("it waits for another process", "await asyncio.create_subprocess_exec in place of subprocess"),
    "file": ("it reads or writes a file", "read and write it in a thread: asyncio.to_thread, or aiofiles"),
    "lock": ("it waits for a lock", "use asyncio.Lock or asyncio.Queue; a lock of threads is waited for in a thread"),
    "cpu": ("it computes", "compute in another process (ProcessPoolExecutor), or in pieces with await between them"),
    "import": ("it imports a module", "import it at the start of the program"),
    "gc": ("the garbage collector runs", "gc.freeze() after the start, or higher thresholds (PERFAGENT_GC_THRESHOLD)"),
    "callbacks": ("many callbacks run one after the other", "start fewer tasks at once: a semaphore, or a queue"),
    "call": ("it waits in {call}", f"await its asynchronous counterpart, {THREAD}"),
}
UNKNOWN = ("it does not give the loop back", f"await its asynchronous counterpart, {THREAD}")


def worded(one: Notice, facts: Facts) -> Finding:
    """The finding about one line that blocks a loop."""
    told = one.attributes
    number = {name: _number(told.get(f"perfagent.blocked_loop.{name}")) for name in ("worst_seconds", "requests")}
    worst = number["worst_seconds"] * 1000
    call = str(told.get("perfagent.blocked_loop.call") or "a call")
    does, instead = KINDS.get(str(told.get("perfagent.blocked_loop.kind")), UNKNOWN)
    does = does.format(call=call)
    others = f"; {words.count(number['requests'])} requests were under way" if number["requests"] > 1 else ""
    share = worst / 1000 * one.times
    return Finding(
        "blocked_loop", "bottleneck", severity(worst, LONG) or "low",
        f"{words.place(one.place.split()[0] if one.place else one.subject)} blocks the event loop of {one.service}",
        f"{does}: {words.milliseconds(worst)} at most, {words.times(one.times)}{others}",
        "every request of the process waits meanwhile", instead, sure(one.times + 10), one.service,
        f"#/traces/{one.trace_id.hex()}" if one.trace_id else "#/processes",
        {"worst_ms": worst, "times": float(one.times)}, subject=one.subject, place=one.place,
        stack=str(told.get("code.stacktrace") or "")[:20_000],
        seconds_per_day=share / max(facts.seconds, 1.0) * DAY,
        steps=(
            f"go to {one.place}: {does}",
            instead,
            "the stack tells who called it; the trace shows the request that did it, with the moment",
        ),
    )  # fmt: skip


def told_of(notices: Iterable[Notice], since: float) -> set[str]:
    """The services of which a line is known that blocks their loop."""
    return {one.service for one in notices if one.kind == "blocked_loop" and one.last_seen >= since}


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
