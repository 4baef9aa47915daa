"""What a reader should know and do: each finding with its evidence, its impact and the next step.

A finding needs enough observations (the limits below) and says how sure it is: n / (n + 10) for n observations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.calls import OUTGOING, REQUESTS, Calls
from perfagent.hub.analyse.chance import at_least
from perfagent.hub.analyse.finding import ENOUGH_CALLS, SEVERITIES, Facts, Finding, severity, sure
from perfagent.hub.analyse.process_findings import of_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfagent.hub.analyse.breakdown import Breakdown

ENOUGH_REPEATED = 3  # requests that repeat a statement
ENOUGH_ERRORS = 5

# From which 95th percentile in ms something is a finding of low, medium, high and critical severity.
SLOW_ENDPOINT = (300.0, 500.0, 1000.0, 5000.0)
SLOW_QUERY = (100.0, 250.0, 500.0, 5000.0)
SLOW_CALL = (300.0, 500.0, 1000.0, 5000.0)
ERRORS = (0.005, 0.01, 0.05, 0.10)  # share of the requests
MANY = 10  # runs of a statement in one request
N_PLUS_ONE = (0.0, 0.10, 0.30, 2.0)  # share of the request's time; never critical


def find(facts: Facts) -> list[Finding]:
    """All findings, the most severe first and among these the surest."""
    found = [
        *_repeated(facts),
        *_slow_endpoints(facts),
        *_errors(facts),
        *_slow_queries(facts),
        *_slow_calls(facts),
        *(found for process in facts.processes for found in of_process(process)),
        *_caches(facts),
        *_deprecated(facts),
        *_changes(facts),
    ]
    return sorted(found, key=lambda one: (-SEVERITIES.index(one.severity), -one.confidence))


def _slow_endpoints(facts: Facts) -> Iterator[Finding]:
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
        where, advice = _where(breakdown, facts.calls)
        yield Finding(
            "slow_endpoint", "bottleneck", how, f"{one.name} is slow", f"{evidence}{where}",
            f"{words.percent(share)} of all the time that requests take", advice, sure(one.durations.calls),
            one.service, one.link, {"p50_ms": p50, "p95_ms": p95, "share": share, "requests": one.durations.calls},
        )  # fmt: skip


ADVICE = {
    "queries": "make its statements fewer or faster: look at their plans and indexes, or keep the result in a cache",
    "calls": "call less, side by side or not at all: batch the calls, keep their answers, give them a shorter timeout",
    "cache": "fetch many keys at once (MGET, pipeline) instead of one after the other",
    "own": "profile its own code: the time is spent in the program, not in queries or calls",
}


def _where(breakdown: Breakdown | None, calls: Sequence[Calls]) -> tuple[str, str]:
    if breakdown is None or not breakdown.requests:
        return "", "open its slowest traces to see where the time goes"
    part, _ = breakdown.parts.most_common(1)[0]
    words_of_part = {
        "queries": "in queries",
        "calls": "in outgoing calls",
        "cache": "in the cache",
        "own": "in its own code",
    }
    text = f"; {words.percent(breakdown.share(part))} of the time {words_of_part[part]}"
    names = {one.operation: one for one in calls}
    inner = max(
        (pair for pair in breakdown.inner.items() if pair[0] in names), key=lambda pair: pair[1].total, default=None
    )
    if inner is not None and part != "own":
        operation, figures = inner
        often = words.times(round(figures.calls / max(figures.requests, 1), 1))
        text += f", most in {names[operation].name} ({often} a request)"
    return text, ADVICE[part]


def _repeated(facts: Facts) -> Iterator[Finding]:
    for one in facts.repeated:
        if one.requests < ENOUGH_REPEATED:
            continue
        how = severity(one.share, N_PLUS_ONE) or "low"
        if how == "low" and one.mean >= MANY:
            how = "medium"  # it grows with the data, however quick each is today
        where = f", from {words.place(one.caller)}" if one.caller else ""
        part = one.requests / one.seen if one.seen else 0.0
        what = {"db": "the same query", "cache": "the same look-up"}.get(one.inner.category, "the same call")
        advice = {
            "db": "load all rows at once: a join, WHERE … IN (…), or selectinload/select_related of the ORM",
            "cache": "fetch all keys at once: MGET or a pipeline",
        }.get(one.inner.category, "ask for all of it in one call, or call side by side")
        yield Finding(
            "n_plus_one", "bottleneck", how,
            f"{one.endpoint.name} runs {what} {words.times(round(one.mean))} a request (N+1)",
            f"{words.shorten(one.inner.text or one.inner.name)}: {words.times(round(one.mean, 1))} a request, at most "
            f"{one.most}, in {one.requests} of {one.seen} sampled requests{where}",
            f"{words.percent(min(one.share, 1))} of the time of {words.percent(part)} of its requests",
            advice, sure(one.requests), one.endpoint.service, one.endpoint.link,
            {"mean_calls": one.mean, "most_calls": one.most, "share": one.share, "requests": one.requests},
        )  # fmt: skip


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
        if causes:
            cause = causes[0]
            place = f" in {cause.place}" if cause.place else ""
            message = f": {words.shorten(cause.message, 100)}" if cause.message else ""
            known = sum(one.requests for one in causes)
            evidence += f"; {words.percent(cause.requests / known)} of them by {cause.error}{place}{message}"
            link = f"#/traces/{cause.trace_id.hex()}"
            advice = f"look at the newest one's trace: {cause.error}{place}"
        yield Finding(
            "errors", "anomaly", how, f"{one.name} fails in {words.percent(ratio)} of its requests", evidence,
            f"{words.count(figures.errors * 3600 / facts.seconds)} failed requests an hour", advice,
            sure(figures.errors), one.service, link,
            {"error_ratio": ratio, "errors": figures.errors, "requests": figures.calls},
        )  # fmt: skip


def _slow_queries(facts: Facts) -> Iterator[Finding]:
    whole = sum(one.durations.total for one in facts.calls if one.category == "db")
    for one in facts.calls:
        if one.category != "db" or one.durations.calls < ENOUGH_CALLS:
            continue
        p95 = one.durations.quantile(0.95) or 0.0
        how = severity(p95, SLOW_QUERY)
        if how is None:
            continue
        rows = one.durations.rows / one.durations.calls
        many = rows >= 1000
        yield Finding(
            "slow_query", "bottleneck", how, f"{one.name} is slow",
            f"p95 {words.milliseconds(p95)}, {words.count(one.durations.calls)} calls: "
            f"{words.shorten(one.text or one.name)}",
            f"{words.percent(one.durations.total / whole)} of the time in the database",
            f"fetch fewer rows: {words.count(rows)} a call (LIMIT, or a narrower WHERE)" if many else
            "look at its plan (EXPLAIN ANALYZE): an index for its WHERE and ORDER BY is the usual answer",
            sure(one.durations.calls), one.service, one.link,
            {"p95_ms": p95, "calls": one.durations.calls, "rows_per_call": rows},
        )  # fmt: skip


def _slow_calls(facts: Facts) -> Iterator[Finding]:
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
            )  # fmt: skip


def _caches(facts: Facts) -> Iterator[Finding]:
    for one in facts.caches:
        lookups = one.hits + one.misses
        ratio = one.hits / lookups if lookups else 1.0
        if lookups < 100 or ratio >= 0.5:
            continue
        full = one.most is not None and one.size is not None and one.size >= 0.95 * one.most
        yield Finding(
            "cache", "optimisation", "medium" if lookups / facts.seconds >= 1 else "low",
            f"{one.name or one.system} is hit in {words.percent(ratio)} of its look-ups",
            f"{words.count(one.hits)} hits, {words.count(one.misses)} misses" + (", and it is full" if full else ""),
            f"{words.count(one.misses * 60 / facts.seconds)} values a minute are computed or fetched again",
            "make it larger: it is full, so entries go before they are used again" if full else
            "keep entries longer, or see whether the keys differ where the values do not",
            sure(lookups), one.service, "#/caches", {"hit_ratio": ratio, "lookups": lookups},
        )  # fmt: skip


def _deprecated(facts: Facts) -> Iterator[Finding]:
    for one in facts.deprecated[:5]:
        yield Finding(
            "deprecation", "optimisation", "low", f"{one.what} is deprecated",
            f"{words.count(one.calls)} calls" + (f", from {one.place}" if one.place else ""),
            f"the next version of {one.library} may not have it" if one.library else "it cannot be taken away yet",
            f"replace it before {one.library} is updated" if one.library else "replace its calls, then take it away",
            0.99, one.service, "#/deprecations", {"calls": one.calls},
        )  # fmt: skip


def _changes(facts: Facts) -> Iterator[Finding]:
    for one in facts.changes:
        if one.kind != "slower" or not isinstance(one.before, float) or not isinstance(one.after, float):
            continue
        ratio = one.after / one.before
        yield Finding(
            "slower", "anomaly", "high" if ratio >= 3 and one.after >= 100 else "medium" if ratio >= 1.5 else "low",
            f"{one.subject} became {ratio:.1f} times slower", f"{one.text} since the hour before ({one.test})",
            f"{words.milliseconds(one.after - one.before)} more a call",
            "compare a trace of now with one of before: a release, more data or a busy neighbour",
            round(1 - min(one.p or 0.0, 0.5), 2), one.service, one.link,
            {"before_ms": one.before, "after_ms": one.after},
        )  # fmt: skip
