"""The daily and weekly course of a series, so that a morning is not taken for a trend."""

from __future__ import annotations

from math import cos, pi, sin
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DAY, WEEK = 86_400, 604_800
WAVES = {DAY: 3, WEEK: 3}
"""Of each period: the period itself, half and a third of it."""
EACH = 3  # points for each number that is fitted, at least


def without_season(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], int]:
    """A series less its daily and weekly waves, and how many numbers were fitted for them.

    Args:
        times: seconds since the epoch, rising.
    """
    waves, weights = _fitted(times, values)
    if not weights:
        return list(values), 0
    course = [_height(waves, weights, time) for time in times]
    return [value - height for value, height in zip(values, course, strict=True)], len(weights)


def seasonal(times: Sequence[float], values: Sequence[float]) -> Callable[[float], float]:
    """How far the season lifts or lowers a series at a moment; 0 always where it has none."""
    waves, weights = _fitted(times, values)
    return lambda time: _height(waves, weights, time) if weights else 0.0


def _height(waves: Sequence[float], weights: Sequence[float], time: float) -> float:
    found = 0.0
    for place, period in enumerate(waves):
        turn = 2 * pi * (time % period) / period
        found += weights[2 * place] * cos(turn) + weights[2 * place + 1] * sin(turn)
    return found


def _fitted(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The lengths of the waves in s, and for each the weights of its cosine and sine.

    A period is taken out where the series is at least twice as long, and dense enough to show it. The waves are fitted
    together with a line, so that they take nothing of a trend away.
    """
    long = times[-1] - times[0]
    step = long / (len(times) - 1)
    waves: list[float] = []
    columns: list[list[float]] = []
    for period, parts in WAVES.items():
        # A whole number of points is a step longer than from the first to the last.
        if long + step < 2 * period:
            continue
        for part in range(1, parts + 1):
            if step * 2 * part < period and (len(columns) + 4) * EACH <= len(times):
                turns = [2 * pi * part * (time % period) / period for time in times]
                columns += [[cos(turn) for turn in turns], [sin(turn) for turn in turns]]
                waves.append(period / part)
    if not columns:
        return [], []
    line = [(time - times[0]) / long - 0.5 for time in times]
    weights = _least_squares([[1.0] * len(times), line, *columns], values)
    return (waves, weights[2:]) if weights is not None else ([], [])


def _least_squares(columns: Sequence[Sequence[float]], values: Sequence[float]) -> list[float] | None:
    """The weights of columns that come closest to `values`; None where they cannot be told apart."""
    count = len(columns)
    rows = [
        [sum(a * b for a, b in zip(one, other, strict=True)) for other in columns]
        + [sum(a * b for a, b in zip(one, values, strict=True))]
        for one in columns
    ]
    for pivot in range(count):
        best = max(range(pivot, count), key=lambda row: abs(rows[row][pivot]))
        if abs(rows[best][pivot]) < 1e-9:
            return None
        rows[pivot], rows[best] = rows[best], rows[pivot]
        for row in range(pivot + 1, count):
            factor = rows[row][pivot] / rows[pivot][pivot]
            rows[row] = [a - factor * b for a, b in zip(rows[row], rows[pivot], strict=True)]
    weights = [0.0] * count
    for row in reversed(range(count)):
        rest = sum(rows[row][place] * weights[place] for place in range(row + 1, count))
        weights[row] = (rows[row][count] - rest) / rows[row][row]
    return weights
