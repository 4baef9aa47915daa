"""Which steps of a range tell of increments: not those before which Prometheus had taken nothing in for long.

After a silence of an hour every series looks like one that has just begun, and counts whole; all that a program ever
counted would be a peak now. What came meanwhile is not known, and is left out.
"""

from __future__ import annotations

from perfagent.hub.remote import promql
from perfagent.hub.remote.prometheus import Prometheus, Stretch

LONG = 15 * 86_400
"""Seconds before which data is looked for, to tell a new Prometheus from one that was away."""


class Liveness:
    """Asks Prometheus when it was there.

    Args:
        prometheus: whom.
    """

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._tells: bool | None = None

    def steps(self, stretch: Stretch) -> frozenset[int] | None:
        """The ends of the steps that tell; None where all do. Raises RemoteError."""
        found = self._prometheus.range(promql.alive(stretch.step), stretch).lines
        alive = frozenset(moment for line in found for moment, value in line.values if value > 0)
        if len(alive) == stretch.steps:
            return None
        if not alive and not self._told(stretch.end):
            return None  # neither `up` nor `target_info` ever comes here: nobody can say
        return alive | self._birth(stretch)

    def _told(self, moment: int) -> bool:
        if not self._tells:
            selector = '{__name__=~"up|target_info"}'
            self._tells = bool(self._prometheus.now(f"count(last_over_time({selector}[1h]))", moment).lines)
        return self._tells

    def _birth(self, stretch: Stretch) -> frozenset[int]:
        """The end of the step in which Prometheus took in the first sample that it ever had, if there is one."""
        born = self._prometheus.born()
        if born is None or not stretch.begin <= born <= stretch.end:
            return frozenset()
        step = stretch.step
        end = stretch.begin + (int(born - stretch.begin) // step + 1) * step
        before = f'count(last_over_time({{__name__=~"up|target_info"}}[{LONG}s] offset {step}s))'
        if self._prometheus.now(before, end).lines:
            return frozenset()
        return frozenset((end,))
