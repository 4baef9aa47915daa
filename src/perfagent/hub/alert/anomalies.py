"""What is unusual: the figures of each service, watched by the detector of `perfagent detect`, without a limit.

An anomaly is of severity `medium`: it wakes nobody by itself, and stands as evidence beside what does. The detector is
wrong in four of ten cases (precision 0.61 on the Numenta Anomaly Benchmark), which a person who looks can bear.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from perfagent.hub.alert.violation import Violation
from perfagent.hub.analyse import words
from perfagent.hub.detect.history import DAY, HOUR
from perfagent.hub.detect.stream import Detector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.detect.stream import Alert
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.store import Store

SETTLED = 60.0  # s after a minute's end, by when agents have sent what belongs to it
AT_ONCE = 6 * HOUR  # of history that one look reads: 64 series take 0.4 s
KNOWN = 7 * DAY  # minutes are kept for so long
MOST = 64  # series; each takes 0.3 MB
LEAST_CALLS = 5  # of a minute, for a typical duration
BACK = 0.5  # of the departure: what is nearer to the usual than that is over
LONGEST = DAY  # after which the new level is what is usual


class Figure(NamedTuple):
    """What is watched.

    Args:
        rule: the name of its anomalies.
        title: for people.
        unit: "ms", "%" or "".
        view: where the page shows it, with the service to come.
    """

    rule: str
    title: str
    unit: str
    view: str


REQUESTS = Figure("unusual_request_rate", "Unusual number of requests", "", "#/endpoints?service=")
DURATIONS = Figure("unusual_response_time", "Unusual duration of requests", "ms", "#/endpoints?sort=p95&service=")
STATEMENTS = Figure("unusual_database_time", "Unusual duration of statements", "ms", "#/queries?service=")
CPU = Figure("unusual_cpu_usage", "Unusual CPU usage", "%", "#/processes?service=")
MEMORY = Figure("unusual_memory_usage", "Unusual memory usage", "%", "#/processes?service=")

Key = tuple[Figure, str]
Reading = tuple[int, float]


class Anomalies:
    """A watcher that reads each minute once, in order; it begins with the history that is stored, some hours a look.

    A hub on Prometheus has no minutes of its own: it is silent there, and `perfagent rules export` makes the alerts.

    Args:
        hub: whose store is watched.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._read: int | None = None
        self._series: dict[Key, Series] = {}

    def look(self, within: Range) -> Iterable[Violation]:
        """The anomalies that overlap a range."""
        if self._hub.remote is not None:
            return []
        until = floor((within.end - SETTLED) / 60) * 60
        since = self._read if self._read is not None else floor((within.end - KNOWN) / 60) * 60
        until = min(until, since + int(AT_ONCE))
        if until > since:
            for key, readings in figures(self._hub.store, since, until).items():
                self._take(key, readings, until)
            self._read = until
        return [
            episode.violation(key)
            for key, series in self._series.items()
            for episode in series.episodes
            if episode.until is None or episode.until >= within.begin
        ]

    def _take(self, key: Key, readings: Sequence[Reading], until: int) -> None:
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= MOST and not self._make_room(until):
                return
            series = self._series[key] = Series()
        for time, value in readings:
            series.take(time, value)

    def _make_room(self, now: int) -> bool:
        """Forgets the series that has been silent for longest, where that is a day."""
        oldest = min(self._series, key=lambda key: self._series[key].last)
        if now - self._series[oldest].last < DAY:
            return False
        del self._series[oldest]
        return True


def figures(store: Store, since: int, until: int) -> dict[Key, list[Reading]]:
    """What is watched, minute by minute; both limits in seconds since the epoch, multiples of 60."""
    found: dict[Key, list[Reading]] = {}
    alive: dict[str, set[int]] = {}
    limits = {"since": since, "until": until}
    for row in store.rows("alerts/levels", **limits, service=None):
        alive[row["service"]] = set(row["times"])
        for figure, name in ((CPU, "cpu_usage_percent"), (MEMORY, "memory_usage_percent")):
            pairs = zip(row["times"], row[name], strict=True)
            known = sorted((time, value) for time, value in pairs if value is not None)
            if known:
                found[figure, row["service"]] = known
    for row in store.rows("alerts/usual", **limits):
        service, calls = row["service"], dict(zip(row["times"], row["calls"], strict=True))
        if not row["db"]:
            # A process that reports and is asked nothing counts as 0; one that is gone counts as nothing.
            minutes = sorted(alive.get(service, set()) | set(calls))
            found[REQUESTS, service] = [(time, calls.get(time, 0.0)) for time in minutes]
        found[STATEMENTS if row["db"] else DURATIONS, service] = [
            (time, typical)
            for time, typical in zip(row["times"], row["typical"], strict=True)
            if calls[time] >= LEAST_CALLS
        ]
    return found


@dataclass(slots=True)
class Episode:
    """A time in which a figure was unusual.

    Args:
        alert: what the detector said.
        until: seconds since the epoch; None while it lasts.
        last, worst: the mean of 15 minutes, the newest and the one furthest from the usual.
    """

    alert: Alert
    until: float | None
    last: float
    worst: float

    def go_on(self, time: float, mean: float) -> None:
        """Takes the newest mean in, and ends where that is usual again."""
        alert = self.alert
        self.last = mean
        if abs(mean - alert.expected) > abs(self.worst - alert.expected):
            self.worst = mean
        near = (mean - alert.expected) / ((alert.mean - alert.expected) or 1.0) < BACK
        if near or time - alert.time > LONGEST:
            self.until = time

    def violation(self, key: Key) -> Violation:
        """As the engine takes it."""
        (rule, title, unit, view), service = key
        when = " at this time" if self.alert.kind == "season" else ""
        shown, usual = _shown(self.worst, unit), _shown(self.alert.expected, unit)
        return Violation(
            "anomaly",
            rule,
            service,
            "medium",
            title,
            f"{title} in {service}: {shown}, where {usual} is usual{when}",
            self.alert.time,
            self.until,
            value=self.last,
            worst=self.worst,
            limit=None,
            unit=unit,
            link=view + quote(service),
            advice="look at what began at that moment: a release, a job, other users, a slower dependency",
            details={"expected": self.alert.expected, "kind": self.alert.kind},
        )


class Series:
    """One figure of one service."""

    __slots__ = ("_detector", "episodes", "last")

    def __init__(self) -> None:
        self._detector = Detector()
        self.last = 0.0
        self.episodes: list[Episode] = []

    def take(self, time: float, value: float) -> None:
        """Takes the reading of a minute."""
        self.last = time
        alert = self._detector.add(time, value)
        for episode in self._active():
            episode.go_on(time, self._detector.recent)
        if alert is not None and not any(self._active()):
            # The rest of the quiet day tells nothing; so much is remembered of the past.
            self.episodes = [*self.episodes[-7:], Episode(alert, None, alert.mean, alert.mean)]

    def _active(self) -> Iterator[Episode]:
        return (episode for episode in self.episodes if episode.until is None)


def _shown(value: float, unit: str) -> str:
    if unit == "ms":
        return words.milliseconds(value)
    return words.percent(value / 100) if unit == "%" else f"{words.count(value)} a minute"
