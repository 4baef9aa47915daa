"""Change points of a series that is there as a whole: where its level changed for good, found by optimal partitioning.

The series is cut into pieces, each constant or a straight line, so that the squared errors and a price for each cut
are least (Jackson et al. 2005; the price is that of a BIC, by the long-run variance of autocorrelated noise). Spikes
are taken out first, and one season. A cut whose place is not known within TOLERANCE readings is left out: nobody could
act on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import cos, exp, log, pi, sin
from statistics import median

PRICE = 4.0  # of a cut, in units of the logarithm of the length
SHORTEST = 5  # readings of a piece
TOLERANCE = 5  # readings
SURE = 0.5  # the probability that a cut must have within the tolerance
LONGEST = 1500  # readings; of more, means of neighbours are looked at: the search takes the square of the length
SPIKE = 4.5  # deviations from the median of seven beyond which a reading is a spike
SEASON = 12.0  # how much a frequency must stand out from its neighbours


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level.

    Attributes:
        index: of the first reading of the new level.
        before: median of the piece before it.
        after: median of the piece that it begins.
    """

    index: int
    before: float
    after: float


def find(values: list[float]) -> list[Change]:
    """The change points of a series with equal steps.

    Args:
        values: finite numbers. Where all are above 0 their logarithms are looked at: changes of them are shares.

    Returns:
        The changes, in order; none where there are fewer than 20 values.
    """
    if len(values) < 4 * SHORTEST:
        return []
    size = -(-len(values) // LONGEST)
    if size > 1:
        means = [sum(values[at : at + size]) / len(values[at : at + size]) for at in range(0, len(values), size)]
        cuts = [cut * size for cut in _cuts(means)]
    else:
        cuts = _cuts(values)
    edges = [0, *cuts, len(values)]
    levels = [median(values[begin:end]) for begin, end in pairwise(edges)]
    return [Change(cut, levels[at], levels[at + 1]) for at, cut in enumerate(cuts)]


def _cuts(values: list[float]) -> list[int]:
    series = [log(value) for value in values] if min(values) > 0 else list(values)
    series = _without_season(_without_spikes(series))
    # Most steps alike, as of whole numbers or without any noise: then all of them tell.
    noise = _noise(series) or sum((after - before) ** 2 for before, after in pairwise(series)) / (2 * len(series))
    if not noise:
        return []
    pieces = _Pieces(series, PRICE * log(len(series)) * noise)
    cuts = pieces.best()
    edges = [0, *cuts, len(series)]
    return [cut for at, cut in enumerate(cuts) if pieces.certainty(edges[at], cut, edges[at + 2], noise) >= SURE]


def _without_spikes(series: list[float]) -> list[float]:
    middles = [median(series[max(0, at - 3) : at + 4]) for at in range(len(series))]
    rests = [value - middle for value, middle in zip(series, middles, strict=True)]
    limit = SPIKE * _deviation(rests)
    return [
        value if abs(rest) <= limit or not limit else middle
        for value, rest, middle in zip(series, rests, middles, strict=True)
    ]


def _without_season(series: list[float]) -> list[float]:
    """Takes one sine out where the steps between readings have a frequency that stands far out."""
    steps = [after - before for before, after in pairwise(series)]
    middle, limit = median(steps), 4 * _deviation(steps)
    steps = [min(max(step - middle, -limit), limit) for step in steps]
    highest = len(steps) // 4
    powers = {rank: _wave(steps, 2 * pi * rank / len(steps))[0] for rank in range(4, highest + 1)}
    if not powers:
        return series
    rank = max(powers, key=lambda one: powers[one])
    near = [powers[other] for other in range(rank - 8, rank + 9) if other in powers]
    strongest = sum(step * step for step in steps) / len(steps)  # half the power of a sine that all steps follow
    if powers[rank] < SEASON * median(near) / log(2) or powers[rank] < 1e-6 * strongest:
        return series
    tries = [2 * pi * (rank + part / 20) / len(steps) for part in range(-14, 15)]
    angle = max(tries, key=lambda one: _wave(steps, one)[0])
    _, cosine, sine = _wave(steps, angle)
    # The steps of a sine are a sine of the same frequency: a rotation and a factor give the series' own.
    gain = 4 * sin(angle / 2) ** 2
    own_cosine = (cosine * (cos(angle) - 1) - sine * sin(angle)) / gain
    own_sine = (cosine * sin(angle) + sine * (cos(angle) - 1)) / gain
    return [value - own_cosine * cos(angle * at) - own_sine * sin(angle * at) for at, value in enumerate(series)]


def _wave(series: list[float], angle: float) -> tuple[float, float, float]:
    """Power, cosine and sine part of a frequency; the first element is at place 0."""
    cosine = sum(value * cos(angle * at) for at, value in enumerate(series)) * 2 / len(series)
    sine = sum(value * sin(angle * at) for at, value in enumerate(series)) * 2 / len(series)
    return cosine * cosine + sine * sine, cosine, sine


def _noise(series: list[float]) -> float:
    """Long-run variance of first-order autocorrelated noise, from the steps of one and of two readings: changes of
    level are a few of them, and count no more than three deviations.
    """
    one = _clipped([after - before for before, after in pairwise(series)])
    two = _clipped([after - before for before, after in zip(series, series[2:], strict=False)])
    if not one:
        return 0.0
    correlation = min(max(two / one - 1, 0.0), 0.85)
    return one / (2 * (1 - correlation)) * (1 + correlation) / (1 - correlation)


def _clipped(values: list[float]) -> float:
    """Variance around the median without the weight of what is far out; 2.6 times as exact as by absolute medians."""
    middle, limit = median(values), 3 * _deviation(values)
    return sum(min(abs(value - middle), limit) ** 2 for value in values) / len(values)


def _deviation(values: list[float]) -> float:
    """Standard deviation by the median of absolute deviations."""
    middle = median(values)
    return 1.4826 * median([abs(value - middle) for value in values])


class _Pieces:
    """Costs of pieces by sums from the start, and the cheapest cutting.

    Args:
        series: the values.
        price: of a cut, and of a piece's being a line.
    """

    def __init__(self, series: list[float], price: float) -> None:
        self._length = len(series)
        self._price = price
        middle = sum(series) / len(series)  # keeps the squares small
        centred = [value - middle for value in series]
        self._sums = [0.0, *accumulate(centred)]
        self._squares = [0.0, *accumulate(value * value for value in centred)]
        self._products = [0.0, *accumulate(at * value for at, value in enumerate(centred))]

    def cost(self, begin: int, end: int) -> float:
        """Squared errors of a piece as a constant, or as a line for the price of one."""
        count = end - begin
        total = self._sums[end] - self._sums[begin]
        constant = self._squares[end] - self._squares[begin] - total * total / count
        spread = count * (count * count - 1) / 12
        if not spread:
            return constant
        slope = self._products[end] - self._products[begin] - total * (begin + end - 1) / 2
        return min(constant, constant - slope * slope / spread + self._price)

    def best(self) -> list[int]:
        """Where the cheapest cutting cuts."""
        cheapest, came_from = [-self._price] + [float("inf")] * self._length, [0] * (self._length + 1)
        for end in range(SHORTEST, self._length + 1):
            low, place = float("inf"), 0
            for begin in range(end - SHORTEST + 1):
                before = cheapest[begin]
                if before < low:
                    cost = before + self.cost(begin, end)
                    if cost < low:
                        low, place = cost, begin
            cheapest[end], came_from[end] = low + self._price, place
        cuts, end = [], came_from[self._length]
        while end:
            cuts.append(end)
            end = came_from[end]
        return cuts[::-1]

    def certainty(self, begin: int, cut: int, end: int, noise: float) -> float:
        """The probability that a cut between two others lies within the tolerance, any place being as likely before."""
        places = range(begin + 3, end - 2)
        costs = [self.cost(begin, place) + self.cost(place, end) for place in places]
        low = min(costs)
        weights = [exp((low - cost) / (2 * noise)) for cost in costs]
        near = sum(weight for place, weight in zip(places, weights, strict=True) if abs(place - cut) <= TOLERANCE)
        return near / sum(weights)
