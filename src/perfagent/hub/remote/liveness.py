"""Whether a series that was not there before is new, or Prometheus was away.

After a silence of an hour every series looks like one that has just begun, and counts whole; all that a program ever
counted would be a peak now. What came meanwhile is not known, and is left out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfagent.hub.remote import promql

if TYPE_CHECKING:
    from perfagent.hub.remote.prometheus import Prometheus, Stretch

LONG = 15 * 86_400
"""Seconds before which data is looked for, to tell a new Prometheus from one that was away."""
FRESH = 300.0
"""Seconds for which its answers are believed."""


class Liveness:
    """Asks Prometheus since when it is there.

    Args:
        prometheus: whom.
    """

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._asked = -1e9
        self._tells = False
        self._born: float | None = None

    def is_doubtful(self, stretch: Stretch) -> bool:
        """Whether a series that is not there before may yet not be new, so that `increments` are guarded.

        Raises:
            RemoteError: there is no answer.
        """
        if time.monotonic() - self._asked > FRESH:
            self._ask(stretch.end)
        if not self._tells:
            return False  # neither `up` nor `target_info` ever comes here: nobody can say
        first = stretch.begin - promql.AWAKE - promql.PARTS[0]
        # Not where its very first samples are: nothing was before them.
        return self._born is None or not first <= self._born <= stretch.end

    def _ask(self, moment: int) -> None:
        self._tells = bool(self._prometheus.now(f"count(last_over_time({promql.SIGNS}[1h]))", moment).lines)
        born = self._prometheus.born()
        if born is not None:  # of its latest hours, which is no birth where there are older ones
            before = f"count(last_over_time({promql.SIGNS}[{LONG}s]))"
            born = None if self._prometheus.now(before, born - 1).lines else born
        self._born = born
        self._asked = time.monotonic()
