"""Findings that are likely causes of what is wrong at the end of a range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import leak_notices, words
from perfagent.hub.analyse.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.analyse.causes import Cause
    from perfagent.hub.analyse.finding import Facts

SURE = 0.55  # score
SEVERE = 0.8
ALSO = {
    "slow_query": "slow_query", "slow_dependency": "slow_call", "failing_dependency": "slow_call",
    "memory_leak": "memory_growth",
}  # fmt: skip
"""Kinds of findings that say the same as a kind of causes, where they are about the same subject."""


def of_causes(facts: Facts, found: Sequence[Finding]) -> list[Finding]:
    """A finding for each cause that is sure; where there is one of the same already, that takes its evidence."""
    more = []
    for cause in facts.likely:
        if cause.score < SURE or cause.effect_of:
            continue
        subject = str(cause.shown) if cause.shown is not None else cause.subject
        kind = ALSO.get(cause.kind, cause.kind)
        known = next(
            (
                one
                for one in found
                if one.kind == kind and (subject in (one.subject, *one.subject.split()) or _holds(one, cause.service))
            ),
            None,
        ) or _line_of(cause, found)
        if known is None:
            more.append(_finding(cause, subject))
            continue
        known.evidence = "; ".join([known.evidence, *cause.evidence])
        known.steps = known.steps if known.stack or _holds(known, cause.service) else cause.steps
        known.seconds_per_day = max(known.seconds_per_day, cause.seconds_per_day)
        known.confidence = max(known.confidence, cause.score)
        known.place, known.traces = known.place or cause.place, known.traces or tuple(cause.traces)
    return more


def _line_of(cause: Cause, found: Sequence[Finding]) -> Finding | None:
    """The finding of the line that blocks a service's loop, where the cause is that something does."""
    if cause.kind != "blocked_loop":
        return None
    return next((one for one in found if one.kind == cause.kind and one.place and one.service == cause.service), None)


def _holds(one: Finding, service: str) -> bool:
    """Whether a finding tells what a service keeps: then that its memory grows is the same."""
    return leak_notices.PACE in one.metrics and one.service == service


def _finding(cause: Cause, subject: str) -> Finding:
    felt = words.several(cause.endpoints) if cause.endpoints else cause.service
    lost = cause.seconds_per_day / 86_400 * 1000
    impact = f"{felt}: {words.milliseconds(lost)} of waiting a second" if lost >= 1 else f"felt by {felt}"
    if cause.failures_per_day:
        impact += f", {words.count(cause.failures_per_day / 24)} failed requests an hour"
    return Finding(
        cause.kind, "anomaly", "high" if cause.score >= SEVERE else "medium", cause.title, "; ".join(cause.evidence),
        impact, cause.steps[0] if cause.steps else "", cause.score, cause.service, cause.link,
        {"score": cause.score}, subject=subject, requests_per_day=cause.requests_per_day,
        seconds_per_day=cause.seconds_per_day, steps=cause.steps, traces=tuple(cause.traces), place=cause.place,
    )  # fmt: skip
