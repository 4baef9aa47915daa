"""Reads the insights of a range: what is so at its end, with where it is, since when, and what is behind it."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from perfagent.hub.analyse import changes, finding, findings
from perfagent.hub.analyse.causes import rank
from perfagent.hub.analyse.causes.facts import Spans
from perfagent.hub.analyse.durations import MS, bucket_of
from perfagent.hub.analyse.query_findings import SLOW_QUERY
from perfagent.hub.analyse.request_findings import SLOW_ENDPOINT
from perfagent.hub.api import calls as reading
from perfagent.hub.api import evidence, facts, samples, vitals
from perfagent.hub.api.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.hub import Hub
    from perfagent.hub.store.store import Store

LATELY = 540.0  # s: with the whole minute that it begins in, never more than ten minutes
LEAST = 120.0  # s after a release, below which it has not shown itself yet
NOW = 180.0  # s: a range that ends longer ago has no causes of now


def found(hub: Hub, within: Range, service: str | None, read: facts.Read | None = None) -> list[finding.Finding]:
    """The insights of a range, the most severe first; what roll-ups do not tell is sampled from its end.

    Args:
        read: what was read of the range already.
    """
    store = hub.store
    read = read or look(store, within, service)
    whole = facts.gather(store, read)
    recent = _lately(store, read, whole)
    whole.told = hub.sources.facts()
    whole.released = _released(store, read)
    whole.likely = rank(evidence.gather(hub, within.end, service=service))
    if recent is not None:
        whole.recent = {one.operation: one for one in recent.calls}
        recent.changes, recent.recent = (), whole.recent
    said = findings.find(whole)
    if recent is not None:
        said = findings.settled(said, whole, findings.find(recent), recent)
    _show(store, read, said)
    return said


def look(store: Store, within: Range, service: str | None) -> facts.Read:
    """What insights of a range begin with."""
    called = reading.by_operation(store, within, service)
    return facts.Read(
        within=within,
        service=service,
        called=called,
        readings=vitals.readings(store, within, service),
        histograms=vitals.all_histograms(store, within, service),
        known=facts.processes(store, service),
        changed=facts.since_hour(store, within.end, service, (within, called)),
        sampled=samples.recent(store, within),
    )


def _lately(store: Store, read: facts.Read, whole: finding.Facts) -> finding.Facts | None:
    """The facts of the last minutes, or of what is since a release in these; None for ranges as short themselves."""
    within, service = read.within, read.service
    begin = within.end - LATELY
    for release in facts.releases(read.known, begin - 60, within.end):
        if release.kind == "version":
            started = max(row["first_seen"] / 1e9 for row in read.known if row["service"] == release.service)
            after = ceil(started / 60) * 60
            if within.end - after >= LEAST:
                begin = max(begin, float(after))
    if begin <= within.begin:
        return None
    short = Range(begin, within.end)
    recent = replace(
        read,
        within=short,
        called=reading.by_operation(store, short, service),
        readings=vitals.readings(store, short, service),
        histograms=vitals.all_histograms(store, short, service),
        changed=(),
        sampled=Range(max(read.sampled.begin, short.begin), short.end),
    )
    return facts.gather(store, recent, whole)


def _released(store: Store, read: facts.Read) -> list[tuple[changes.Change, Sequence[changes.Change]]]:
    """New versions of the range, with what became worse since the last of them."""
    versions = [one for one in facts.releases(read.known, read.within.begin, read.within.end) if one.kind == "version"]
    if not versions:
        return []
    since = facts.since_start(store, read.within.end, read.service, read.known)
    return [(one, [each for each in since if each.service == one.service]) for one in versions]


def _operation(one: finding.Finding) -> int | None:
    """The operation that a finding is about; None where it is about something else, such as a process."""
    last = one.subject.rpartition(" ")[2]
    return int(last) if last.isdecimal() and one.subject.replace(" ", "").isdecimal() else None


def _show(store: Store, read: facts.Read, said: Sequence[finding.Finding]) -> None:
    """Adds callers, traces, and since when."""
    subjects = {number: one for one in said if (number := _operation(one)) is not None}
    limits = {
        operation: bucket_of((SLOW_QUERY if one.kind == "slow_query" else SLOW_ENDPOINT)[0] * MS)
        if one.kind in ("slow_query", "slow_endpoint", "slow_call")
        else -1000
        for operation, one in subjects.items()
    }
    spans: dict[int, Spans] = {}
    times: dict[int, tuple[float, float]] = {}
    if limits:
        within = read.sampled
        rows = store.rows("causes/seen", begin_ns=within.begin_ns, end_ns=within.end_ns, operations=list(limits))
        spans = {row["operation"]: Spans(row["caller"] or "", [one.hex() for one in row["traces"]]) for row in rows}
        bounds = reading.bounds(store, read.within.begin, read.within.end)
        rows = store.rows("samples/minutes", **bounds, operations=list(limits), buckets=list(limits.values()))
        times = {row["operation"]: (float(row["first"]), min(float(row["last"] + 60), read.within.end)) for row in rows}
    for one in said:
        number = _operation(one)
        known = spans.get(number) if number is not None else None
        if known is not None:
            one.place = one.place or known.caller
            one.traces = one.traces or tuple(known.traces)
        first, last = times.get(number, (read.within.begin, read.within.end)) if number is not None else (
            read.within.begin, read.within.end,
        )  # fmt: skip
        one.first_seen = max(first, read.within.begin) if one.first_seen is None else one.first_seen
        one.last_seen = last if one.last_seen is None else one.last_seen
