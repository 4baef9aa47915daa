"""How far a series has moved, and how sure that is: lines and steps in correlated noise, weighed by how well they fit.

Neighbouring measurements resemble each other, so a p value of a test that takes them for independent calls chance a
trend. Here the series is a level, a line or a step, and noise whose neighbours correlate by an unknown rho (AR(1));
the level, the noise's size and the size of the move are integrated out exactly, rho and the place of a step over grids.
What is left is the chance of every size of the move (Zellner, An Introduction to Bayesian Inference in Econometrics,
1971, chapters 3 and 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, log, sqrt
from statistics import fmean, median
from typing import TYPE_CHECKING

from perfagent.hub.analyse.season import without_season
from perfagent.hub.analyse.student import below_quickly

if TYPE_CHECKING:
    from collections.abc import Sequence

CORRELATED = (0.0, 0.2, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.98)
"""Correlations of neighbours that are weighed, each as likely beforehand as the stretch of 0..1 that it stands for."""
STRETCHES = (0.1, 0.2, 0.175, 0.15, 0.125, 0.09, 0.07, 0.05, 0.04)
LINE = 0.6
"""How likely a move is a line beforehand; the rest are steps, equally at any place."""
PLACES = 20  # of a step that are weighed
MOST_POINTS = 120
CLIPPED = 3.5
"""Standard deviations from the median of five neighbours that a single value counts at most: what is further out tells
of one accident and not of where the series goes."""
MOVES = ((0.025, 0.3), (0.05, 0.15), (0.1, 0.15), (0.2, 0.15), (0.4, 0.12), (0.8, 0.08), (1.6, 0.04), (20.0, 0.01))
"""How far things move, as a share of the level: up to so far, and how likely beforehand, either way together. Six in
ten move by less than a tenth."""
FAR = 8.0  # standard errors, beyond which nothing is
LIKELIEST, HALVINGS = 8, 12  # explanations and steps that an interval is made of
PRUNED = 1e-4  # of the likeliest, below which an explanation is left out


@dataclass(frozen=True, slots=True)
class Explanation:
    """One way to explain a series.

    Args:
        weight: how likely it is.
        rho: the correlation of neighbours.
        place: where the step is, as a share of the series' length; None for a line.
        move: the best size of it.
        error: its standard error.
        level: the middle level of the series.
        centre: where between begin (0) and end (1) that is.
        level_error: the standard error of the level.
        noise: standard deviation of the noise.
    """

    weight: float
    rho: float
    place: float | None
    move: float
    error: float
    level: float
    centre: float
    level_error: float
    noise: float

    def begin(self, move: float) -> float:
        """The level at the begin, where it moves so far."""
        return self.level - move * self.centre


@dataclass(frozen=True, slots=True)
class Belief:
    """What a series says of its move.

    Args:
        falls, stays, rises: chances that it moves down by a tenth at least, by less, or up; 1 together.
        move: the mean move, from begin to end.
        begin: the mean level at the begin.
        explanations: what all this is made of, the likeliest first.
        freedom: degrees of freedom of their errors.
        step: seconds between two points.
        latest: the last value, less its season.
        scale: the size of the level, which moves are shares of.
    """

    falls: float
    stays: float
    rises: float
    move: float
    begin: float
    explanations: tuple[Explanation, ...]
    freedom: float
    step: float
    latest: float
    scale: float

    def moves_below(self, move: float) -> float:
        """The chance that the move is below so much."""
        return sum(_mass(one, self.freedom, self.scale, -inf, move) for one in self.explanations)

    def interval(self, share: float = 0.9) -> tuple[float, float]:
        """The move lies between these with a chance of `share`, by the likeliest explanations."""
        some = self.explanations[:LIKELIEST]
        whole = sum(_mass(one, self.freedom, self.scale, -inf, inf) for one in some)
        low = min(one.move - FAR * one.error for one in some)
        high = max(one.move + FAR * one.error for one in some)

        def at(chance: float) -> float:
            lower, upper = low, high
            for _ in range(HALVINGS):
                middle = (lower + upper) / 2
                below = sum(_mass(one, self.freedom, self.scale, -inf, middle) for one in some)
                lower, upper = (middle, upper) if below < chance * whole else (lower, middle)
            return (lower + upper) / 2

        return at((1 - share) / 2), at((1 + share) / 2)


def believe(times: Sequence[float], values: Sequence[float], felt: float) -> Belief:
    """What a series of at least 5 points says of its move.

    Args:
        times: seconds since the epoch, rising.
        felt: the share of the level that a move must have to count as one, such as 0.1.
    """
    times, values = _thinned(times, _clipped(values))
    values, fitted = without_season(times, values)
    count = len(values)
    long = times[-1] - times[0]
    step = median(later - earlier for earlier, later in pairwise(times))
    gaps = [max(1, round((later - earlier) / step)) for earlier, later in pairwise(times)]
    middle = median(values)
    scale = abs(middle) or fmean(abs(value) for value in values) or 1.0
    centred = [value - middle for value in values]
    line = [(time - times[0]) / long for time in times]
    freedom = max(count - 2 - fitted, 1)
    least = count * (1e-9 * scale) ** 2
    raw = []
    for rho, prior in zip(CORRELATED, STRETCHES, strict=True):
        white = _Whitened(centred, gaps, rho)
        for place, sums in white.shapes(line):
            found = _explain(white, sums, freedom, least)
            if found is not None:
                known = log(prior * (LINE if place is None else (1 - LINE) / PLACES)) + found[0]
                raw.append((known, rho, place, *found[1:]))
    best = max(entry[0] for entry in raw)
    candidates = []
    for known, rho, place, move, error, offset, centre, level_error, noise in raw:
        if known > best + log(PRUNED):
            one = Explanation(
                exp(known - best), rho, place, move, error, middle + offset, centre, level_error, noise
            )  # fmt: skip
            candidates.append((one, _mass(one, freedom, scale, -inf, inf)))
    whole = sum(mass for _, mass in candidates)
    explanations = tuple(
        Explanation(
            one.weight / whole, one.rho, one.place, one.move, one.error, one.level, one.centre, one.level_error,
            one.noise,
        )
        for one, _ in sorted(candidates, key=lambda pair: -pair[1])
    )  # fmt: skip
    falls = rises = move = begin = 0.0
    for one in explanations:
        down, up = _thresholds(one, felt)
        fell = _mass(one, freedom, scale, -inf, down)
        rose = _mass(one, freedom, scale, up, inf)
        mass = _mass(one, freedom, scale, -inf, inf)
        falls, rises = falls + fell, rises + rose
        move += mass * one.move
        begin += mass * one.begin(one.move)
    stays = max(1 - falls - rises, 0.0)
    return Belief(falls, stays, rises, move, begin, explanations, freedom, step, values[-1], scale)


class _Whitened:
    """A series with the correlation of its neighbours taken out.

    Args:
        values: about 0.
        gaps: steps between neighbours.
        rho: the correlation over one step.
    """

    def __init__(self, values: Sequence[float], gaps: Sequence[int], rho: float) -> None:
        self.rhos = [rho**gap for gap in gaps]
        self.scales = [1 / sqrt(1 - one * one) for one in self.rhos]
        self.spread = -2 * sum(map(log, self.scales))  # log of the determinant of the correlations
        self.ones = self._white([1.0] * len(values))
        self.values = self._white(values)
        self.s11 = sum(one * one for one in self.ones)
        self.s1y = sum(a * b for a, b in zip(self.ones, self.values, strict=True))
        self.syy = sum(one * one for one in self.values)

    def _white(self, values: Sequence[float]) -> list[float]:
        found = [values[0]]
        for place, (rho, scale) in enumerate(zip(self.rhos, self.scales, strict=True)):
            found.append((values[place + 1] - rho * values[place]) * scale)
        return found

    def shapes(self, line: Sequence[float]) -> list[tuple[float | None, tuple[float, float, float]]]:
        """For the line and each step its sums of products with the level, itself and the values."""
        white = self._white(line)
        found: list[tuple[float | None, tuple[float, float, float]]] = [
            (
                None,
                (
                    sum(a * b for a, b in zip(self.ones, white, strict=True)),
                    sum(one * one for one in white),
                    sum(a * b for a, b in zip(white, self.values, strict=True)),
                ),
            )
        ]
        count = len(line)
        edge = max(2, count // 20)
        wanted = {round(edge + (count - 2 * edge) * part / (PLACES - 1)) for part in range(PLACES)}
        after11 = after1y = 0.0
        for place in range(count - 1, edge - 1, -1):
            # From the step on, a step is what the level is; in the step itself it has no neighbour to take away.
            if place in wanted and count - place >= edge:
                jump = self.scales[place - 1]
                one, value = self.ones[place], self.values[place]
                sums = (after11 + jump * one, after11 + jump * jump, after1y + jump * value)
                found.append((line[place], sums))
            after11 += self.ones[place] ** 2
            after1y += self.ones[place] * self.values[place]
        return found


def _explain(
    white: _Whitened, sums: tuple[float, float, float], freedom: float, least: float
) -> tuple[float, float, float, float, float, float, float] | None:
    """Log of the likelihood but for the chance of the move, then the fields of an Explanation from `move` on."""
    s1x, sxx, sxy = sums
    information = sxx - s1x * s1x / white.s11
    if information <= 1e-12:
        return None
    move = (sxy - s1x * white.s1y / white.s11) / information
    rest = white.syy - white.s1y * white.s1y / white.s11 - move * move * information
    rest = max(rest, least)
    known = -0.5 * (white.spread + log(white.s11) + log(information)) - 0.5 * freedom * log(rest)
    variance = rest / freedom
    centre = s1x / white.s11
    offset = white.s1y / white.s11
    return known, move, sqrt(variance / information), offset, centre, sqrt(variance / white.s11), sqrt(variance)


def _thresholds(one: Explanation, felt: float) -> tuple[float, float]:
    """The moves, down and up, that are `felt` of the larger of the levels at both ends."""
    level = abs(one.level)
    after, before = felt * (1 - one.centre), felt * one.centre
    if one.level < 0:
        after, before = before, after
    return -felt * level / max(1 - before, 0.1), felt * level / max(1 - after, 0.1)


def _mass(one: Explanation, freedom: float, scale: float, low: float, high: float) -> float:
    """The weight of an explanation whose move lies between `low` and `high`."""
    found = 0.0
    error = max(one.error, 1e-12 * scale)
    inner = 0.0
    for outer, chance in MOVES:
        density = chance / 2 / (outer - inner)
        for begin, end in ((-outer * scale, -inner * scale), (inner * scale, outer * scale)):
            begin = max(begin, low, one.move - FAR * error)
            end = min(end, high, one.move + FAR * error)
            if begin < end:
                found += density * (
                    below_quickly((end - one.move) / error, freedom)
                    - below_quickly((begin - one.move) / error, freedom)
                )
        inner = outer
    return one.weight * found


def _clipped(values: Sequence[float]) -> list[float]:
    """The values, single ones far from their neighbours brought closer."""
    count = len(values)
    around = [median(values[max(0, place - 2) : place + 3]) for place in range(count)]
    away = [value - middle for value, middle in zip(values, around, strict=True)]
    spread = CLIPPED * 1.4826 * median(map(abs, away))
    if spread <= 0:
        return list(values)
    return [middle + max(-spread, min(spread, far)) for middle, far in zip(around, away, strict=True)]


def _thinned(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """A series of at most MOST_POINTS points, neighbours as their mean."""
    together = -(-len(values) // MOST_POINTS)
    if together == 1:
        return list(times), list(values)
    places = range(0, len(values), together)
    return (
        [fmean(times[place : place + together]) for place in places],
        [fmean(values[place : place + together]) for place in places],
    )
