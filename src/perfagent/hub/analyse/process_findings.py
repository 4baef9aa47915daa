"""What a process' vital signs tell: a blocked event loop, a busy core, growing memory, lost telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import DAY, ENOUGH_CALLS, Died, Finding, Process, severity, sure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCKED_LOOP = (100.0, 250.0, 500.0, 2000.0)


def of_process(one: Process, line_known: bool = False, holder_known: bool = False) -> Iterator[Finding]:
    """The findings about one process.

    Args:
        line_known: whether a line of code is known that blocks its event loop: that is the finding then.
        holder_known: the same for what its memory grows by.
    """
    link = f"#/processes/{one.instance}"
    if not line_known:
        yield from _loop(one, link)
    if one.cpu is not None and one.cpu >= 0.9:
        yield Finding(
            "cpu", "bottleneck", "high" if one.cpu < 1.5 else "medium", f"{one.service} keeps a core busy",
            f"{one.cpu:.2f} cores on average over the range in {one.instance}",
            "requests wait for the interpreter lock: latency grows faster than load",
            "profile where the CPU goes, then more processes or less work", 0.9, one.service, link,
            {"cpu": one.cpu}, subject=one.instance,
        )  # fmt: skip
    if one.gc_share is not None and one.gc_share >= 0.05:
        yield Finding(
            "gc", "optimisation", "medium", f"garbage collection stops {one.service}",
            f"{words.percent(one.gc_share)} of the time, p99 {words.milliseconds(one.gc_p99_ms)} a collection",
            "every request meanwhile waits", "raise the thresholds (PERFAGENT_GC_THRESHOLD=true) or gc.freeze() "
            "after the start", 0.8, one.service, link, {"gc_share": one.gc_share},
            subject=one.instance, seconds_per_day=one.gc_share * DAY,
        )  # fmt: skip
    if one.memory is not None and not holder_known:
        yield _memory(one, one.memory, link)
    yield from _lost(one, link)


def of_died(died: Sequence[Died]) -> Iterator[Finding]:
    """A finding for each service whose processes died."""
    for service in dict.fromkeys(one.service for one in died):
        its = [one for one in died if one.service == service]
        last = max(its, key=lambda one: one.time)
        starved = any(one.out_of_memory for one in its)
        lost = sum(1 for one in its if one.answering)
        same = {one.answering.split(",")[0] for one in its if one.answering}
        again = len(its) >= 3 and lost == len(its) and len(same) == 1
        yield Finding(
            "process_died", "anomaly", "critical" if len(its) >= 3 else "high",
            f"processes of {service} die" if len(its) > 1 else f"a process of {service} died",
            last.text + (f"; {len(its)} died in this range, {lost} while they answered" if len(its) > 1 else ""),
            "requests under way got no answer, and their work may be half done" if lost
            else "no request was under way; what the process did besides may be half done",
            f"find out why {same.pop()} ends its process: it did each time" if again
            else "give it more memory, or find what takes it: `perfagent memory`" if starved
            else "look for who killed it (the kernel's log, the supervisor, a limit), or for a native crash: "
            "PYTHONFAULTHANDLER=1 prints its stack",
            0.99, service, "#/processes", {"died": float(len(its)), "answering": float(lost)}, subject=service,
            traces=tuple(one.trace_id.hex() for one in its if one.trace_id)[:5],
            first_seen=min(one.time for one in its), last_seen=last.time,
        )  # fmt: skip


def _loop(one: Process, link: str) -> Iterator[Finding]:
    if one.lag_p99_ms is None or one.lag_calls < ENOUGH_CALLS:
        return
    how = severity(one.lag_p99_ms, BLOCKED_LOOP)
    if how is not None:
        longest = f", at most {words.milliseconds(one.lag_longest_ms)}" if one.lag_longest_ms else ""
        yield Finding(
            "blocked_loop", "bottleneck", how, f"the event loop of {one.service} is blocked",
            f"ready callbacks waited {words.milliseconds(one.lag_p99_ms)} (p99){longest} in {one.instance}",
            "every request of the process waits meanwhile",
            "find the blocking call in an async function (a query, a file, a computation); await it, or run it in a "
            "thread",
            sure(one.lag_calls), one.service, link, {"lag_p99_ms": one.lag_p99_ms},
            subject=one.instance,
        )  # fmt: skip


def _memory(one: Process, memory: tuple[float, float], link: str) -> Finding:
    first, last = memory
    rate = (last - first) / max(one.memory_hours, 0.1)
    return Finding(
        "memory_growth", "anomaly", "high" if last >= 2 * first else "medium", f"the memory of {one.service} grows",
        f"{words.size(first)} → {words.size(last)} in {one.memory_hours:.1f} h, steadily (Mann-Kendall), in "
        f"{one.instance}",
        f"{words.size(rate)} more each hour until a limit ends the process",
        "compare two snapshots of tracemalloc, an hour apart; unbounded caches and globals are the usual cause",
        0.85, one.service, link, {"first_bytes": first, "last_bytes": last, "bytes_per_hour": rate},
        subject=one.instance,
    )  # fmt: skip


def _lost(one: Process, link: str) -> Iterator[Finding]:
    if one.dropped >= 1:
        yield Finding(
            "dropped", "anomaly", "medium", f"telemetry of {one.service} was dropped",
            f"{words.count(one.dropped)} items in {one.instance}", "rates and traces of this range are incomplete",
            "send more often or sample (OTEL_BSP_SCHEDULE_DELAY, OTEL_TRACES_SAMPLER_ARG); is the hub reachable?",
            0.99, one.service, link, {"dropped": one.dropped}, subject=one.instance,
        )  # fmt: skip
    if one.internal_errors >= 1:
        yield Finding(
            "internal_errors", "anomaly", "low", f"perfagent failed in {one.service}",
            f"{words.count(one.internal_errors)} failures of perfagent's own code in {one.instance}",
            "the program is not affected, but some of its telemetry is missing",
            "run `perfagent doctor` and report what it says", 0.99, one.service, link,
            {"errors": one.internal_errors}, subject=one.instance,
        )  # fmt: skip
