"""Which figures move together: rank correlation of their changes from minute to minute.

Of changes and not of levels, for two series that both rise over the day correlate without having to do with each other.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse.chance import rank_correlation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST_POINTS = 30
STRONG = 0.5
ALPHA = 0.01  # over all pairs (Bonferroni)
# Pairs that are two views of the same thing say nothing.
TRIVIAL = frozenset((frozenset(("rate", "queries")), frozenset(("rate", "errors"))))


class Correlation(NamedTuple):
    """Two figures that move together."""

    first: str
    second: str
    coefficient: float
    p: float
    points: int
    text: str


def correlate(series: Mapping[str, Sequence[float | None]]) -> list[Correlation]:
    """The pairs of series, one value a minute each, that correlate strongly and not by chance, the strongest first."""
    changes = {name: _changes(values) for name, values in series.items()}
    pairs = [pair for pair in combinations(changes, 2) if frozenset(pair) not in TRIVIAL]
    found = []
    for first, second in pairs:
        both = [(a, b) for a, b in zip(changes[first], changes[second], strict=True) if a is not None and b is not None]
        if len(both) < LEAST_POINTS:
            continue
        coefficient, p = rank_correlation([a for a, _ in both], [b for _, b in both])
        if abs(coefficient) >= STRONG and p < ALPHA / len(pairs):
            how = "rises and falls with" if coefficient > 0 else "falls where there is more of"
            found.append(Correlation(first, second, coefficient, p, len(both), f"{first} {how} {second}"))
    return sorted(found, key=lambda one: -abs(one.coefficient))


def _changes(values: Sequence[float | None]) -> list[float | None]:
    return [None if now is None or before is None else now - before for before, now in pairwise(values)]
