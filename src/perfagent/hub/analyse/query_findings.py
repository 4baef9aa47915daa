"""Findings about statements: repeated in one request, slow, frequent, and such as an index would make quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import plan_notices, words
from perfagent.hub.analyse.calls import REQUESTS
from perfagent.hub.analyse.finding import DAY, ENOUGH_CALLS, Facts, Finding, excess_ms, severity, sure
from perfagent.hub.sources.seen import SequentialScans

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH_REPEATED = 3  # requests that repeat a statement
SLOW_QUERY = (100.0, 250.0, 500.0, 5000.0)  # p95, ms
MANY = 10  # runs of a statement in one request
N_PLUS_ONE = (0.0, 0.10, 0.30, 2.0)  # share of the request's time; never critical
HEAVY = (0.15, 0.25, 0.5, 2.0)  # of all the time that requests take, in a statement that is not slow; never critical
HEAVY_LOAD = 0.02  # s of it in a second, below which nobody would gain
HEAVY_CALLS = 100


def of_queries(facts: Facts) -> Iterator[Finding]:
    """All of them."""
    yield from _repeated(facts)
    yield from _slow(facts)
    yield from _heavy(facts)
    yield from plan_notices.of_plans(facts)


def _repeated(facts: Facts) -> Iterator[Finding]:
    for one in facts.repeated:
        if one.requests < ENOUGH_REPEATED:
            continue
        how = severity(one.share, N_PLUS_ONE) or "low"
        if how == "low" and one.mean >= MANY:
            how = "medium"  # it grows with the data, however quick each is today
        where = f", from {words.place(one.caller)}" if one.caller else ""
        first = ""
        if one.loop:
            first, where = f"the loop at {words.place(one.loop)} runs it{where}: ", ""
        part = one.requests / one.seen if one.seen else 0.0
        what = {"db": "the same query", "cache": "the same look-up"}.get(one.inner.category, "the same call")
        advice = {
            "db": "load all rows at once, before the loop: a join, WHERE … IN (…), selectinload or joinedload of "
            "SQLAlchemy, select_related or prefetch_related of Django",
            "cache": "fetch all keys at once: MGET or a pipeline",
        }.get(one.inner.category, "ask for all of it in one call, or call side by side")
        rate = part * one.endpoint.durations.calls / facts.seconds
        spared = (one.mean - 1) * (one.inner.durations.mean_ms or 0.0) / 1000
        steps = (
            f"look at the loop: {one.loop}" if one.loop else f"open the trace: {what} stands there again and again",
            advice,
            "keep it out with a test that counts the statements of a request",
        )
        yield Finding(
            "n_plus_one", "bottleneck", how,
            f"{one.endpoint.name} runs {what} {words.times(round(one.mean))} a request (N+1)",
            f"{first}{words.shorten(one.inner.text or one.inner.name)}: {words.times(round(one.mean, 1))} a request, "
            f"at most {one.most}, in {one.requests} of {one.seen} sampled requests{where}",
            f"{words.percent(min(one.share, 1))} of the time of {words.percent(part)} of its requests",
            advice, sure(one.requests), one.endpoint.service, one.endpoint.link,
            {"mean_calls": one.mean, "most_calls": one.most, "share": one.share, "requests": one.requests},
            subject=f"{one.endpoint.operation} {one.inner.operation}", requests_per_day=rate * DAY,
            seconds_per_day=rate * spared * DAY, steps=steps, traces=(one.trace_id.hex(),),
            place=one.loop or one.caller or "",
        )  # fmt: skip


def _slow(facts: Facts) -> Iterator[Finding]:
    whole = sum(one.durations.total for one in facts.calls if one.category == "db")
    plans = plan_notices.by_statement(facts)
    for one in facts.calls:
        if one.category != "db" or one.durations.calls < ENOUGH_CALLS:
            continue
        p95 = one.durations.quantile(0.95) or 0.0
        how = severity(p95, SLOW_QUERY)
        if how is None:
            continue
        rows = one.durations.rows / one.durations.calls
        many = rows >= 1000
        plan = plans.get((one.service, one.text))
        scanned = plan_notices.told(plan) or _scanned(facts, one.text)
        index = plan_notices.index_of(plan)
        advice = (
            f"create an index: {index}" if index else
            f"fetch fewer rows: {words.count(rows)} a call (LIMIT, or a narrower WHERE)" if many else
            "look at its plan (EXPLAIN ANALYZE): an index for its WHERE and ORDER BY is the usual answer"
        )  # fmt: skip
        yield Finding(
            "slow_query", "bottleneck", how, f"{one.name} is slow",
            f"p95 {words.milliseconds(p95)}, {words.count(one.durations.calls)} calls: "
            f"{words.shorten(one.text or one.name)}{scanned}",
            f"{words.percent(one.durations.total / whole)} of the time in the database", advice,
            sure(one.durations.calls), one.service, one.link,
            {"p95_ms": p95, "calls": one.durations.calls, "rows_per_call": rows},
            subject=str(one.operation), requests_per_day=one.durations.calls / facts.seconds * DAY,
            seconds_per_day=excess_ms(one.durations, SLOW_QUERY[0]) / 1000 / facts.seconds * DAY,
            place=plan.place if plan is not None else "",
            steps=(advice, f"{plan_notices.gain(plan)} with it" if plan is not None and index else
                   "`perfagent index analyze` proposes the index, and tells what it would cost",
                   "if it cannot be made quicker, keep its result in a cache"),
        )  # fmt: skip


def _scanned(facts: Facts, text: str) -> str:
    """What a database says of the tables of a statement that it reads from begin to end."""
    for fact in facts.told:
        if isinstance(fact, SequentialScans) and fact.table.lower() in text.lower():
            return f"; {fact.system} reads all {words.count(fact.rows)} rows of {fact.table} again and again"
    return ""


def _heavy(facts: Facts) -> Iterator[Finding]:
    """Statements that are not slow, and so frequent that they take much of all the time that requests take."""
    for service in {one.service for one in facts.calls if one.category in REQUESTS}:
        mine = [one for one in facts.calls if one.service == service]
        whole = sum(one.durations.total for one in mine if one.category in REQUESTS)
        for one in mine:
            if one.category != "db" or one.durations.calls < HEAVY_CALLS or not whole:
                continue
            share, load = one.durations.total / whole, one.durations.total / 1e9 / facts.seconds
            p95 = one.durations.quantile(0.95) or 0.0
            how = severity(share, HEAVY)
            if how is None or load < HEAVY_LOAD or p95 >= SLOW_QUERY[0]:
                continue
            yield Finding(
                "heavy_query", "optimisation", how if how != "high" else "medium",
                f"{one.name} takes {words.percent(min(share, 1))} of the time of all requests",
                f"{words.count(one.durations.calls / facts.seconds)} calls a second of "
                f"{words.milliseconds(one.durations.mean_ms)}: {words.shorten(one.text or one.name)}",
                f"{load:.2g} s of work a second", "run it less often: keep its result in a cache",
                sure(one.durations.calls), service, one.link,
                {"share": share, "calls": one.durations.calls, "p95_ms": p95}, subject=str(one.operation),
                requests_per_day=one.durations.calls / facts.seconds * DAY, seconds_per_day=load * DAY / 2,
            )  # fmt: skip
