"""The hub as a source of its own: what it takes, how long that needs, what it finds, and how loaded it is.

One table of its metrics serves /metrics, what is stored as the service `perfagent.hub`, and the reference.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from perfagent.hub.sources.source import Collected, Point
from perfagent.hub.sources.zones import ZONES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan

NAME = "perfagent.hub"
EVERY = 4  # collections
RECENT = 900.0  # seconds that insights and the health score are of
RELATED = 14_400.0  # seconds that correlations are of


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the hub's own.

    Args:
        name: by OpenTelemetry's rules; on /metrics underscores stand for dots.
        kind: what it is.
        unit: by UCUM.
        attributes: keys.
        description: what it tells.
    """

    name: str
    kind: Literal["gauge", "counter"]
    unit: str
    attributes: tuple[str, ...]
    description: str


class Figure(NamedTuple):
    """A value of one."""

    name: str
    value: float
    attributes: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {
    one.name: one
    for one in (
        Metric("perfagent.hub.items", "counter", "{item}", ("signal",), "Spans, log records and points stored."),
        Metric("perfagent.hub.commits", "counter", "{commit}", (), "Commits that they came in."),
        Metric("perfagent.hub.commit.time", "counter", "s", (), "Time that the commits took, added up."),
        Metric("perfagent.hub.batch.size", "gauge", "{item}", (), "Items of a commit, mean since the hub started."),
        Metric("perfagent.hub.throughput", "gauge", "{item}/s", (), "Items a second, since the collection before."),
        Metric(
            "perfagent.hub.error.ratio", "gauge", "1", (),
            "Items that were refused or could not be stored, of all since the collection before.",
        ),
        Metric("perfagent.hub.cpu.utilization", "gauge", "1", (), "CPU of the hub's process, 1 for one core."),
        Metric("perfagent.hub.memory.usage", "gauge", "By", (), "Memory of the hub's process."),
        Metric(
            "perfagent.hub.utilization", "gauge", "1", ("resource",),
            "Share that is used of the machine's CPU and memory and of its container's.",
        ),
        Metric("perfagent.hub.zone", "gauge", "1", (), "0 green, 1 yellow, 2 orange, 3 red, 4 critical."),
        Metric("perfagent.hub.zone.changes", "counter", "{change}", ("zone",), "How often each zone was entered."),
        Metric("perfagent.hub.sources", "gauge", "{source}", ("health",), "Sources by their health."),
        Metric(
            "perfagent.hub.source.collections", "counter", "{collection}", ("source", "outcome"),
            "Collections of a source, ok or failed.",
        ),
        Metric("perfagent.hub.source.points", "counter", "{point}", ("source",), "Points that a source brought."),
        Metric("perfagent.hub.source.duration", "gauge", "s", ("source",), "How long its last collection took."),
        Metric(
            "perfagent.hub.compression.readings", "counter", "{reading}", (), "Readings that were put together."
        ),
        Metric("perfagent.hub.compression.rows", "counter", "{row}", (), "Rows that these became."),
        Metric(
            "perfagent.hub.insights", "gauge", "{insight}", ("type", "severity"), "Insights of the last 15 minutes."
        ),
        Metric("perfagent.hub.health.score", "gauge", "1", (), "Health score of all programs, 0 to 100."),
        Metric("perfagent.hub.correlations", "gauge", "{correlation}", (), "Correlations of the last four hours."),
        Metric(
            "perfagent.hub.optimisations", "gauge", "{action}", ("state",),
            "Advice and actions of optimisation rules in the last 24 hours, by what became of them.",
        ),
    )
}  # fmt: skip


class Itself:
    """The source `hub`.

    Args:
        plan: as any.
        hub: what it is about.
    """

    def __init__(self, plan: Plan, hub: Hub) -> None:
        from perfagent.hub.api.hub import Meter

        self._hub, self._detailed = hub, plan.detailed
        self._meter = Meter(hub)
        self._before = (time.monotonic(), 0.0, 0.0)
        self._found: list[Figure] = []
        self._turn = 0

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """What there is now; what has to be computed from what is stored is so every fourth time."""
        found = Collected()
        lately = [*self._since(), *self._analysed(found)]
        self._hub.sources.figures = lately
        for name, value, attributes in (*of(self._hub), *lately):
            metric = METRICS[name]
            told = dict(zip(metric.attributes, attributes, strict=True))
            found.points.append(
                Point(name, value, metric.unit, metric.kind, told, metric.description, self._hub.started)
            )
        return found

    def _since(self) -> list[Figure]:
        """What is of the time since the collection before."""
        counts, now = self._hub.intake.stored(), time.monotonic()
        stored, lost = counts.spans + counts.logs + counts.points, counts.refused + counts.failed
        then, before, lost_before = self._before
        self._before = (now, stored, lost)
        fresh, gone = stored - before, lost - lost_before
        _, cpu = self._meter.read()
        return [
            Figure("perfagent.hub.throughput", fresh / max(now - then, 0.1)),
            Figure("perfagent.hub.error.ratio", gone / (fresh + gone) if fresh + gone else 0.0),
            Figure("perfagent.hub.cpu.utilization", cpu),
        ]

    def _analysed(self, collected: Collected) -> list[Figure]:
        if self._detailed and self._turn % EVERY == 0:
            try:
                self._found = list(analysed(self._hub))
            except Exception as error:  # what the hub does is told all the same
                collected.notes.append(f"what is stored could not be looked at: {type(error).__name__}: {error}")
        self._turn += 1
        return self._found


def of(hub: Hub) -> Iterator[Figure]:
    """What the hub knows of itself without asking its store."""
    from perfagent.hub.api.hub import memory

    counts, sources = hub.intake.stored(), hub.sources
    for signal in ("spans", "logs", "points"):
        yield Figure("perfagent.hub.items", getattr(counts, signal), (signal,))
    yield Figure("perfagent.hub.commits", counts.commits)
    yield Figure("perfagent.hub.commit.time", counts.seconds)
    stored = counts.spans + counts.logs + counts.points
    yield Figure("perfagent.hub.batch.size", stored / counts.commits if counts.commits else 0.0)
    used = memory()
    if used is not None:
        yield Figure("perfagent.hub.memory.usage", used)
    for resource, share in sources.load._asdict().items():
        if share is not None:
            yield Figure("perfagent.hub.utilization", share, (resource,))
    yield Figure("perfagent.hub.zone", ZONES.index(sources.zone))
    for zone in ZONES:
        yield Figure("perfagent.hub.zone.changes", sources.changes[zone], (zone,))
    states, now = sources.states(), time.time()
    healths = Counter(state.health(now) for state in states)
    for health in ("healthy", "degraded", "failing", "silent", "off"):
        yield Figure("perfagent.hub.sources", healths[health], (health,))
    for state in states:
        name = state.plan.name
        yield Figure("perfagent.hub.source.collections", state.collections - state.failures, (name, "ok"))
        yield Figure("perfagent.hub.source.collections", state.failures, (name, "failed"))
        yield Figure("perfagent.hub.source.points", state.points, (name,))
        if state.duration is not None:
            yield Figure("perfagent.hub.source.duration", state.duration, (name,))
    yield Figure("perfagent.hub.compression.readings", sources.compressor.readings)
    yield Figure("perfagent.hub.compression.rows", sources.compressor.stored)


def analysed(hub: Hub) -> Iterator[Figure]:
    """What is found in what is stored: insights, score, correlations, optimisations; some ten milliseconds."""
    from perfagent.hub.analyse.correlations import correlate
    from perfagent.hub.api import overview
    from perfagent.hub.api.insights import found, look
    from perfagent.hub.api.moving import is_trivial, moving
    from perfagent.hub.api.ranges import Range

    now = time.time()
    lately = Range(now - RECENT, now)
    read = look(hub.store, lately, None)
    kinds = Counter((one.kind, one.severity) for one in found(hub, lately, None, read))
    for (kind, severity), count in sorted(kinds.items()):
        yield Figure("perfagent.hub.insights", count, (kind, severity))
    score = overview.score(hub.store, read)
    if score is not None:
        yield Figure("perfagent.hub.health.score", score)
    if hub.settings.insight_correlation:
        series = moving(hub.store, Range(now - RELATED, now), None)
        names = {f"{one.service}: {one.name}": one for one in series}
        related = correlate(
            {name: series[one] for name, one in names.items()},
            lambda first, second: is_trivial(names[first], names[second]),
        )
        yield Figure("perfagent.hub.correlations", len(related))
    states = Counter(str(row["state"]) for row in hub.optimiser.journal.lately(now - 86_400))
    for state, count in sorted(states.items()):
        yield Figure("perfagent.hub.optimisations", count, (state,))


def families(hub: Hub) -> Iterator[Any]:
    """All of them for Prometheus: what is now, and what was computed last of the rest."""
    by_name: dict[str, list[Figure]] = {}
    for figure in (*of(hub), *hub.sources.figures):
        by_name.setdefault(figure.name, []).append(figure)
    for name, metric in METRICS.items():
        made = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
        family = made(name.replace(".", "_"), metric.description, labels=metric.attributes)
        for figure in by_name.get(name, ()):
            family.add_metric(figure.attributes, figure.value)
        if by_name.get(name):
            yield family
