"""The measured figures: one value a round, so that their spread is kept with them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured for one agent in one case, round by round.

    Args:
        case: where, for example "fastapi /hello".
        agent: an agent's name.
        what: the quantity with its unit as the last word, for example "added_cpu_us".
        rounds: the value of each round.
    """

    case: str
    agent: str
    what: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds: the figure that counts."""
        return statistics.median(self.rounds)

    @property
    def uncertainty(self) -> float | None:
        """How far the median may be off, either way, at 95 %; None for fewer than three rounds.

        The standard error of a median is 1.253 sd / sqrt(n), and sd is estimated by the interquartile range / 1.349,
        which a few rounds that somebody else disturbed do not move.
        """
        if len(self.rounds) < 3:
            return None
        lower, _, upper = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return 1.96 * 1.253 * (upper - lower) / 1.349 / math.sqrt(len(self.rounds))


class Figures:
    """All figures of a run, looked up by case, agent and quantity."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str, str], Figure] = {}

    def add(self, case: str, agent: str, what: str, rounds: Iterable[float]) -> None:
        """Keep one figure."""
        self._figures[case, agent, what] = Figure(case, agent, what, tuple(rounds))

    def add_difference(self, case: str, agent: str, what: str, to: str, name: str) -> None:
        """Keep, as `name`, by how much `agent` exceeds agent `to` in `what`, round by round: so drift cancels."""
        mine, theirs = self.get(case, agent, what), self.get(case, to, what)
        if mine and theirs:
            self.add(case, agent, name, (a - b for a, b in zip(mine.rounds, theirs.rounds, strict=True)))

    def add_ratio(self, case: str, agent: str, what: str, to: str, name: str) -> None:
        """Keep, as `name`, the ratio of `agent` to agent `to` in `what`, round by round."""
        mine, theirs = self.get(case, agent, what), self.get(case, to, what)
        if mine and theirs and all(theirs.rounds):
            self.add(case, agent, name, (a / b for a, b in zip(mine.rounds, theirs.rounds, strict=True)))

    def get(self, case: str, agent: str, what: str) -> Figure | None:
        """The figure, or None where it was not measured."""
        return self._figures.get((case, agent, what))

    def agents(self, case: str) -> list[str]:
        """The agents that were measured in a case, in the order in which they came."""
        return list(dict.fromkeys(agent for its_case, agent, _ in self._figures if its_case == case))

    def cases(self) -> list[str]:
        """All cases, in the order in which they came."""
        return list(dict.fromkeys(case for case, _, _ in self._figures))

    def as_json(self) -> list[dict[str, object]]:
        """Every figure with its median and its rounds."""
        return [
            {
                "case": figure.case,
                "agent": figure.agent,
                "what": figure.what,
                "median": figure.median,
                "uncertainty": figure.uncertainty,
                "rounds": figure.rounds,
            }
            for figure in self._figures.values()
        ]
