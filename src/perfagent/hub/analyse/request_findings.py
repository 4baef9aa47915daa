"""Findings about requests: slow, failing, slower than before or since a release, and calls one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.calls import OUTGOING, REQUESTS, Calls
from perfagent.hub.analyse.chance import at_least
from perfagent.hub.analyse.durations import MS
from perfagent.hub.analyse.finding import DAY, ENOUGH_CALLS, Facts, Finding, excess_ms, severity, sure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfagent.hub.analyse.breakdown import Breakdown
    from perfagent.hub.analyse.changes import Change

ENOUGH_ERRORS = 5
# From which 95th percentile in ms something is a finding of low, medium, high and critical severity.
SLOW_ENDPOINT = (300.0, 500.0, 1000.0, 5000.0)
ERRORS = (0.005, 0.01, 0.05, 0.10)  # share of the requests
ENOUGH_BROKEN_DOWN = 10  # requests
SERIAL = 0.5  # of a request's time in outgoing calls that overlap hardly
SERIAL_CALLS = 2.5  # of them in one request
SERIAL_MS = 50.0  # that side by side would save
BEYOND = 5.0  # calls slower than a percentile of the last minutes, that it can be told


def of_requests(facts: Facts) -> Iterator[Finding]:
    """All of them."""
    yield from _slow(facts)
    yield from _errors(facts)
    yield from _one_after_the_other(facts)
    yield from _slower(facts)
    yield from _released(facts)


def _slow(facts: Facts) -> Iterator[Finding]:
    whole = sum(one.durations.total for one in facts.calls if one.category in REQUESTS)
    for one in facts.calls:
        if one.category not in REQUESTS or one.durations.calls < ENOUGH_CALLS:
            continue
        p50, p95 = one.durations.quantiles(0.5, 0.95)
        assert p50 is not None and p95 is not None  # noqa: PT018
        how = severity(p95, SLOW_ENDPOINT)
        if how is None:
            continue
        share = one.durations.total / whole
        breakdown = facts.breakdowns.get(one.operation)
        often = words.count(one.durations.calls)
        evidence = f"p95 {words.milliseconds(p95)}, p50 {words.milliseconds(p50)} in {often} requests"
        where, advice, place = _where(breakdown, facts.calls)
        yield Finding(
            "slow_endpoint", "bottleneck", how, f"{one.name} is slow", f"{evidence}{where}",
            f"{words.percent(share)} of all the time that requests take", advice, sure(one.durations.calls),
            one.service, one.link, {"p50_ms": p50, "p95_ms": p95, "share": share, "requests": one.durations.calls},
            subject=str(one.operation), requests_per_day=one.durations.calls / facts.seconds * DAY,
            seconds_per_day=excess_ms(one.durations, SLOW_ENDPOINT[0]) / 1000 / facts.seconds * DAY,
            steps=("open its slowest traces: what is at their critical path?", advice,
                   "compare p95 before and after with the overview's changes"), place=place,
        )  # fmt: skip


HELD = 0.3
"""The share of a request's time from which on what held it up is told of."""
WAITED = frozenset(("pool", "lock", "sleep", "gil"))
"""What is waited for at a place in the program, which agents see."""
HELD_BY = {
    "pool": ("waiting for a free connection or worker of a pool",
             "make the pool larger, or hold its connections for a shorter time: none across a call to somewhere else"),
    "loop": ("ready, while the event loop was busy with something else",
             "find what blocks the event loop, and move it to a thread or a process"),
    "lock": ("waiting for a lock or another thread", "hold the lock for a shorter time, or split it"),
    "gc": ("in the garbage collector",
           "make fewer objects that refer to each other, or raise PERFAGENT_GC_THRESHOLD; gc.freeze() after the start"),
    "processor": ("runnable, with no processor to run on",
                  "give it more CPU, or fewer workers: the machine or its container's limit is full"),
    "gil": ("waiting for the interpreter's lock", "use fewer threads, more processes"),
    "sleep": ("asleep", "look for time.sleep and asyncio.sleep in its code"),
    "cpu": ("computing", "profile its own code: perfagent flame tells the lines"),
}  # fmt: skip
"""What can hold a request up that no query and no call explains, and what to do about it."""
ADVICE = {
    "queries": "make its statements fewer or faster: look at their plans and indexes, or keep the result in a cache",
    "calls": "call less, side by side or not at all: batch the calls, keep their answers, give them a shorter timeout",
    "cache": "fetch many keys at once (MGET, pipeline) instead of one after the other",
    "own": "profile its own code: the time is spent in the program, not in queries or calls",
}
PARTS = {"queries": "in queries", "calls": "in outgoing calls", "cache": "in the cache", "own": "in its own code"}


def _where(breakdown: Breakdown | None, calls: Sequence[Calls]) -> tuple[str, str, str]:
    """Where the time goes, what to do about it, and the place in the program where it waits; "" where unknown."""
    if breakdown is None or not breakdown.requests:
        return "", "open its slowest traces to see where the time goes", ""
    part, _ = breakdown.parts.most_common(1)[0]
    text = f"; {words.percent(breakdown.share(part))} of the time {PARTS[part]}"
    names = {one.operation: one for one in calls}
    inner = max(
        (pair for pair in breakdown.inner.items() if pair[0] in names), key=lambda pair: pair[1].total, default=None
    )
    if inner is not None and part != "own":
        operation, figures = inner
        often = words.times(round(figures.calls / max(figures.requests, 1), 1))
        text += f", most in {names[operation].name} ({often} a request)"
    times = breakdown.mean_times(slowest=True)
    whole = sum(times.values())
    held = max(HELD_BY, key=lambda one: times.get(one, 0.0))
    if not whole or times.get(held, 0.0) < HELD * whole or (held == "cpu" and part != "own"):
        return text, ADVICE[part], ""
    what, advice = HELD_BY[held]
    text += f"; the slow ones spent {words.percent(times[held] / whole)} of theirs {what}"
    place = breakdown.place() if held in WAITED else ""
    if not place:
        return text, advice, ""
    return f"{text}, most in {place.partition(' ')[2] or place}", advice, place


def _errors(facts: Facts) -> Iterator[Finding]:
    for one in facts.calls:
        figures = one.durations
        if one.category not in REQUESTS or figures.errors < ENOUGH_ERRORS or figures.calls < ENOUGH_CALLS:
            continue
        ratio = figures.errors / figures.calls
        how = severity(at_least(figures.errors, figures.calls), ERRORS)
        if how is None:
            continue
        causes = [cause for cause in facts.causes if cause.operation == one.operation]
        evidence = f"{words.count(figures.errors)} of {words.count(figures.calls)} requests"
        link, advice = one.link, "open a failed trace: the span that failed first tells the reason"
        place, traces = "", tuple(cause.trace_id.hex() for cause in causes[:3])
        if causes:
            cause = causes[0]
            where = f" in {cause.place}" if cause.place else ""
            message = f": {words.shorten(cause.message, 100)}" if cause.message else ""
            known = sum(one.requests for one in causes)
            evidence += f"; {words.percent(cause.requests / known)} of them by {cause.error}{where}{message}"
            link = f"#/traces/{cause.trace_id.hex()}"
            advice = f"look at the newest one's trace: {cause.error}{where}"
            place = cause.caller
        yield Finding(
            "errors", "anomaly", how, f"{one.name} fails in {words.percent(ratio)} of its requests", evidence,
            f"{words.count(figures.errors * 3600 / facts.seconds)} failed requests an hour", advice,
            sure(figures.errors), one.service, link,
            {"error_ratio": ratio, "errors": figures.errors, "requests": figures.calls},
            subject=str(one.operation), requests_per_day=figures.errors / facts.seconds * DAY, place=place,
            traces=traces,
        )  # fmt: skip


def _one_after_the_other(facts: Facts) -> Iterator[Finding]:
    """Requests that wait for one outgoing call after the other, where they might wait for the longest alone."""
    names = {one.operation: one for one in facts.calls}
    for operation, part in facts.breakdowns.items():
        one = names.get(operation)
        if one is None or part.requests < ENOUGH_BROKEN_DOWN or part.share("calls") < SERIAL:
            continue
        inner = {each: within for each, within in part.inner.items() if each in names}
        outgoing = {each: within for each, within in inner.items() if names[each].category in OUTGOING}
        total = sum(within.total for within in outgoing.values())
        calls = sum(within.calls for within in outgoing.values())
        if calls < SERIAL_CALLS * part.requests or part.parts["calls"] < 0.9 * total:
            continue
        longest = max(within.total / within.calls for within in outgoing.values())
        saved = (total / part.requests - longest) / MS
        if saved < SERIAL_MS:
            continue
        most = names[max(outgoing, key=lambda each: outgoing[each].total)].name
        yield Finding(
            "serial_calls", "optimisation", "medium", f"{one.name} makes its calls one after the other",
            f"{calls / part.requests:.1f} calls a request, {words.percent(part.share('calls'))} of its time, hardly "
            f"two at once; most in {most}",
            f"about {words.milliseconds(saved)} less a request", "make calls that do not need each other side by side",
            sure(part.requests), one.service, one.link, {"saved_ms": saved, "calls": calls / part.requests},
            subject=str(operation), requests_per_day=one.durations.calls / facts.seconds * DAY,
            seconds_per_day=saved / 1000 * one.durations.calls / facts.seconds * DAY,
        )  # fmt: skip


def _slower(facts: Facts) -> Iterator[Finding]:
    for one in facts.changes:
        if one.kind != "slower" or not isinstance(one.before, float) or not isinstance(one.after, float):
            continue
        ratio = one.after / one.before
        now = _now(facts, one)
        if now is not None and now < (one.before * one.after) ** 0.5:
            continue  # it has become quick again
        yield Finding(
            "slower", "anomaly", "high" if ratio >= 3 and one.after >= 100 else "medium" if ratio >= 1.5 else "low",
            f"{one.subject} became {ratio:.1f} times slower", f"{one.text} since the hour before ({one.test})",
            f"{words.milliseconds(one.after - one.before)} more a call",
            "compare a trace of now with one of before: a release, more data or a busy neighbour",
            round(1 - min(one.p or 0.0, 0.5), 2), one.service, one.link,
            {"before_ms": one.before, "after_ms": one.after}, subject=_number(one.link),
            seconds_per_day=_lost(facts, one),
        )  # fmt: skip


def _now(facts: Facts, change: Change) -> float | None:
    """The figure of a change in the last minutes; None where too little happened in these."""
    recent = facts.recent.get(int(_number(change.link) or 0))
    share = 0.95 if ": p95" in change.text else 0.5
    if recent is None or recent.durations.calls * (1 - share) < BEYOND:
        return None
    return recent.durations.quantile(share)


def _lost(facts: Facts, change: Change) -> float:
    number = _number(change.link)
    calls = sum(one.durations.calls for one in facts.calls if str(one.operation) == number)
    gap = (change.after if isinstance(change.after, float) else 0.0) - (
        change.before if isinstance(change.before, float) else 0.0
    )
    return max(gap, 0.0) / 1000 * calls / facts.seconds * DAY


def _number(link: str) -> str:
    """The operation's identity that a link ends with; "" where it does not."""
    found = link.rpartition("=")[2].rpartition("/")[2]
    return found if found.isdigit() else ""


def _released(facts: Facts) -> Iterator[Finding]:
    """New versions since which something is slower or fails more."""
    for version, worse in facts.released:
        heavy = [one for one in worse if one.kind in ("slower", "errors") and not _is_over(facts, one)]
        if not heavy:
            continue
        grave = any(
            one.kind == "errors" or (isinstance(one.after, float) and isinstance(one.before, float)
            and one.after >= 2 * one.before)
            for one in heavy
        )  # fmt: skip
        yield Finding(
            "release", "anomaly", "high" if grave else "medium",
            f"{version.service} {version.after or 'without a version'} made {words.several([heavy[0].subject])} worse",
            "; ".join(one.text for one in heavy[:3]), f"{len(heavy)} operations are worse since {version.text}",
            f"compare it with {version.before or 'the one before'}, and go back if it cannot be repaired soon",
            0.95, version.service, heavy[0].link, {"operations": float(len(heavy))}, subject=str(version.after),
            seconds_per_day=sum(_lost(facts, one) for one in heavy if one.unit == "ms"),
        )  # fmt: skip


def _is_over(facts: Facts, change: Change) -> bool:
    if change.kind != "slower" or not isinstance(change.before, float) or not isinstance(change.after, float):
        return False
    now = _now(facts, change)
    return now is not None and now < (change.before * change.after) ** 0.5
