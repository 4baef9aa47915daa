"""Base-2 exponential histograms: each value is counted in the bucket it lies in, at the finest scale that fits."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.exponent_mapping import ExponentMapping
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.logarithm_mapping import LogarithmMapping

from perfagent.runtime.exponential import FINEST, MOST, ExponentialSeries, bucket

positive = st.floats(5e-324, 1.7976931348623157e308)
reals = st.floats(-1e308, 1e308)


def bound(index: int, scale: int) -> float:
    """The lower bound of a bucket; overflow is infinity."""
    try:
        return 2.0 ** (index * 2.0**-scale)
    except OverflowError:
        return inf


@given(positive, st.integers(-10, FINEST))
def test_a_value_lies_in_its_bucket(value: float, scale: int) -> None:
    index = bucket(value, scale)
    assert bound(index, scale) <= value * (1 + 1e-9) or value < 2.3e-308  # one bucket holds all that is smaller
    assert value * (1 - 1e-9) <= bound(index + 1, scale)


@given(st.integers(-1021, 1023), st.integers(-10, FINEST))
def test_a_power_of_two_is_the_upper_bound_of_its_bucket(exponent: int, scale: int) -> None:
    index = bucket(2.0**exponent, scale)
    above = bucket(2.0**exponent * (1 + 2**-52), scale)
    assert above == index + 1 or (scale < 0 and exponent % (1 << -scale))  # a coarse bucket may end further up
    assert index == bucket(2.0**exponent, FINEST) >> (FINEST - scale)


@given(positive, st.integers(-10, FINEST))
def test_the_bucket_is_the_one_that_the_sdk_takes(value: float, scale: int) -> None:
    mapping = LogarithmMapping(scale) if scale > 0 else ExponentMapping(scale)
    assert bucket(value, scale) == mapping.map_to_index(value)


@given(st.lists(reals, min_size=1, max_size=400), st.integers(1, 400))
def test_the_scale_is_the_finest_that_fits_however_the_values_come(values: list[float], at: int) -> None:
    whole, parts = ExponentialSeries({}), ExponentialSeries({})
    whole.add(list(values))
    for start in range(0, len(values), at):
        parts.add(values[start : start + at])
    assert (whole.scale, whole.count, whole.zeros) == (parts.scale, parts.count, parts.zeros)
    assert whole.positive == parts.positive
    assert whole.negative == parts.negative
    for counts in (whole.positive, whole.negative):
        if counts:
            assert max(counts) - min(counts) < MOST
    if whole.scale < FINEST:  # one scale finer and one of the two sides would not fit
        sides = [[value for value in values if value > 0], [-value for value in values if value < 0]]
        spans = [bucket(max(side), whole.scale + 1) - bucket(min(side), whole.scale + 1) for side in sides if side]
        assert max(spans) >= MOST


@given(st.lists(reals, max_size=50))
def test_what_is_encoded_is_what_was_recorded(values: list[float]) -> None:
    series = ExponentialSeries({"a": "b"})
    for value in values:
        series.record(value)
    series.fold()
    encoded = series.encode_point(7)
    if not values:
        assert encoded == b""
        return
    point = ExponentialHistogramDataPoint.FromString(encoded)
    assert (point.count, point.min, point.max, point.time_unix_nano) == (len(values), min(values), max(values), 7)
    assert point.zero_count == sum(value == 0 for value in values)
    assert sum(point.positive.bucket_counts) == sum(value > 0 for value in values)
    assert sum(point.negative.bucket_counts) == sum(value < 0 for value in values)
    for side, sign in ((point.positive, 1), (point.negative, -1)):
        for position, count in enumerate(side.bucket_counts):
            index = side.offset + position
            assert count == sum(value * sign > 0 and bucket(value * sign, point.scale) == index for value in values)


def test_after_a_reset_the_finest_scale_serves_again() -> None:
    series = ExponentialSeries({})
    series.add([1e-9, 1e9])
    assert series.scale < 5
    series.reset()
    series.add([1.0, 1.0001])
    assert series.scale == FINEST


def test_a_nan_is_left_out() -> None:
    series = ExponentialSeries({})
    series.add([float("nan"), 1.0])
    assert (series.count, series.value) == (1, 1.0)
