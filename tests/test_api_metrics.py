"""A program's own OpenTelemetry meters on our runtime: real programs under the agent, no SDK unless they bring it."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from perfagent.runtime import guard, outbox
from perfagent.runtime.metric import COUNTER, registry
from perfagent.runtime.otlp.metrics import encode
from perfagent.runtime.span import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RunText
    from tests.otlp import Point, Receiver
    from tests.program import Program

    Run = Callable[..., Program]


@pytest.fixture
def run(run_text: RunText) -> Run:
    """Runs a program's text under the agent; its metrics alone are sent, and only when it asks for that and at exit."""
    return partial(run_text, PERFAGENT_VITALS="false", OTEL_METRIC_EXPORT_INTERVAL="60000")


def one(receiver: Receiver, name: str, **attributes: object) -> Point:
    (point,) = [point for point in receiver.metric(name) if point.attributes == attributes]
    return point


def test_every_instrument_measures(run: Run, receiver: Receiver) -> None:
    run("""
        from opentelemetry import metrics
        from opentelemetry.metrics import Observation
        meter = metrics.get_meter("shop", "1.2", schema_url="https://schema", attributes={"team": "a"})
        orders = meter.create_counter("Orders", "{order}", "Orders taken.")
        assert isinstance(orders, metrics.Counter)
        assert meter.create_counter("orders", "{order}", "Orders taken.") is orders
        orders.add(2, {"kind": "new"}); orders.add(3, {"kind": "new"}); orders.add(1.5)
        stock = meter.create_up_down_counter("stock"); stock.add(5); stock.add(-2)
        level = meter.create_gauge("level"); level.set(1); level.set(7)
        size = meter.create_histogram("size", "By", explicit_bucket_boundaries_advisory=[10, 100])
        for value in (1, 10, 11, 1000): size.record(value)
        meter.create_histogram("default").record(6)
        def observe(options):
            assert options.timeout_millis > 0
            yield Observation(10, {"cpu": 0}); yield Observation(20, {"cpu": 1})
        def generator():
            options = yield
            while True: options = yield [Observation(1, {"cpu": 2})]
        meter.create_observable_counter("cpu", [observe, generator()])
        meter.create_observable_up_down_counter("threads", [lambda options: [Observation(-4)]])
        meter.create_observable_gauge("temperature", [lambda options: [Observation(36.6)]])
    """)
    orders = one(receiver, "orders", kind="new")
    assert (orders.value, orders.unit, orders.description) == (5, "{order}", "Orders taken.")
    assert (orders.type, orders.monotonic, orders.temporality) == ("sum", True, "CUMULATIVE")
    assert (orders.scope.name, orders.scope.version) == ("shop", "1.2")
    assert (orders.scope.schema_url, orders.scope.attributes) == ("https://schema", {"team": "a"})
    assert one(receiver, "orders").value == 1.5
    stock = one(receiver, "stock")
    assert (stock.value, stock.monotonic) == (3, False)
    assert (one(receiver, "level").type, one(receiver, "level").value) == ("gauge", 7)
    size = one(receiver, "size")
    assert (size.bounds, size.buckets, size.sum, size.min, size.max) == ((10, 100), (2, 1, 1), 1022, 1, 1000)
    assert len(one(receiver, "default").bounds) == 15
    assert [one(receiver, "cpu", cpu=cpu).value for cpu in range(3)] == [10, 20, 1]
    assert one(receiver, "threads").value == -4
    assert one(receiver, "temperature").value == 36.6


def test_amounts_that_make_no_sense_are_left_out_with_a_warning(run: Run, receiver: Receiver) -> None:
    program = run("""
        import decimal, fractions
        from opentelemetry import metrics
        meter = metrics.get_meter("shop")
        counter, histogram = meter.create_counter("counter"), meter.create_histogram("histogram")
        for amount in (-1, float("nan"), float("inf"), 10**400):
            counter.add(amount); histogram.record(amount)
        counter.add(1); histogram.record(1)
        counter.add(decimal.Decimal("0.5")); counter.add(fractions.Fraction(1, 4)); histogram.record(decimal.Decimal(2))
        try: counter.add("1")
        except TypeError: print("as the SDK")
        meter.create_counter("no spaces please").add(1)
        meter.create_counter("x" * 256).add(1)
        meter.create_histogram("bad bounds", explicit_bucket_boundaries_advisory="abc")
        meter.create_histogram("descending", explicit_bucket_boundaries_advisory=[2, 1]).record(1)
        meter.create_observable_gauge("fails", [lambda options: 1 / 0, lambda options: [metrics.Observation(5)]])
    """)
    assert program.stdout == "as the SDK\n"
    assert one(receiver, "counter").value == 1.75
    assert (one(receiver, "histogram").count, one(receiver, "histogram").sum) == (2, 3)
    assert one(receiver, "fails").value == 5
    assert len(one(receiver, "descending").bounds) == 15
    assert program.stderr.count("left out") == 8
    assert "ZeroDivisionError" in program.stderr
    assert not {point.name for point in receiver.points} & {"no spaces please", "x" * 256}


def test_attributes_of_the_same_meaning_are_one_series_and_others_are_not(run: Run, receiver: Receiver) -> None:
    run("""
        from opentelemetry import metrics
        counter = metrics.get_meter("shop").create_counter("counter")
        kept = {"b": [1, 2], "a": "x"}
        for attributes in ({"a": "x", "b": [1, 2]}, kept, {"b": (1, 2), "a": "x"}): counter.add(1, attributes)
        kept["b"].append(3)
        for value in (1, 1.0, True, "1", b"1", None, 1): counter.add(1, {"v": value})
        counter.add(1, {}); counter.add(1, None); counter.add(1)
    """)
    points = receiver.metric("counter")
    assert one(receiver, "counter", a="x", b=[1, 2]).value == 3
    assert one(receiver, "counter").value == 3
    values = [(type(point.attributes["v"]).__name__, point.value) for point in points if "v" in point.attributes]
    assert sorted(values) == [("NoneType", 1), ("bool", 1), ("bytes", 1), ("float", 1), ("int", 2), ("str", 1)]


def test_beyond_the_cardinality_limit_measurements_share_the_overflow_series(run: Run, receiver: Receiver) -> None:
    run(
        """
        from opentelemetry import metrics
        counter = metrics.get_meter("shop").create_counter("counter")
        for number in range(50): counter.add(1, {"user": number})
        counter.add(1, {"user": 0})
        """,
        PERFAGENT_METRIC_CARDINALITY_LIMIT="10",
    )
    points = receiver.metric("counter")
    assert len(points) == 10
    assert one(receiver, "counter", **{"otel.metric.overflow": True}).value == 41
    assert one(receiver, "counter", user=0).value == 2


ROUNDS = """
    from opentelemetry import metrics
    meter = metrics.get_meter("shop")
    flush = metrics.get_meter_provider().force_flush
    counter, histogram = meter.create_counter("counter"), meter.create_histogram("histogram")
    up_down, gauge = meter.create_up_down_counter("up_down"), meter.create_gauge("gauge")
    total = 0
    def observe(options):
        global total
        total += 10
        return [metrics.Observation(total)]
    meter.create_observable_counter("observed", [observe])
    for instrument in (counter, up_down): instrument.add(3)
    histogram.record(1); gauge.set(4)
    flush()
    counter.add(4); up_down.add(4); histogram.record(2)
    flush()
    flush()
"""


@pytest.mark.parametrize(
    ("preference", "values"),
    [
        ("cumulative", {"counter": [3, 7, 7, 7], "histogram": [1, 2, 2, 2], "observed": [10, 20, 30, 40]}),
        ("delta", {"counter": [3, 4], "histogram": [1, 1], "observed": [10, 10, 10, 10]}),
        ("lowmemory", {"counter": [3, 4], "histogram": [1, 1], "observed": [10, 20, 30, 40]}),
    ],
)
def test_the_temporality_is_the_one_asked_for(
    run: Run, receiver: Receiver, preference: str, values: dict[str, list[int]]
) -> None:
    run(ROUNDS, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=preference)
    assert [point.value for point in receiver.metric("counter")] == values["counter"]
    assert [point.count for point in receiver.metric("histogram")] == values["histogram"]
    assert [point.value for point in receiver.metric("observed")] == values["observed"]
    assert [point.value for point in receiver.metric("up_down")] == [3, 7, 7, 7]
    assert [point.value for point in receiver.metric("gauge")] == [4, 4, 4, 4]
    temporality = {"delta": "DELTA", "lowmemory": "DELTA"}.get(preference, "CUMULATIVE")
    assert {point.temporality for point in receiver.metric("counter")} == {temporality}
    assert {point.temporality for point in receiver.metric("up_down")} == {"CUMULATIVE"}


def test_differences_leave_no_gap_and_no_overlap_in_time(run: Run, receiver: Receiver) -> None:
    run(ROUNDS, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta")
    for name in ("counter", "histogram", "observed"):
        points = receiver.metric(name)
        for earlier, later in pairwise(points):
            assert earlier.start < earlier.time == later.start < later.time, name


@pytest.mark.parametrize(("exemplars", "expected"), [("trace_based", 1), ("always_on", 2), ("always_off", 0)])
def test_exemplars_name_the_span_a_measurement_was_made_in(
    run: Run, receiver: Receiver, exemplars: str, expected: int
) -> None:
    program = run(
        """
        from opentelemetry import metrics, trace
        from opentelemetry.trace import set_span_in_context
        histogram = metrics.get_meter("shop").create_histogram("histogram")
        tracer = trace.get_tracer("shop")
        with tracer.start_as_current_span("x"): histogram.record(1)
        explicit = tracer.start_span("explicit")
        print(f"{explicit.get_span_context().span_id:016x}")
        histogram.record(7000)
        histogram.record(2, context=set_span_in_context(explicit))
        metrics.get_meter_provider().force_flush()
        histogram.record(1)
        """,
        OTEL_METRICS_EXEMPLAR_FILTER=exemplars,
    )
    first, second = receiver.metric("histogram")
    assert len(first.exemplars) == expected
    if exemplars == "trace_based":
        assert not second.exemplars  # those of the first export are not told again
        assert first.exemplars[0].value == 2  # the last one of its bucket
    if exemplars == "always_on":
        assert sorted(bool(exemplar.trace_id) for exemplar in first.exemplars) == [False, True]
    if first.exemplars:
        assert program.stdout.strip() in {exemplar.span_id for exemplar in first.exemplars}


def test_a_program_that_sets_its_own_meter_provider_gets_all_measurements(run: Run, receiver: Receiver) -> None:
    program = run("""
        from opentelemetry import metrics
        from opentelemetry.metrics import Observation
        meter = metrics.get_meter("early")
        counter = meter.create_counter("early")
        bounded = meter.create_histogram("bounded", explicit_bucket_boundaries_advisory=[1.0])
        def generator():
            yield
            while True: yield [Observation(5)]
        meter.create_observable_gauge("observed", [generator()])
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        metrics.set_meter_provider(provider)
        assert metrics.get_meter_provider() is provider
        counter.add(1); bounded.record(3); meter.create_counter("later").add(2)
        found = {}
        for resource in reader.get_metrics_data().resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics: found[metric.name] = metric.data.data_points[0]
        assert found["early"].value == 1 and found["later"].value == 2 and found["observed"].value == 5
        assert found["bounded"].explicit_bounds == (1.0,)
    """)
    assert not program.stderr
    assert not receiver.points


def test_a_metric_that_cannot_be_told_does_not_silence_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Iterator[tuple[float, dict[str, object]]]:
        raise OSError("the file is gone")

    monkeypatch.setattr(registry, "instruments", {})
    monkeypatch.setattr(guard, "failures", {})
    monkeypatch.setattr(outbox, "drops", {})
    registry.make(Scope("x"), COUNTER, "fails", callback=fails)
    registry.make(Scope("x"), COUNTER, "works").of().record(1)
    body, points = encode(b"", "cumulative")
    assert points == 1
    assert b"works" in body
    assert guard.failures == {"metric fails": 1}
    assert outbox.drops == {("metric", "encode_error"): 1}


def test_recording_from_many_threads_loses_nothing(run: Run, receiver: Receiver) -> None:
    run(
        """
        import sys, threading
        from opentelemetry import metrics
        sys.setswitchinterval(1e-5)
        meter = metrics.get_meter("shop")
        counter, histogram = meter.create_counter("counter"), meter.create_histogram("histogram")
        def work():
            for number in range(20_000):
                counter.add(1, {"a": "b"}); histogram.record(number)
        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        while any(thread.is_alive() for thread in threads): metrics.get_meter_provider().force_flush()
        """,
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta",
    )
    assert sum(point.value or 0 for point in receiver.metric("counter")) == 80_000
    assert sum(point.count for point in receiver.metric("histogram")) == 80_000
    assert len(receiver.metric("counter")) > 1
