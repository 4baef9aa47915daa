"""Causes of slower requests, from where their extra time is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.calls import OUTGOING, REQUESTS
from perfagent.hub.analyse.causes import signs
from perfagent.hub.analyse.causes.attribution import Gain
from perfagent.hub.analyse.causes.cause import Cause
from perfagent.hub.sources.seen import Blocked, Deadlocks, LongTransaction, SlowStatement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfagent.hub.analyse.calls import Calls
    from perfagent.hub.analyse.causes.facts import Facts
    from perfagent.hub.analyse.causes.symptoms import Slow

NOTICED = 0.1  # of the extra time
HELD = 0.3  # of the connections of a pool that a statement keeps busy: it is what fills the pool
GROWN = 1.5  # times the work of before
REPEATED = 3.0  # runs in one request
AGAIN = 5.0  # runs in one request that are told although nobody feels them yet
MORE = 2.0  # times as often as before
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "LOCK", "BEGIN", "COMMIT", "TRUNCATE", "ALTER")
DAY = 86_400


def of_spans(facts: Facts, gains: Sequence[Gain]) -> Iterator[Cause]:
    """A cause for each statement, call and cache look-up that adds to slower requests; code for itself is elsewhere."""
    for gain in gains:
        one = facts.now.get(gain.operation)
        if one is None or gain.share < NOTICED:
            continue
        if one.category == "db":
            yield _statement(facts, gain, one)
        elif one.category in OUTGOING:
            yield _call(facts, gain, one)
        elif one.category == "cache":
            yield _lookups(facts, gain, one)


def of_pools(facts: Facts, slower: Sequence[Slow]) -> Iterator[Cause]:
    """A cause for each statement that keeps much of a full pool busy, and more than before: requests wait for it.

    When all connections are held by slow statements, most requests never come as far as a statement: their time does
    not tell which it is, but what the connections do does.
    """
    for pool in facts.pools:
        if not signs.is_full(pool):
            continue
        feeling = [one for one in slower if one.endpoint.service == pool.service]
        for one in facts.now.values():
            if one.service != pool.service or one.category != "db":
                continue
            old = facts.before.get(one.operation)
            busy = one.durations.total / facts.seconds / 1e9
            was = old.durations.total / facts.seconds_before / 1e9 if old is not None else 0.0
            held = busy / max(pool.most * (pool.now or 1.0), 1.0)
            mean, known = one.durations.mean_ms or 0.0, old.durations.mean_ms if old is not None else None
            slow = known is None or mean >= GROWN * known
            if held < HELD or not (busy >= GROWN * was or slow):
                continue
            gain = Gain(one.operation, (busy - was) * 1000, min(held, 1.0), 1.0, 1.0 if slow else 0.5, feeling)
            found = _statement(facts, gain, one)
            found.evidence.insert(0, f"it keeps {words.percent(min(held, 1))} of the connections of the pool busy")
            yield found


def begun(facts: Facts, gain: Gain, kind: str, one: Calls, title: str) -> Cause:
    """A cause with what every one has that is about an operation."""
    spans = facts.seen.get(one.operation)
    feeling = [symptom.endpoint for symptom in gain.endpoints]
    requests = sum(symptom.rate for symptom in gain.endpoints) * DAY
    found = Cause(
        kind, one.service, one.name, title, 0.35 + 0.6 * gain.share, link=one.link, shown=one.operation,
        traces=list(spans.traces) if spans else [], place=spans.caller if spans else "",
        services=list(dict.fromkeys([one.service, *(each.service for each in feeling)])),
        endpoints=list(dict.fromkeys(each.name for each in feeling)),
        requests_per_day=requests, seconds_per_day=gain.load / 1000 * DAY,
    )  # fmt: skip
    if gain.most and feeling and feeling[0].operation != one.operation:
        found.evidence.append(
            f"{words.percent(gain.share)} of the time that {words.several(found.endpoints)} takes more is in it"
        )
    return found


def _statement(facts: Facts, gain: Gain, one: Calls) -> Cause:
    old = facts.before.get(one.operation)
    mean, was = one.durations.mean_ms or 0.0, (old.durations.mean_ms if old is not None else None)
    known = mean if was is None else was
    by_runs = (gain.runs - gain.runs_before) * (mean + known) / 2
    by_time = (mean - known) * (gain.runs + gain.runs_before) / 2
    if by_runs > by_time and gain.runs >= MORE * gain.runs_before:
        cold = [cache for cache in facts.caches if cache.service == one.service and signs.is_cold(cache)]
        if cold or down(facts, one.service):
            return _dead_cache(facts, gain, one)
        if gain.runs >= REPEATED:
            return _repeated(facts, gain, one)
    waiting = _locked(facts, one, old)
    kind = "lock" if waiting else "slow_query"
    how = _became(mean, was)
    title = f"{one.name} waits for a lock" if waiting else f"{one.name} {how}"
    found = begun(facts, gain, kind, one, title)
    found.evidence.append(_means(one, mean, was))
    found.evidence += waiting or _inside(facts, one)
    if not waiting:
        rows = one.durations.rows / max(one.durations.calls, 1)
        if rows >= 1000:
            found.evidence.append(f"it returns {words.count(rows)} rows a call")
    return found


def _became(now: float, was: float | None) -> str:
    return f"became {now / was:.1f} times slower" if was and now >= 1.2 * was else "is slow"


def _means(one: Calls, now: float, was: float | None) -> str:
    before = f", {words.milliseconds(was)} before" if was is not None else ", not called before"
    text = f": {words.shorten(one.text, 100)}" if one.text else ""
    return f"{words.milliseconds(now)} a call{before}{text}"


def _repeated(facts: Facts, gain: Gain, one: Calls) -> Cause:
    endpoint = gain.endpoints[0].endpoint.name
    runs = words.times(round(gain.runs, 1))
    found = begun(facts, gain, "n_plus_one", one, f"{endpoint} runs {one.name} {runs} a request (N+1)")
    found.evidence.append(_runs(gain.runs, gain.runs_before, one))
    return found


def _runs(now: float, before: float, one: Calls) -> str:
    was = words.times(round(before, 1)) if before else "not at all"
    return f"{words.times(round(now, 1))} a request, {was} before: {words.shorten(one.text or one.name, 100)}"


def of_repeated(facts: Facts) -> Iterator[Cause]:
    """A cause for each statement that requests began to run again and again, however quick it is."""
    for again in facts.repeated:
        one, endpoint = facts.now.get(again.operation), facts.now.get(again.endpoint)
        if one is None or endpoint is None or one.category != "db" or again.mean < AGAIN:
            continue
        if again.mean < MORE * again.mean_before:
            continue
        spans = facts.seen.get(one.operation)
        rate = endpoint.durations.calls / facts.seconds * again.share
        more = (again.mean - again.mean_before) * (one.durations.mean_ms or 0.0)
        yield Cause(
            "n_plus_one", one.service, one.name,
            f"{endpoint.name} runs {one.name} {words.times(round(again.mean))} a request (N+1)", 0.62,
            [_runs(again.mean, again.mean_before, one)], link=one.link, shown=one.operation,
            traces=list(spans.traces) if spans else [], place=spans.caller if spans else "",
            services=[endpoint.service], endpoints=[endpoint.name], requests_per_day=rate * DAY,
            seconds_per_day=rate * more / 1000 * DAY,
        )  # fmt: skip


def _dead_cache(facts: Facts, gain: Gain, one: Calls) -> Cause:
    cold = [cache for cache in facts.caches if cache.service == one.service and signs.is_cold(cache)]
    failed = down(facts, one.service)
    name = (cold[0].name or cold[0].system) if cold else failed[0].system or failed[0].name
    found = begun(facts, gain, "cache", one, f"{name} finds nothing any more, and the database takes its load")
    found.subject, found.link = name, "#/caches"
    for cache in cold:
        found.evidence.append(cooled(cache.hits, cache.misses, cache.hits_before, cache.misses_before))
    runs, before = words.times(round(gain.runs, 2)), words.times(round(gain.runs_before, 2))
    found.evidence.append(f"{one.name} runs {runs} a request, {before} before")
    found.evidence += failed_lookups(facts, one.service)
    found.score = min(found.score + 0.1, 0.97)
    return found


def cooled(hits: float, misses: float, hits_before: float, misses_before: float) -> str:
    """A cache's hit ratio now and before, in words."""
    now, before = hits / max(hits + misses, 1), hits_before / max(hits_before + misses_before, 1)
    return f"{words.percent(now)} of its look-ups find something, {words.percent(before)} before"


def down(facts: Facts, service: str) -> list[Calls]:
    """The calls of caches of a service that fail now and did not before."""
    return [one for one in facts.now.values() if one.service == service and signs.is_down(facts, one)]


def failed_lookups(facts: Facts, service: str) -> list[str]:
    """The calls of a service's caches that fail, a sentence each."""
    return [
        f"{words.percent(one.durations.error_ratio)} of the calls of {one.system} {one.name} fail"
        for one in down(facts, service)
    ]


def _lookups(facts: Facts, gain: Gain, one: Calls) -> Cause:
    old = facts.before.get(one.operation)
    was = old.durations.mean_ms if old is not None else None
    mean = one.durations.mean_ms or 0.0
    found = begun(facts, gain, "cache", one, f"{one.system} {one.name} {_became(mean, was)}")
    found.subject = one.system or one.name
    found.evidence.append(_means(one, mean, was))
    found.evidence += failed_lookups(facts, one.service)
    return found


def _call(facts: Facts, gain: Gain, one: Calls) -> Cause:
    old = facts.before.get(one.operation)
    was = old.durations.mean_ms if old is not None else None
    mean, ratio = one.durations.mean_ms or 0.0, one.durations.error_ratio or 0.0
    found = begun(facts, gain, "slow_dependency", one, f"{one.name} {_became(mean, was)}")
    found.evidence.append(_means(one, mean, was))
    if ratio >= 0.05:
        found.evidence.append(f"{words.percent(ratio)} of the calls fail")
    if old is not None and gain.runs >= MORE * gain.runs_before > 0:
        runs, before = words.times(round(gain.runs, 1)), words.times(round(gain.runs_before, 1))
        found.evidence.append(f"it is called {runs} a request, {before} before")
    return found


def _locked(facts: Facts, one: Calls, old: Calls | None) -> list[str]:
    """Why a statement that takes longer is thought to wait for a lock; empty where it is not."""
    found = list(told_of_locks(facts, one))
    for failed in facts.failing:
        if failed.first == one.operation and signs.speaks_of(f"{failed.error} {failed.message}", signs.LOCKED):
            found.append(f"{words.count(failed.requests)} requests failed by {failed.error}: {failed.message}")
    if found or not takes_locks(one) or old is None:
        return found
    return _only_writes_wait(facts, one)


def takes_locks(one: Calls) -> bool:
    """Whether a statement waits for those who changed the same rows."""
    text = (one.text or one.name).lstrip().upper()
    return text.startswith(WRITES) or " FOR UPDATE" in text or " FOR NO KEY UPDATE" in text


def told_of_locks(facts: Facts, one: Calls) -> Iterator[str]:
    """What a database says of who waits, where that may be this statement."""
    for fact in facts.told:
        if isinstance(fact, Blocked) and (
            _same(fact.statement, one) or (takes_locks(one) and _table(fact.relation, one))
        ):
            who = f"{fact.blocking_application} " if fact.blocking_application else ""
            last = f", whose last statement was {words.shorten(fact.blocking_statement, 80)}"
            yield (
                f"{fact.system} says: session {fact.blocked} has waited {fact.seconds:.0f} s for {who}session "
                f"{fact.root} ({fact.blocking_state}){last if fact.blocking_statement else ''}"
            )
        elif isinstance(fact, Deadlocks) and fact.count and takes_locks(one):
            yield f"{fact.system} broke {fact.count} deadlocks in {fact.database}"


def _waits(fact: Blocked, one: Calls) -> bool:
    return _same(fact.statement, one) or (takes_locks(one) and _table(fact.relation, one))


def _same(statement: str, one: Calls) -> bool:
    squeeze = "".join(statement.lower().split())[:60]
    return bool(squeeze) and "".join(one.text.lower().split()).startswith(squeeze.replace("$1", "?")[:30])


def _table(relation: str, one: Calls) -> bool:
    return bool(relation) and relation.rpartition(".")[2].lower() in one.text.lower()


WAITED = 3.0  # times slower than before
READ_ON = 1.5  # times slower that reads of the same database are at most, where only writes wait


def _only_writes_wait(facts: Facts, one: Calls) -> list[str]:
    """That what changes rows takes much longer while reads of the same database do not: the trace of a lock."""
    slower, steady = 0, 0
    for operation, other in facts.now.items():
        old = facts.before.get(operation)
        if other.category != "db" or other.system != one.system or other.service != one.service or old is None:
            continue
        now, was = other.durations.mean_ms or 0.0, old.durations.mean_ms or 0.0
        if takes_locks(other):
            slower += now >= WAITED * was
        elif other.durations.calls >= 5 and now <= max(READ_ON * was, was + 1.0):
            steady += 1
    mean = one.durations.mean_ms or 0.0
    old = facts.before[one.operation]
    if not slower or mean < WAITED * (old.durations.mean_ms or 0.0):
        return []
    long = [fact for fact in facts.told if isinstance(fact, LongTransaction)]
    found = [f"a transaction has been open for {fact.seconds:.0f} s ({fact.state})" for fact in long[:1]]
    if steady:
        found.append("what changes rows waits, while reads of the same database are as quick as before")
    elif slower > 1 and not found:
        found.append(f"{slower} statements that change rows became slower at once")
    return found


def _inside(facts: Facts, one: Calls) -> Iterator[str]:
    """What the database itself says of a slow statement."""
    for fact in facts.told:
        if isinstance(fact, SlowStatement) and _same(fact.statement, one):
            yield f"{fact.system} says the same: {words.milliseconds(fact.mean_ms)} a call in {fact.calls} calls"


def own_share(facts: Facts, gains: Sequence[Gain], service: str) -> float:
    """The share of the extra time that is in the code of a service itself."""
    return sum(gain.share for gain in own(facts, gains, service))


def own(facts: Facts, gains: Sequence[Gain], service: str) -> list[Gain]:
    """What the code of a service itself adds."""
    found = []
    for gain in gains:
        one = facts.now.get(gain.operation)
        if one is not None and one.service == service and one.category in (*REQUESTS, "internal"):
            found.append(gain)
    return found
