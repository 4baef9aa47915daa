"""Several processes' metrics as one: totals and histograms are added up, gauges stand side by side."""

from __future__ import annotations

from perfagent.runtime.metric import COUNTER, GAUGE, HISTOGRAM
from perfagent.runtime.prometheus.snapshot import added

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from perfagent.runtime.prometheus.snapshot import Exemplar, Labels, Metric, Values

    Scope = tuple[str, str, str, Labels]
    Key = tuple[str, str, str, Scope]

PROCESS = "process.pid"
OUTLIVE = (COUNTER, HISTOGRAM)
"""The kinds that a process leaves behind; how many requests are active, or how much memory is used, ends with it."""


class Family:
    """One metric over all processes: by labels, the values and the exemplars by bucket."""

    __slots__ = ("bounds", "description", "rows")

    def __init__(self, description: str, bounds: tuple[float, ...]) -> None:
        self.description = description
        self.bounds = bounds
        self.rows: dict[Labels, tuple[Values, dict[int, Exemplar]]] = {}

    def add(self, labels: Labels, values: Values, exemplars: Iterable[Exemplar]) -> None:
        """Adds one row to the one with the same labels; of each bucket's exemplars the newest stays."""
        known, kept = self.rows.get(labels, ([], {}))
        for exemplar in exemplars:
            if exemplar[0] not in kept or kept[exemplar[0]][2] < exemplar[2]:
                kept[exemplar[0]] = exemplar
        self.rows[labels] = (added(known, values), kept)


class Merged:
    """The sum of what processes have measured.

    Args:
        by_process: whether gauges get the label `process_pid`; needless where there is one process.
    """

    def __init__(self, by_process: bool = False) -> None:
        self.by_process = by_process
        self.families: dict[Key, Family] = {}

    def add(self, metrics: Sequence[Metric], pid: int, alive: bool = True) -> None:
        """Adds what one process has measured.

        Args:
            metrics: as a snapshot has them, from memory or read from JSON.
            pid: the process.
            alive: whether it still runs; of one that does not, only what it has counted stays.
        """
        for kind, name, unit, (scope, version, schema, attributes), description, bounds, rows in metrics:
            if not alive and kind not in OUTLIVE:
                continue
            key = (kind, name, unit, (scope, version, schema, _pairs(attributes)))
            family = self.families.get(key)
            if family is None:
                family = self.families[key] = Family(description, tuple(bounds))
            elif family.bounds != tuple(bounds):  # another release of the program: its buckets do not add up with ours
                continue
            own = ((PROCESS, str(pid)),) if kind == GAUGE and self.by_process else ()
            for labels, values, exemplars in rows:
                family.add(own + _pairs(labels), values, exemplars)

    def dump(self) -> list[Any]:
        """All of it as the metrics of a snapshot."""
        return [
            (
                *key,
                family.description,
                family.bounds,
                [(labels, values, list(exemplars.values())) for labels, (values, exemplars) in family.rows.items()],
            )
            for key, family in self.families.items()
        ]


def _pairs(labels: Iterable[Sequence[str]]) -> Labels:
    return tuple([(key, value) for key, value in labels])


def common(resources: Sequence[dict[str, str]]) -> dict[str, str]:
    """What all resources say alike: of several processes not their identifiers."""
    if not resources:
        return {}
    first, *others = resources
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
