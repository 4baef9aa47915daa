"""Merged metrics as Prometheus' families (OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility")."""

from __future__ import annotations

import re

from prometheus_client.metrics_core import InfoMetricFamily, Metric
from prometheus_client.samples import Exemplar as PrometheusExemplar
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from perfagent.runtime.clock import sleep
from perfagent.runtime.metric import COUNTER, GAUGE, HISTOGRAM
from perfagent.runtime.prometheus.snapshot import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.runtime.prometheus.merge import Family, Merged
    from perfagent.runtime.prometheus.snapshot import Exemplar, Labels

UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "kBy": "kilobytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes",
    "TBy": "terabytes", "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
STRETCH = 16  # samples between two breaks
BREAK = 0.00005  # seconds; a break of 0 is often over before the other thread has woken up
PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_BRACES = re.compile(r"\{[^}]*\}")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9]+")


class Families:
    """What prometheus_client asks for metrics: its protocol of a registry is one method.

    Args:
        merged: the metrics.
        resource: labels of `target_info`.
    """

    def __init__(self, merged: Merged, resource: dict[str, str]) -> None:
        self._merged = merged
        self._resource = resource

    def collect(self) -> Iterator[Metric]:
        """`target_info`, then every family by name."""
        yield InfoMetricFamily("target", "Target metadata", _named(tuple(self._resource.items())))
        found: dict[str, Metric] = {}
        for (kind, name, unit, (scope, version, schema, attributes)), family in self._merged.families.items():
            made = empty(kind, name, unit, family.description)
            known = found.setdefault(made.name, made)
            if known.type != made.type:  # two metrics whose names differ by a dot only: Prometheus can have one
                continue
            scope_labels = [("name", scope), ("version", version), ("schema_url", schema), *attributes]
            _add(known, family, tuple((f"otel_scope_{key}", value) for key, value in scope_labels if value))
        for name in sorted(found):
            yield found[name]


def empty(kind: str, name: str, unit: str, description: str) -> Metric:
    """The family of a metric, without samples yet; its samples' names end in `_total` where it is a counter."""
    unit = unit_name(unit) or ("ratio" if unit == "1" and kind == GAUGE else "")
    made = Metric(family_name(name), description, {COUNTER: "counter", HISTOGRAM: "histogram"}.get(kind, "gauge"), unit)
    made.samples = Samples()
    return made


class Samples(list[Sample]):
    """The samples of one family; going through them lets the program's threads run in between.

    prometheus_client takes 15 us a sample, 130 ms for 500 histograms: a thread that waits for the interpreter would get
    it after 5 ms each time, and with this after 0.1.
    """

    def __iter__(self) -> Iterator[Sample]:
        """The samples, with breaks."""
        for position, sample in enumerate(super().__iter__()):
            if position % STRETCH == STRETCH - 1:
                sleep(BREAK)
            yield sample


def _add(metric: Metric, family: Family, scope: Labels) -> None:
    for position, (labels, (values, exemplars)) in enumerate(family.rows.items()):
        if position % STRETCH == STRETCH - 1:
            sleep(BREAK)
        named = _named(scope + labels)
        if metric.type == "histogram":
            _add_histogram(metric, family.bounds, named, values, exemplars)
        else:
            suffix, exemplar = ("_total", exemplars.get(0)) if metric.type == "counter" else ("", None)
            metric.add_sample(metric.name + suffix, named, plain(values[0]), exemplar=_exemplar(exemplar))


def _add_histogram(
    metric: Metric,
    bounds: tuple[float, ...],
    labels: dict[str, str],
    values: list[float],
    exemplars: dict[int, Exemplar],
) -> None:
    total, *counts = values
    below = 0.0
    for position, count in enumerate(counts):
        below += count
        bound = floatToGoString(float(bounds[position])) if position < len(bounds) else "+Inf"
        metric.add_sample(
            f"{metric.name}_bucket", {**labels, "le": bound}, below, exemplar=_exemplar(exemplars.get(position))
        )
    if not bounds or bounds[0] >= 0:  # OpenMetrics: the sum of values that may be negative is no counter
        metric.add_sample(f"{metric.name}_count", labels, below)
        metric.add_sample(f"{metric.name}_sum", labels, total)


def _exemplar(found: Exemplar | None) -> PrometheusExemplar | None:
    if found is None:
        return None
    _bucket, value, time, trace, span = found
    return PrometheusExemplar({"trace_id": trace, "span_id": span} if span else {}, value, time)


def _named(labels: Labels) -> dict[str, str]:
    """Labels under names that Prometheus takes; the values of those that come to the same name are joined."""
    found: dict[str, str] = {}
    for key, value in labels:
        name = _NOT_IN_LABELS.sub("_", key)
        if name[:1].isdigit():
            name = f"_{name}"
        found[name] = f"{found[name]};{value}" if name in found else value
    return found


def family_name(name: str) -> str:
    """The name of a family without its unit: only letters, digits, colons and single underscores; no `_total`."""
    name = _NOT_IN_NAMES.sub("_", name).removesuffix("_total")
    return f"_{name}" if name[:1].isdigit() else name


def unit_name(unit: str) -> str:
    """A UCUM unit as Prometheus writes it, such as `seconds` or `bytes_per_second`; '' where it is none."""
    unit = _BRACES.sub("", unit)
    if unit in UNITS:
        return UNITS[unit]
    above, slash, below = unit.partition("/")
    above = _NOT_IN_NAMES.sub("_", UNITS.get(above, above)).strip("_")
    below = _NOT_IN_NAMES.sub("_", PER.get(below, below)).strip("_")
    if slash and below:
        return f"{above}_per_{below}" if above else f"per_{below}"
    return above
