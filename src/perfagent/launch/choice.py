"""Which pipeline serves: ours, or the stock OpenTelemetry SDK where the environment asks for what ours does not do."""

from __future__ import annotations

from perfagent.settings import SAMPLERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings

LEAN_EXPORTERS = {"otlp", "none", "prometheus"}
LEAN_PROPAGATORS = {"tracecontext", "baggage", "none"}


def needs_sdk(settings: Settings) -> str:
    """Why the SDK is needed, in one phrase; '' where our own pipeline does everything that is asked for."""
    if settings.protocol.lower() not in ("http/protobuf", ""):
        return f"OTEL_EXPORTER_OTLP_PROTOCOL={settings.protocol}"
    for name, exporters in (
        ("OTEL_TRACES_EXPORTER", settings.traces_exporter),
        ("OTEL_METRICS_EXPORTER", settings.metrics_exporter),
        ("OTEL_LOGS_EXPORTER", settings.logs_exporter),
    ):
        if not set(exporters) <= LEAN_EXPORTERS:
            return f"{name}={','.join(exporters)}"
    if settings.sampler.strip().lower() not in SAMPLERS:
        return f"OTEL_TRACES_SAMPLER={settings.sampler}"
    if not set(settings.propagators) <= LEAN_PROPAGATORS:
        return f"OTEL_PROPAGATORS={','.join(settings.propagators)}"
    for name in ("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE", "OTEL_PYTHON_ID_GENERATOR"):
        value = settings.environ.get(name)
        if value and value != "random":
            return f"{name}={value}"
    return ""


def pipeline(settings: Settings) -> str:
    """`lean` or `sdk`; says so where the SDK is wanted and missing."""
    if settings.pipeline != "auto":
        wanted, reason = settings.pipeline, "PERFAGENT_PIPELINE=sdk"
    else:
        reason = needs_sdk(settings)
        wanted = "sdk" if reason else "lean"
    if wanted == "sdk":
        from importlib.util import find_spec

        if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
            settings.report(
                f'{reason} takes the sdk pipeline: pip install "perfagent[sdk]"; going on with the lean one'
            )
            return "lean"
    return wanted
