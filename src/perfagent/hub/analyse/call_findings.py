"""Findings about what a program asks of others: slow calls, retries, caches that find little, pools that are full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import pool_notices, words
from perfagent.hub.analyse.calls import OUTGOING
from perfagent.hub.analyse.finding import DAY, ENOUGH_CALLS, Facts, Finding, excess_ms, severity, sure
from perfagent.hub.analyse.notice_findings import LATELY

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_CALL = (300.0, 500.0, 1000.0, 5000.0)  # p95, ms
ENOUGH_RETRIED = 3  # requests
LOOKUPS = 100
FEW_HITS, NO_HITS = 0.5, 0.02
FULL_POOL = 0.9


def of_calls(facts: Facts) -> Iterator[Finding]:
    """All of them."""
    yield from _slow(facts)
    yield from _retried(facts)
    yield from _caches(facts)
    yield from _pools(facts)


def _slow(facts: Facts) -> Iterator[Finding]:
    for one in facts.calls:
        if one.category not in OUTGOING or one.durations.calls < ENOUGH_CALLS:
            continue
        p95 = one.durations.quantile(0.95) or 0.0
        how = severity(p95, SLOW_CALL)
        if how is not None:
            yield Finding(
                "slow_call", "bottleneck", how, f"calls of {one.name} are slow",
                f"p95 {words.milliseconds(p95)} in {words.count(one.durations.calls)} calls, "
                f"{words.percent(one.durations.error_ratio)} of them failed",
                f"{words.milliseconds(one.durations.total / 1e6 / facts.seconds)} of waiting a second",
                "set a timeout, keep connections open, call side by side, or keep the answers in a cache",
                sure(one.durations.calls), one.service, one.link, {"p95_ms": p95, "calls": one.durations.calls},
                subject=str(one.operation), requests_per_day=one.durations.calls / facts.seconds * DAY,
                seconds_per_day=excess_ms(one.durations, SLOW_CALL[0]) / 1000 / facts.seconds * DAY,
            )  # fmt: skip


def _retried(facts: Facts) -> Iterator[Finding]:
    """Calls that are tried again and again while they fail: they add load to what is down already."""
    for one in facts.retried:
        if one.requests < ENOUGH_RETRIED:
            continue
        calls = one.endpoint.durations.calls / facts.seconds * DAY
        yield Finding(
            "retries", "anomaly", "high" if one.tries >= 5 else "medium",
            f"{one.endpoint.name} tries {one.inner.name} {words.times(round(one.tries, 1))} in vain",
            f"{one.tries:.1f} tries a request in {one.requests} sampled requests, {words.percent(one.failed)} of them "
            "failed",
            f"{words.milliseconds(one.total / 1e6 / one.requests)} of waiting in each of these requests",
            "try again twice at most, with growing pauses, and not at all while a circuit breaker is open",
            sure(one.requests), one.endpoint.service, f"#/traces/{one.trace_id.hex()}",
            {"tries": one.tries, "requests": float(one.requests)},
            subject=f"{one.endpoint.operation} {one.inner.operation}", requests_per_day=calls,
            seconds_per_day=one.total / 1e9 / one.requests * calls * (1 - 1 / one.tries),
            traces=(one.trace_id.hex(),),
        )  # fmt: skip


def _caches(facts: Facts) -> Iterator[Finding]:
    for one in facts.caches:
        lookups = one.hits + one.misses
        ratio = one.hits / lookups if lookups else 1.0
        if lookups < LOOKUPS or ratio >= FEW_HITS:
            continue
        full = one.most is not None and one.size is not None and one.size >= 0.95 * one.most
        never = ratio < NO_HITS
        hit = f"hit in {words.percent(ratio)} of its look-ups" if one.hits else "never hit"
        advice = (
            "make it larger: it is full, so entries go before they are used again" if full else
            "see what its keys are made of: something in them differs each time" if never else
            "keep entries longer, or see whether the keys differ where the values do not"
        )  # fmt: skip
        yield Finding(
            "cache", "optimisation", "medium" if lookups / facts.seconds >= 1 else "low",
            f"{one.name or one.system} is {hit}",
            f"{words.count(one.hits)} hits, {words.count(one.misses)} misses" + (", and it is full" if full else ""),
            f"{words.count(one.misses * 60 / facts.seconds)} values a minute are computed or fetched again", advice,
            sure(lookups), one.service, "#/caches", {"hit_ratio": ratio, "lookups": lookups},
            subject=one.name, requests_per_day=one.misses / facts.seconds * DAY,
            steps=(advice, "compare hits and evictions after the change: GET caches", "leave it out if it stays so: it "
                   "costs a look-up each time"),
        )  # fmt: skip


def _pools(facts: Facts) -> Iterator[Finding]:
    named = pool_notices.told_of(facts.notices, facts.end - LATELY)
    for one in facts.pools:
        if one.share >= FULL_POOL and one.service not in named:
            yield Finding(
                "pool", "bottleneck", "high", f"the connection pool of {one.service} is full",
                f"{words.percent(one.share)} of its connections are in use on average",
                "requests wait for a connection", "find what holds connections for long; only then make it larger",
                0.9, one.service, "#/queries", {"share": one.share}, subject=one.service,
            )  # fmt: skip
