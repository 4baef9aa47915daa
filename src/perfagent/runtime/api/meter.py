"""OpenTelemetry's meter provider and meters on our runtime. Views are the SDK's alone: there are none here."""

# mypy: allow-subclassing-any
from __future__ import annotations

from logging import getLogger
from operator import lt

from opentelemetry import metrics

from perfagent.runtime import outbox
from perfagent.runtime.api import instrument
from perfagent.runtime.api.handover import asked
from perfagent.runtime.api.resource import Resource
from perfagent.runtime.api.scopes import MOST, Scopes
from perfagent.runtime.metric import COUNTER, DEFAULT_BOUNDS, GAUGE, HISTOGRAM, UP_DOWN_COUNTER, Instrument, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from opentelemetry.metrics import CallbackT

    from perfagent.runtime.span import Scope

_logger = getLogger("perfagent.metrics")


class MeterProvider(metrics.MeterProvider):
    """Makes meters whose measurements go out by perfagent; the global one until the program sets its own."""

    def __init__(self) -> None:
        self._scopes = Scopes()
        self._meters: dict[Scope, Meter] = {}
        self._successor: metrics.MeterProvider | None = None

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> metrics.Meter:
        """See opentelemetry.metrics.MeterProvider; the same arguments give the same meter."""
        scope = self._scopes.of(name, version, schema_url, attributes)
        if self._successor is not None:
            return self._successor.get_meter(*asked(scope))
        meter = self._meters.get(scope)
        if meter is None:
            meter = Meter(scope)
            if len(self._meters) < MOST:
                meter = self._meters.setdefault(scope, meter)
        return meter

    def hand_over(self, successor: metrics.MeterProvider) -> None:
        """The program has set its own provider: what came from here now measures for that one."""
        if successor is self:
            return
        self._successor = successor
        for scope, meter in self._meters.copy().items():
            meter.become(successor.get_meter(*asked(scope)))

    @property
    def resource(self) -> Resource:
        """Who sends."""
        return Resource()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collects and sends every metric. Returns whether all was delivered within the time."""
        return outbox.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 2_000) -> None:
        """Collects and sends. Our own metrics go on, so nothing is closed; the agent does that at exit."""
        outbox.flush(timeout_millis / 1000)


class Meter(metrics.Meter):
    """A meter of the program. Asking twice for the same instrument gives the same one, as the SDK does.

    Args:
        scope: who asked for it.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope.name, scope.version or None, scope.schema_url or None)
        self.scope = scope
        self._made: dict[tuple[str, ...], Any] = {}
        self._successor: metrics.Meter | None = None

    def become(self, successor: metrics.Meter) -> None:
        """Makes instruments by another meter from now on, and lets those made before measure for it."""
        self._successor = successor
        for (kind, *_), ours in self._made.copy().items():
            registry.instruments.pop(_key(ours.measured, kind), None)
            create = getattr(successor, f"create_{kind}", None)
            if create is not None:  # meters before 1.23 know no gauge: what it measures goes nowhere
                ours.become(_again(create, kind, ours))

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        """See opentelemetry.metrics.Meter."""
        if self._successor is not None:
            return self._successor.create_counter(name, unit, description)
        return self._make("counter", COUNTER, instrument.Counter, name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> metrics.UpDownCounter:
        """See opentelemetry.metrics.Meter."""
        if self._successor is not None:
            return self._successor.create_up_down_counter(name, unit, description)
        kind, made = "up_down_counter", instrument.UpDownCounter
        return self._make(kind, UP_DOWN_COUNTER, made, name, unit, description)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        """See opentelemetry.metrics.Meter."""
        if self._successor is not None:
            return self._successor.create_gauge(name, unit, description)
        return self._make("gauge", GAUGE, instrument.Gauge, name, unit, description)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        """See opentelemetry.metrics.Meter; bounds that are none are left out with a warning."""
        if self._successor is not None:
            return self._successor.create_histogram(
                name, unit, description, explicit_bucket_boundaries_advisory=explicit_bucket_boundaries_advisory
            )
        bounds = _bounds(name, explicit_bucket_boundaries_advisory)
        made = self._make("histogram", HISTOGRAM, instrument.Histogram, name, unit, description, bounds=bounds)
        if made.measured.bounds != bounds:
            _logger.warning("histogram %s exists already with the bounds %s; it keeps them", name, made.measured.bounds)
        return made

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableCounter:
        """See opentelemetry.metrics.Meter."""
        if self._successor is not None:
            return self._successor.create_observable_counter(name, callbacks, unit, description)
        kind, made = "observable_counter", instrument.ObservableCounter
        return self._make(kind, COUNTER, made, name, unit, description, callbacks or ())

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableUpDownCounter:
        """See opentelemetry.metrics.Meter."""
        if self._successor is not None:
            return self._successor.create_observable_up_down_counter(name, callbacks, unit, description)
        kind, made = "observable_up_down_counter", instrument.ObservableUpDownCounter
        return self._make(kind, UP_DOWN_COUNTER, made, name, unit, description, callbacks or ())

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableGauge:
        """See opentelemetry.metrics.Meter."""
        if self._successor is not None:
            return self._successor.create_observable_gauge(name, callbacks, unit, description)
        kind, made = "observable_gauge", instrument.ObservableGauge
        return self._make(kind, GAUGE, made, name, unit, description, callbacks or ())

    def _make(
        self,
        api_kind: str,
        kind: str,
        made: Any,
        name: str,
        unit: str,
        description: str,
        callbacks: Sequence[CallbackT] | None = None,
        bounds: tuple[float, ...] = DEFAULT_BOUNDS,
    ) -> Any:
        checked = metrics.Instrument._check_name_unit_description(name, unit, description)
        if checked["name"] is None or checked["unit"] is None:  # the SDK raises here; an agent must not
            _logger.warning("no instrument may be called %r with the unit %r; what it measures is not sent", name, unit)
        name, unit = name.lower(), unit or ""
        key = (api_kind, name, unit, description or "")
        found = self._made.get(key)
        if found is None:
            observe = None if callbacks is None else instrument.Observer(name, callbacks)
            measured = Instrument(self.scope, kind, name, unit, description or "", bounds, observe)
            found = self._made.setdefault(key, made(measured, callbacks))
            if checked["name"] is not None and checked["unit"] is not None:
                registry.instruments[_key(found.measured, api_kind)] = found.measured
        return found


def _key(measured: Instrument, api_kind: str) -> tuple[object, ...]:
    return (measured.scope, api_kind, measured.name, measured.unit, measured.description)


def _again(create: Any, kind: str, ours: Any) -> Any:
    """The same instrument, made by another meter."""
    measured = ours.measured
    described = {"unit": measured.unit, "description": measured.description}
    if kind == "histogram" and measured.bounds is not DEFAULT_BOUNDS:
        described["explicit_bucket_boundaries_advisory"] = measured.bounds
    if kind.startswith("observable"):
        described["callbacks"] = ours.callbacks
    return create(measured.name, **described)


def _bounds(name: str, given: Sequence[float] | None) -> tuple[float, ...]:
    """The advised bucket bounds of a histogram, or the specification's where they are none."""
    if given is None:
        return DEFAULT_BOUNDS
    try:
        bounds = tuple(given)
        ascending = all(map(lt, bounds, bounds[1:]))
        if ascending and all(isinstance(bound, (int, float)) and abs(bound) < float("inf") for bound in bounds):
            return tuple(map(float, bounds))
    except TypeError:
        pass
    _logger.warning("histogram %s: %r are no ascending numbers; it takes the default bounds", name, given)
    return DEFAULT_BOUNDS
