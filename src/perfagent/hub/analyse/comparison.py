"""What differs between two sides: how far, how surely, and whether that is worse.

Every figure of everything that both sides have is estimated with its error (`estimates`), and the two are tested
against each other. Of so many tests some would tell of a difference by chance alone, so their p values become false
discovery rates over the whole comparison: where nothing differs, nothing at all is told in 98 of 100 comparisons. What
is told as worse or better is, besides, as large as was asked for, and large enough for somebody to feel.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING, Any, Literal

from perfagent.hub.analyse import chance
from perfagent.hub.analyse.durations import Durations
from perfagent.hub.analyse.estimates import Estimate, Gap, gap, long_run, mean, percentiles, ratio
from perfagent.hub.analyse.student import discoveries

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from perfagent.hub.analyse.side import Called, Side, Subject

ALPHA = 0.02  # false discovery rate of a comparison
TOLERANCE = 0.10
LISTED = 200  # differences that an answer has at most; the rest are the same on both sides
ENOUGH = {"p50": 30, "p95": 100}  # calls on both sides
ENOUGH_ERRORS = 5  # on one side
LEAST_LOOKUPS = 100  # of a cache, on both sides
FELT_MS, FELT_LOAD = 0.5, 5.0  # ms a call, or ms of work a second that shorter differences add up to
FELT_ERRORS = 0.005  # of the calls
FELT_HITS = 0.02  # of the look-ups
FELT_BYTES = 2e6
FELT_CPU = 1.0  # per cent of a core
FELT_CALLS = 0.1  # statements more a request
GATED = ("latency", "memory")
"""The aspects that make a comparison fail, unless others are asked for."""
ASPECTS = ("latency", "memory", "cpu", "errors", "cache", "queries")

Verdict = Literal["worse", "better", "same", "unclear", "few"]


@dataclass(slots=True)
class Difference:
    """One figure on both sides.

    Args:
        aspect: one of ASPECTS.
        figure: such as "p95".
        unit: "ms", "By", "ratio", "ms/request" or "calls/request".
        before, after: the figure.
        change: as a share of `before`, or in points (0..1) where the unit is "ratio".
        low, high: 19 of 20 times the true change lies between these; None where nothing can be said.
        p: the chance of so large a difference without a cause.
        certainty: 1 less the false discovery rate at which it would be told.
        verdict: "worse" and "better" are certain and large enough; "unclear" is large and not certain; "few" means that
            there are too few calls or too short a time to say anything.
        link: where the page shows it.
        weight: what the list is sorted by.
    """

    subject: Subject
    aspect: str
    figure: str
    unit: str
    before: float | None
    after: float | None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    certainty: float | None = None
    verdict: Verdict = "few"
    link: str = ""
    weight: float = 0.0
    felt: bool = True

    def answer(self) -> dict[str, Any]:
        """As the interface gives it."""
        fields = asdict(self)
        del fields["weight"], fields["felt"]
        subject = fields.pop("subject")
        return {**dict(zip(("service", "kind", "name"), subject, strict=True)), **fields}


@dataclass(slots=True)
class Comparison:
    """All differences, the worst first.

    Args:
        tested: figures that could be tested, which the false discovery rate is taken over.
        new, gone: what only one side has.
    """

    differences: list[Difference]
    tested: int
    new: list[Subject]
    gone: list[Subject]

    def failing(self, aspects: Collection[str]) -> list[Difference]:
        """What is worse in one of these aspects."""
        return [one for one in self.differences if one.verdict == "worse" and one.aspect in aspects]


def compare(before: Side, after: Side, tolerance: float = TOLERANCE, alpha: float = ALPHA) -> Comparison:
    """Compares two sides.

    Args:
        tolerance: the share by which a figure must differ to be worse or better, such as 0.1.
        alpha: the false discovery rate up to which a difference is told.
    """
    mine, theirs = before.services(), after.services()
    if len(mine) == len(theirs) == 1 and mine != theirs:
        after = after.renamed(theirs.pop(), next(iter(mine)))
    found = list(_all(before, after))
    tested = [one for one in found if one.p is not None]
    rates = discoveries([one.p if one.p is not None else 1.0 for one in tested])
    for one, rate in zip(tested, rates, strict=True):
        one.certainty = 1 - rate
        one.verdict = _verdict(one, rate <= alpha, tolerance)
    order = {"worse": 0, "unclear": 1, "better": 2, "same": 3, "few": 4}
    found.sort(key=lambda one: (order[one.verdict], -one.weight))
    seen = [subject for subject in after.called if subject not in before.called]
    lost = [subject for subject in before.called if subject not in after.called]
    return Comparison(found, len(tested), sorted(seen), sorted(lost))


def _verdict(one: Difference, certain: bool, tolerance: float) -> Verdict:
    assert one.change is not None
    if one.unit == "ratio":
        base = one.before if one.aspect == "cache" else min(one.before or 0.0, one.after or 0.0)
        large = abs(one.change) >= tolerance * (base or 0.0)
    else:
        # Ten per cent more and ten per cent less are equally far from the same.
        large = one.change >= tolerance or one.change <= 1 / (1 + tolerance) - 1
    if not large or not one.felt:
        return "same"
    if not certain:
        return "unclear"
    higher_is_better = one.aspect == "cache"
    return "better" if (one.change > 0) == higher_is_better else "worse"


class _Calls:
    """As `Called`, with its calls by block counted once."""

    __slots__ = ("calls", "counts", "errors", "link")

    def __init__(self, called: Called) -> None:
        self.counts, self.errors, self.link = called.counts, called.errors, called.link
        self.calls = called.calls


def _all(before: Side, after: Side) -> Iterable[Difference]:
    requests: dict[str, tuple[list[float], list[float]]] = {}
    for subject in sorted(before.called.keys() & after.called.keys()):
        old, new = _Calls(before.called[subject]), _Calls(after.called[subject])
        yield from _latency(subject, old, new, before, after)
        yield from _errors(subject, old, new, before, after)
        if subject.kind in ("query", "dependency"):
            if subject.service not in requests:  # of 100 statements, two thirds of the time of a comparison
                requests[subject.service] = (before.requests(subject.service), after.requests(subject.service))
            yield from _per_request(subject, old, new, before, after, *requests[subject.service])
    for subject, figure in sorted(before.levels.keys() & after.levels.keys()):
        first, second = before.levels[subject, figure], after.levels[subject, figure]
        one, two = mean(first), mean(second)
        aspect, unit, felt = ("cpu", "%", FELT_CPU) if figure == "CPU" else ("memory", "By", FELT_BYTES)
        values = _values(one, two, _mean(first), _mean(second))
        yield _tested(Difference(subject, aspect, figure, unit, *values, link="#/processes"), one, two, felt)
    for subject, figure in sorted(before.ratios.keys() & after.ratios.keys()):
        yield from _ratio(subject, figure, before, after)


def _latency(subject: Subject, old: _Calls, new: _Calls, before: Side, after: Side) -> Iterable[Difference]:
    calls = min(sum(old.calls) * before.scale, sum(new.calls) * after.scale)
    rate = sum(new.calls) / max(after.count * after.width, 1e-9)
    if calls < ENOUGH["p50"]:
        yield Difference(subject, "latency", "p50", "ms", _median(old), _median(new), link=new.link)
        return
    estimated = [percentiles(one.counts, (0.5, 0.95)) for one in (old, new)]
    for figure, one, two in zip(("p50", "p95"), *estimated, strict=True):
        found = Difference(subject, "latency", figure, "ms", *_values(one, two), link=new.link)
        if calls < ENOUGH[figure]:
            one = two = None
        found = _tested(found, one, two, 0.0)
        if found.before is not None and found.after is not None:
            apart = abs(found.after - found.before)
            found.felt = apart >= FELT_MS or apart * rate >= FELT_LOAD
            found.weight = apart * rate * (4 if subject.kind == "endpoint" else 1)
        yield found


def _median(called: _Calls) -> float | None:
    whole = Durations()
    for counts in called.counts:
        whole.add(Durations(counts=counts))
    return whole.quantile(0.5)


def _errors(subject: Subject, old: _Calls, new: _Calls, before: Side, after: Side) -> Iterable[Difference]:
    hits, calls = sum(old.errors), sum(old.calls)
    other, others = sum(new.errors), sum(new.calls)
    if not calls or not others or max(hits * before.scale, other * after.scale) < ENOUGH_ERRORS:
        return  # a warm-up may have been all that one side had
    found = Difference(subject, "errors", "error rate", "ratio", hits / calls, other / others, link=new.link)
    if min(calls * before.scale, others * after.scale) >= ENOUGH["p50"]:
        found = _share(found, old.errors, old.calls, new.errors, new.calls, before.scale, after.scale)
        found.felt = abs(found.change or 0.0) >= FELT_ERRORS
    found.weight = abs(other / others - hits / calls) * 1e4
    yield found


def _per_request(
    subject: Subject,
    old: _Calls,
    new: _Calls,
    before: Side,
    after: Side,
    first: Sequence[float],
    second: Sequence[float],
) -> Iterable[Difference]:
    """How often each statement or dependency is called in a request of the service: what an N+1 release raises."""
    if min(sum(first) * before.scale, sum(second) * after.scale) < ENOUGH["p50"]:
        return
    one, two = ratio(old.calls, first, relative=True), ratio(new.calls, second, relative=True)
    if one is None or two is None:
        return
    found = Difference(subject, "queries", "calls per request", "calls/request", one.value, two.value, link=new.link)
    found = _tested(found, one, two, FELT_CALLS)
    found.weight = abs(two.value - one.value) * 100
    yield found


def _ratio(subject: Subject, figure: str, before: Side, after: Side) -> Iterable[Difference]:
    (parts, wholes), (others, other_wholes) = before.ratios[subject, figure], after.ratios[subject, figure]
    if subject.kind == "cache":
        if min(sum(wholes), sum(other_wholes)) < LEAST_LOOKUPS:
            return
        first, second = sum(parts) / sum(wholes), sum(others) / sum(other_wholes)
        found = Difference(subject, "cache", figure, "ratio", first, second, link="#/caches")
        found = _share(found, parts, wholes, others, other_wholes, 1.0, 1.0)
        found.felt = abs(second - first) >= FELT_HITS
        found.weight = abs(second - first) * 1e3
        yield found
        return
    one, two = ratio(parts, wholes, relative=True), ratio(others, other_wholes, relative=True)
    if one is None or two is None:
        return
    found = Difference(subject, "cpu", figure, "ms/request", one.value, two.value, link="#/processes")
    found = _tested(found, one, two, 0.05)
    found.weight = abs(two.value - one.value)
    yield found


def _share(
    found: Difference,
    hits: Sequence[float],
    calls: Sequence[float],
    other_hits: Sequence[float],
    other_calls: Sequence[float],
    scale: float,
    other_scale: float,
) -> Difference:
    """The difference of two shares: exact where hits are few, each call counting as less where hits come in bursts."""
    one, many = _effective(hits, calls, scale)
    two, others = _effective(other_hits, other_calls, other_scale)
    found.p = chance.proportions(one * many, many, two * others, others)
    found.change = two - one
    reach = 1.96 * sqrt(one * (1 - one) / max(many, 1.0) + two * (1 - two) / max(others, 1.0))
    found.low, found.high = found.change - reach, found.change + reach
    return found


def _effective(hits: Sequence[float], calls: Sequence[float], scale: float) -> tuple[float, float]:
    """A share, and how many independent calls it is worth."""
    whole = sum(calls)
    share = sum(hits) / whole
    many = whole * scale
    simple = share * (1 - share) * whole / scale
    if simple <= 0:
        return share, many
    variance, _ = long_run([hit - share * one for hit, one in zip(hits, calls, strict=True)])
    return share, many / max(variance / simple, 1.0)


def _tested(found: Difference, one: Estimate | None, two: Estimate | None, felt: float) -> Difference:
    if one is None or two is None or one.value <= 0 or two.value <= 0:
        return found
    apart: Gap = gap(one, two)
    found.change, found.p = apart.change, apart.p
    found.low, found.high = apart.low, apart.high if apart.high < inf else None
    found.felt = abs(two.value - one.value) >= felt
    found.weight = abs(apart.change) * 10
    return found


def _values(
    one: Estimate | None, two: Estimate | None, first: float | None = None, second: float | None = None
) -> tuple[float | None, float | None]:
    return one.value if one is not None else first, two.value if two is not None else second


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def answer(one: Side, two: Side, found: Comparison, tolerance: float, fail_on: Collection[str]) -> dict[str, Any]:
    """A comparison as the interface gives it, and `perfagent compare` prints it."""
    failing = found.failing(fail_on)
    better = any(difference.verdict == "better" and difference.aspect in fail_on for difference in found.differences)
    verdict = "nothing" if not found.tested else "worse" if failing else "better" if better else "same"
    return {
        "verdict": verdict,
        "before": _told(one),
        "after": _told(two),
        "tested": found.tested,
        "tolerance": tolerance,
        "false_discovery_rate": ALPHA,
        "failing": len(failing),
        "differences": [difference.answer() for difference in found.differences[:LISTED]],
        "new": [subject._asdict() for subject in found.new[:LISTED]],
        "gone": [subject._asdict() for subject in found.gone[:LISTED]],
        "notes": list(dict.fromkeys([*one.notes, *two.notes])),
    }


def _told(side: Side) -> dict[str, Any]:
    services = sorted(side.services())
    return {
        "label": side.label,
        "begin": side.begin,
        "end": side.end,
        "requests": sum(sum(side.requests(service)) for service in services),
        "services": services,
    }
