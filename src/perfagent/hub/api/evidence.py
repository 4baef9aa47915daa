"""Reads what causes are ranked from: the last minute beside the hour before it, in spans, vital signs and sources."""

from __future__ import annotations

from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING

from perfagent.hub.analyse.breakdown import break_down
from perfagent.hub.analyse.calls import REQUESTS, Calls
from perfagent.hub.analyse.causes import symptoms
from perfagent.hub.analyse.causes.facts import Facts, Release, Repeated, Spans
from perfagent.hub.analyse.durations import merged
from perfagent.hub.analyse.errors import causes, failure
from perfagent.hub.api import calls as reading
from perfagent.hub.api import readings, samples
from perfagent.hub.api.ranges import Range
from perfagent.hub.remote.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.analyse.breakdown import Breakdown
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

NOW = 60.0  # s: what is wrong now is in these
HOUR = 3600.0
EACH = 40  # requests of an endpoint that are broken down, on either side
EXPLAINED = 6  # endpoints
SAMPLED = 40_000  # spans that samples of single requests are drawn from
ERRORS_READ = 500
RELEASED = 1800.0  # s: how old a release may be that something is put down to
SETTLED = 3.0  # s from the first request of a process until it is known


def gather(hub: Hub, end: float, since: float | None = None, service: str | None = None) -> Facts:
    """The facts of a moment.

    Args:
        end: the moment, seconds since the epoch.
        since: when it began to be wrong, where that is known: what it is compared with is before.
        service: only its calls.
    """
    store = hub.store
    begin = end - NOW
    known = store.rows("vitals/resources", service=service)
    releases = _releases(known, end)
    # What a release brought is compared with what was before it, for as long as it is new.
    border = min([begin, *([] if since is None else [since]), *(one.time - SETTLED for one in releases)])
    now = _called(store, Range(begin, end), service)
    before, seconds_before = _before(store, border, service)
    facts = Facts(end, NOW, seconds_before, now, before)
    facts.releases = releases
    _add_signs(store, facts, border, service, known)
    facts.told = hub.sources.facts()
    _add_spans(store, facts, border)
    return facts


def _called(store: Store, within: Range, service: str | None) -> dict[int, Calls]:
    """Calls of a short range that ends now; where the hub reads from elsewhere, of whole minutes."""
    if isinstance(store, Window):
        rows = reading.by_operation(store, Range(floor(within.begin / 60) * 60 - 60, within.end), service)
        return {one.operation: one for one in rows}
    rows_ = store.rows("causes/calls", begin_ns=within.begin_ns, end_ns=within.end_ns, service=service)
    return {row["operation"]: _calls(row) for row in rows_}


def _calls(row: Row) -> Calls:
    return Calls(
        row["operation"], row["service"], row["category"], row["name"], row["system"], row["text"],
        row["first_seen"] / 1e9, reading.durations(row),
    )  # fmt: skip


def _before(store: Store, border: float, service: str | None) -> tuple[dict[int, Calls], float]:
    """The calls of the hour before a moment, and how much of it there is, s: closed minutes, and spans after these."""
    minute = floor(border / 60) * 60
    first = store.rows("calls/first")[0]["first"]
    begin = max(minute - HOUR, float(first or minute))
    found: dict[int, Calls] = {}
    if begin < minute:
        found = {one.operation: one for one in reading.by_operation(store, Range(begin, minute), service)}
    if border > minute and not isinstance(store, Window):
        for operation, one in _called(store, Range(minute, border), service).items():
            known = found.get(operation)
            if known is not None:
                one.durations = merged([known.durations, one.durations])
            found[operation] = one
    return found, max(border - begin, 1.0)


def _add_signs(store: Store, facts: Facts, border: float, service: str | None, known: Sequence[Row]) -> None:
    read = readings.read(store, facts.end, border, NOW, service, known)
    facts.processes, facts.pools, facts.caches = read.processes, read.pools, read.caches


def _releases(known: Iterable[Row], end: float) -> list[Release]:
    """New versions of the last half hour, of services that another version was seen of before."""
    services: dict[str, list[tuple[float, str]]] = {}
    for row in known:
        services.setdefault(row["service"], []).append((row["first_seen"] / 1e9, row["version"]))
    found = []
    for name, versions in services.items():
        versions.sort()
        for (_, was), (time, version) in pairwise(versions):
            if version != was and end - RELEASED <= time <= end:
                found.append(Release(name, was, version, time))
    return found


def _add_spans(store: Store, facts: Facts, border: float) -> None:
    """What single requests show; read only where something is wrong, for it costs some ten milliseconds."""
    lately = samples.recent(store, Range(facts.end - NOW - 30, facts.end), most=SAMPLED)
    earlier = samples.recent(store, Range(border - HOUR, border), most=SAMPLED)
    slow = symptoms.slow(facts)[:EXPLAINED]
    if slow or any(one.durations.errors for one in facts.now.values()):
        rows = store.rows("calls/weights", begin_ns=lately.begin_ns, end_ns=lately.end_ns)
        facts.weights = {row["operation"]: row["weight"] for row in rows}
        slow = symptoms.slow(facts)[:EXPLAINED]
    if slow:
        operations = [one.endpoint.operation for one in slow]
        facts.broken_down = _broken_down(store, Range(facts.end - NOW, facts.end), operations)
        compared = [one.endpoint.operation for one in slow if one.before is not None]
        if compared:
            facts.broken_down_before = _broken_down(store, earlier, compared)
    if symptoms.failing(facts):
        rows = store.rows(
            "samples/errors", begin_ns=lately.begin_ns, end_ns=lately.end_ns, service=None, most=ERRORS_READ
        )
        facts.failing = causes(map(failure, rows))
    facts.repeated = _repeated(store, facts, lately, earlier)
    facts.seen = _seen(store, facts, lately)


def _broken_down(store: Store, within: Range, operations: Sequence[int]) -> dict[int, Breakdown]:
    """Where requests spent their time: of the longest and of others, alike on either side, for a tail to be seen."""
    rows = store.rows(
        "causes/requests", begin_ns=within.begin_ns, end_ns=within.end_ns, operations=list(operations), each=EACH // 2,
        most=samples.MOST,
    )  # fmt: skip
    return break_down((samples.piece(number, row) for number, row in enumerate(rows)), operations)


def _repeated(store: Store, facts: Facts, lately: Range, earlier: Range) -> list[Repeated]:
    if not any(one.category == "db" for one in facts.now.values()):
        return []
    rows = [row for row in samples.repeated(store, lately) if row["requests"] >= 3]
    if not rows:
        return []
    was = {
        (row["endpoint"], row["operation"]): row["times"]
        for row in store.rows(
            "causes/runs", begin_ns=earlier.begin_ns, end_ns=earlier.end_ns,
            operations=list({row["operation"] for row in rows}),
        )
    }  # fmt: skip
    known = {one.operation for one in facts.before.values() if one.category in REQUESTS}
    return [
        Repeated(
            row["endpoint"], row["operation"], row["requests"] / max(row["seen"], 1), row["mean_times"],
            was.get((row["endpoint"], row["operation"]), 0.0),
        )
        for row in rows
        if row["endpoint"] in known  # an endpoint that is new has no before
    ]  # fmt: skip


def _seen(store: Store, facts: Facts, lately: Range) -> dict[int, Spans]:
    """Callers and traces of what may become the subject of a cause."""
    wanted = {operation for one in facts.broken_down.values() for operation in one.alone}
    wanted |= {one.operation for one in facts.repeated} | {one.first for one in facts.failing}
    wanted |= {one.operation for one in facts.now.values() if one.category == "cache" and one.durations.errors}
    if not wanted:
        return {}
    rows = store.rows("causes/seen", begin_ns=lately.begin_ns, end_ns=lately.end_ns, operations=sorted(wanted))
    return {row["operation"]: Spans(row["caller"] or "", [one.hex() for one in row["traces"]]) for row in rows}
