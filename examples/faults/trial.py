"""One fault on one stage: healthy, then the fault until the hub names it, then healthy again until it says no more."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from examples.faults.faults import Fault
    from examples.faults.stage import Stage

LOOK = 3.0  # seconds between two looks
STEADY = 2  # looks in a row that must give the same answer: one may be luck


@dataclass(slots=True)
class Verdict:
    """What became of a trial.

    Args:
        fault: which one.
        found: seconds from the fault until the right cause was named first and stayed so; None where it never was.
        gone: seconds from its end until it was named no more; None where it always was.
        score: how sure the hub was when it was found.
        said: the causes at that moment, or the last ones where it was not found.
        before: what was said while nothing was wrong.
    """

    fault: Fault
    found: float | None = None
    gone: float | None = None
    score: float = 0.0
    said: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """A line of a table."""
        found, gone = ("never" if value is None else f"{value:.0f} s" for value in (self.found, self.gone))
        first = self.said[0] if self.said else "nothing"
        return f"{self.fault.name:<18} {found:>6}  {self.score:4.2f}  {gone:>6}  {first}"


HEADING = f"{'fault':<18} {'found':>6}  {'sure':<4}  {'gone':>6}  what was said first"


def run(
    fault: Fault,
    stage: Stage,
    *,
    healthy: float,
    longest: float = 120.0,
    after: float = 120.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Provokes a fault and takes it away.

    Args:
        fault: which one.
        stage: a market that has just begun.
        healthy: seconds before it.
        longest: seconds until it must be found.
        after: seconds until it must be gone; 0 leaves without looking.
        tell: takes a line whenever the hub says something else.
    """
    verdict = Verdict(fault)
    looks = Looks(stage, tell)
    looks.until(lambda causes: verdict.before.extend(_lines(causes)), healthy)
    verdict.before = sorted(set(verdict.before))
    tell(f"--- {fault.name}")
    fault.on(stage)
    try:
        verdict.found = looks.until(lambda causes: bool(causes) and is_right(fault, causes[0]), longest)
        verdict.said = _lines(looks.last)
        verdict.score = looks.last[0]["score"] if looks.last else 0.0
    finally:
        tell(f"--- {fault.name} is over")
        fault.off(stage)
    if verdict.found is not None and after:
        verdict.gone = looks.until(lambda causes: not any(is_right(fault, one) for one in causes), after)
    return verdict


def is_right(fault: Fault, cause: dict[str, Any]) -> bool:
    """Whether a cause is the fault that was provoked, and about the right thing."""
    told = " ".join((cause["subject"], cause["title"], cause["service"], *cause["endpoints"])).lower()
    return cause["kind"] == fault.cause and any(word in told for word in fault.about)


class Looks:
    """Asks a hub again and again.

    Args:
        stage: whose hub.
        tell: takes a line whenever it says something else.
    """

    def __init__(self, stage: Stage, tell: Callable[[str], None]) -> None:
        self._stage, self._tell = stage, tell
        self._told: list[str] = []
        self.last: list[dict[str, Any]] = []

    def until(self, holds: Callable[[list[dict[str, Any]]], object], longest: float) -> float | None:
        """Seconds until something held of what it said, and held on; None where that took too long."""
        began = time.monotonic()
        first, times = 0.0, 0
        while (passed := time.monotonic() - began) < longest:
            self.last = self._stage.causes()
            if (lines := _lines(self.last)) != self._told:
                self._told = lines
                self._tell("\n      ".join([f"{passed:4.0f} s", *(lines or ["nothing is wrong"])]))
            times = times + 1 if holds(self.last) else 0
            first = passed if times == 1 else first
            if times >= STEADY:
                return first
            time.sleep(LOOK)
        return None


def _lines(causes: list[dict[str, Any]]) -> list[str]:
    return [f"{one['kind']} {one['service']}: {one['title']} ({one['score']:.2f})" for one in causes[:4]]
