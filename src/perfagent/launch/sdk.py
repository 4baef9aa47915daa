"""The sdk pipeline: the stock OpenTelemetry SDK, its exporters and the contrib instrumentors, with perfagent's vitals.

It serves what the lean pipeline leaves out (gRPC, console and third-party exporters, samplers and propagators,
declarative configuration), and it is what the lean one is compared with.
"""

# mypy: allow-subclassing-any
from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from perfagent.runtime.span import Scope
    from perfagent.settings import Settings


def start(settings: Settings) -> None:
    """Configures the SDK, loads the instrumentors of the libraries that are installed, and adds perfagent's vitals."""
    configure(settings)
    from opentelemetry.instrumentation.auto_instrumentation import _load
    from opentelemetry.instrumentation.distro import DefaultDistro

    _load._load_instrumentors(DefaultDistro())


def configure(settings: Settings) -> None:
    """Sets the SDK's providers up from the environment as OpenTelemetry's own distribution does, but over HTTP."""
    for signal in ("TRACES", "METRICS", "LOGS"):
        os.environ.setdefault(f"OTEL_{signal}_EXPORTER", _exporter(settings, signal))
    os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    os.environ.setdefault("OTEL_METRIC_EXPORT_INTERVAL", str(settings.metric_interval))
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name" not in settings.resource_attributes:
        from perfagent.runtime.resource import program_name

        os.environ["OTEL_SERVICE_NAME"] = settings.service_name or program_name()
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator

    from perfagent import __version__

    class Configurator(_OTelSDKConfigurator):
        """The SDK asks distributions to make a class of their own of it."""

    Configurator().configure(
        resource_attributes={"telemetry.distro.name": "perfagent", "telemetry.distro.version": __version__}
    )
    if settings.scrub:
        _keep_secrets(settings)
    from perfagent.launch import lifecycle

    lifecycle.on_the_way_out(lambda: _flush(settings.exit_timeout))
    if settings.vitals:
        _mirror_metrics()
        from perfagent import vitals
        from perfagent.instruments import hook
        from perfagent.launch import start
        from perfagent.runtime import selfmetrics

        hook.install()
        vitals.install(settings, hook.when_imported)
        start.count_deprecations()
        selfmetrics.install({})  # the SDK tells of its exports itself


def _keep_secrets(settings: Settings) -> None:
    from opentelemetry import trace

    from perfagent.launch.sdk_secrets import Secrets

    add: Any = getattr(trace.get_tracer_provider(), "add_span_processor", None)
    if add is not None:  # OTEL_SDK_DISABLED leaves a provider that takes none
        add(Secrets(settings))


def _flush(milliseconds: int) -> None:
    from opentelemetry import _logs, metrics, trace

    for provider in (trace.get_tracer_provider(), _logs.get_logger_provider(), metrics.get_meter_provider()):
        flush = getattr(provider, "force_flush", None)
        if flush is not None:
            flush(milliseconds)


def _exporter(settings: Settings, signal: str) -> str:
    """`otlp` where there is somewhere to send to, else `none`: nobody wants a refused connection every few seconds."""
    own = getattr(settings, f"{signal.lower()}_endpoint")
    return "otlp" if settings.endpoint or own or settings.protocol.lower() == "grpc" else "none"


def _mirror_metrics() -> None:
    """From now on, perfagent's metrics are made on the SDK's meter."""
    from perfagent.runtime import metric

    metric.registry.make = _make  # type: ignore[method-assign]


def _make(
    scope: Scope,
    kind: str,
    name: str,
    unit: str = "",
    description: str = "",
    bounds: tuple[float, ...] | None = None,
    callback: Callable[[], Iterable[tuple[float, Mapping[str, object]]]] | None = None,
    keys: tuple[str, ...] = (),
) -> Any:
    from opentelemetry import metrics

    meter = metrics.get_meter(scope.name, scope.version)
    if callback is not None:
        observable = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }[kind]

        def observe(options: object) -> list[metrics.Observation]:
            return [metrics.Observation(value, attributes) for value, attributes in callback()]

        return observable(name, callbacks=[observe], unit=unit, description=description)
    if kind == "histogram":
        return Mirrored(
            meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=bounds).record
        )
    if kind == "gauge":
        return Mirrored(meter.create_gauge(name, unit, description).set)
    create = meter.create_counter if kind == "counter" else meter.create_up_down_counter
    return Mirrored(create(name, unit, description).add)


class Mirrored:
    """A metric of perfagent's that the SDK keeps; it has what the runtime's own `Instrument` has.

    Args:
        add: the SDK instrument's method: takes a value and attributes.
    """

    def __init__(self, add: Callable[..., None]) -> None:
        self.add = add

    def of(self, attributes: Mapping[str, object] | None = None) -> MirroredSeries:
        """The series of `attributes`."""
        return MirroredSeries(self.add, attributes)


class MirroredSeries:
    """One attribute set of a `Mirrored` metric."""

    def __init__(self, add: Callable[..., None], attributes: Mapping[str, object] | None) -> None:
        self.add = add
        self.attributes = attributes

    def record(self, value: float) -> None:
        """Adds one measurement."""
        self.add(value, self.attributes)
