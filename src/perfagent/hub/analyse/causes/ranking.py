"""Ranks likely causes: what explains most of what is felt first, and what is itself an effect of another after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.causes import failures, pressure, signs, slowness, symptoms
from perfagent.hub.analyse.causes.advice import EFFORT, STEPS
from perfagent.hub.analyse.causes.attribution import gains
from perfagent.hub.analyse.causes.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.analyse.causes.facts import Facts

EFFECT = 0.6  # what is left of the score of a cause that another one explains
EXPLAINS = 0.5  # score from which on a cause explains others
NEAR = 300.0  # s between a release and what it is said to have brought
LEAST = 0.35  # score, below which nothing is said
MOST = 10

SETTLING = 75.0  # s after a start of a service: caches are cold, modules are imported, connections are made
STARTING = 0.5  # what is left of the score of what a start explains
UNSETTLED = frozenset(
    ("slow_query", "cache", "slow_dependency", "blocked_loop", "cpu", "gc", "memory_leak", "slow_code")
)

STARVED = {"blocked_loop": 0.6, "slow_code": 0.6, "pool": 0.75}
"""What is left of the score of kinds that a machine with too few processors explains as well."""

EXPLAINED: dict[str, tuple[str, ...]] = {
    "pool": ("lock", "slow_query", "n_plus_one", "cache", "slow_dependency"),
    "slow_query": ("cache", "blocked_loop"),
    "n_plus_one": ("cache",),
    "slow_dependency": ("failing_dependency", "blocked_loop"),
    "errors": ("lock", "pool", "slow_query", "slow_dependency", "failing_dependency", "memory_leak"),
    "gc": ("memory_leak", "cpu"),
    "cpu": ("n_plus_one", "cache"),
    "blocked_loop": ("cpu",),
    "slow_code": ("pool", "blocked_loop", "cpu", "memory_leak", "gc", "lock", "slow_query", "n_plus_one", "cache"),
}
"""What may be an effect of which other kinds, in the same service or one that feels it."""


def rank(facts: Facts) -> list[Cause]:
    """The likely causes of what is wrong at a moment, the likeliest first; none where nothing is.

    Requests that are slower than before are explained by the spans that take the extra time on their critical paths;
    requests that fail, by the span that failed first. Signs of a process explain the time of its own code. A cause that
    another one explains follows it. At most 10.
    """
    slower = symptoms.slow(facts)
    added = gains(facts, slower)
    found = [
        *slowness.of_spans(facts, added),
        *slowness.of_pools(facts, slower),
        *slowness.of_repeated(facts),
        *pressure.of_signs(facts, added),
        *failures.of_failures(facts, symptoms.failing(facts)),
    ]
    found = _put_together(found)
    found = _weighed(facts, found)
    for one in found:
        one.steps, one.effort = STEPS[one.kind], EFFORT[one.kind]
        _put_down_to_release(facts, one)
        starved = max((each.starved or 0.0 for each in signs.of_service(facts, one.service)), default=0.0)
        if one.kind in STARVED and starved >= signs.STARVED:
            one.score *= STARVED[one.kind]
            one.evidence.append(
                f"but for {words.percent(starved)} of the time it had no processor: the machine is busy"
            )
        if one.kind in UNSETTLED and any(_is_young(facts, service) for service in (one.service, *one.services)):
            one.score *= STARTING
            one.evidence.append("it has only just started, which explains much of it")
        one.score = round(min(max(one.score, 0.0), 0.99), 3)
    found = [one for one in found if one.score >= LEAST]
    return sorted(found, key=lambda one: (-one.score, one.kind, one.subject))[:MOST]


def _put_together(found: Iterable[Cause]) -> list[Cause]:
    """One of each kind, service and subject; what slows and what fails by the same thing adds up."""
    known: dict[tuple[str, ...], Cause] = {}
    for one in sorted(found, key=lambda each: -each.score):
        # A call that is slow until it fails is one cause; so is a service's pool, whatever tells of it.
        dependency = one.kind in ("slow_dependency", "failing_dependency")
        wide = one.kind in ("pool", "cache", "blocked_loop", "cpu", "gc", "memory_leak")
        key = ("dependency" if dependency else one.kind, one.service, "" if wide else one.subject)
        first = known.get(key)
        if first is None:
            known[key] = one
            continue
        known[key] = replace(
            first,
            score=1 - (1 - first.score) * (1 - one.score / 2),
            evidence=list(dict.fromkeys([*first.evidence, *one.evidence])),
            traces=list(dict.fromkeys([*first.traces, *one.traces]))[:5],
            place=first.place or one.place,
            services=list(dict.fromkeys([*first.services, *one.services])),
            endpoints=list(dict.fromkeys([*first.endpoints, *one.endpoints])),
            requests_per_day=max(first.requests_per_day, one.requests_per_day),
            seconds_per_day=max(first.seconds_per_day, one.seconds_per_day),
            failures_per_day=max(first.failures_per_day, one.failures_per_day),
        )
    return list(known.values())


def _weighed(facts: Facts, found: Sequence[Cause]) -> list[Cause]:
    """The same, with those that others explain set back; strengths before it decide, so that the order is no matter."""
    strengths = [one.score for one in found]
    for one in found:
        for other, strength in zip(found, strengths, strict=True):
            if other is one or strength < EXPLAINS or not _explains(facts, other, one):
                continue
            one.score *= EFFECT
            one.effect_of = other.title
            break
    return list(found)


def _explains(facts: Facts, cause: Cause, effect: Cause) -> bool:
    if not set(cause.services) & {effect.service}:
        return False
    if effect.kind == "blocked_loop" and any(signs.is_starved(one) for one in signs.of_service(facts, effect.service)):
        return cause.kind in ("slow_query", "lock", "n_plus_one", "pool", "cpu")
    if effect.kind in ("slow_query", "lock", "slow_dependency", "n_plus_one") and cause.kind == "cpu":
        return not _statements_explain(facts, cause.service)
    if effect.kind == "cpu" and cause.kind in ("slow_query", "lock"):
        return _statements_explain(facts, effect.service)
    return cause.kind in EXPLAINED.get(effect.kind, ())


def _is_young(facts: Facts, service: str) -> bool:
    """Whether all of a service started within the last minute or so; one that has got a process more is not young."""
    since = [one.since for one in signs.of_service(facts, service) if one.since]
    return bool(since) and facts.end - min(since) < SETTLING


def _statements_explain(facts: Facts, service: str) -> bool:
    """Whether what a process computes more is the work of a database inside it, such as SQLite's."""
    more = sum(
        (one.cpu or 0.0) - (one.cpu_before or 0.0) for one in signs.of_service(facts, service) if signs.is_busy(one)
    )
    work = 0.0
    for one in facts.now.values():
        if one.service == service and one.category == "db" and one.system in pressure.EMBEDDED:
            old = facts.before.get(one.operation)
            before = old.durations.total / facts.seconds_before if old is not None else 0.0
            work += max(one.durations.total / facts.seconds - before, 0.0) / 1e9
    return work >= 0.6 * more


def _put_down_to_release(facts: Facts, one: Cause) -> None:
    """Says that a release came just before, where one did; what needs new code is likelier then."""
    releases = [each for each in facts.releases if each.service in one.services and each.before != each.after]
    if not releases:
        return
    newest = max(releases, key=lambda each: each.time)
    if one.since is not None and not newest.time - NEAR <= one.since <= newest.time + NEAR:
        return
    ago = words.milliseconds((facts.end - newest.time) * 1000)
    what = f"{newest.before or 'no version'} → {newest.after or 'no version'}"
    one.evidence.append(f"{newest.service} was released {ago} ago: {what}")
    if one.kind in ("n_plus_one", "slow_query", "slow_code", "errors", "memory_leak", "cpu"):
        one.score += 0.03
