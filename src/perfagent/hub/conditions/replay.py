"""What rules and thresholds would have done: the stored past, judged by the code that judges the present."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from perfagent.hub.conditions.judging import Judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.analyse.thresholds import Thresholds
    from perfagent.hub.conditions.limits import Limits
    from perfagent.hub.conditions.rule import Rule
    from perfagent.hub.store.store import Store

DAY = 86_400
SHOWN = 100
"""Firings of one rule that are listed, the newest."""


class TooLong(Exception):  # noqa: N818
    """The time for a replay is up."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that a rule would have fired.

    Args:
        service, subject: for whom.
        severity: the worst that it would have reached.
        since, until: seconds since the epoch; None while it lasts.
        minutes: how many it would have fired in.
        worst, limit: None where these are unknown.
    """

    service: str
    subject: str
    severity: str
    since: int
    until: int | None
    minutes: int
    worst: float | None
    limit: float | None


@dataclass(slots=True)
class Outcome:
    """What a rule or a threshold would have done.

    Args:
        days: that were replayed.
        unit: of the values, as `units.LITERALS` has it.
        rising: whether a larger value is worse.
        firings: every time, the newest first.
        note: what was not judged, and why; "" where all was.
    """

    days: float
    unit: str = ""
    rising: bool = True
    firings: list[Firing] = field(default_factory=list)
    note: str = ""

    @property
    def per_day(self) -> float:
        """How many a day; a history of less counts as a whole one, for once in ten minutes is not 144 a day."""
        return len(self.firings) / max(self.days, 1.0)

    @property
    def minutes(self) -> int:
        """In how many minutes it would have fired, for each of whom it is about."""
        return sum(one.minutes for one in self.firings)

    @property
    def longest(self) -> int:
        """Minutes of the longest."""
        return max((one.minutes for one in self.firings), default=0)

    @property
    def worst(self) -> float | None:
        """The worst value."""
        values = [one.worst for one in self.firings if one.worst is not None]
        return (max if self.rising else min)(values, default=None)

    @property
    def services(self) -> dict[str, int]:
        """How often for whom, the most often first."""
        found: dict[str, int] = {}
        for one in self.firings:
            found[one.service] = found.get(one.service, 0) + 1
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


class Replay:
    """Replays a stretch of the past.

    Args:
        store: that has it.
        limits: the thresholds as they are.
        begin, end: seconds since the epoch, whole minutes.
        seconds: after which it gives up.
    """

    def __init__(self, store: Store, limits: Limits, begin: int, end: int, seconds: float) -> None:
        self._limits, self.begin, self.end = limits, begin, end
        self._judge = Judge(store, lambda: limits.all())
        self._until = monotonic() + seconds
        self._judge.measure.pause = self._pause

    @property
    def days(self) -> float:
        """How long the stretch is."""
        return (self.end - self.begin) / DAY

    def _pause(self) -> None:
        if monotonic() > self._until:
            raise TooLong

    def rule(self, rule: Rule) -> Outcome:
        """What a rule would have done; raises TooLong."""
        self._pause()
        found = self._judge.judge([rule], self.begin, self.end)
        outcome = Outcome(self.days, note=self._judge.notes.get(rule.name, ""))
        for one in found:
            outcome.unit, outcome.rising = one.unit, one.rising
            outcome.firings += [
                Firing(
                    one.service, one.subject, rule.severity, spell.since, spell.until, spell.minutes, spell.worst,
                    spell.limit,
                )
                for spell in one.spells
            ]  # fmt: skip
        outcome.firings.sort(key=_newest)
        return outcome

    def thresholds(self, names: Iterable[str], thresholds: Thresholds | None = None) -> dict[str, Outcome]:
        """What some thresholds would have done.

        Args:
            names: of them.
            thresholds: in place of those as they are; each holds for every service then.
        """
        self._pause()
        wanted = list(names)
        found = {}
        for name in wanted:
            one = (thresholds or self._limits.all())[name]
            unit = {"ms": "ms", "%": "%"}.get(one.unit, "")
            found[name] = Outcome(self.days, unit, one.comparison != "less")
        for judged in self._limits.judged(self.begin, self.end, wanted, thresholds):
            outcome = found[judged.threshold.name]
            outcome.firings += [
                Firing(
                    judged.service, "",
                    judged.threshold.severity if one.severity == "warning" else one.severity, one.since, one.until,
                    one.minutes, one.worst, one.limit,
                )
                for one in judged.episodes
            ]  # fmt: skip
        for outcome in found.values():
            outcome.firings.sort(key=_newest)
        return found


def _newest(one: Firing) -> tuple[int, str, str]:
    return -one.since, one.service, one.subject
