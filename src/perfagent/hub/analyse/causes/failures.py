"""Causes of requests that fail more often: what failed first in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.calls import OUTGOING
from perfagent.hub.analyse.causes import signs
from perfagent.hub.analyse.causes.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfagent.hub.analyse.causes.facts import Facts
    from perfagent.hub.analyse.causes.symptoms import Failed
    from perfagent.hub.analyse.errors import Cause as Failing

DAY = 86_400
NOTICED = 0.1  # of the failures


def of_failures(facts: Facts, failed: Sequence[Failed]) -> Iterator[Cause]:
    """A cause for each way in which requests fail that did not fail so before."""
    endpoints = {one.endpoint.operation: one for one in failed}
    failing = [one for one in facts.failing if one.operation in endpoints]
    whole = sum(one.requests for one in failing)
    extra = sum(one.extra for one in failed)
    groups: dict[tuple[str, str, str], list[Failing]] = {}
    for one in failing:
        kind = _kind(one)
        service = facts.now[one.first].service if one.first in facts.now else one.service
        subject = one.error if kind == "errors" else one.place or one.error
        groups.setdefault((kind, service, subject), []).append(one)
    for (kind, service, subject), alike in groups.items():
        share = sum(one.requests for one in alike) / whole
        if share < NOTICED:
            continue
        yield _of(
            facts, kind, service, subject, alike, share, extra * share, [endpoints[one.operation] for one in alike]
        )
    if not failing and failed:
        worst = failed[0]
        yield Cause(
            "errors", worst.endpoint.service, worst.endpoint.name,
            f"{worst.endpoint.name} fails in {words.percent(worst.ratio)} of its requests", 0.5,
            [f"{words.percent(worst.ratio_before)} before; no failed span tells why"], link=worst.endpoint.link,
            services=[worst.endpoint.service], endpoints=[one.endpoint.name for one in failed],
            failures_per_day=extra * DAY, requests_per_day=extra * DAY,
        )  # fmt: skip


def _kind(one: Failing) -> str:
    text = f"{one.error} {one.message}"
    if signs.speaks_of(text, signs.LOCKED):
        return "lock"
    if signs.speaks_of(text, signs.NO_CONNECTION):
        return "pool"
    if one.category in OUTGOING:
        return "failing_dependency"
    return "cache" if one.category == "cache" else "errors"


TITLES = {
    "lock": "{} waits for a lock until it fails",
    "pool": "requests fail for want of a connection: {}",
    "failing_dependency": "{} fails",
    "cache": "calls of the cache fail: {}",
    "errors": "requests fail by {}",
}


def _of(
    facts: Facts, kind: str, service: str, subject: str, alike: Sequence[Failing], share: float, extra: float,
    failed: Sequence[Failed],
) -> Cause:  # fmt: skip
    newest = max(alike, key=lambda one: one.last)
    one = facts.now.get(newest.first)
    place = newest.caller
    spans = facts.seen.get(newest.first)
    found = Cause(
        kind, service, subject, TITLES[kind].format(subject), 0.4 + 0.55 * share,
        link=one.link if one is not None and kind != "errors" else f"#/traces/{newest.trace_id.hex()}",
        shown=newest.first, traces=list(dict.fromkeys(each.trace_id.hex() for each in alike))[:3],
        place=place or (spans.caller if spans is not None else ""),
        services=list(dict.fromkeys([service, *(each.service for each in alike)])),
        endpoints=list(dict.fromkeys(each.endpoint for each in alike)),
        failures_per_day=extra * DAY, requests_per_day=extra * DAY,
    )  # fmt: skip
    worst = max(failed, key=lambda each: each.extra)
    message = f": {newest.message}" if newest.message else ""
    where = f" in {newest.place}" if newest.place and kind == "errors" else ""
    found.evidence = [
        f"{words.percent(share)} of the failed requests of {words.several(found.endpoints)} failed first by "
        f"{newest.error}{where}{message}",
        f"{words.percent(worst.ratio)} of the requests of {worst.endpoint.name} fail, "
        f"{words.percent(worst.ratio_before)} before",
    ]
    return found
