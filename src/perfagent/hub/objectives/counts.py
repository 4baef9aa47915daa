"""How many requests there were and how many of them were bad, as the store tells."""

from __future__ import annotations

from math import ceil, floor, log2
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from perfagent.hub.analyse.durations import MS, PER_OCTAVE, bucket_of
from perfagent.hub.api.ranges import HOUR, MINUTES_KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.rules.objectives import Objective
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

HISTOGRAM, SPANS = "histogram", "spans"
MOST_ENDPOINTS = 50


class Count(NamedTuple):
    """Requests.

    Args:
        bad: those that were.
        requests: all of them.
    """

    bad: float
    requests: float

    @property
    def ratio(self) -> float | None:
        """The share of bad ones, 0..1; None without requests."""
        return self.bad / self.requests if self.requests > 0 else None


NOTHING = Count(0.0, 0.0)


class Spender(NamedTuple):
    """An endpoint that has spent of a budget.

    Args:
        method, route: which.
        counted: its requests.
        codes: bad ones by status; empty where their duration is what is bad.
    """

    method: str
    route: str
    counted: Count
    codes: dict[str, float]


class Reader(Protocol):
    """Where the counts come from."""

    def basis(self, one: Objective, since: float, until: float) -> str:
        """What is counted: "histogram", every request; "spans", those that were sampled, each for several."""
        ...

    def steps(self, one: Objective, basis: str, since: float, until: float, step: int) -> dict[int, Count]:
        """Counts by the start of each step of a minute or an hour, seconds since the epoch."""
        ...

    def windows(self, one: Objective, basis: str, now: float, names: Sequence[str]) -> dict[str, Count]:
        """Counts of the last minutes, hours or days, by the name of the window, such as "5m"."""
        ...

    def spenders(self, one: Objective, basis: str, since: float, until: float) -> list[Spender]:
        """The endpoints with bad requests, those with most of them first."""
        ...


WINDOWS = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21_600, "1d": 86_400, "3d": 259_200}
"""Seconds of each window that burn rates are looked at in."""


def summed(counts: Iterable[Count]) -> Count:
    """All of them together."""
    found = list(counts)
    return Count(sum(one.bad for one in found), sum(one.requests for one in found))


class Stored:
    """Counts from the roll-ups: whole minutes, and closed hours in the middle of long ranges.

    The histogram that perfagent and OpenTelemetry's instruments count every request in comes first: it is exact,
    whatever was sampled, and what Prometheus has. Spans stand in for senders that send no such histogram.

    Args:
        store: with the roll-ups.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def basis(self, one: Objective, since: float, until: float) -> str:
        """As `Reader.basis`."""
        return HISTOGRAM if self.steps(one, HISTOGRAM, since, until, HOUR) else SPANS

    def steps(self, one: Objective, basis: str, since: float, until: float, step: int) -> dict[int, Count]:
        """As `Reader.steps`."""
        query = "objectives/requests" if basis == HISTOGRAM else "objectives/spans"
        rows = self._store.rows(query, **self._bounds(since, until, step), step=step, **_chosen(one))
        return {row["time"]: Count(row["bad"], row["requests"]) for row in rows}

    def windows(self, one: Objective, basis: str, now: float, names: Sequence[str]) -> dict[str, Count]:
        """As `Reader.windows`; a window begins at a whole minute."""
        found = {}
        short = [name for name in names if WINDOWS[name] <= 2 * HOUR]
        if short:
            longest = max(WINDOWS[name] for name in short)
            minutes = self.steps(one, basis, now - longest, now, 60)
            for name in short:
                since = floor((now - WINDOWS[name]) / 60) * 60
                found[name] = summed(count for minute, count in minutes.items() if minute >= since)
        for name in names:
            if name not in found:
                found[name] = summed(self.steps(one, basis, now - WINDOWS[name], now, HOUR).values())
        return found

    def spenders(self, one: Objective, basis: str, since: float, until: float) -> list[Spender]:
        """As `Reader.spenders`."""
        query = "objectives/endpoints" if basis == HISTOGRAM else "objectives/span_endpoints"
        bounds = self._bounds(since, until, HOUR)
        return [_spender(row) for row in self._store.rows(query, **bounds, **_chosen(one), most=MOST_ENDPOINTS)]

    def _bounds(self, since: float, until: float, step: int) -> dict[str, int]:
        """The parameters of the roll-ups' macros: exact to the minute while minutes are kept, else to the hour."""
        begin, end = floor(since / 60) * 60, ceil(until / 60) * 60
        if step < HOUR or end - begin <= 2 * HOUR:
            return {"since": begin, "until": end, "hours_since": begin, "hours_until": begin}
        if begin < time() - MINUTES_KEPT:
            begin = begin // HOUR * HOUR
        rolled_up = int(self._store.rows("calls/hours")[0]["until"])
        first = ceil(begin / HOUR) * HOUR
        return {
            "since": begin,
            "until": end,
            "hours_since": first,
            "hours_until": max(first, min(end // HOUR * HOUR, rolled_up)),
        }


def _chosen(one: Objective) -> dict[str, Any]:
    """The parameters that choose an objective's requests, for both kinds of queries."""
    bucket = part = None
    if one.threshold_ms is not None:
        bucket = bucket_of(one.threshold_ms * MS)
        part = bucket + 1 - PER_OCTAVE * log2(one.threshold_ms * MS)
    return {
        "service": one.service,
        "route": one.route or None,
        "threshold": None if one.threshold_ms is None else one.threshold_ms / 1000,
        "bucket": bucket,
        "part": part,
    }


def _spender(row: Row) -> Spender:
    codes = dict(zip(row["codes"] or (), row["counts"] or (), strict=True))
    return Spender(row["method"], row["route"], Count(row["bad"], row["requests"]), codes)
