"""The metrics of programs, from Prometheus to series and points of the hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.receive.series import series_of
from perfagent.hub.remote import names, promql
from perfagent.hub.remote.buckets import single
from perfagent.hub.remote.counters import added, expression
from perfagent.hub.remote.errors import RemoteError
from perfagent.hub.remote.names import COUNTER, GAUGE, HISTOGRAM, LEVEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.hub.remote.liveness import Liveness
    from perfagent.hub.remote.processes import Processes
    from perfagent.hub.remote.prometheus import Found, Line, Prometheus, Stretch
    from perfagent.hub.store.rows import Resource, Series

SECOND = 1_000_000_000  # ns
UPTIME = "process.uptime"
KINDS = {GAUGE: "gauge", LEVEL: "sum", COUNTER: "sum", HISTOGRAM: "histogram"}
SCOPE = "prometheus"
LATELY = 7 * 86_400  # seconds in which a metric was told that is looked for at all

Wanted = dict[str, list[str]]
"""Names in Prometheus by kind; of histograms without their ends."""
Bounds = dict[tuple[str, str], list[float]]
"""Bounds of histograms by metric and service."""

_SHOWN = {GAUGE: "gauge", LEVEL: "updown", COUNTER: "counter", HISTOGRAM: "histogram"}


class Listed(NamedTuple):
    """A metric that could be read.

    Args:
        kind, unit: as the interface gives them.
        services: who tells it.
        series: processes times sets of attributes.
    """

    kind: str
    unit: str
    services: frozenset[str]
    series: int


EVERY: Wanted = {kind: names.polled(kind) for kind in KINDS}
"""What the views need all the time; regular expressions."""


@dataclass(slots=True)
class Told:
    """What programs told in a stretch.

    Args:
        rows: of `point_minutes`.
        series, resources: theirs, by identity.
        begun: when each process began, or was first heard of in the stretch; ns since the epoch.
        latest: of `points`: for each process one that says when it was last heard of.
        left_out: series that were not read, because there are too many.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    series: dict[int, Series] = field(default_factory=dict)
    resources: dict[int, Resource] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)
    latest: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    left_out: int = 0


class Reader:
    """Reads metrics of some names.

    Args:
        prometheus: from where.
        processes: whose series they are.
        liveness: which steps tell of increments.
    """

    def __init__(self, prometheus: Prometheus, processes: Processes, liveness: Liveness) -> None:
        self._prometheus, self._processes, self._liveness = prometheus, processes, liveness
        self._bounds: Bounds = {}

    def introduce(self, stretch: Stretch) -> None:
        """Learns of the processes of a stretch and of the bounds of their histograms; raises RemoteError."""
        seconds = max(stretch.end - stretch.begin, 600)
        for line in self._prometheus.now(f"last_over_time(target_info[{seconds}s])", stretch.end).lines:
            self._processes.info(line.labels)

    def learn_bounds(self, wanted: Wanted, moment: int, seconds: int = 3600) -> None:
        """Learns the bounds of histograms that were told within some seconds before a moment; raises RemoteError."""
        if not wanted.get(HISTOGRAM):
            return
        selector = promql.named(wanted[HISTOGRAM], "_bucket")
        expression = f"count by (__name__, service_name, job, le) (last_over_time({selector}[{seconds}s]))"
        found: dict[tuple[str, str], set[float]] = {}
        for line in self._prometheus.now(expression, moment).lines:
            resource = self._processes.of(line.labels)
            name = line.labels.get("__name__", "").removesuffix("_bucket")
            if resource is not None:
                found.setdefault((name, resource.service), set()).update(_finite(line.labels.get("le", "")))
        self._bounds |= {key: sorted(those) for key, those in found.items()}

    def read(self, wanted: Wanted, stretch: Stretch, *, live: bool = False) -> Told:
        """What was told in a stretch.

        Args:
            live: whether the stretch ends now, so that it tells which processes live.

        Raises:
            RemoteError: it could not be read, or is too much at once.
        """
        told = Told()
        step = stretch.step
        if readings := [*wanted.get(GAUGE, ()), *wanted.get(LEVEL, ())]:
            for line in self._lines(promql.readings(promql.named(readings), step), stretch, told):
                self._reading(told, line, stretch, live)
        guarded = bool(wanted.get(COUNTER) or wanted.get(HISTOGRAM)) and self._liveness.is_doubtful(stretch)
        if counters := wanted.get(COUNTER):
            for line in self._added(counters, stretch, guarded, told):
                self._increments(told, line, step)
        if histograms := wanted.get(HISTOGRAM):
            self._histograms(told, histograms, stretch, guarded)
        if live:
            self._last_heard(told, stretch)
        return told

    def _lines(self, expression: str, stretch: Stretch, told: Told) -> list[Line]:
        """The series of an answer; of too many the first ones, and how many there are is asked."""
        return self._kept(lambda: self._prometheus.range(expression, stretch), expression, stretch, told)

    def _added(self, wanted: list[str], stretch: Stretch, guarded: bool, told: Told) -> list[Line]:
        """The increments of counters or histograms' series; of too many the largest."""
        asked = expression(wanted, stretch.step, guarded, ())
        return self._kept(lambda: added(self._prometheus, wanted, stretch, guarded), asked, stretch, told)

    def _kept(self, ask: Callable[[], Found], expression: str, stretch: Stretch, told: Told) -> list[Line]:
        try:
            found = ask()
        except RemoteError as error:
            if error.outcome != "too_large" or stretch.steps > 1:
                raise  # fewer steps at a time may do
            found = self._prometheus.range(f"topk({self._prometheus.most}, {expression})", stretch)._replace(more=True)
        if found.more:
            every = self._prometheus.now(f"count({expression})", stretch.end).lines
            whole = int(every[0].values[0][1]) if every else 0
            told.left_out += max(whole - len(found.lines), 1)
        return found.lines

    def _reading(self, told: Told, line: Line, stretch: Stretch, live: bool) -> None:
        series = self._series(told, line, line.labels.get("__name__", ""))
        if series is None:
            return
        rows = [
            (
                _minute(moment, stretch.step), series.id, 1, value, value, None, None, None, value, value, None, None,
                None,
            )
            for moment, value in line.values
        ]  # fmt: skip
        told.rows += rows
        moment, value = line.values[-1]
        first = line.values[0][0] - stretch.step
        if series.name == UPTIME:
            told.begun[series.resource] = round((moment - value) * SECOND)
        else:
            told.begun.setdefault(series.resource, first * SECOND)
        if live and (series.name == UPTIME or series.resource not in told.latest):
            told.latest[series.resource] = (series.id, moment * SECOND, value, *(None,) * 9)

    def _increments(self, told: Told, line: Line, step: int) -> None:
        series = self._series(told, line, _name(line))
        if series is not None:
            told.rows += [
                (_minute(moment, step), series.id, 1, None, None, value, None, None, None, None, None, None, None)
                for moment, value in line.values
            ]

    def _histograms(self, told: Told, wanted: list[str], stretch: Stretch, guarded: bool) -> None:
        step = stretch.step
        counts: dict[tuple[int, int], dict[float, float]] = {}
        totals: dict[tuple[int, int], float] = {}
        lines = self._added([f"{name}_bucket" for name in wanted], stretch, guarded, told)
        self._know_bounds(lines, wanted, stretch)
        for line in lines:
            series = self._series(told, line, _name(line))
            if series is None:
                continue
            bound = float(line.labels.get("le", "nan").replace("+Inf", "inf"))
            for moment, value in line.values:
                upto = counts.setdefault((series.id, moment), {})
                upto[bound] = upto.get(bound, 0.0) + value
        for line in self._added([f"{name}_sum" for name in wanted], stretch, guarded, told):
            bucket = f"{_name(line).removesuffix('_sum')}_bucket"
            series = self._series(told, line, bucket)
            if series is not None:
                for moment, value in line.values:
                    totals[series.id, moment] = totals.get((series.id, moment), 0.0) + value
        for (number, moment), upto in counts.items():
            bounds = told.series[number].bounds or []
            counted = [int(count) for count in single(upto, bounds)]
            used = [place for place, count in enumerate(counted) if count]
            if not used:
                continue
            largest = bounds[min(used[-1], len(bounds) - 1)] if bounds else None
            smallest = bounds[used[0] - 1] if used[0] and bounds else 0.0
            told.rows.append(
                (
                    _minute(moment, step), number, 1, None, None, None, sum(counted), totals.get((number, moment), 0.0),
                    smallest, largest, counted, None, None,
                )
            )  # fmt: skip

    def _know_bounds(self, lines: Iterable[Line], wanted: list[str], stretch: Stretch) -> None:
        """Learns the bounds of histograms that are not known yet: those of services that have ended since, or began."""
        unknown: dict[tuple[str, str], set[float]] = {}
        for line in lines:
            resource = self._processes.of(line.labels)
            if resource is not None:
                key = (names.stem(_name(line))[0], resource.service)
                if key not in self._bounds:
                    unknown.setdefault(key, set()).update(_finite(line.labels.get("le", "")))
        if unknown:
            self.learn_bounds({HISTOGRAM: wanted}, stretch.end, max(stretch.end - stretch.begin, 3600))
            for key, seen in unknown.items():
                self._bounds.setdefault(key, sorted(seen))

    def _series(self, told: Told, line: Line, name: str) -> Series | None:
        """The series of the hub that a line is one of, or a bucket of; None where it is nobody's."""
        resource = self._processes.of(line.labels)
        if resource is None:
            return None
        told.resources[resource.id] = resource
        named = names.metric(name)
        bounds = None
        if named.kind == HISTOGRAM:
            base = names.stem(name)[0]
            bounds = tuple(self._bounds.get((base, resource.service), ()))
        made = series_of(
            resource, SCOPE, named.name, KINDS[named.kind], named.unit, "", False, named.kind == COUNTER,
            names.attributes(line.labels), bounds,
        )  # fmt: skip
        return told.series.setdefault(made.id, made)

    @staticmethod
    def _last_heard(told: Told, stretch: Stretch) -> None:
        """A process that tells increments alone is heard of at the end of the last step with one."""
        for row in told.rows:
            resource = told.series[row[1]].resource
            if resource not in told.latest:
                told.latest[resource] = (row[1], stretch.end * SECOND, row[3], *(None,) * 9)


def present(prometheus: Prometheus, moment: int) -> Wanted:
    """Those of EVERY that there were of late; raises RemoteError."""
    patterns = [f"{one}{'_bucket' if kind == HISTOGRAM else ''}" for kind, found in EVERY.items() for one in found]
    return _kinds(prometheus, patterns, moment)


def known_as(prometheus: Prometheus, name: str, moment: int) -> Wanted:
    """Which metrics of Prometheus one of the hub is; nothing where there is none. Raises RemoteError."""
    base = promql.literal(names.in_prometheus(name).removesuffix("_total"))
    return _kinds(prometheus, [base, f"{base}_total", f"{base}_bucket"], moment)


def _kinds(prometheus: Prometheus, patterns: Iterable[str], moment: int) -> Wanted:
    """The metrics whose names match one of the patterns, by kind."""
    wanted: Wanted = {}
    for name in prometheus.names(promql.named(patterns), moment - LATELY, moment):
        kind = names.metric(name).kind
        wanted.setdefault(kind, []).append(name.removesuffix("_bucket") if kind == HISTOGRAM else name)
    return wanted


def listed(prometheus: Prometheus, moment: int) -> dict[str, Listed]:
    """The metrics that programs tell at this moment, by the hub's names; raises RemoteError."""
    every: dict[str, dict[str, int]] = {}
    for line in prometheus.now('count by (__name__, service_name) ({service_name!=""})', moment).lines:
        services = every.setdefault(line.labels.get("__name__", ""), {})
        services[line.labels.get("service_name", "")] = int(line.values[0][1])
    histograms = {name.removesuffix("_bucket") for name in every if name.endswith("_bucket")}
    found: dict[str, Listed] = {}
    for name, services in every.items():
        base, end = next(
            ((name.removesuffix(end), end) for end in ("_bucket", "_sum", "_count") if name.endswith(end)), (name, "")
        )
        if (base in histograms and end in ("_bucket", "_sum")) or name == "target_info":
            continue
        named = names.metric(f"{base}_bucket" if base in histograms else name)
        found[named.name] = Listed(_SHOWN[named.kind], named.unit, frozenset(services), sum(services.values()))
    return found


def _name(line: Line) -> str:
    """The metric's name of increments."""
    return line.labels.get(promql.NAME) or line.labels.get("__name__", "")


def _minute(moment: int, step: int) -> int:
    return (moment - step) // 60 * 60


def _finite(text: str) -> list[float]:
    try:
        bound = float(text)
    except ValueError:
        return []
    return [bound] if bound != float("inf") else []
