"""How an objective stands: its budget, how fast it burns, what spent it, and when it will be gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.objectives.counts import NOTHING, Count, summed
from perfagent.hub.rules.burn import BURNS, LEAST_BAD, Burn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.rules.objectives import Objective

HOUR, DAY = 3600, 86_400
LEAST_EVENT = 0.02  # of the budget, that an hour must have spent to be told of
MOST_EVENTS = 20
EPSILON = 1e-9  # of what is compared, for figures that come from sums


class Forecast(NamedTuple):
    """When the budget will be gone.

    Args:
        at: seconds since the epoch; None where it lasts, or where nothing can be said.
        basis: what that rests on, in a sentence.
    """

    at: float | None
    basis: str


class Firing(NamedTuple):
    """A budget that burns too fast.

    Args:
        burn: by which line of the table.
        long, short: what was counted in its windows.
        limit: the share of bad requests that both are beyond, 0..1.
    """

    burn: Burn
    long: Count
    short: Count
    limit: float


class Period(NamedTuple):
    """What was counted between two moments, and the share of the whole window's budget that it spent."""

    since: float
    until: float
    counted: Count
    spent: float


@dataclass(frozen=True, slots=True)
class Status:
    """An objective at one moment.

    Args:
        objective: which.
        basis: what its requests were counted by, "histogram" or "spans".
        now: the moment, seconds since the epoch.
        windows: counts of the last minutes, hours and days, by name.
        hours: counts by the hour over the objective's window.
    """

    objective: Objective
    basis: str
    now: float
    windows: Mapping[str, Count]
    hours: Mapping[int, Count]

    @property
    def since(self) -> float:
        """When the window began."""
        return self.now - self.objective.window_days * DAY

    @property
    def whole(self) -> Count:
        """All requests of the window."""
        return summed(self.hours.values())

    @property
    def known_days(self) -> float:
        """How much of the window there is anything of."""
        first = min(self.hours, default=self.now)
        return max(0.0, min(self.now - first, self.now - self.since)) / DAY

    @property
    def allowed(self) -> float:
        """How many requests of the window may be bad."""
        return self.objective.budget * self.whole.requests

    @property
    def remaining(self) -> float | None:
        """The share of the budget that is left; negative where more was spent than there was. None without requests."""
        return 1 - self.whole.bad / self.allowed if self.allowed > 0 else None

    @property
    def budget_minutes(self) -> float:
        """The budget, were all requests bad at a time."""
        return self.objective.budget * self.objective.window_days * 1440

    def burn(self, window: str) -> float | None:
        """How many times faster than allowed it burns in a window; None without requests."""
        ratio = self.windows.get(window, NOTHING).ratio
        return None if ratio is None else ratio / self.objective.budget

    def firing(self) -> list[Firing]:
        """By which lines of the table of burn rates it burns too fast; the same ones as those of Prometheus' rules."""
        found = []
        for burn in BURNS:
            limit = burn.factor(self.objective) * self.objective.budget
            long, short = self.windows.get(burn.long, NOTHING), self.windows.get(burn.short, NOTHING)
            if limit < 1 and long.bad >= LEAST_BAD - EPSILON and _beyond(long, limit) and _beyond(short, limit):
                found.append(Firing(burn, long, short, limit))
        return found

    def forecast(self) -> Forecast:
        """When the budget is gone at the speed of the last day."""
        remaining, burn = self.remaining, self.burn("1d")
        if remaining is None:
            return Forecast(None, "there were no requests")
        if remaining <= 0:
            return Forecast(None, "it is gone already")
        if burn is None:
            return Forecast(None, "there were no requests within the last day")
        told = f"burnt {burn:.3g} times as fast as allowed in the last 24 hours"
        if burn <= 1:
            return Forecast(None, f"{told}: at that speed it lasts")
        at = self.now + remaining * self.objective.window_days / burn * DAY
        return Forecast(at, f"{told}, and goes on so; what leaves the window until then is not counted")

    def days(self) -> list[Period]:
        """The window by the day (UTC), the first one first; days without requests too."""
        found: dict[int, list[Count]] = {}
        for hour, count in self.hours.items():
            found.setdefault(hour // DAY * DAY, []).append(count)
        first = min(found, default=int(self.now) // DAY * DAY)
        days = range(first, int(self.now) + 1, DAY)
        return [
            Period(max(day, self.since), min(day + DAY, self.now), count, self.spent(count))
            for day in days
            for count in (summed(found.get(day, ())),)
        ]

    def left(self) -> list[tuple[int, float | None]]:
        """What was left of the window's budget at the end of each hour, from its first request on."""
        points: list[tuple[int, float | None]] = []
        bad = 0.0
        for hour in range(min(self.hours, default=0), int(self.now) + 1, HOUR) if self.hours else ():
            bad += self.hours.get(hour, NOTHING).bad
            points.append((hour + HOUR, 1 - bad / self.allowed if self.allowed > 0 else None))
        return points

    def events(self) -> list[Period]:
        """The stretches of hours that each spent a good part of the budget, the latest first."""
        found: list[Period] = []
        for hour, count in sorted(self.hours.items()):
            spent = self.spent(count)
            if spent < LEAST_EVENT or (count.ratio or 0.0) <= self.objective.budget:
                continue
            until = min(float(hour + HOUR), self.now)
            if found and found[-1].until == hour:
                last = found.pop()
                found.append(Period(last.since, until, summed((last.counted, count)), last.spent + spent))
            else:
                found.append(Period(float(hour), until, count, spent))
        largest = sorted(found, key=lambda one: -one.spent)[:MOST_EVENTS]
        return sorted(largest, key=lambda one: -one.since)

    def spent(self, count: Count) -> float:
        """The share of the window's budget that some requests have spent."""
        return count.bad / self.allowed if self.allowed > 0 else 0.0


def _beyond(count: Count, limit: float) -> bool:
    return count.ratio is not None and count.ratio > limit + EPSILON
