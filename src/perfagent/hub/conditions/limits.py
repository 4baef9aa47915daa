"""The limits in force: of each service and minute, from the setting, from what was changed, and from the past."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse.thresholds import Episode, Threshold, Thresholds, episodes, for_services
from perfagent.hub.api.facts import SETTING, limits
from perfagent.hub.api.minutes import measured
from perfagent.hub.api.ranges import Range
from perfagent.hub.conditions.usual import HOUR, PAST, bounds, by_hour

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perfagent.hub.api.minutes import Figures
    from perfagent.hub.store.store import Store

Warnings = dict[int, "float | None"]
PERCENTILE = "response_time_p95_ms"
"""The figure that is computed where it may violate its limit alone."""


class Judged(NamedTuple):
    """A threshold's violations by one service.

    Args:
        threshold: as it is for the service.
        service: of whom.
        times, values: starts of the minutes, and the figure in each.
        episodes: when it was violated.
    """

    threshold: Threshold
    service: str
    times: list[int]
    values: list[float | None]
    episodes: list[Episode]


class Limits:
    """The limits of a hub.

    Args:
        store: where they and the minutes are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._learned: dict[tuple[Threshold, str], Warnings] = {}

    def all(self) -> Thresholds:
        """The thresholds as they are for who has none of its own."""
        return limits(self._store)

    def of_services(self, thresholds: Thresholds) -> dict[tuple[str, str], Threshold]:
        """Those that differ for single services, by name and service."""
        found: dict[tuple[str, str], Threshold] = {}
        for document in (self._store.document(SETTING), self._store.document("thresholds")):
            if isinstance(document, dict):
                for name, fields in document.items():
                    try:
                        found.update(for_services(thresholds, {name: fields}))
                    except ValueError:  # the setting has crossed since what was changed at run time
                        continue
        return found

    def judged(
        self, begin: int, end: int, names: Iterable[str] | None = None, thresholds: Thresholds | None = None
    ) -> Iterator[Judged]:
        """The violations in the minutes of a range.

        Args:
            begin, end: seconds since the epoch.
            names: of the thresholds; those that are enabled when left out.
            thresholds: in place of those as they are; services have none of their own then.
        """
        whole = thresholds if thresholds is not None else self.all()
        own = {} if thresholds is not None else self.of_services(whole)
        wanted = list(names) if names is not None else [name for name, one in whole.items() if one.enabled]
        enabled = {name for (name, _), one in own.items() if one.enabled} if names is None else set()
        chosen = {name: whole[name] for name in dict.fromkeys([*wanted, *sorted(enabled)])}
        if not chosen:
            return
        figures = measured(self._store, Range(begin, end - 1), None, _lowest(chosen, own))
        learned = self._warnings(begin, end, figures, chosen, own)
        for (name, service), (times, values) in figures.items():
            one = own.get((name, service), chosen[name])
            if names is None and not one.enabled:
                continue
            hours = learned.get((name, service))
            warnings = [hours.get(time // HOUR * HOUR, one.warning) for time in times] if hours is not None else None
            yield Judged(one, service, times, values, episodes(one, times, values, warnings))

    def history(
        self, begin: int, end: int, thresholds: Thresholds, service: str | None = None
    ) -> dict[str, list[list[float | None]]]:
        """The figures of thresholds minute by minute, those of each service, also where they are far from the limits.

        Args:
            begin, end: seconds since the epoch.
            thresholds: which.
            service: of this one alone.
        """
        found: dict[str, list[list[float | None]]] = {}
        exact = {name: replace(one, warning=0.0) for name, one in thresholds.items()}
        for (name, _), (_times, values) in measured(self._store, Range(begin, end - 1), service, exact).items():
            found.setdefault(name, []).append(values)
        return found

    def warning(self, threshold: Threshold, service: str) -> float | None:
        """The warning limit that a service has had last; the one that is set where nothing is known of the past."""
        known = self._learned.get((threshold, service))
        return known[max(known)] if known else threshold.warning

    def _warnings(
        self,
        begin: int,
        end: int,
        figures: Figures,
        chosen: Thresholds,
        own: Mapping[tuple[str, str], Threshold],
    ) -> dict[tuple[str, str], Warnings]:
        """The limits by hour of those that follow what is usual; the past is read once an hour."""
        dynamic = {key: own.get(key, chosen[key[0]]) for key in figures if own.get(key, chosen[key[0]]).dynamic}
        if not dynamic:
            return {}
        first, last = begin // HOUR * HOUR, (end - 1) // HOUR * HOUR
        missing = {
            key: one for key, one in dynamic.items() if not {first, last} <= self._learned.get((one, key[1]), {}).keys()
        }
        if missing:
            self._learn(missing, first, last)
        return {key: self._learned[one, key[1]] for key, one in dynamic.items() if (one, key[1]) in self._learned}

    def _learn(self, missing: Mapping[tuple[str, str], Threshold], first: int, last: int) -> None:
        exact = {name: replace(one, warning=0.0) for (name, _), one in missing.items()}
        past = measured(self._store, Range(max(first - PAST, 0), last), None, exact)
        if len(self._learned) > 5000:
            self._learned.clear()
        for (name, service), one in missing.items():
            times, values = past.get((name, service), ([], []))
            self._learned[one, service] = by_hour(one, times, values, first, last)


def _lowest(chosen: Thresholds, own: Mapping[tuple[str, str], Threshold]) -> Thresholds:
    """The thresholds with the lowest limit that any service has: below it a percentile need not be known."""
    one = chosen.get(PERCENTILE)
    if one is None:
        return chosen
    found = [one, *(other for (name, _), other in own.items() if name == PERCENTILE)]
    known = [each for each in (_floor(other) for other in found) if each is not None]
    return {**chosen, PERCENTILE: replace(one, warning=min(known, default=None), critical=None)}


def _floor(one: Threshold) -> float | None:
    low = bounds(one)
    if one.dynamic and low is not None:
        return low[0]
    return one.warning if one.warning is not None else one.critical
