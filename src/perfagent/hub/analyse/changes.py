"""What is different from before: slower, faster, failing, new and gone operations, versions and restarts.

Said only where there are enough calls, the difference is one that somebody would feel, and chance explains it worse
than once in a hundred comparisons of whole programs (Bonferroni: 0.01 divided by the number of tests made):
slower and faster by Mann-Whitney's test of all durations or by the share of calls beyond the 95th percentile of the
better side, errors by the difference of two proportions, gone by the chance of no call at all at the rate before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import exp, log
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.analyse import chance, words
from perfagent.hub.analyse.calls import OUTGOING, REQUESTS, Calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfagent.hub.analyse.durations import Durations

ALPHA = 0.01  # chance of one false change in a whole comparison
ENOUGH = 30  # calls on both sides, below which a percentile tells of chance
FELT = 1.25  # times slower or faster: almost three buckets of 9 %
FELT_MS = 1.0
FELT_LOAD = 10.0  # ms of work a second that a difference of less than FELT_MS adds up to
FELT_ERRORS = 0.01  # of all calls
COMPARED = (*REQUESTS, *OUTGOING, "db", "cache")


@dataclass(slots=True)
class Change:
    """One thing that is different.

    Args:
        kind: "slower", "faster", "errors", "new", "gone", "version" or "restart".
        subject: the operation or the service.
        link: where the page shows it.
        before, after: the figure, or the version, on both sides; None where there is none.
        unit: of these: "ms", "ratio", "calls/s" or "".
        test: how chance was ruled out; "" where there is no chance in it.
        p: what is left of it.
        weight: what the list is sorted by: ms of work a second, or its like.
    """

    kind: str
    service: str
    subject: str
    link: str
    before: float | str | None
    after: float | str | None
    unit: str
    text: str
    test: str = ""
    p: float | None = None
    weight: float = 0.0

    def answer(self) -> dict[str, Any]:
        """As the interface gives it."""
        fields = asdict(self)
        del fields["weight"]
        return fields


class Side(NamedTuple):
    """One of the two ranges: its calls by operation, and its length in seconds."""

    calls: Mapping[int, Calls]
    seconds: float


def compare(before: Side, after: Side, weights: Mapping[int, float], begin: float) -> list[Change]:
    """What changed between two ranges, the heaviest first.

    Args:
        weights: for how many spans one stands, by operation, where some were sampled out.
        begin: when the later range begins, seconds since the epoch.
    """
    both = [
        (before.calls[one], after.calls[one])
        for one in before.calls.keys() & after.calls.keys()
        if after.calls[one].category in COMPARED
    ]
    alpha = ALPHA / max(3 * len(both), 1)
    found: list[Change] = []
    for old, new in both:
        scale = 1 / max(weights.get(new.operation, 1.0), 1.0)
        found += _durations(old, new, scale, alpha, after.seconds)
        found += _errors(old, new, scale, alpha)
    found += _new(before, after, begin)
    found += _gone(before, after, weights)
    return sorted(found, key=lambda one: -one.weight)


def _durations(old: Calls, new: Calls, scale: float, alpha: float, seconds: float) -> Iterable[Change]:
    first, second = old.durations, new.durations
    if min(first.calls, second.calls) * scale < ENOUGH:
        return
    (old50, old95), (new50, new95) = first.quantiles(0.5, 0.95), second.quantiles(0.5, 0.95)
    assert old50 is not None and old95 is not None  # noqa: PT018
    assert new50 is not None and new95 is not None  # noqa: PT018
    rate = second.calls / seconds
    for name, was, is_now, chance_of, test in (
        ("p95", old95, new95, _beyond, "share of calls beyond the 95th percentile"),
        ("p50", old50, new50, _whole, "Mann-Whitney"),
    ):
        gap = abs(is_now - was)
        felt = abs(log(is_now / was)) >= log(FELT) and (gap >= FELT_MS or gap * rate >= FELT_LOAD)
        # Tested is what could be told alone: of 100 operations that are as before, all tests took 45 ms.
        if felt and (p := chance_of(first, second, scale, min(old95, new95))) < alpha:
            kind = "slower" if is_now > was else "faster"
            ratio = max(is_now / was, was / is_now)
            text = (
                f"{new.name}: {name} {words.milliseconds(was)} → {words.milliseconds(is_now)}, {ratio:.1f} times {kind}"
            )
            yield Change(
                kind, new.service, new.name, new.link, was, is_now, "ms", text, test, p,
                gap * rate * (4 if new.category in REQUESTS else 1) * (1 if kind == "slower" else 0.25),
            )  # fmt: skip
            return


def _beyond(first: Durations, second: Durations, scale: float, limit: float) -> float:
    """The chance of so different shares of calls beyond a limit in ms."""
    return chance.proportions(
        first.share_above(limit) * first.calls * scale,
        first.calls * scale,
        second.share_above(limit) * second.calls * scale,
        second.calls * scale,
    )


def _whole(first: Durations, second: Durations, scale: float, _: float) -> float:
    """The chance that all durations differ so much."""
    return chance.rank_sum(first.counts, second.counts, scale)


def _errors(old: Calls, new: Calls, scale: float, alpha: float) -> Iterable[Change]:
    first, second = old.durations, new.durations
    if min(first.calls, second.calls) * scale < ENOUGH or max(first.errors, second.errors) * scale < 5:
        return
    was, is_now = first.errors / first.calls, second.errors / second.calls
    p = chance.proportions(first.errors * scale, first.calls * scale, second.errors * scale, second.calls * scale)
    if p < alpha and abs(is_now - was) >= FELT_ERRORS and not 2 / 3 < (is_now + 1e-9) / (was + 1e-9) < 1.5:
        text = f"{new.name}: {words.percent(was)} → {words.percent(is_now)} of the calls fail"
        yield Change(
            "errors", new.service, new.name, new.link, was, is_now, "ratio", text, "difference of proportions", p,
            1000 * max(is_now - was, 0.05),
        )  # fmt: skip


def _new(before: Side, after: Side, begin: float) -> Iterable[Change]:
    services = {one.service for one in before.calls.values()}
    for operation, one in after.calls.items():
        fresh = operation not in before.calls and one.first_seen >= begin and one.service in services
        if fresh and one.category in REQUESTS and one.durations.calls >= 5:
            rate = one.durations.calls / after.seconds
            text = f"{one.name} was not called before; now {words.count(one.durations.calls)} times"
            yield Change("new", one.service, one.name, one.link, None, rate, "calls/s", text, weight=10)


def _gone(before: Side, after: Side, weights: Mapping[int, float]) -> Iterable[Change]:
    services = {one.service for one in after.calls.values()}
    for operation, one in before.calls.items():
        if operation in after.calls or one.category not in REQUESTS or one.service not in services:
            continue
        calls = one.durations.calls / max(weights.get(operation, 1.0), 1.0)
        p = exp(-min(calls * after.seconds / before.seconds, 700))
        if calls >= ENOUGH and p < ALPHA / max(len(before.calls), 1):
            text = f"{one.name} is not called any more; {words.count(one.durations.calls)} times before"
            rate = one.durations.calls / before.seconds
            test = "no call in a Poisson process of the rate before"
            yield Change("gone", one.service, one.name, one.link, rate, 0.0, "calls/s", text, test, p, 20)


class Process(NamedTuple):
    """A process that reported: what releases and restarts are told from."""

    service: str
    instance: str
    version: str
    first_seen: float  # seconds since the epoch


def releases(processes: Iterable[Process], begin: float, end: float) -> list[Change]:
    """New versions and restarts of services that were there before, from `begin` to `end`."""
    found = []
    by_service: dict[str, list[Process]] = {}
    for process in sorted(processes, key=lambda one: one.first_seen):
        by_service.setdefault(process.service, []).append(process)
    for service, all_of_it in by_service.items():
        old = [one for one in all_of_it if one.first_seen < begin]
        new = [one for one in all_of_it if begin <= one.first_seen < end]
        if not old or not new:
            continue
        was, is_now = old[-1].version, new[-1].version
        if was != is_now:
            text = f"{service} {was or 'without a version'} → {is_now or 'without a version'}"
            found.append(Change("version", service, service, "#/processes", was, is_now, "", text, weight=1e9))
        else:
            many = "a process" if len(new) == 1 else f"{len(new)} processes"
            text = f"{service}: {many} started"
            before, after = float(len(old)), float(len(new))
            found.append(Change("restart", service, service, "#/processes", before, after, "", text, weight=1e8))
    return found


TOGETHER = 120  # s between the starts of processes that belong to one start of a program


def last_start(processes: Sequence[Process], end: float) -> float | None:
    """When the processes that started last did so; None where nothing ran before them."""
    starts = sorted(one.first_seen for one in processes if one.first_seen <= end)
    if not starts:
        return None
    first = starts[-1]
    for start in reversed(starts):
        if first - start > TOGETHER:
            return first
        first = start
    return None
