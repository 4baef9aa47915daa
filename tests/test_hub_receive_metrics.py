"""Metric points and log records: every kind of them, and what becomes of those that cannot be used."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from perfagent.hub.receive import metrics
from perfagent.hub.receive.exponential import HIGHEST, LOWEST, rescaled
from perfagent.hub.receive.limits import Limits
from tests.receiving import Receiving, attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.store.rows import Batch, PointRow, Series


@pytest.fixture(scope="module")
def receiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with Receiving(tmp_path_factory.mktemp("hub")) as receiving:
        yield receiving


@pytest.fixture
def hub(receiving: Receiving) -> Receiving:
    receiving.batches.clear()
    return receiving


def of(*kinds: Metric) -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    message.resource_metrics.add().scope_metrics.add().metrics.extend(kinds)
    return message


def decoded(*kinds: Metric, **limits: int) -> Batch:
    return metrics.decode(of(*kinds).SerializeToString(), limits=Limits(**limits))


def only(batch: Batch) -> tuple[Series, PointRow]:
    (row,) = batch.points
    return batch.series[row.series], row


def gauge(name: str = "g", **point: Any) -> Metric:
    made = Metric(name=name)
    made.gauge.data_points.add(**{"time_unix_nano": time.time_ns(), "as_double": 1, **point})
    return made


def histogram(temporality: int = 2, **point: Any) -> Metric:
    made = Metric(name="h")
    made.histogram.aggregation_temporality = temporality
    made.histogram.data_points.add(**{"time_unix_nano": time.time_ns(), **point})
    return made


def exponential(scale: int, offset: int, counts: list[int], **point: Any) -> Metric:
    made = Metric(name="e")
    made.exponential_histogram.aggregation_temporality = 1
    data = made.exponential_histogram.data_points.add(
        **{"time_unix_nano": time.time_ns(), "scale": scale, "count": sum(counts), **point}
    )
    data.positive.offset = offset
    data.positive.bucket_counts.extend(counts)
    return made


def test_the_sdk_s_instruments_arrive_with_their_kinds_and_values(hub: Receiving) -> None:
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{hub.url}/v1/metrics", preferred_temporality={Counter: AggregationTemporality.DELTA}),
        60_000,
    )
    views = [View(instrument_name="spread", aggregation=ExponentialBucketHistogramAggregation(max_scale=10))]
    tracer = TracerProvider().get_tracer("t")
    provider = MeterProvider([reader], Resource({"service.name": "shop"}), views=views)
    meter = provider.get_meter("my.meter", "1")
    meter.create_counter("sold", "1", "Items sold").add(3, {"kind": "book"})
    meter.create_up_down_counter("open").add(-2)
    meter.create_gauge("level", "By").set(0.5)
    with tracer.start_as_current_span("measured") as span:
        meter.create_histogram("took", "s", explicit_bucket_boundaries_advisory=[1, 2]).record(1.5)
    spread = meter.create_histogram("spread")
    for value in (1, 1.05, 2, 1000):
        spread.record(value)
    provider.shutdown()

    series, row = hub.point("sold", kind="book")
    assert series[2:10] == ("shop", "my.meter", "sold", "sum", "1", "Items sold", False, True)
    assert (row.value, row.count, row.start > 0) == (3, None, True)
    series, row = hub.point("open")
    assert (series.kind, series.cumulative, series.monotonic, row.value) == ("sum", True, False, -2)
    series, row = hub.point("level")
    assert (series.kind, series.unit, row.value) == ("gauge", "By", 0.5)
    series, row = hub.point("took")
    assert (series.kind, series.bounds, series.cumulative) == ("histogram", [1, 2], True)
    assert (row.count, row.total, row.smallest, row.largest, row.buckets) == (1, 1.5, 1.5, 1.5, [0, 1, 0])
    (exemplar,) = json.loads(row.exemplars or "")
    context = span.get_span_context()
    assert exemplar["value"] == 1.5
    assert exemplar["trace_id"] == f"{context.trace_id:032x}"
    assert exemplar["span_id"] == f"{context.span_id:016x}"
    series, row = hub.point("spread")
    assert (series.kind, series.bounds, row.count, row.zeros) == ("exponential", None, 4, 0)
    # 1 is in (2^(-1/8), 2^0], 1.05 in (2^0, 2^(1/8)], 2 in (2^(7/8), 2^(8/8)], 1000 in (2^(79/8), 2^(80/8)]
    assert row.first_bucket == -1
    assert {row.first_bucket + index: n for index, n in enumerate(row.buckets or []) if n} == {-1: 1, 0: 1, 7: 1, 79: 1}


@pytest.mark.parametrize("scale", [3, 4, 5, 8, 20])
def test_a_finer_exponential_histogram_is_scaled_down_exactly(scale: int) -> None:
    counts = [1, 2, 0, 3] * 40
    shift = scale - 3
    for offset in (-7, 0, 5, 5_000):
        first, found = rescaled(scale, offset, counts, 10_000)
        assert found is not None
        expected: dict[int, int] = {}
        for index, count in enumerate(counts, offset):
            expected[index // 2**shift] = expected.get(index // 2**shift, 0) + count
        assert {first + place: count for place, count in enumerate(found)} == expected


@pytest.mark.parametrize("scale", [2, 1, 0, -2])
def test_a_coarser_one_is_spread_evenly_within_each_of_its_buckets(scale: int) -> None:
    width = 2 ** (3 - scale)
    first, found = rescaled(scale, -2, [width, 0, 5], 10_000)
    assert (first, found and len(found)) == (-2 * width, 3 * width)
    assert found is not None
    assert found[:width] == [1] * width
    assert found[width : 2 * width] == [0] * width
    assert sum(found[2 * width :]) == 5
    assert max(found[2 * width :]) - min(found[2 * width :]) <= 1 or width < 5


def test_very_coarse_and_extreme_ones_keep_their_counts_within_what_a_double_can_be() -> None:
    for scale, offset in ((-11, 0), (-11, -1), (-10, -2), (-4, 3), (0, 2**31 - 10), (0, -(2**31)), (1024, -5), (20, 0)):
        first, found = rescaled(scale, offset, [4, 5], 100_000)
        assert found is not None
        assert sum(found) == 9
        assert LOWEST <= first <= first + len(found) - 1 <= HIGHEST
    assert rescaled(0, 5, [0, 0], 10) == (0, [])


def test_what_is_not_above_zero_counts_as_zero() -> None:
    metric = exponential(3, 0, [1], zero_count=2, count=6, sum=1.0)
    metric.exponential_histogram.data_points[0].negative.bucket_counts.extend([1, 2])
    _series, row = only(decoded(metric))
    assert (row.zeros, row.buckets, row.count, row.smallest) == (5, [1], 6, None)


def test_wide_exponential_histograms_cannot_fill_the_memory() -> None:
    metric = Metric(name="e")
    metric.exponential_histogram.aggregation_temporality = 2
    for number in range(100):
        data = metric.exponential_histogram.data_points.add(time_unix_nano=time.time_ns(), scale=-10, count=2)
        data.attributes.add(key="n").value.int_value = number
        data.positive.offset = -1
        data.positive.bucket_counts.extend([1, 1])
    batch = decoded(metric, buckets=50_000)
    assert sum(len(row.buckets or ()) for row in batch.points) <= 50_000
    assert (len(batch.points) + batch.rejected, batch.rejected > 80) == (100, True)
    assert "span too many buckets" in batch.reason


def test_a_summary_has_a_series_for_its_count_and_one_for_each_quantile(hub: Receiving) -> None:
    metric = Metric(name="s")
    data = metric.summary.data_points.add(time_unix_nano=time.time_ns(), count=10, sum=5.0)
    data.attributes.add(key="a").value.string_value = "b"
    data.quantile_values.add(quantile=0.5, value=0.4)
    data.quantile_values.add(quantile=0.99, value=0.9)
    assert hub.post("/v1/metrics", of(metric).SerializeToString()).content == b""
    series, row = next((hub.series[row.series], row) for row in hub.points if row.count is not None)
    assert (series.kind, json.loads(series.attributes), row.count, row.total) == ("summary", {"a": "b"}, 10, 5)
    series, row = hub.point("s", quantile="0.99")
    assert (series.kind, row.value) == ("gauge", 0.9)
    assert hub.point("s", quantile="0.5", a="b")[1].value == 0.4


def test_a_point_without_a_recorded_value_is_no_point_and_no_failure() -> None:
    batch = decoded(gauge(flags=1), histogram(flags=1), gauge(name="h", as_double=7))
    assert (batch.rejected, batch.reason, only(batch)[1].value) == (0, "", 7)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (gauge(time_unix_nano=0), "without a time"),
        (gauge(time_unix_nano=1), "older than the 48 h"),
        (gauge(time_unix_nano=2**64 - 1), "more than a day in the future"),
        (gauge(as_double=float("nan")), "without a finite value"),
        (gauge(as_double=float("-inf")), "without a finite value"),
        (gauge(name=""), "of a metric without a name"),
        (histogram(temporality=0), "of a metric without a temporality"),
        (histogram(bucket_counts=[1, 1, 1], explicit_bounds=[1], count=3), "whose buckets do not fit their bounds"),
        (histogram(bucket_counts=[1, 1, 1], explicit_bounds=[2, 1], count=3), "whose buckets do not fit"),
        (histogram(bucket_counts=[1, 1], explicit_bounds=[float("nan")], count=2), "whose buckets do not fit"),
        (histogram(bucket_counts=[2**63], count=1), "with a count beyond 63 bits"),
        (histogram(count=2**64 - 1), "with a count beyond 63 bits"),
        (exponential(2_000_000_000, 0, [1]), "whose scale is beyond -11 to 1024"),
        (exponential(-2_000_000_000, 0, [1]), "whose scale is beyond -11 to 1024"),
        (exponential(3, 0, [2**63], count=1), "with a count beyond 63 bits"),
    ],
)
def test_unusable_points_are_counted_and_the_others_are_kept(hub: Receiving, metric: Metric, reason: str) -> None:
    answer = hub.post("/v1/metrics", of(metric, gauge(name="good")).SerializeToString())
    partial = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_data_points) == (200, 1)
    assert partial.error_message.startswith(f"1 points refused: 1 {reason}") or reason in partial.error_message
    assert [hub.series[row.series].name for row in hub.points] == ["good"]


def test_a_histogram_that_tells_no_buckets_has_one() -> None:
    series, row = only(decoded(histogram(count=5, sum=2.5)))
    assert (series.bounds, row.buckets, row.total, row.smallest) == ([], [5], 2.5, None)


def test_a_metric_has_so_many_series_and_no_more() -> None:
    metric = Metric(name="g")
    for number in range(metrics.SERIES + 10):
        point = metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=number)
        point.attributes.add(key="id").value.int_value = number
    batch = decoded(metric)
    assert (len(batch.series), batch.rejected) == (metrics.SERIES, 10)
    assert "at most 5000 sets of attributes" in batch.reason


def test_a_series_is_the_same_whatever_the_order_of_its_attributes(hub: Receiving) -> None:
    one, two = gauge(), gauge()
    for metric, keys in ((one, "ab"), (two, "ba")):
        for key in keys:
            metric.gauge.data_points[0].attributes.add(key=key).value.string_value = key
    batch = decoded(one, two)
    assert len(batch.series) == 1
    assert only(decoded(one))[0].attributes == '{"a":"a","b":"b"}'
    assert only(decoded(one))[0].id == only(decoded(two))[0].id != only(decoded(gauge()))[0].id


def test_the_sdk_s_log_records_arrive_with_their_trace(hub: Receiving) -> None:
    provider = LoggerProvider(Resource({"service.name": "shop"}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{hub.url}/v1/logs")))
    logger = logging.getLogger("shop.cart")
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    try:
        with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
            logger.error("no %s left", "apples", extra={"fruit": "apple"})
    finally:
        logger.removeHandler(handler)
        provider.shutdown()
    (row,) = hub.logs
    assert (row.body, row.severity, row.severity_text, row.scope) == ("no apples left", 17, "ERROR", "shop.cart")
    assert row.trace_id == span.get_span_context().trace_id.to_bytes(16, "big")
    assert row.span_id == span.get_span_context().span_id.to_bytes(8, "big")
    assert attributes(row)["fruit"] == "apple"
    assert hub.resources[row.resource].service == "shop"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"stringValue": "text"}, "text"),
        ({"intValue": "7"}, "7"),
        ({"boolValue": False}, "false"),
        ({"doubleValue": 1.5}, "1.5"),
        ({"bytesValue": "AAE="}, "AAE="),
        ({"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "a"}]}}, '[1,"a"]'),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}}, '{"a":1}'),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_log_s_body_of_any_type_becomes_text(hub: Receiving, body: object, shown: str) -> None:
    record = {"body": body, "severityNumber": "SEVERITY_NUMBER_WARN", "severityText": "warn", "eventName": "stock.low"}
    answer = hub.post("/v1/logs", {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    assert answer.json() == {}
    (row,) = hub.logs
    assert (row.body, row.severity, row.severity_text, row.event) == (shown, 13, "warn", "stock.low")
    assert abs(row.time - time.time_ns()) < 60 * 10**9  # nobody said when: now


def test_a_log_with_ids_of_a_wrong_length_belongs_to_no_trace_and_an_old_one_is_refused(hub: Receiving) -> None:
    message = ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    records.add(time_unix_nano=time.time_ns(), trace_id=b"x", span_id=bytes(8), severity_number=99)  # type: ignore[arg-type]
    records.add(observed_time_unix_nano=time.time_ns()).attributes.add(key="event.name").value.string_value = "old.way"
    records.add(time_unix_nano=5)
    answer = hub.post("/v1/logs", message.SerializeToString())
    partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_log_records == 1
    assert partial.error_message.startswith("1 log records refused: 1 older than")
    first, second = hub.logs
    assert (first.trace_id, first.span_id, first.severity, first.event) == (None, None, 0, None)
    assert second.event == "old.way"
