"""Causes that slow all the code of a process, or end it: the processor, the event loop, pools, memory, caches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.causes import signs, slowness
from perfagent.hub.analyse.causes.cause import Cause
from perfagent.hub.sources.seen import PoolUse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfagent.hub.analyse.causes.attribution import Gain
    from perfagent.hub.analyse.causes.facts import Facts, Pool, Process

DAY = slowness.DAY
EMBEDDED = ("sqlite", "duckdb")  # databases whose work is the process' own


def of_signs(facts: Facts, gains: Sequence[Gain]) -> Iterator[Cause]:
    """A cause for each abnormal sign; likelier the more of the extra time is in the code that it slows."""
    for process in facts.processes:
        if signs.is_blocked(process):
            yield _blocked(facts, gains, process)
        if signs.is_busy(process):
            yield _busy(facts, gains, process)
        if signs.collects(process):
            yield _collecting(facts, gains, process)
        grown = signs.growth(process)
        if grown is not None:
            yield _leak(process, grown)
    for pool in facts.pools:
        if signs.is_full(pool):
            yield _full(facts, gains, pool)
    yield from _full_servers(facts)
    yield from _cold(facts)
    yield from _slow_code(facts, gains)


def _of(
    facts: Facts, gains: Sequence[Gain], kind: str, service: str, subject: str, title: str, base: float, link: str
) -> Cause:
    """A cause that slows the code of a service: `base` alone, up to 0.97 with all of the extra time in that code."""
    own = slowness.own(facts, gains, service)
    share = sum(gain.share for gain in own)
    feeling = [symptom.endpoint for gain in own for symptom in gain.endpoints]
    found = Cause(kind, service, subject, title, base + (0.97 - base) * share, link=link)
    found.endpoints = list(dict.fromkeys(one.name for one in feeling))
    found.services = list(dict.fromkeys([service, *(one.service for one in feeling)]))
    found.seconds_per_day = sum(gain.load for gain in own) / 1000 * DAY
    rates = {symptom.endpoint.operation: symptom.rate for gain in own for symptom in gain.endpoints}
    found.requests_per_day = sum(rates.values()) * DAY
    for gain in own:
        spans = facts.seen.get(gain.operation)
        if spans is not None:
            found.traces = found.traces or list(spans.traces)
            found.place = found.place or spans.caller
    if share >= slowness.NOTICED:
        whom = words.several(found.endpoints)
        found.evidence.append(f"{words.percent(share)} of the time that {whom} takes more is in the program's own code")
    return found


def _blocked(facts: Facts, gains: Sequence[Gain], one: Process) -> Cause:
    title = f"the event loop of {one.service} is blocked"
    found = _of(facts, gains, "blocked_loop", one.service, one.instance, title, 0.72, f"#/processes/{one.instance}")
    found.evidence.insert(0, _late(one))
    # While a loop is stuck, all its requests take longer; what takes most is where to look.
    for gain in gains:
        heaviest = facts.now.get(gain.operation)
        if heaviest is not None and heaviest.service == one.service:
            endpoint = gain.endpoints[0].endpoint
            found.endpoints = list(dict.fromkeys([endpoint.name, *found.endpoints]))
            spans = facts.seen.get(gain.operation)
            if spans is not None:
                found.place, found.traces = spans.caller or found.place, list(spans.traces) or found.traces
            where = "its own code" if heaviest is endpoint else heaviest.name
            found.evidence.append(f"most of the time more is in {where} of {endpoint.name}")
            break
    if one.cpu is not None:
        busy = one.cpu >= signs.BUSY
        what = "by a computation" if busy else "by something that waits, such as time.sleep or a synchronous call"
        found.evidence.append(f"the process keeps {one.cpu:.2f} cores busy meanwhile: it is blocked {what}")
    return found


def _late(one: Process) -> str:
    before = f", {words.milliseconds(one.lag_ms_before)} before" if one.lag_ms_before is not None else ""
    stuck = f"; stuck for {one.stalled:.1f} s" if one.stalled else ""
    return f"ready callbacks waited {words.milliseconds(one.lag_ms)} (p99){before}{stuck}"


def _busy(facts: Facts, gains: Sequence[Gain], one: Process) -> Cause:
    cpu, before = one.cpu or 0.0, one.cpu_before
    found = _of(
        facts, gains, "cpu", one.service, one.instance, f"{one.service} keeps {cpu:.1f} cores busy", 0.6,
        f"#/processes/{one.instance}",
    )  # fmt: skip
    was = f", {before:.2f} before" if before is not None else ""
    found.evidence.insert(0, f"{cpu:.2f} cores{was}: other threads wait for the interpreter lock")
    return found


def _collecting(facts: Facts, gains: Sequence[Gain], one: Process) -> Cause:
    title = f"garbage collection stops {one.service}"
    found = _of(facts, gains, "gc", one.service, one.instance, title, 0.5, f"#/processes/{one.instance}")
    was = f", {words.percent(one.gc_before)} before" if one.gc_before is not None else ""
    found.evidence.insert(0, f"it takes {words.percent(one.gc)} of the time{was}")
    return found


def _leak(one: Process, grown: signs.Growth) -> Cause:
    """A process that keeps on growing: likely a leak whatever else there is, for nothing else explains it."""
    per_day = grown.per_second * DAY
    times = grown.last / max(grown.first, 1.0)
    return Cause(
        "memory_leak", one.service, one.instance, f"the memory of {one.service} grows and grows",
        min(0.75 + 0.1 * (times - 1), 0.9),
        [
            f"{words.size(grown.first)} → {words.size(grown.last)} in {grown.seconds:.0f} s, steadily",
            f"{words.size(per_day / 24)} an hour at this rate, until a limit ends the process",
        ],
        link=f"#/processes/{one.instance}", services=[one.service],
    )  # fmt: skip


def _full(facts: Facts, gains: Sequence[Gain], one: Pool) -> Cause:
    name = one.name or "its database"
    title = f"all connections of {one.service} to {name} are in use"
    found = _of(facts, gains, "pool", one.service, one.name or "pool", title, 0.65, "#/queries")
    was = f", {words.percent(one.before)} before" if one.before is not None else ""
    found.evidence.insert(0, f"{words.percent(one.now)} of {words.count(one.most)} connections are in use{was}")
    if one.wait_ms is not None:
        before = f", {words.milliseconds(one.wait_ms_before)} before" if one.wait_ms_before is not None else ""
        found.evidence.insert(0, f"requests wait {words.milliseconds(one.wait_ms)} for a connection{before}")
    if one.timeouts >= 1:
        found.evidence.insert(0, f"{words.count(one.timeouts)} requests of the last minute waited in vain")
        found.score = min(found.score + 0.15, 0.97)
    if found.seconds_per_day:
        found.evidence.append("requests wait for one before their statements, which are no slower themselves")
    return found


def _full_servers(facts: Facts) -> Iterator[Cause]:
    for fact in facts.told:
        if isinstance(fact, PoolUse) and fact.share >= 0.95:
            states = ", ".join(f"{number} {state}" for state, number in sorted(fact.states.items()))
            yield Cause(
                "pool", "", fact.source, f"{fact.source} has hardly a connection left", 0.7,
                [f"{fact.used} of {fact.limit} connections are in use: {states}"], link="#/hub", services=[],
            )  # fmt: skip


def _cold(facts: Facts) -> Iterator[Cause]:
    """A cache that finds nothing any more, or fails; the statements that take its load tell it more strongly."""
    for service in {one.service for one in facts.now.values()}:
        failed = slowness.down(facts, service)
        if failed:
            name = failed[0].system or failed[0].name
            calls = sum(one.durations.errors for one in failed) / facts.seconds * DAY
            spans = facts.seen.get(failed[0].operation)
            yield Cause(
                "cache", service, name, f"{name} does not answer", 0.66, slowness.failed_lookups(facts, service),
                link="#/caches", services=[service], requests_per_day=calls, shown=failed[0].operation,
                traces=list(spans.traces) if spans else [], place=spans.caller if spans else "",
            )  # fmt: skip
    for one in facts.caches:
        if signs.is_cold(one):
            name = one.name or one.system
            told = slowness.cooled(one.hits, one.misses, one.hits_before, one.misses_before)
            yield Cause(
                "cache", one.service, name, f"{name} finds nothing any more", 0.6, [told], link="#/caches",
                services=[one.service], requests_per_day=one.misses / facts.seconds * DAY,
            )  # fmt: skip


def _slow_code(facts: Facts, gains: Sequence[Gain]) -> Iterator[Cause]:
    """Code that is slower itself; what slows all code of a process is likelier where it is seen."""
    for service in {one.service for one in facts.now.values()}:
        own = slowness.own(facts, gains, service)
        share = sum(gain.share for gain in own)
        if share < slowness.NOTICED:
            continue
        one = facts.now[own[0].operation]
        load = sum(gain.load for gain in own)
        kind, title, base = "slow_code", f"the code of {one.name} became slower", 0.3
        computed = _computed(facts, service)
        callers = {symptom.endpoint.service for gain in own for symptom in gain.endpoints} - {service}
        if computed >= COMPUTED * load / 1000 and load >= LEAST_COMPUTED:
            kind, title, base = "cpu", f"{one.name} computes more than before", 0.45
        elif callers:
            kind, title, base = "slow_dependency", f"{service} became slower: {one.name}", 0.42
        found = slowness.begun(facts, own[0], kind, one, title)
        found.score = base + 0.45 * share
        found.seconds_per_day = load / 1000 * DAY
        old = facts.before.get(one.operation)
        if old is not None:
            now, was = one.durations.mean_ms, old.durations.mean_ms
            found.evidence.append(f"{words.milliseconds(now)} a request, {words.milliseconds(was)} before")
        if kind == "cpu":
            found.evidence.append(f"{service} keeps {computed:.2f} cores more busy than before")
        elif kind == "slow_dependency":
            found.evidence.append(f"{words.several(sorted(callers))} waits for it; its own queries and calls do not")
        yield found


COMPUTED = 0.5  # of the time that requests take more: from here on it is computed, not waited
LEAST_COMPUTED = 30.0  # ms a second; less is noise of a process' CPU


def _computed(facts: Facts, service: str) -> float:
    """Cores that the processes of a service keep busy more than before."""
    processes = signs.of_service(facts, service)
    return sum((one.cpu or 0.0) - one.cpu_before for one in processes if one.cpu_before is not None)
