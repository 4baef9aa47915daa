"""What browsers have measured since the hub started, for Prometheus: on /metrics, by service and page.

Bounded: the pages of one metric beyond PAGES are one, `other`.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = 200
UNITS = {"ms": "_milliseconds", "By/s": "_bytes_per_second"}
LABELS = ("service", "page")


class Totals:
    """Sums of one hub; used on its event loop alone."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[str, tuple[float, ...] | None]] = {}  # description and bounds by name
        self._counts: dict[str, dict[tuple[str, str], list[float]]] = {}  # buckets, then the sum

    def add(self, name: str, unit: str, text: str, bounds: tuple[float, ...] | None, where: tuple[str, str],
            value: float, count: int) -> None:  # fmt: skip
        """Adds a measurement.

        Args:
            name, unit, text: of the metric, as OpenTelemetry has them.
            bounds: of the histogram; None for a counter.
            where: service and page.
            value: what was measured.
            count: how often.
        """
        shown = name.replace(".", "_") + UNITS.get(unit, "")
        self._made.setdefault(shown, (text, bounds))
        pages = self._counts.setdefault(shown, {})
        if where not in pages and len(pages) >= PAGES:
            where = ("other", "other")
        size = 1 if bounds is None else len(bounds) + 2
        counts = pages.setdefault(where, [0.0] * size)
        counts[-1] += value * count
        if bounds is not None:
            counts[bisect_left(bounds, value)] += count

    def families(self) -> Iterator[Any]:
        """Every metric, in the form of Prometheus' library."""
        for name, (text, bounds) in list(self._made.items()):
            pages = [(list(where), list(counts)) for where, counts in list(self._counts[name].items())]
            if bounds is None:
                counter = CounterMetricFamily(name, f"{text}.", labels=LABELS)
                for where, counts in pages:
                    counter.add_metric(where, counts[0])
                yield counter
                continue
            histogram = HistogramMetricFamily(name, f"{text}.", labels=LABELS)
            ends = [*(f"{bound:g}" if bound < 1e6 else repr(float(bound)) for bound in bounds), "+Inf"]
            for where, counts in pages:
                below = list(accumulate(counts[:-1]))
                histogram.add_metric(where, list(zip(ends, below, strict=True)), counts[-1])
            yield histogram
