"""OpenTelemetry's instruments: what a program adds to, records by and is asked by."""

# mypy: allow-subclassing-any
from __future__ import annotations

from logging import getLogger

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions

from perfagent.runtime import metric
from perfagent.runtime.clock import now
from perfagent.runtime.context import current
from perfagent.runtime.metric import FOLD_AT, GAUGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from typing import Any

    from opentelemetry.context.context import Context
    from opentelemetry.metrics import CallbackT

    from perfagent.runtime.metric import Instrument

    Recorder = Callable[..., None]

LARGEST = 1.7976931348623157e308  # nothing beyond fits a double; compares with whole numbers of any size
_logger = getLogger("perfagent.metrics")


class _Synchronous:
    """What the program measures itself by.

    Args:
        measured: the metric.
        callbacks: None; observables have them.
    """

    method = "add"
    lowest = -LARGEST

    def __init__(self, measured: Instrument, callbacks: None = None) -> None:
        self.measured = measured
        setattr(self, self.method, recorder(measured, self.lowest))  # found before the class' method, 60 ns faster

    def become(self, successor: Any) -> None:
        """Measures by another instrument from now on."""
        setattr(self, self.method, getattr(successor, self.method))


class Counter(_Synchronous, metrics.Counter):
    """See opentelemetry.metrics.Counter; a negative amount is left out with a warning."""

    lowest = 0.0

    def add(self, amount: float, attributes: Mapping[str, Any] | None = None, context: Context | None = None) -> None:
        """Adds `amount`, which is not negative."""


class UpDownCounter(_Synchronous, metrics.UpDownCounter):
    """See opentelemetry.metrics.UpDownCounter."""

    def add(self, amount: float, attributes: Mapping[str, Any] | None = None, context: Context | None = None) -> None:
        """Adds `amount`."""


class Histogram(_Synchronous, metrics.Histogram):
    """See opentelemetry.metrics.Histogram; a negative amount is left out with a warning."""

    method = "record"
    lowest = 0.0

    def record(
        self, amount: float, attributes: Mapping[str, Any] | None = None, context: Context | None = None
    ) -> None:
        """Records `amount`, which is not negative."""


class Gauge(_Synchronous, getattr(metrics, "_Gauge", metrics.Instrument)):  # type: ignore[misc]
    """See opentelemetry.metrics.Gauge."""

    method = "set"

    def set(self, amount: float, attributes: Mapping[str, Any] | None = None, context: Context | None = None) -> None:
        """Sets the value to `amount`."""


class _Observable:
    """What the program is asked for whenever metrics are collected.

    Args:
        measured: the metric.
        callbacks: the program's, which tell the values.
    """

    def __init__(self, measured: Instrument, callbacks: Sequence[CallbackT]) -> None:
        self.measured = measured
        self.callbacks = callbacks

    def become(self, successor: Any) -> None:
        """Is asked by another meter from now on; nothing is left to do here."""


class ObservableCounter(_Observable, metrics.ObservableCounter):
    """See opentelemetry.metrics.ObservableCounter."""


class ObservableUpDownCounter(_Observable, metrics.ObservableUpDownCounter):
    """See opentelemetry.metrics.ObservableUpDownCounter."""


class ObservableGauge(_Observable, metrics.ObservableGauge):
    """See opentelemetry.metrics.ObservableGauge."""


class Observer:
    """Asks the callbacks of an observable; one that fails is logged, and the others are asked all the same.

    Args:
        name: of the metric.
        callbacks: functions of CallbackOptions, or generators that are sent them.
    """

    def __init__(self, name: str, callbacks: Sequence[CallbackT]) -> None:
        self.name = name
        self.callbacks = list(callbacks)
        self._started: set[int] = set()

    def __call__(self) -> Iterator[tuple[float, Mapping[str, Any]]]:
        """Values and attributes, as all the callbacks tell them now."""
        options = CallbackOptions()
        for callback in self.callbacks:
            try:
                for observation in self._ask(callback, options):
                    value = observation.value
                    if -LARGEST <= value <= LARGEST:
                        yield value, observation.attributes or {}
                    else:
                        _logger.warning("%s: %r was observed, which is left out", self.name, value)
            except Exception:
                _logger.exception("a callback of %s failed", self.name)

    def _ask(self, callback: Any, options: CallbackOptions) -> Any:
        if not hasattr(callback, "send"):
            return callback(options)
        generator: Generator[Any, CallbackOptions, None] = callback
        try:
            if id(generator) not in self._started:
                self._started.add(id(generator))
                next(generator)  # up to its first yield, which waits for options
            return generator.send(options)
        except StopIteration:
            return ()


def recorder(measured: Instrument, lowest: float) -> Recorder:
    """The function that takes a program's measurements: 0.3 us each, the rest is done in the background.

    Args:
        measured: the metric.
        lowest: the least amount that is taken.
    """
    known = measured.known.get
    find = measured.of
    folds = measured.kind != GAUGE
    always = metric.exemplar_filter == "always_on"
    never = metric.exemplar_filter == "always_off"

    def record(amount: float, attributes: Mapping[str, Any] | None = None, context: Context | None = None) -> None:
        if not lowest <= amount <= LARGEST:
            _logger.warning("%s: %r is left out, it takes finite numbers from %s", measured.name, amount, lowest)
            return
        try:
            key = tuple(attributes.items()) if attributes else ()
            series = known(key) or known((key, tuple(map(type, attributes.values())))) or find(attributes)  # type: ignore[union-attr]
        except Exception:  # no attributes for the first time, a list among the values, or one of the program's classes
            series = find(attributes)
        if folds:
            pending = series.pending
            pending.append(amount)
            if len(pending) > FOLD_AT:
                series.fold()
        else:
            series.record(amount)
        span: Any = current.get() if context is None else _span_of(context)
        if span is not None:
            if (span.flags & 1 or always) and not never:
                series.exemplify(amount, now(), span.trace_id, span.span_id)
        elif always:
            series.exemplify(amount, now(), b"", b"")

    return record


def _span_of(context: Context) -> Any:
    from perfagent.runtime.api.context import parent_in  # which imports opentelemetry.trace, as the caller has done

    return parent_in(context)
