"""Which spans the extra time of slower requests is in: on the critical path, each for itself, now beside before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfagent.hub.analyse.durations import MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.analyse.breakdown import Breakdown
    from perfagent.hub.analyse.causes.facts import Facts
    from perfagent.hub.analyse.causes.symptoms import Slow

CHRONIC = 0.05  # what the time of requests that were as slow before counts for where others became slower
ALWAYS = 0.4  # what is left of shares where none became slower: signs that are new come before what was always so


@dataclass(slots=True)
class Gain:
    """What the spans of one operation add to slower requests.

    Args:
        load: ms more on critical paths, in a second.
        share: of what all operations add, 0..1.
        runs, runs_before: how often it runs in one request, on average over the endpoint that it adds most to.
        endpoints: the slower requests in which it adds time, the one with most first.
    """

    operation: int
    load: float = 0.0
    share: float = 0.0
    runs: float = 0.0
    runs_before: float = 0.0
    endpoints: list[Slow] = field(default_factory=list)
    most: float = 0.0


def gains(facts: Facts, slower: Sequence[Slow]) -> list[Gain]:
    """By operation, what it adds to the requests that are slower; the one that adds most first.

    Time counts for the span that worked or waited itself, in whichever service that is: a slow statement of a called
    service counts as the statement, not as the call.
    """
    found: dict[int, Gain] = {}
    whole = 0.0
    changed = any(not symptom.chronic for symptom in slower)
    for symptom in slower:
        weight = CHRONIC if symptom.chronic and changed else 1.0
        now = facts.broken_down.get(symptom.endpoint.operation)
        if now is None or not now.requests:
            continue
        before = facts.broken_down_before.get(symptom.endpoint.operation) if symptom.before is not None else None
        if symptom.before is not None and (before is None or not before.requests):
            continue  # no sample of before: what it spent its time on then is unknown
        extras = {one: _each(now, one) - (_each(before, one) if before is not None else 0.0) for one in now.alone}
        extra = sum(each for each in extras.values() if each > 0)
        for operation, part in extras.items():
            if part <= 0:
                continue
            load = part / extra * symptom.extra_ms * symptom.rate  # the sample tells shares; all requests, how much
            whole += weight * load
            gain = found.setdefault(operation, Gain(operation))
            gain.load += load
            gain.share += weight * load
            gain.endpoints.append(symptom)
            if load > gain.most:
                gain.most = load
                gain.endpoints.insert(0, gain.endpoints.pop())
                gain.runs = now.ran[operation] / now.requests
                gain.runs_before = before.ran[operation] / before.requests if before is not None else 0.0
    for gain in found.values():
        gain.share *= (1.0 if changed else ALWAYS) / whole
    return sorted(found.values(), key=lambda one: -one.share)


def _each(part: Breakdown, operation: int) -> float:
    """ms in an operation itself, of one request on average."""
    return part.alone[operation] / part.requests / MS
