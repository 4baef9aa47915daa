"""Base-2 exponential histograms: buckets whose width follows the values (OpenTelemetry metrics data model).

Bucket i at scale s holds the values in (b**i, b**(i+1)] with b = 2**(2**-s). A histogram starts at the finest scale and
halves its resolution whenever the values would not fit into MOST buckets.
"""

from __future__ import annotations

from math import floor, frexp, ldexp, log

from perfagent.runtime.metric import Series
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FINEST = 20  # a bucket's index then fits 32 bits
MOST = 160  # buckets, of the positive and of the negative values each (OpenTelemetry SDK specification)
EXEMPLARS = 20
_SMALLEST_NORMAL = 2.2250738585072014e-308
_PER_LOG = 1 / log(2)


def bucket(value: float, scale: int) -> int:
    """The index of the bucket that holds `value`, which is positive and finite."""
    mantissa, exponent = frexp(value) if value > _SMALLEST_NORMAL else (0.5, -1021)  # one bucket for the subnormal ones
    if mantissa == 0.5:  # a power of two is the upper bound of its bucket: no logarithm may say otherwise
        index = exponent - 2
        return index >> -scale if scale <= 0 else ((index + 1) << scale) - 1
    if scale <= 0:
        return (exponent - 1) >> -scale
    low = (exponent - 1) << scale
    return min(max(floor(log(value) * ldexp(_PER_LOG, scale)), low), low + (1 << scale) - 1)


class ExponentialSeries(Series):
    """One attribute set of an exponential histogram.

    Args:
        attributes: as for `Series`.
    """

    __slots__ = ("count", "largest", "negative", "offered", "positive", "scale", "smallest", "zeros")

    def __init__(self, attributes: Mapping[str, object]) -> None:
        super().__init__(attributes)
        self.offered = 0
        self.clear()

    def clear(self) -> None:
        """Empties the buckets; the scale is the finest again."""
        self.scale = FINEST
        self.positive: dict[int, int] = {}
        self.negative: dict[int, int] = {}
        self.count = 0
        self.zeros = 0
        self.smallest = float("inf")
        self.largest = float("-inf")

    def add(self, values: list[float]) -> None:
        """Counts `values` in their buckets; a NaN has none and is left out."""
        values = [value for value in values if value == value]
        if not values:
            return
        self.value += sum(values)
        self.count += len(values)
        self.smallest = min(self.smallest, *values)
        self.largest = max(self.largest, *values)
        positive = [value for value in values if value > 0]
        negative = [-value for value in values if value < 0]
        self.zeros += len(values) - len(positive) - len(negative)
        self._fit(self.positive, positive)
        self._fit(self.negative, negative)
        scale = self.scale
        for counts, group in ((self.positive, positive), (self.negative, negative)):
            for value in group:
                index = bucket(value, scale)
                counts[index] = counts.get(index, 0) + 1

    def _fit(self, counts: dict[int, int], values: list[float]) -> None:
        """Makes the buckets as wide as it takes to hold `values` together with what is there."""
        if not values:
            return
        low, high = bucket(min(values), self.scale), bucket(max(values), self.scale)
        if counts:
            low, high = min(low, *counts), max(high, *counts)
        change = 0
        while (high >> change) - (low >> change) >= MOST:
            change += 1
        if change:
            self.scale -= change
            self.positive = _widened(self.positive, change)
            self.negative = _widened(self.negative, change)

    def exemplify(self, value: float, time: int, trace_id: bytes, span_id: bytes) -> None:
        """As for `Series`; keeps the last EXEMPLARS of them."""
        self.exemplars[self.offered % EXEMPLARS] = (value, time, trace_id, span_id)
        self.offered += 1

    def reset(self, time: int = 0) -> None:
        """Starts again from zero."""
        super().reset(time)
        self.clear()

    def encode_point(self, time: int) -> bytes:
        """An OTLP ExponentialHistogramDataPoint, or nothing where nothing was recorded.

        Args:
            time: of the point, in Unix ns.
        """
        if not self.count:
            return b""
        from perfagent.runtime.otlp.metrics import exemplars

        if not self.cache:
            self.cache = wire.attributes(1, self.attributes)
        scale = self.scale if self.positive or self.negative else 0  # zeros alone have no scale
        return b"".join(
            (
                self.cache,
                wire.fixed64(2, self.started),
                wire.fixed64(3, time),
                wire.fixed64(4, self.count),
                wire.double(5, self.value),
                wire.integer(6, (scale << 1) ^ (scale >> 63)),  # sint32: zigzag
                wire.fixed64(7, self.zeros),
                _buckets(8, self.positive),
                _buckets(9, self.negative),
                exemplars(11, self),
                wire.double(12, self.smallest),
                wire.double(13, self.largest),
            )
        )


def _widened(counts: dict[int, int], change: int) -> dict[int, int]:
    wider: dict[int, int] = {}
    for index, count in counts.items():
        wider[index >> change] = wider.get(index >> change, 0) + count
    return wider


def _buckets(field: int, counts: dict[int, int]) -> bytes:
    """Counts as a Buckets message: the lowest index and every count from there on."""
    if not counts:
        return b""
    low, high = min(counts), max(counts)
    dense = b"".join([wire.varint(counts.get(index, 0)) for index in range(low, high + 1)])
    return wire.message(field, wire.integer(1, (low << 1) ^ (low >> 63)) + wire.message(2, dense))
