"""What Prometheus and Jaeger tell as rows of the hub: buckets, names, operations, processes, and what is missing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.reference import declared

from perfagent.hub.analyse.durations import Durations
from perfagent.hub.receive.operations import CLIENT, CONSUMER, INTERNAL, SERVER
from perfagent.hub.remote import names
from perfagent.hub.remote.buckets import single, spread
from perfagent.hub.remote.coverage import Coverage, pieces
from perfagent.hub.remote.dialects import DECIDING, KINDS, REQUESTS, SPANS, Dialect
from perfagent.hub.remote.processes import Processes
from perfagent.hub.remote.prometheus import Stretch
from perfagent.runtime.prometheus.families import empty
from tests.remotes import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTS = st.lists(st.integers(0, 10_000), min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1)


def histogram(durations: Sequence[float]) -> tuple[dict[float, float], float]:
    """Counts up to each bound, as Prometheus has them, and the sum; of durations in seconds."""
    every = (*BOUNDS, float("inf"))
    return {bound: float(sum(one <= bound for one in durations)) for bound in every}, sum(durations)


def as_durations(upto: dict[float, float], total: float) -> Durations:
    places, longest = spread(single(upto, BOUNDS), BOUNDS, total)
    return Durations(sum(places.values()), 0, total * 1e9, int(longest), 0, places)


@given(COUNTS, st.floats(0, 1e6))
def test_no_count_is_lost_or_split_whatever_the_buckets(counts: list[int], total: float) -> None:
    places, longest = spread([float(count) for count in counts], BOUNDS, total)
    assert sum(places.values()) == sum(counts)
    assert all(count == int(count) > 0 for count in places.values())
    assert (longest > 0) == any(counts)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("median", [0.00008, 0.004, 0.03, 0.7, 9.0, 30.0])
def test_a_percentile_is_in_the_bucket_of_the_true_one(median: float, share: float) -> None:
    drawn = random.Random(f"{median} {share}")
    durations = sorted(drawn.lognormvariate(0, 0.6) * median for _ in range(2000))
    true = durations[int(share * len(durations)) - 1]
    found = as_durations(*histogram(durations)).quantile(share)
    assert found is not None
    low, high = next(
        (low, high) for low, high in zip((0.0, *BOUNDS), (*BOUNDS, float("inf")), strict=True) if true <= high
    )
    assert low * 0.91 <= found / 1000 <= high * 1.09  # the hub's own buckets are 9 % wide


def test_what_is_faster_than_the_first_bound_is_told_by_its_mean() -> None:
    found = as_durations(*histogram([0.00005] * 100))
    p50, p95 = found.quantiles(0.5, 0.95)
    assert p50 is not None
    assert p95 is not None
    assert 0.025 <= p50 <= p95 <= 0.11
    assert found.mean_ms == pytest.approx(0.05)


def test_what_is_slower_than_the_last_bound_is_told_by_its_mean() -> None:
    found = as_durations(*histogram([0.01] * 98 + [40.0, 40.0]))
    p99 = found.quantile(0.99)
    assert p99 is not None
    assert 35_000 <= p99 <= 45_000


def test_a_bound_that_grew_by_nothing_is_told_by_none_and_has_what_is_below_it() -> None:
    assert single({0.01: 3.0, 0.05: 5.0, float("inf"): 5.0}, (0.005, 0.01, 0.02, 0.05)) == [0, 3, 0, 2, 0]


def test_the_agents_metrics_come_back_by_the_names_units_and_kinds_that_it_gave_them() -> None:
    kinds = {"counter": names.COUNTER, "gauge": names.GAUGE, "updowncounter": names.LEVEL, "histogram": names.HISTOGRAM}
    ends = {names.COUNTER: "_total", names.HISTOGRAM: "_bucket"}
    for one in declared():
        kind = kinds[one.kind]
        there = empty(one.kind, one.name, one.unit, "").name + ends.get(kind, "")
        assert names.metric(there) == (one.name, kind, one.unit), there
        assert names.in_prometheus(one.name) == there.removesuffix("_bucket"), one.name


def test_attributes_come_back_with_their_dots_and_processes_are_no_attributes() -> None:
    labels = {
        "__name__": "x", "job": "shop", "instance": "1", "service_name": "shop", "otel_scope_name": "s", "le": "1",
        "http_route": "/items", "db_system_name": "sqlite", "my_label": "kept",
    }  # fmt: skip
    assert names.attributes(labels) == {"http.route": "/items", "db.system.name": "sqlite", "my_label": "kept"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders_total", ("orders_total", names.COUNTER, "")),
        ("queue_wait_seconds_bucket", ("queue_wait_seconds", names.HISTOGRAM, "s")),
        ("room_ratio", ("room_ratio", names.GAUGE, "1")),
        ("shop_cache_hits_total", ("shop_cache_hits_total", names.COUNTER, "")),
        ("shop_cache_size", ("shop_cache_size", names.LEVEL, "")),
        ("process_thread_count", ("process.thread.count", names.LEVEL, "{thread}")),
    ],
)
def test_an_unknown_metric_keeps_its_name_and_is_what_its_end_says(name: str, expected: tuple[str, str, str]) -> None:
    assert names.metric(name) == expected


SPAN_METRICS = Dialect(SPANS[:1], frozenset(DECIDING))
REQUEST_METRICS = Dialect(REQUESTS)
SPANS_OF_A_SHOP = [
    (SERVER, "GET /items", {"http.request.method": "GET", "http.route": "/items", "http.response.status_code": 200}),
    (SERVER, "GET", {"http.request.method": "GET", "http.response.status_code": 404, "url.path": "/x/1"}),
    (CLIENT, "SELECT items", {
        "db.system.name": "sqlite", "db.query.summary": "SELECT items", "db.query.text": "SELECT * FROM items",
        "db.operation.name": "SELECT", "db.collection.name": "items",
    }),
    (CLIENT, "GET", {"db.system.name": "redis", "db.operation.name": "GET", "server.address": "cache"}),
    (CLIENT, "POST", {
        "http.request.method": "POST", "server.address": "payments", "server.port": 8001, "url.full": "http://payments/1",
    }),
    (CONSUMER, "process orders", {
        "messaging.system": "kafka", "messaging.operation.name": "process", "messaging.destination.name": "orders",
    }),
]  # fmt: skip


@pytest.mark.parametrize("dialect", [SPAN_METRICS, REQUEST_METRICS], ids=["span metrics", "request metrics"])
@pytest.mark.parametrize(("kind", "name", "attributes"), SPANS_OF_A_SHOP, ids=[one[1] for one in SPANS_OF_A_SHOP])
def test_a_span_is_an_execution_of_the_operation_that_its_metric_counts(
    dialect: Dialect, kind: int, name: str, attributes: dict[str, object]
) -> None:
    source = next(
        one for one in dialect.sources if not one.kind or (one.kind == kind and one.dimensions[0] in attributes)
    )
    labels = {key.replace(".", "_"): str(value) for key, value in attributes.items() if key in source.dimensions}
    labels |= {"service_name": "shop"}
    if not source.kind:
        kinds = {number: word for word, number in KINDS.items()}
        labels |= {"span_name": name, "span_kind": kinds[kind], "status_code": "STATUS_CODE_UNSET"}
    counted, failed = dialect.of_labels(source, labels)
    assert dialect.of_span("shop", kind, name, attributes).operation == counted.operation
    assert not failed
    assert counted.operation.category in ("server", "db", "cache", "http", "consumer")


def test_what_span_metrics_have_no_label_for_decides_nothing() -> None:
    bare = Dialect(SPANS[:1], frozenset())
    shape = bare.of_span("shop", SERVER, "GET /items", {"http.request.method": "GET", "http.route": "/items"})
    counted, _ = bare.of_labels(
        SPANS[0], {"service_name": "shop", "span_name": "GET /items", "span_kind": "SPAN_KIND_SERVER"}
    )
    assert shape.operation == counted.operation
    assert bare.of_span("shop", INTERNAL, "work", {}).operation.category == "internal"


@pytest.mark.parametrize(
    ("source", "labels", "failed"),
    [
        (SPANS[0], {"status_code": "STATUS_CODE_ERROR"}, True),
        (SPANS[0], {"status_code": "STATUS_CODE_UNSET"}, False),
        (REQUESTS[0], {"http_response_status_code": "500", "error_type": "500"}, True),
        (REQUESTS[0], {"http_response_status_code": "404", "error_type": "404"}, False),
        (REQUESTS[0], {"error_type": "TimeoutError"}, True),
        (REQUESTS[1], {"http_response_status_code": "404", "error_type": "404"}, True),
        (REQUESTS[2], {"error_type": "OperationalError"}, True),
    ],
)
def test_a_failure_is_what_opentelemetry_calls_one(source: object, labels: dict[str, str], failed: bool) -> None:
    assert SPAN_METRICS.of_labels(source, {"service_name": "shop", **labels})[1] is failed  # type: ignore[arg-type]


def test_a_process_is_one_whoever_tells_of_it() -> None:
    processes = Processes()
    labels = {"job": "shop", "instance": "i-1", "service_name": "shop", "service_instance_id": "i-1"}
    by_metric = processes.of(labels)
    by_info = processes.info({"job": "shop", "instance": "i-1", "process_pid": "42", "host_name": "server"})
    by_span = processes.of_spans({"service.name": "shop", "service.instance.id": "i-1", "os.type": "linux"})
    assert by_metric is not None
    assert by_metric.id == by_info.id == by_span.id
    assert '"process.pid":42' in by_span.attributes
    assert '"os.type":"linux"' in by_span.attributes


def test_a_series_without_a_service_is_of_its_job_and_one_without_either_is_nobodys() -> None:
    processes = Processes()
    scraped = processes.of({"job": "team/worker", "instance": "10.0.0.1:9464"})
    assert scraped is not None
    assert (scraped.service, scraped.instance) == ("worker", "10.0.0.1:9464")
    assert processes.of({"instance": "x"}) is None


STEPS = st.sampled_from([1, 5, 15])  # minutes
RANGES = st.tuples(st.integers(0, 200), st.integers(1, 100), STEPS)
FAR = 1 << 40


@given(st.lists(RANGES, max_size=8), RANGES)
def test_what_coverage_lacks_is_read_in_whole_steps(
    added: list[tuple[int, int, int]], asked: tuple[int, int, int]
) -> None:
    coverage, there = Coverage(), {}
    for begin, length, step in added:
        stretch = Stretch(begin // step * step * 60, (begin + length + step) // step * step * 60, step * 60)
        for low, high in coverage.missing(stretch.begin, stretch.end, 0):  # as the filler reads: never part of a step
            for piece in pieces(low, high, stretch.step, 1000, FAR):
                coverage.add(piece)
                for minute in range(piece.begin // 60, piece.end // 60):
                    there[minute] = (piece.step // 60, minute // (piece.step // 60))
    for step, row in there.values():  # a step is there with all its minutes, or not at all
        assert all(there[row * step + one] == (step, row) for one in range(step))
    begin, length, step = asked
    missing = {
        minute
        for low, high in coverage.missing(begin * 60, (begin + length) * 60, step * 60)
        for minute in range(low // 60, high // 60)
    }
    cut = {edge for edge in (begin, begin + length) if edge in there and edge % there[edge][0]}
    lacks = {one for one in range(begin, begin + length) if there.get(one, (10**9, 0))[0] > step}
    lacks |= {one for one in there for edge in cut if there[one] == there[edge]}  # a step that the range cuts
    whole = lacks | {one for one in there for other in lacks if there.get(other) == there[one]}
    assert missing == whole
    coverage.drop(begin * 60, (begin + length) * 60)
    assert coverage.share(begin * 60, (begin + length) * 60, 900) == 0
    assert all(one.begin % one.step == one.end % one.step == 0 for one in coverage.stretches)


@given(st.integers(0, 5000), st.integers(1, 3000), st.sampled_from([60, 300, 900, 7200]), st.integers(1, 60))
def test_pieces_are_aligned_and_are_all_of_it_once_the_newest_first(
    begin: int, length: int, step: int, most: int
) -> None:
    settled = (begin + length) * 60 - 700
    found = list(pieces(begin * 60, (begin + length) * 60, step, most, settled))
    assert [one.begin for one in found[:-1]] == [one.end for one in found[1:]]
    assert (found[0].end, found[-1].begin) == ((begin + length) * 60, begin * 60)
    for one in found:
        assert one.step in (60, step)
        assert one.begin % one.step == one.end % one.step == 0
        assert 1 <= one.steps <= most
        assert one.step == 60 or one.end <= settled
