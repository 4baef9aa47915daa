"""What was added to counters in each step of a stretch: by Prometheus in short steps, by the hub in long ones.

In Prometheus a difference costs 30 us a series and step, for each of its operators looks at all labels; a hundred steps
of a day are seconds of its CPU. Their plain values cost a tenth of that, and the hub subtracts. Of the last minutes the
differences alone are asked for: most series of a moment have none, and gateways are added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.remote import promql
from perfagent.hub.remote.prometheus import Found, Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.remote.prometheus import Prometheus, Stretch

MANY_RESTARTS = 10  # steps with one, from which all are asked of Prometheus


def added(
    prometheus: Prometheus, names: Sequence[str], stretch: Stretch, guarded: bool, labels: Sequence[str] = ()
) -> Found:
    """The increments of metrics at the end of each step; their names are in `__name__` or the label promql.NAME.

    Args:
        names: of counters, or of histograms' series.
        guarded: as in `promql.increments`.
        labels: that the increments of one metric may be summed by.

    Raises:
        RemoteError: there is no answer, or it is too much at once.
    """
    if stretch.step > promql.MINUTE:
        found = _subtracted(prometheus, names, stretch, guarded)
        if found is not None:
            return found
    return _asked(prometheus, names, stretch, guarded, labels)


def _asked(
    prometheus: Prometheus, names: Sequence[str], stretch: Stretch, guarded: bool, labels: Sequence[str]
) -> Found:
    return prometheus.range(expression(names, stretch.step, guarded, labels), stretch)


def expression(names: Sequence[str], step: int, guarded: bool, labels: Sequence[str]) -> str:
    """The question for increments, for who has to ask for a part of them."""
    if labels:
        (name,) = names
        return promql.summed(promql.increments(name, step, guarded), labels)
    return promql.increments_of(names, step, guarded)


def _subtracted(prometheus: Prometheus, names: Sequence[str], stretch: Stretch, guarded: bool) -> Found | None:
    """The same from plain values; None where that is too much, or where too much of it began anew."""
    selector = promql.named(map(promql.literal, names))
    values = prometheus.range(
        f"last_over_time({selector}[{promql.BEFORE}s])", stretch._replace(begin=stretch.begin - stretch.step)
    )
    if values.more:
        return None
    restarts = prometheus.range(" or ".join(f"max(resets({one}[{stretch.step}s])) > 0" for one in names), stretch)
    anew = sorted({moment for line in restarts.lines for moment, _ in line.values})
    if len(anew) > MANY_RESTARTS:
        return None
    awake = _awake(prometheus, stretch) if guarded else None
    lines = [_differences(line, stretch, frozenset(anew), awake) for line in values.lines]
    for moment in anew:
        step = stretch._replace(begin=moment - stretch.step, end=moment)
        lines += _asked(prometheus, names, step, guarded, ()).lines
    return Found([line for line in lines if line.values], False)


def _differences(line: Line, stretch: Stretch, anew: frozenset[int], awake: frozenset[int] | None) -> Line:
    known = dict(line.values)
    found = []
    for moment in range(stretch.begin + stretch.step, stretch.end + 1, stretch.step):
        now, before = known.get(moment), known.get(moment - stretch.step)
        if now is None or moment in anew or (before is None and awake is not None and moment not in awake):
            continue
        grown = now - before if before is not None and now >= before else now
        if grown > 0:
            found.append((moment, grown))
    return Line(line.labels, found)


def _awake(prometheus: Prometheus, stretch: Stretch) -> frozenset[int]:
    """The ends of the steps before which Prometheus had been there for a while."""
    offset = stretch.step + promql.AWAKE
    signs = f"count(last_over_time({promql.SIGNS}[{promql.BEFORE}s] offset {offset}s)) > 0"
    return frozenset(moment for line in prometheus.range(signs, stretch).lines for moment, _ in line.values)
