"""Counters, gauges and histograms: a recording is one list append, the arithmetic is done in the background.

A recorder appends to its series' list (30 ns, atomic, no lock); the background thread folds the list: one `sort` and
a bisection for each bucket bound in place of one for each value, which makes a recorded value cost about 60 ns in all.
A recorder folds by itself only where a list has grown past FOLD_AT, so memory is bounded while the thread is away.
"""

from __future__ import annotations

from _thread import allocate_lock
from bisect import bisect_right
from collections import deque

from perfagent.runtime import clock, outbox
from perfagent.runtime.clock import now
from perfagent.runtime.context import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from perfagent.runtime.span import Scope

COUNTER, UP_DOWN_COUNTER, GAUGE, HISTOGRAM = "counter", "updowncounter", "gauge", "histogram"
FOLD_AT = 4096
EXEMPLARS = 32  # remembered between two folds, for each series

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bucket bounds of durations in seconds (OpenTelemetry HTTP metrics)."""
DB_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Bucket bounds of database operations in seconds (OpenTelemetry database metrics)."""
DEFAULT_BOUNDS = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0)
"""Bucket bounds where nobody gave any (OpenTelemetry SDK specification)."""

Exemplar = tuple[float, int, bytes, bytes]  # value, monotonic ns, trace id, span id
exemplar_filter = "trace_based"


class Series:
    """One attribute set of a metric; `record` is the hot path.

    Args:
        attributes: the attributes that all its measurements share.
    """

    __slots__ = ("_folding", "attributes", "cache", "exemplars", "pending", "started", "traced", "value")

    def __init__(self, attributes: Mapping[str, object]) -> None:
        self.attributes = attributes
        self.pending: list[float] = []
        self.traced: deque[Exemplar] = deque(maxlen=EXEMPLARS)
        self.exemplars: list[Exemplar] = []
        self.value: float = 0
        self.started = now() + clock.offset
        self.cache: bytes = b""  # the encoder's: the attributes, encoded
        self._folding = allocate_lock()

    def record(self, value: float) -> None:
        """Adds one measurement."""
        pending = self.pending
        pending.append(value)
        if len(pending) > FOLD_AT:
            self.fold()

    def exemplify(self, value: float, time: int, trace_id: bytes, span_id: bytes) -> None:
        """Remembers which span a measurement was made in, and when by the monotonic clock."""
        self.traced.append((value, time, trace_id, span_id))

    def fold(self) -> None:
        """Works the waiting measurements in. Never waits: whoever comes second leaves them to the first.

        Waiting could deadlock: a garbage collection inside the fold may run a destructor that records.
        """
        if not self._folding.acquire(False):
            return
        try:
            pending = self.pending
            count = len(pending)
            if count:
                values = pending[:count]  # others may append meanwhile: what is new stays
                del pending[:count]
                self.add(values)
            if self.traced:
                self.keep_exemplars()
        finally:
            self._folding.release()

    def add(self, values: list[float]) -> None:
        """Works `values` in; here, sums them."""
        self.value += sum(values)

    def keep_exemplars(self) -> None:
        """Chooses what is exported among the remembered; here, the last one."""
        self.exemplars = [self.traced[-1]]
        self.traced.clear()

    def reset(self) -> None:
        """Starts again from zero: after an export of differences, and in a forked child."""
        self.value = 0
        self.started = now() + clock.offset
        self.exemplars = []


class GaugeSeries(Series):
    """The last value."""

    __slots__ = ("seen",)

    def __init__(self, attributes: Mapping[str, object]) -> None:
        super().__init__(attributes)
        self.seen = False

    def record(self, value: float) -> None:
        """Replaces the value."""
        self.value = value
        self.seen = True


class HistogramSeries(Series):
    """Counts by bucket, with sum, smallest and largest.

    Args:
        attributes: as for `Series`.
        bounds: the upper bounds of the buckets, included, ascending; one more bucket is open.
    """

    __slots__ = ("bounds", "count", "counts", "largest", "smallest")

    def __init__(self, attributes: Mapping[str, object], bounds: tuple[float, ...]) -> None:
        super().__init__(attributes)
        self.bounds = bounds
        self.clear()

    def clear(self) -> None:
        """Empties the buckets."""
        self.counts = [0] * (len(self.bounds) + 1)
        self.count = 0
        self.smallest = float("inf")
        self.largest = float("-inf")

    def add(self, values: list[float]) -> None:
        """Sorts `values` and counts each bucket by two positions in them."""
        total = sum(values)
        if total != total:  # a NaN has no bucket and would spoil the sort
            values = [value for value in values if value == value]
            total = sum(values)
        if not values:
            return
        values.sort()
        below = 0
        counts = self.counts
        for bucket, bound in enumerate(self.bounds):
            if values[-1] <= bound:
                counts[bucket] += len(values) - below
                break
            upto = bisect_right(values, bound, below)
            counts[bucket] += upto - below
            below = upto
        else:
            counts[-1] += len(values) - below
        self.count += len(values)
        self.value += total
        self.smallest = min(self.smallest, values[0])
        self.largest = max(self.largest, values[-1])

    def keep_exemplars(self) -> None:
        """Keeps the last one of each bucket."""
        kept = {self._bucket(exemplar[0]): exemplar for exemplar in self.exemplars}
        while self.traced:
            exemplar = self.traced.popleft()
            kept[self._bucket(exemplar[0])] = exemplar
        self.exemplars = list(kept.values())

    def _bucket(self, value: float) -> int:
        from bisect import bisect_left

        return bisect_left(self.bounds, value)

    def reset(self) -> None:
        """Starts again from zero."""
        super().reset()
        self.clear()


class Instrument:
    """One metric: its series by attributes.

    Args:
        scope: who measures.
        kind: COUNTER, UP_DOWN_COUNTER, GAUGE or HISTOGRAM.
        name: the metric's name.
        unit: its unit in UCUM, such as "s" or "By".
        description: one sentence.
        bounds: bucket bounds of a histogram; the specification's when left out.
        callback: for an observable: yields (value, attributes) whenever metrics are collected.
    """

    __slots__ = ("bounds", "callback", "description", "kind", "name", "scope", "series", "series_type", "unit")

    def __init__(
        self,
        scope: Scope,
        kind: str,
        name: str,
        unit: str = "",
        description: str = "",
        bounds: tuple[float, ...] = DEFAULT_BOUNDS,
        callback: Callable[[], Iterable[tuple[float, Mapping[str, object]]]] | None = None,
    ) -> None:
        self.scope = scope
        self.kind = kind
        self.name = name
        self.unit = unit
        self.description = description
        self.bounds = bounds
        self.callback = callback
        self.series: dict[object, Series] = {}

    def add(self, value: float, attributes: Mapping[str, object] | None = None) -> None:
        """Records `value` under `attributes`, with the current span as exemplar where it is sampled."""
        series = self.of(attributes)
        series.record(value)
        span = current.get()
        if span is not None and span.flags & 1 and exemplar_filter != "always_off":
            series.exemplify(value, now(), span.trace_id, span.span_id)

    def of(self, attributes: Mapping[str, object] | None = None) -> Series:
        """The series of `attributes`: keep it where they are constant, and call its `record`."""
        try:
            key: object = frozenset(attributes.items()) if attributes else None
            return self.series[key]
        except KeyError:
            return self._new(key, attributes or {})
        except TypeError:  # a list among the values
            assert attributes is not None
            key = frozenset((name, str(value)) for name, value in attributes.items())
            return self.series.get(key) or self._new(key, attributes)

    def _new(self, key: object, attributes: Mapping[str, object]) -> Series:
        if len(self.series) >= registry.cardinality - 1 and key is not OVERFLOW:
            outbox.drop("attributes", "cardinality_limit", 1)
            return self.series.get(OVERFLOW) or self._new(OVERFLOW, {"otel.metric.overflow": True})
        return self.series.setdefault(key, self._make(dict(attributes)))

    def _make(self, attributes: Mapping[str, object]) -> Series:
        if self.kind == HISTOGRAM:
            if registry.exponential:
                from perfagent.runtime.exponential import ExponentialSeries

                return ExponentialSeries(attributes)
            return HistogramSeries(attributes, self.bounds)
        return GaugeSeries(attributes) if self.kind == GAUGE else Series(attributes)

    def collect(self) -> list[Series]:
        """Asks the callback, folds what waits, and returns the series."""
        if self.callback is not None:
            self._observe()
        found = list(self.series.values())
        for series in found:
            series.fold()
        return found

    def _observe(self) -> None:
        assert self.callback is not None
        seen = set()
        for value, attributes in self.callback():
            series = self.of(attributes)
            series.value = value
            if isinstance(series, GaugeSeries):
                series.seen = True
            seen.add(id(series))
        for key, series in list(self.series.items()):
            if id(series) not in seen:  # what is no longer observed is no longer exported
                del self.series[key]


OVERFLOW = object()


class Registry:
    """Every metric of the process, in the order of their making.

    `cardinality` bounds the series of each; `exponential` chooses base-2 exponential histograms.
    """

    def __init__(self) -> None:
        self.instruments: dict[tuple[str, str], Instrument] = {}
        self.cardinality = 2000
        self.exponential = False

    def make(
        self,
        scope: Scope,
        kind: str,
        name: str,
        unit: str = "",
        description: str = "",
        bounds: tuple[float, ...] = DEFAULT_BOUNDS,
        callback: Callable[[], Iterable[tuple[float, Mapping[str, object]]]] | None = None,
    ) -> Instrument:
        """The metric of that name: the one there is, or a new one. Arguments as for `Instrument`."""
        key = (scope.name, name.lower())
        found = self.instruments.get(key)
        if found is None or (callback is not None and found.callback is not callback):
            found = Instrument(scope, kind, name, unit, description, bounds, callback)
            self.instruments[key] = found
        return found

    def reset(self) -> None:
        """Every series from zero: a forked child counts its own."""
        for instrument in self.instruments.values():
            for series in instrument.series.values():
                series.pending.clear()
                series.traced.clear()
                series._folding = allocate_lock()
                if instrument.kind != UP_DOWN_COUNTER:
                    series.reset()


registry = Registry()
