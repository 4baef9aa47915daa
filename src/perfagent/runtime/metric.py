"""Counters, gauges and histograms: a recording is one list append, the arithmetic is done in the background.

A recorder appends to its series' list (30 ns, atomic, no lock); the background thread folds the list: one `sort` and
a bisection for each bucket bound in place of one for each value, which makes a recorded value cost about 60 ns in all.
A recorder folds by itself only where a list has grown past FOLD_AT, so memory is bounded while the thread is away.
"""

from __future__ import annotations

from _thread import allocate_lock
from bisect import bisect_left, bisect_right

from perfagent.runtime import clock, outbox
from perfagent.runtime.attributes import cleaned, identity
from perfagent.runtime.clock import now
from perfagent.runtime.context import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from perfagent.runtime.span import Scope

COUNTER, UP_DOWN_COUNTER, GAUGE, HISTOGRAM = "counter", "updowncounter", "gauge", "histogram"
FOLD_AT = 4096

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

    __slots__ = ("attributes", "cache", "exemplars", "folding", "pending", "previous", "started", "touched", "value")

    def __init__(self, attributes: Mapping[str, object]) -> None:
        self.attributes = attributes
        self.pending: list[float] = []
        self.exemplars: dict[int, Exemplar] = {}
        """The last one of each bucket since the last export; a sum and a gauge have one bucket."""
        self.value: float = 0
        self.previous: float = 0  # what an observed total was at the last export of differences
        self.touched = False  # since the last export of differences; for an observable: by the last observation
        self.started = now() + clock.offset
        self.cache: bytes = b""  # the encoder's: the attributes, encoded
        self.folding = allocate_lock()

    def record(self, value: float) -> None:
        """Adds one measurement."""
        pending = self.pending
        pending.append(value)
        if len(pending) > FOLD_AT:
            self.fold()

    def exemplify(self, value: float, time: int, trace_id: bytes, span_id: bytes) -> None:
        """Remembers which span a measurement was made in (no ids: in none), and when by the monotonic clock."""
        self.exemplars[0] = (value, time, trace_id, span_id)

    def fold(self) -> None:
        """Works the waiting measurements in. Never waits: whoever comes second leaves them to the first.

        Waiting could deadlock: a garbage collection inside the fold may run a destructor that records.
        """
        if not self.folding.acquire(False):
            return
        try:
            pending = self.pending
            count = len(pending)
            if count:
                values = pending[:count]  # others may append meanwhile: what is new stays
                del pending[:count]
                self.touched = True
                try:
                    self.add(values)
                except TypeError:  # numbers of a kind that does not mix, such as Decimal
                    self.add([float(value) for value in values])
        finally:
            self.folding.release()

    def add(self, values: list[float]) -> None:
        """Works `values` in; here, sums them."""
        self.value += sum(values)

    def reset(self, time: int = 0) -> None:
        """Starts again from zero: after an export of differences, and in a forked child.

        Args:
            time: when, in Unix ns; now when left out.
        """
        if before_reset is not None:
            before_reset(self)
        self.value = 0
        self.previous = 0
        self.touched = False
        self.started = time or now() + clock.offset
        self.exemplars = {}


class GaugeSeries(Series):
    """The last value."""

    __slots__ = ()

    def record(self, value: float) -> None:
        """Replaces the value."""
        self.value = value
        self.touched = True


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

    def exemplify(self, value: float, time: int, trace_id: bytes, span_id: bytes) -> None:
        """As for `Series`; keeps the last one of each bucket."""
        self.exemplars[bisect_left(self.bounds, value)] = (value, time, trace_id, span_id)

    def reset(self, time: int = 0) -> None:
        """Starts again from zero."""
        super().reset(time)
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
        keys: the names of its attributes, for the reference page.
    """

    __slots__ = ("bounds", "callback", "description", "keys", "kind", "known", "name", "scope", "series", "unit")

    def __init__(
        self,
        scope: Scope,
        kind: str,
        name: str,
        unit: str = "",
        description: str = "",
        bounds: tuple[float, ...] = DEFAULT_BOUNDS,
        callback: Callable[[], Iterable[tuple[float, Mapping[str, object]]]] | None = None,
        keys: tuple[str, ...] = (),
    ) -> None:
        self.scope = scope
        self.kind = kind
        self.name = name
        self.unit = unit
        self.description = description
        self.bounds = bounds
        self.callback = callback
        self.keys = keys
        self.series: dict[object, Series] = {}
        self.known: dict[object, Series] = {}  # the series by attributes as somebody wrote them, in their order

    def add(self, value: float, attributes: Mapping[str, object] | None = None) -> None:
        """Records `value` under `attributes`, with the current span as exemplar where it is sampled."""
        series = self.of(attributes)
        series.record(value)
        span = current.get()
        if span is not None and span.flags & 1 and not span.nobody and exemplar_filter != "always_off":
            series.exemplify(value, now(), span.trace_id, span.span_id)

    def of(self, attributes: Mapping[str, object] | None = None) -> Series:
        """The series of `attributes`: keep it where they are constant, and call its `record`."""
        try:
            key = tuple(attributes.items()) if attributes else ()
            known = self.known.get(key)
            if known is not None:  # all of them are texts: nothing else is equal to a text
                return known
            return self.known[key, tuple(map(type, attributes.values()))]  # type: ignore[union-attr]
        except Exception:  # none yet, a list among the values, or one whose class raises when it is compared
            return self._find(attributes or {})

    def _find(self, attributes: Mapping[str, object]) -> Series:
        key = frozenset((str(name), identity(value)) for name, value in attributes.items())
        series = self.series.get(key)
        if series is None:
            if len(self.series) >= registry.cardinality - 1 and OVERFLOW not in self.series:
                self.series[OVERFLOW] = self._make({"otel.metric.overflow": True})
            if OVERFLOW in self.series:
                outbox.drop("attributes", "cardinality_limit", 1)
                return self.series[OVERFLOW]
            series = self.series.setdefault(key, self._make(cleaned(attributes)))
        if len(self.known) < 4 * registry.cardinality:
            self._remember(attributes, series)
        return series

    def _remember(self, attributes: Mapping[str, object], series: Series) -> None:
        kinds = tuple(map(type, attributes.values()))
        key = tuple(attributes.items())
        try:
            hash(key)
        except Exception:  # a list among the values, or what has no hash: it is looked for anew each time
            return
        self.known[key if set(kinds) <= {str} else (key, kinds)] = series

    def _make(self, attributes: Mapping[str, object]) -> Series:
        if self.kind == HISTOGRAM:
            if registry.exponential:
                from perfagent.runtime.exponential import ExponentialSeries

                return ExponentialSeries(attributes)
            return HistogramSeries(attributes, self.bounds)
        return GaugeSeries(attributes) if self.kind == GAUGE else Series(attributes)

    def collect(self) -> list[Series]:
        """Asks the callback, folds what waits, and returns the series; of an observable, those just observed."""
        if self.callback is not None:
            return self._observe(self.callback)
        found = list(self.series.values())
        for series in found:
            series.fold()
        return found

    def _observe(self, callback: Callable[[], Iterable[tuple[float, Mapping[str, object]]]]) -> list[Series]:
        totals: dict[Series, float] = {}
        for value, attributes in callback():
            series = self.of(attributes)
            totals[series] = value + (0 if self.kind == GAUGE else totals.get(series, 0))
        for series in list(self.series.values()):
            series.touched = series in totals
        for series, total in totals.items():
            series.value = total
        if len(self.series) > registry.cardinality // 2:  # room for new ones: what is no longer observed goes
            self.series = {key: series for key, series in self.series.items() if series.touched}
            self.known = {}
        return list(totals)


OVERFLOW = object()
before_reset: Callable[[Series], None] | None = None
"""Told of each series that is about to start from zero, where somebody goes on from its total."""


class Registry:
    """Every metric of the process, in the order of their making.

    `cardinality` bounds the series of each; `exponential` chooses base-2 exponential histograms.
    """

    def __init__(self) -> None:
        self.instruments: dict[tuple[object, ...], Instrument] = {}
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
        keys: tuple[str, ...] = (),
    ) -> Instrument:
        """The metric of that name: the one there is, or a new one. Arguments as for `Instrument`."""
        key = (scope.name, name.lower())
        found = self.instruments.get(key)
        if found is None or (callback is not None and found.callback is not callback):
            found = Instrument(scope, kind, name, unit, description, bounds, callback, keys)
            self.instruments[key] = found
        return found

    def reset(self) -> None:
        """Every series from zero: a forked child counts its own."""
        for instrument in self.instruments.values():
            for series in instrument.series.values():
                series.folding = allocate_lock()
                if instrument.kind == UP_DOWN_COUNTER:  # what is open goes on being open in the child
                    series.fold()
                else:
                    series.pending.clear()
                    series.reset()


registry = Registry()
