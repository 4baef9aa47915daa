"""What a reader should know and do: each finding with its evidence, its impact and the steps to take.

A finding needs enough observations (the limits below and in the modules beside) and says how sure it is:
n / (n + 10) for n observations. What has been repaired is gone: a finding of a whole range must hold in its last
minutes, too, unless too little happened in these to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import cache_findings, habit_notices, leak_notices, loop_notices, words
from perfagent.hub.analyse.call_findings import of_calls
from perfagent.hub.analyse.calls import REQUESTS
from perfagent.hub.analyse.cause_findings import of_causes
from perfagent.hub.analyse.finding import DAY, ENOUGH_CALLS, SEVERITIES, Facts, Finding
from perfagent.hub.analyse.notice_findings import GATHERED, LATELY, WORDED, of_notices
from perfagent.hub.analyse.process_findings import of_died, of_process
from perfagent.hub.analyse.query_findings import of_queries
from perfagent.hub.analyse.request_findings import of_requests
from perfagent.hub.analyse.source_findings import of_sources
from perfagent.hub.analyse.steps import EFFORTS, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def find(facts: Facts) -> list[Finding]:
    """All findings, the most severe first, among these what saves most, then the surest."""
    blocking = loop_notices.told_of(facts.notices, facts.end - LATELY)
    leaking = leak_notices.told_of(facts.notices, facts.end - LATELY)
    found = [
        *of_requests(facts),
        *of_queries(facts),
        *of_calls(facts),
        *cache_findings.of_economies(facts),
        *(
            one
            for process in facts.processes
            for one in of_process(process, process.service in blocking, process.service in leaking)
        ),
        *of_died(facts.died),
        *of_notices(facts),
        *of_sources(facts),
        *_deprecated(facts),
    ]
    found = habit_notices.joined(found)
    found += of_causes(facts, found)
    for one in found:
        one.steps = one.steps or STEPS.get(one.kind, (one.recommendation,))
        one.effort = EFFORTS.get(one.kind, "medium")
    return ordered(found)


def ordered(found: Sequence[Finding]) -> list[Finding]:
    """The most severe first."""
    return sorted(found, key=lambda one: (-SEVERITIES.index(one.severity), -one.seconds_per_day, -one.confidence))


def settled(found: Sequence[Finding], whole: Facts, lately: Sequence[Finding], recent: Facts) -> list[Finding]:
    """The findings of a range that are still so at its end, and those that only its end has.

    Args:
        found: of the whole range.
        whole: the facts of it.
        lately: of its last minutes.
        recent: the facts of these: where they have too little of a subject to tell, what the range says stands.
    """
    still = {one.identity: one for one in lately}
    kept = []
    for one in found:
        now = still.pop(one.identity, None)
        if now is not None:
            one.severity = now.severity
            kept.append(one)
        elif not _can_tell(one, whole, recent):
            kept.append(one)
    return ordered([*kept, *still.values()])


def _can_tell(one: Finding, whole: Facts, recent: Facts) -> bool:
    """Whether the last minutes have enough of a finding's subject to say that it is over."""
    own_time = ("deprecation", "slower", "release", "serial_calls", "process_died", *WORDED, *GATHERED, *SOURCES)
    if one.kind == "blocked_loop" and not one.place:
        return True
    if one.kind in own_time or "score" in one.metrics or leak_notices.PACE in one.metrics:
        return False  # these look at their own time
    if one.kind in ("cpu", "gc", "dropped", "internal_errors"):
        return True
    if one.kind == "memory_growth":
        return not any(process.instance == one.subject for process in recent.processes)
    if one.kind == "cache":
        return any(cache.name == one.subject and cache.hits + cache.misses >= 100 for cache in recent.caches)
    if one.kind in cache_findings.KINDS:
        return any(
            cache_findings.subject(each) == one.subject and each.gets + each.sets >= cache_findings.ENOUGH_GETS
            for each in recent.economies
        )
    if one.kind == "pool":
        return bool(recent.pools)
    if not one.subject[:1].isdigit():
        return False
    # Of a request and what repeats in it, the request decides: where it goes on, and repeats nothing, it is repaired.
    operation = int(one.subject.split(" ")[0])
    calls = sum(each.durations.calls for each in recent.calls if each.operation == operation)
    if calls >= ENOUGH_CALLS:
        return True
    usual = sum(each.durations.calls for each in whole.calls if each.operation == operation)
    expected = usual * recent.seconds / max(whole.seconds, 1.0)
    asked = sum(
        each.durations.calls for each in recent.calls if each.category in REQUESTS and each.service == one.service
    )
    # A statement that is not run any more, in a service that is asked as ever, is repaired.
    return expected >= GONE and calls <= expected / 4 and asked >= GONE


GONE = 10.0  # calls that there would have been: 1 in 20,000 Poisson processes makes none of them
SOURCES = ("lock", "unused_index", "dead_tuples", "missing_index", "long_transaction", "connections")


def _deprecated(facts: Facts) -> Iterator[Finding]:
    for one in facts.deprecated[:5]:
        yield Finding(
            "deprecation", "optimisation", "low", f"{one.what} is deprecated",
            f"{words.count(one.calls)} calls" + (f", from {one.place}" if one.place else ""),
            f"the next version of {one.library} may not have it" if one.library else "it cannot be taken away yet",
            f"replace it before {one.library} is updated" if one.library else "replace its calls, then take it away",
            0.99, one.service, "#/deprecations", {"calls": one.calls}, subject=one.what, place=one.place,
            requests_per_day=one.calls / facts.seconds * DAY,
        )  # fmt: skip
