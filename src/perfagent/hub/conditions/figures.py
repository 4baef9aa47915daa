"""The figures of rules, minute by minute, from the roll-ups.

The figure of a minute is made of that minute and those before it within the window, never of what came later: so a
replay of the past finds what was found then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse.durations import explicit_quantile
from perfagent.hub.api.vitals import ZEROS
from perfagent.hub.conditions.series import Catalog, Groups
from perfagent.hub.expressions.settling import COUNTER, HISTOGRAM, SUMMARY, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from perfagent.hub.expressions.evaluate import Key, Values
    from perfagent.hub.expressions.tree import Aggregate
    from perfagent.hub.store.store import Store

SLICE = 86_400  # s that are read at once
STILL = 5
"""Minutes for which what counts and says nothing has counted nothing; then it is not known any more. Prometheus too
forgets a series after five minutes."""
Figures = dict["Aggregate", dict["Key", "Values"]]
Counts = tuple[list[float] | None, dict[int, float], float | None]
"""Bounds, values by bucket, and the largest value."""


class Measure:
    """Measures figures.

    Args:
        store: where the points are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.catalog = Catalog(store)
        self.pause: Callable[[], None] = lambda: None
        """Called before each day that is read and each series that is compared; may raise what ends a long look."""
        self.left_out = 0
        """Groups of the last look that were more than a figure may have."""

    def metrics(self, aggregates: Iterable[Aggregate]) -> dict[str, Metric]:
        """What the metrics of some aggregates are, as far as they were ever told."""
        found = self.catalog.read(one.metric for one in aggregates)
        return {name: series[0].metric for name, series in found.items()}

    def figures(self, aggregates: Sequence[Aggregate], times: range) -> Figures:
        """Each aggregate in each minute, by whom it is about.

        Args:
            aggregates: that their metrics can give.
            times: starts of the minutes, seconds since the epoch.
        """
        found: Figures = {one: {} for one in aggregates}
        series = self.catalog.read(one.metric for one in aggregates)
        plain, shares = Groups(self.pause), Groups(self.pause)
        for one in found:
            (plain if one.share is None else shares).add(one, series.get(one.metric, ()))
        self.left_out = plain.left_out + shares.left_out
        kinds = {name: ones[0].metric.kind for name, ones in series.items()}
        longest = max((one.window for one in found), default=60) // 60
        wide = range(times.start - 60 * (longest - 1 + STILL), times.stop, 60)
        skipped = len(wide) - len(times)
        for (aggregate, key), columns in zip(plain.known, self._columns(plain, kinds, wide), strict=True):
            if columns:
                found[aggregate][key] = _figure(aggregate, kinds[aggregate.metric], columns)[skipped:]
        for (aggregate, key), values in zip(shares.known, self._shares(shares, times), strict=True):
            if values:
                found[aggregate][key] = values
        return found

    def _columns(self, groups: Groups, kinds: dict[str, str], times: range) -> list[dict[str, Values]]:
        """What each group is computed from, minute by minute; nothing for one without points."""
        found: list[dict[str, Values]] = [{} for _ in groups.known]
        if not groups.ids:
            return found
        needed = [columns(aggregate.function, kinds[aggregate.metric]) for aggregate, _ in groups.known]
        for begin, end in self._slices(times):
            limits = {"since": begin, "until": end}
            for row in self._store.rows("rules/minutes", **limits, ids=groups.ids, groups=groups.numbers):
                number = row["grp"]
                places = [(time - times.start) // 60 for time in row["times"]]
                for column in needed[number]:
                    values = found[number].setdefault(column, [None] * len(times))
                    for place, value in zip(places, row[column], strict=True):
                        values[place] = value
        return found

    def _shares(self, groups: Groups, times: range) -> list[Values]:
        """The percentiles of each group; nothing for one without points."""
        found: list[Values] = [[] for _ in groups.known]
        if not groups.ids:
            return found
        longest = max(aggregate.window for aggregate, _ in groups.known)
        for begin, end in self._slices(times):
            minutes: dict[int, dict[int, Counts]] = {}
            limits = {"since": begin - longest + 60, "until": end}
            for row in self._store.rows("rules/buckets", **limits, ids=groups.ids, groups=groups.numbers):
                known = minutes.setdefault(row["grp"], {})
                if row["minute"] not in known:  # series that disagree on the bounds cannot be added up
                    counts = dict(zip(row["positions"], row["counts"], strict=True))
                    known[row["minute"]] = (row["bounds"], counts, row["largest"])
            for number, known in minutes.items():
                values = found[number] = found[number] or [None] * len(times)
                place = (begin - times.start) // 60
                part = _quantiles(groups.known[number][0], known, range(begin, end, 60))
                values[place : place + len(part)] = part
        return found

    def _slices(self, times: range) -> Iterator[tuple[int, int]]:
        """A range in days, so that no more than a day of rows is in memory at once."""
        for begin in range(times.start, times.stop, SLICE):
            self.pause()
            yield begin, min(begin + SLICE, times.stop)


def columns(function: str, kind: str) -> tuple[str, ...]:
    """What of a minute a figure is made of."""
    if kind == COUNTER:
        return ("delta",)
    if function in ("min", "max"):
        return ("smallest",) if function == "min" else ("largest",)
    if kind in (HISTOGRAM, SUMMARY):
        return {"avg": ("total", "count"), "sum": ("total",)}.get(function, ("count",))
    return {"last": ("last", "series"), "count": ("series",)}.get(function, ("mean", "series"))


def _figure(aggregate: Aggregate, kind: str, known: dict[str, Values]) -> Values:
    function, length = aggregate.function, aggregate.window // 60
    if function in ("min", "max"):
        return extremes(known["smallest" if function == "min" else "largest"], length, largest=function == "max")
    if kind in (COUNTER, HISTOGRAM, SUMMARY):
        if function == "avg":
            return _ratio(sums(known["total"], length), sums(known["count"], length))
        (values,) = known.values()
        counted = still(values)
        added = sums(counted, length)
        if function != "rate":
            return added
        lasting = sums([None if one is None else 60.0 for one in counted], length)  # of who has just begun, less
        return _ratio(added, lasting)
    readings = extremes(known["series"], length, largest=True)
    if function == "count":
        return readings
    if function == "last":
        return latest(_ratio(known["last"], known["series"]), length)
    means = _ratio(sums(known["mean"], length), sums(known["series"], length))
    if function == "avg":
        return means
    # A program that sends once a minute leaves one out now and then: its level counts all the same.
    return [None if one is None or many is None else one * many for one, many in zip(means, readings, strict=True)]


def still(values: Values) -> Values:
    """Counts with 0 in the gaps after something was counted, for STILL minutes."""
    found: Values = []
    silent = STILL
    for value in values:
        silent = 0 if value is not None else silent + 1
        found.append(value if value is not None else 0.0 if silent < STILL else None)
    return found


def sums(values: Values, length: int) -> Values:
    """Sums over windows that end with each minute; None where nothing is known in one."""
    if length == 1:
        return values
    found: Values = []
    for end in range(1, len(values) + 1):
        known = [value for value in values[max(end - length, 0) : end] if value is not None]
        found.append(sum(known) if known else None)
    return found


def extremes(values: Values, length: int, *, largest: bool) -> Values:
    """The largest or smallest values of windows that end with each minute."""
    found: Values = []
    extreme = max if largest else min
    for end in range(1, len(values) + 1):
        known = [value for value in values[max(end - length, 0) : end] if value is not None]
        found.append(extreme(known, default=None))
    return found


def latest(values: Values, length: int) -> Values:
    """The last known values of windows that end with each minute."""
    found: Values = []
    for end in range(1, len(values) + 1):
        window = values[max(end - length, 0) : end]
        found.append(next((value for value in reversed(window) if value is not None), None))
    return found


def _ratio(parts: Values, wholes: Values) -> Values:
    return [part / whole if part is not None and whole else None for part, whole in zip(parts, wholes, strict=True)]


def _quantiles(aggregate: Aggregate, minutes: dict[int, Counts], times: range) -> Values:
    share = aggregate.share
    assert share is not None
    back = range(0, aggregate.window, 60)
    found: Values = []
    for time in times:
        known = [minutes[time - ago] for ago in back if time - ago in minutes]
        found.append(quantile(known, share) if known else None)
    return found


def quantile(parts: Sequence[Counts], share: float) -> float | None:
    """A quantile of histograms together; those with other bounds than the first are left out."""
    bounds, first, largest = parts[0]
    counts = dict(first)
    for others, more, most in parts[1:]:
        if others != bounds:
            continue
        for position, count in more.items():
            counts[position] = counts.get(position, 0.0) + count
        largest = most if largest is None or (most is not None and most > largest) else largest
    if bounds is not None:
        return explicit_quantile(bounds, [counts.get(one, 0.0) for one in range(len(bounds) + 1)], share, largest)
    rank, below = share * sum(counts.values()), 0.0
    for position, count in sorted(counts.items()):
        below += count
        if below >= rank > 0:
            return 0.0 if position <= ZEROS else float(2 ** ((position + 0.5) / 8))
    return None
