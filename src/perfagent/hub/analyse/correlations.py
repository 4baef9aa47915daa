"""Which figures move together, by the minute, at once or some minutes later, beyond what chance explains.

Three things make series look alike that have nothing to do with each other, and each is taken out:

- a shared trend or season: the changes from minute to minute are compared, not the levels;
- inertia: neighbours in time that resemble each other are worth fewer observations. Their effective number is
  n / (1 + 2 sum of the products of both series' autocorrelations) (Bartlett, Journal of the Royal Statistical Society
  98, 1935);
- many comparisons: of all pairs and lags the chance is adjusted, so that of the correlations that are told, one in
  twenty is false at most on average (Benjamini and Hochberg, Journal of the Royal Statistical Society B 57, 1995).
"""

from __future__ import annotations

from itertools import combinations, pairwise
from math import log, sqrt
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse import words
from perfagent.hub.analyse.chance import ranks, two_sided

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LEAST_POINTS = 30
STRONG = 0.4
FDR = 0.05  # share of what is told that is false, at most, on average
LAGS = 4  # minutes that one may follow the other by
INERTIA = 12  # autocorrelations that count
# Pairs that are two views of the same thing say nothing.
TRIVIAL = frozenset((frozenset(("rate", "queries")), frozenset(("rate", "errors"))))


class Correlation(NamedTuple):
    """Two figures that move together.

    Args:
        coefficient: Spearman's, of the changes.
        p: the chance of one so far from 0 without a cause, at any of the lags.
        q: the same, adjusted for all pairs: of those told with at most this, such a share is false.
        points: minutes compared; `effective`: what they are worth.
        lag_minutes: by how much the second follows the first; never negative, for the one that leads is the first.
    """

    first: str
    second: str
    coefficient: float
    p: float
    q: float
    points: int
    effective: float
    lag_minutes: int
    text: str


class _Series(NamedTuple):
    values: list[float]  # ranks of the changes, about 0 and of length 1; 0 where one is unknown
    known: int
    inertia: list[float]


def correlate(
    series: Mapping[str, Sequence[float | None]], is_trivial: Callable[[str, str], bool] | None = None
) -> list[Correlation]:
    """The pairs of series, one value a minute each, that move together strongly and not by chance, strongest first.

    Args:
        is_trivial: whether two figures are views of the same thing.
    """
    is_trivial = is_trivial or (lambda first, second: frozenset((first, second)) in TRIVIAL)
    ready = {name: one for name, values in series.items() if (one := _prepared(values)) is not None}
    pairs = [pair for pair in combinations(ready, 2) if not is_trivial(*pair)]
    found = []
    for first, second in pairs:
        a, b = ready[first], ready[second]
        lag, coefficient = _best(a.values, b.values)
        points = min(a.known, b.known)
        effective = points / max(1 + 2 * sum(map(mul, a.inertia, b.inertia)), 1.0)
        p = min(_chance(coefficient, effective) * (2 * LAGS + 1), 1.0)
        found.append((p, first, second, lag, coefficient, points, effective))
    return sorted(_told(found), key=lambda one: -abs(one.coefficient))


def _prepared(values: Sequence[float | None]) -> _Series | None:
    changes = [None if now is None or before is None else now - before for before, now in pairwise(values)]
    known = [one for one in changes if one is not None]
    if len(known) < LEAST_POINTS or len(set(known)) < LEAST_POINTS / 3:
        return None
    ranked = iter(ranks(known))
    middle = (len(known) + 1) / 2
    about = [0.0 if one is None else next(ranked) - middle for one in changes]
    length = sqrt(sum(map(mul, about, about)))
    about = [one / length for one in about]
    most = min(INERTIA, len(about) // 5)
    return _Series(about, len(known), [sum(map(mul, about, about[lag:])) for lag in range(1, most + 1)])


def _best(first: Sequence[float], second: Sequence[float]) -> tuple[int, float]:
    """The lag at which two series are most alike, positive where the second follows, and how much."""
    found = [(0, sum(map(mul, first, second)))]
    for lag in range(1, LAGS + 1):
        found.append((lag, sum(map(mul, first, second[lag:]))))
        found.append((-lag, sum(map(mul, first[lag:], second))))
    return max(found, key=lambda pair: abs(pair[1]))


def _chance(coefficient: float, points: float) -> float:
    if points < 5:
        return 1.0
    bounded = max(min(coefficient, 1 - 1e-9), -1 + 1e-9)
    return two_sided(0.5 * log((1 + bounded) / (1 - bounded)) * sqrt((points - 3) / 1.06))


def _told(found: list[tuple[float, str, str, int, float, int, float]]) -> list[Correlation]:
    """Those that Benjamini and Hochberg's procedure lets pass, each with what its chance is after it."""
    found.sort()
    told: list[Correlation] = []
    q = 1.0
    for place in range(len(found), 0, -1):
        p, first, second, lag, coefficient, points, effective = found[place - 1]
        q = min(q, p * len(found) / place)
        if q > FDR or abs(coefficient) < STRONG:
            continue
        if lag < 0:
            first, second, lag = second, first, -lag
        how = "rises and falls with" if coefficient > 0 else "falls where there is more of"
        later = f", {words.count(lag)} min later" if lag else ""
        text = f"{second} {how} {first}{later}" if lag else f"{first} {how} {second}"
        told.append(Correlation(first, second, coefficient, p, q, points, effective, lag, text))
    return told
