"""As `tests.parity`, for metrics and log records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk._logs import LoggerProvider as SdkLoggerProvider
from opentelemetry.sdk._logs import LogRecordLimits
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from perfagent.runtime import outbox
from perfagent.runtime.api.logger import LoggerProvider
from perfagent.runtime.api.meter import MeterProvider
from perfagent.runtime.attributes import Limits
from perfagent.runtime.metric import registry
from perfagent.runtime.otlp import logs
from perfagent.runtime.otlp import metrics as otlp_metrics
from tests.parity import LIMITS, NAMED_TIMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DELTA, CUMULATIVE = AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE
PREFERENCES = {
    "cumulative": {},
    "delta": {
        sdk_metrics.Counter: DELTA,
        sdk_metrics.ObservableCounter: DELTA,
        sdk_metrics.Histogram: DELTA,
    },
    "lowmemory": {sdk_metrics.Counter: DELTA, sdk_metrics.Histogram: DELTA},
}
"""What each setting means to the SDK's OTLP exporter."""

Step = tuple[Any, ...]


class MetricProgram:
    """Measures as its steps tell: (instrument, amount, attributes), or (observable, observations)."""

    def __init__(self, provider: metrics.MeterProvider) -> None:
        meter = provider.get_meter("library")
        other = provider.get_meter("library", "2.0", "https://schema", {"of": "scope"})
        self.observed: dict[str, list[tuple[float, Mapping[str, Any] | None]]] = {}
        self.instruments: dict[str, Any] = {
            "counter": meter.create_counter("Requests", "1", "Requests."),
            "same counter": meter.create_counter("requests", "1", "Requests."),
            "other meter": other.create_counter("requests", "1", "Requests."),
            "other unit": meter.create_counter("requests", "s"),
            "up_down": meter.create_up_down_counter("connections"),
            "gauge": meter.create_gauge("temperature", "Cel"),
            "histogram": meter.create_histogram("duration", "s", "Seconds."),
            "advised": meter.create_histogram("size", explicit_bucket_boundaries_advisory=[0.5, 2, 8]),
        }
        for kind in ("observable_counter", "observable_up_down_counter", "observable_gauge"):
            create = getattr(meter, f"create_{kind}")
            create(kind, callbacks=[self._callback(kind), self._generator(f"{kind} 2")], unit="By")

    def do(self, steps: Iterable[Step]) -> None:
        for name, *arguments in steps:
            if name.startswith("observable"):
                self.observed[name] = arguments[0]
            else:
                instrument = self.instruments[name]
                method = getattr(
                    instrument, {"gauge": "set", "histogram": "record", "advised": "record"}.get(name, "add")
                )
                method(*arguments)

    def _observations(self, name: str) -> list[Observation]:
        return [Observation(*observation) for observation in self.observed.get(name, [])]

    def _callback(self, name: str) -> Any:
        return lambda options: self._observations(name)

    def _generator(self, name: str) -> Any:
        yield
        while True:
            yield self._observations(name)


def sdk_metrics_of(rounds: list[list[Step]], preference: str, exponential: bool) -> list[Any]:
    """What the SDK sends after each round of a program."""
    aggregation: dict[type, Any] = (
        {sdk_metrics.Histogram: ExponentialBucketHistogramAggregation()} if exponential else {}
    )
    reader = InMemoryMetricReader(PREFERENCES[preference], aggregation)  # type: ignore[arg-type]
    provider = sdk_metrics.MeterProvider([reader], shutdown_on_exit=False)
    program = MetricProgram(provider)
    messages = []
    for steps in rounds:
        program.do(steps)
        data = reader.get_metrics_data()
        messages.append(encode_metrics(data) if data is not None else ExportMetricsServiceRequest())
    return messages


def our_metrics_of(rounds: list[list[Step]], preference: str, exponential: bool) -> list[Any]:
    """What we send after each round of a program."""
    kept = registry.instruments, registry.exponential
    registry.instruments, registry.exponential = {}, exponential
    try:
        program = MetricProgram(MeterProvider())
        messages = []
        for steps in rounds:
            program.do(steps)
            messages.append(ExportMetricsServiceRequest.FromString(otlp_metrics.encode(b"", preference)[0]))
    finally:
        registry.instruments, registry.exponential = kept
    return messages


def comparable_metrics(message: ExportMetricsServiceRequest) -> str:
    """An export request as text, in an order that does not depend on who made it."""
    lines = []
    for group in message.resource_metrics:
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                points = sorted(map(_comparable_point, data.data_points))
                del data.data_points[:]
                lines.append(f"{scoped.scope}schema: {scoped.schema_url}\n{metric}{''.join(points)}")
    return "\n".join(sorted(lines))


def _comparable_point(point: Any) -> str:
    for name in ("start_time_unix_nano", "time_unix_nano"):
        setattr(point, name, 1 if getattr(point, name) else 0)
    if hasattr(point, "positive"):
        _comparable_buckets(point, 0)
    return str(point)


def coarsened(message: ExportMetricsServiceRequest, like: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest:
    """Exponential histograms at the scales of another message, which must not be finer."""
    scales = {key: point.scale for key, point in _exponential_points(like)}
    for key, point in _exponential_points(message):
        assert point.scale >= scales[key] or not (point.positive.bucket_counts or point.negative.bucket_counts)
        _comparable_buckets(point, max(point.scale - scales[key], 0))
        point.scale = scales[key]
    return message


def _exponential_points(message: ExportMetricsServiceRequest) -> Iterable[tuple[str, Any]]:
    for group in message.resource_metrics:
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                for point in metric.exponential_histogram.data_points:
                    yield f"{metric.name} {sorted(map(str, point.attributes))}", point


def _comparable_buckets(point: Any, change: int) -> None:
    """Merges buckets to a coarser scale and leaves out the empty ones at both ends."""
    for name in ("positive", "negative"):
        buckets = getattr(point, name)
        counts: dict[int, int] = {}
        for position, count in enumerate(buckets.bucket_counts):
            if count:
                index = (buckets.offset + position) >> change
                counts[index] = counts.get(index, 0) + count
        point.ClearField(name)
        if counts:
            low, high = min(counts), max(counts)
            getattr(point, name).offset = low
            getattr(point, name).bucket_counts.extend(counts.get(index, 0) for index in range(low, high + 1))


def sdk_logs(emitted: list[dict[str, Any]]) -> str:
    """What the SDK sends for log records."""
    memory = InMemoryLogRecordExporter()
    limits = LogRecordLimits(max_attributes=LIMITS["attributes"], max_attribute_length=LIMITS["length"])
    provider = SdkLoggerProvider(shutdown_on_exit=False, log_record_limits=limits)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    _emit(provider, emitted)
    return comparable_logs(encode_logs(memory.get_finished_logs()))


def our_logs(emitted: list[dict[str, Any]]) -> str:
    """What we send for log records."""
    kept = Limits.attributes, Limits.length
    Limits.attributes, Limits.length = LIMITS["attributes"], LIMITS["length"]
    outbox.logs.clear()
    try:
        _emit(LoggerProvider(), emitted)
        body, count = logs.encode(b"", outbox.logs)
        assert count == len(outbox.logs)
    finally:
        outbox.logs.clear()
        Limits.attributes, Limits.length = kept
    return comparable_logs(ExportLogsServiceRequest.FromString(body))


def _emit(provider: Any, emitted: list[dict[str, Any]]) -> None:
    loggers = [provider.get_logger("app"), provider.get_logger("app.db", "1.0", "https://schema", {"of": "scope"})]
    for fields in emitted:
        record = {key: value for key, value in fields.items() if key != "logger"}
        number = record.get("severity_number")
        record["severity_number"] = None if number is None else SeverityNumber(number)
        loggers[fields["logger"]].emit(**record)


def comparable_logs(message: ExportLogsServiceRequest) -> str:
    """An export request as text."""
    lines = []
    for group in message.resource_logs:
        for scoped in group.scope_logs:
            for record in scoped.log_records:
                record.flags &= 1  # the SDK says that a trace id is random; see docs/reference/differences.md
                if record.observed_time_unix_nano not in NAMED_TIMES:
                    record.observed_time_unix_nano = 1
            lines.append(f"{scoped.scope}schema: {scoped.schema_url}\n{''.join(map(str, scoped.log_records))}")
    return "\n".join(sorted(lines))
