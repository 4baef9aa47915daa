"""What one process has measured, as plain data that other processes can read and add up.

A metric is [kind, name, unit, scope, description, bounds, rows]; a row is [labels, values, exemplars]. The values are
the one number of a counter or gauge, or a histogram's sum followed by the count of each bucket: rows of two processes
add up element by element.
"""

from __future__ import annotations

from perfagent.runtime import clock, guard, metric
from perfagent.runtime.metric import HISTOGRAM, GaugeSeries, HistogramSeries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from perfagent.runtime.metric import Instrument, Series
    from perfagent.runtime.span import Scope

    Labels = tuple[tuple[str, str], ...]
    Values = list[float]
    Exemplar = list[Any]
    """Bucket, value, Unix time in seconds, trace id and span id in hexadecimal."""
    Row = tuple[Labels, Values, list[Exemplar]]
    Metric = tuple[str, str, str, list[Any], str, tuple[float, ...], list[Row]]


class Kept:
    """What is remembered of a series between two snapshots."""

    __slots__ = ("exemplars", "labels", "settled")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.exemplars: dict[int, Exemplar] = {}
        self.settled: Values = []  # of a total that was exported as differences: what they add up to


class Snapshots:
    """Takes snapshots of the registry."""

    def __init__(self) -> None:
        self._kept: dict[Series, Kept] = {}
        self._last: list[Metric] = []

    def reset(self) -> None:
        """In a forked child: what was kept is its parent's."""
        self._kept = {}
        self._last = []

    def measured(self) -> bool:
        """Whether anything was recorded by the program's own doing since the last `take`; vital signs do not count."""
        return self._read(observed=False) != self._last

    def take(self) -> list[Metric]:
        """Every metric that has something to show. Bounded, as the registry is."""
        self._last = self._read(observed=False)
        found = self._last + self._read(observed=True)
        alive = {series for instrument in _instruments() for series in instrument.series.values()}
        for series in [series for series in list(self._kept) if series not in alive]:
            self._kept.pop(series, None)
        return found

    def remember(self) -> None:
        """Keeps the exemplars, before an export by OTLP takes them."""
        for instrument in _instruments():
            for series in list(instrument.series.values()):
                if series.exemplars:
                    self._keep(series)

    def settle(self, series: Series) -> None:
        """Keeps what `series` has counted, for it is about to start from zero."""
        values = _values(series)
        if values:
            kept = self._keep(series)
            kept.settled = added(kept.settled, values)

    def _read(self, observed: bool) -> list[Metric]:
        found: list[Metric] = []
        for instrument in _instruments():
            if (instrument.callback is not None) is not observed:
                continue
            try:
                rows = [row for series in instrument.collect() if (row := self._row(series))]
            except Exception:  # a callback of the program's that fails must not silence the others
                guard.failed(f"metric {instrument.name}")
                continue
            if rows:
                bounds = instrument.bounds if instrument.kind == HISTOGRAM else ()
                scope = _scope(instrument.scope)
                found.append(
                    (instrument.kind, instrument.name, instrument.unit, scope, instrument.description, bounds, rows)
                )
        return found

    def _row(self, series: Series) -> Row | None:
        if isinstance(series, GaugeSeries) and not series.touched:
            return None
        kept = self._keep(series)
        values = added(kept.settled, _values(series))
        return (kept.labels, values, list(kept.exemplars.values())) if values else None

    def _keep(self, series: Series) -> Kept:
        kept = self._kept.get(series)
        if kept is None:
            kept = self._kept[series] = Kept(labels(series.attributes.items()))
        for bucket, (value, time, trace, span) in series.exemplars.copy().items():
            kept.exemplars[bucket] = [bucket, plain(value), (time + clock.offset) / 1e9, trace.hex(), span.hex()]
        return kept


def _instruments() -> list[Instrument]:
    return list(metric.registry.instruments.values())


def _values(series: Series) -> Values:
    """The numbers of a series; none where nothing was recorded."""
    if isinstance(series, HistogramSeries):
        return [plain(series.value), *series.counts] if series.count else []
    return [plain(series.value)]


def added(some: Values, more: Values) -> Values:
    """The sums, element by element; either may be empty."""
    if not some or not more:
        return list(some or more)
    return [one + other for one, other in zip(some, more, strict=True)]


def plain(value: float) -> float:
    """A number that every encoder knows: programs also record those of numpy and decimal."""
    return value if type(value) in (int, float) else float(value)


def labels(attributes: Iterable[tuple[str, object]]) -> Labels:
    """Attributes as texts, sorted by name (OpenTelemetry, "Prometheus and OpenMetrics Compatibility", "Attributes")."""
    return tuple(sorted((key, _text(value)) for key, value in attributes))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    from json import dumps

    return dumps(value, default=str)


def _scope(scope: Scope) -> list[Any]:
    attributes = labels(scope.attributes.items()) if scope.attributes else ()
    return [scope.name, scope.version, scope.schema_url, attributes]
