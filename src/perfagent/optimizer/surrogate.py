"""What is known of a cost between the points where it was measured: a Gaussian process, in a page of plain Python.

Matérn 5/2 kernel with a length for each parameter; lengths and noise are those under which the measurements are most
likely (Rasmussen and Williams, "Gaussian Processes for Machine Learning", chapters 2 and 5). With the 30 points of a
search a fit takes 20 ms and a prediction 0.1 ms; NumPy would halve that, and cost its import.
"""

from __future__ import annotations

import math
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Point = tuple[float, ...]

LENGTHS = (0.1, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0)
NOISES = (1e-4, 1e-3, 1e-2, 5e-2, 0.2, 0.5)  # of the variance of what was measured
ROOT5 = math.sqrt(5)


class Surrogate:
    """The cost as measured at some points.

    Args:
        points: where, each coordinate from 0 to 1.
        values: the cost there.
        counts: of how many measurements a value is the middle.
        hint: the hyperparameters of the fit before, to begin with.
    """

    def __init__(
        self,
        points: Sequence[Point],
        values: Sequence[float],
        counts: Sequence[int],
        hint: tuple[int, ...] | None = None,
    ) -> None:
        self._points = points
        self._counts = counts
        self._mean = sum(values) / len(values)
        spread = math.sqrt(sum((value - self._mean) ** 2 for value in values) / len(values))
        self._scale = max(spread, 1e-3)  # in logarithms: a thousandth is noise anyhow
        self._values = [(value - self._mean) / self._scale for value in values]
        dimensions = len(points[0])
        self.chosen = self._fit(hint or (*[3] * dimensions, 2))
        """Which of LENGTHS for each parameter, then which of NOISES."""
        self._factor, self._weights = self._solve(self.chosen)[:2]

    def _fit(self, best: tuple[int, ...]) -> tuple[int, ...]:
        """Climbs from `best` to a maximum of the likelihood, one step of one hyperparameter at a time."""
        known: dict[tuple[int, ...], float] = {}

        def likelihood(chosen: tuple[int, ...]) -> float:
            if chosen not in known:
                known[chosen] = self._solve(chosen)[2]
            return known[chosen]

        for _ in range(8):
            near = [best]
            for place, index in enumerate(best):
                most = len(NOISES if place == len(best) - 1 else LENGTHS)
                near += [(*best[:place], i, *best[place + 1 :]) for i in (index - 1, index + 1) if 0 <= i < most]
            found = max(near, key=likelihood)
            if found == best:
                break
            best = found
        return best

    def _solve(self, chosen: tuple[int, ...]) -> tuple[list[list[float]], list[float], float]:
        """The Cholesky factor of the covariance, the weights of the points, and the log likelihood."""
        self._inverse = [1 / LENGTHS[index] for index in chosen[:-1]]
        noise = NOISES[chosen[-1]]
        rows: list[list[float]] = []
        for i, point in enumerate(self._points):
            row: list[float] = []
            for j in range(i):
                value = self._kernel(point, self._points[j]) - sum(map(mul, row, rows[j]))
                row.append(value / rows[j][j])
            row.append(math.sqrt(max(1 + noise / self._counts[i] + 1e-8 - sum(map(mul, row, row)), 1e-10)))
            rows.append(row)
        half = _forward(rows, self._values)
        weights = half[:]
        for i in range(len(rows) - 1, -1, -1):
            weights[i] = (weights[i] - sum(rows[k][i] * weights[k] for k in range(i + 1, len(rows)))) / rows[i][i]
        logarithm = sum(math.log(row[-1]) for row in rows)
        # A weak prior for lengths in the middle and little noise: two points are explained by anything.
        prior = sum((index - 3) ** 2 for index in chosen[:-1]) * 0.15 + chosen[-1] * 0.1
        return rows, weights, -0.5 * sum(map(mul, half, half)) - logarithm - prior

    def _kernel(self, one: Point, other: Point) -> float:
        square = 0.0
        for a, b, inverse in zip(one, other, self._inverse, strict=True):
            distance = (a - b) * inverse
            square += distance * distance
        far = ROOT5 * math.sqrt(square)
        return (1 + far + far * far / 3) * math.exp(-far)

    def predict(self, point: Point) -> tuple[float, float]:
        """Mean and standard deviation of the cost at a point, noise left out."""
        self._inverse = [1 / LENGTHS[index] for index in self.chosen[:-1]]
        near = [self._kernel(point, other) for other in self._points]
        half = _forward(self._factor, near)
        variance = max(1 - sum(map(mul, half, half)), 1e-12)
        mean = sum(map(mul, near, self._weights))
        return self._mean + self._scale * mean, self._scale * math.sqrt(variance)

    def expectations(self) -> list[tuple[float, float]]:
        """Mean and standard deviation that each point would be expected to have, were it not known itself."""
        many = len(self._points)
        found = []
        for place in range(many):
            unit = [0.0] * many
            unit[place] = 1.0
            half = _forward(self._factor[place:], unit[place:], place)
            variance = 1 / sum(map(mul, half, half))  # one over the diagonal of the inverse covariance
            mean = self._values[place] - self._weights[place] * variance
            found.append((self._mean + self._scale * mean, self._scale * math.sqrt(variance)))
        return found

    @property
    def noise(self) -> float:
        """Standard deviation of one measurement."""
        return self._scale * math.sqrt(NOISES[self.chosen[-1]])


def _forward(factor: Sequence[Sequence[float]], values: Sequence[float], skip: int = 0) -> list[float]:
    """Solves the lower triangle for `values`, of which the first `skip` are nought and left out."""
    found: list[float] = []
    for row, value in zip(factor, values, strict=True):
        found.append((value - sum(map(mul, row[skip:], found))) / row[-1])
    return found


def improvement(mean: float, deviation: float, best: float) -> float:
    """By how much a point is expected to be below `best` (Jones et al. 1998)."""
    z = (best - mean) / deviation
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    below = 0.5 * math.erfc(-z / math.sqrt(2))
    return (best - mean) * below + deviation * density
