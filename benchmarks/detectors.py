"""Well-kept libraries as detectors, to compare `perfagent detect` with: each takes seconds and values, and gives rows.

Each is used as its documentation says, by its defaults and one threshold for all series: nothing is tuned to labels.
They need `pip install river ruptures`. A scorer calls them, such as the one of the Numenta Anomaly Benchmark.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HIDDEN = 0.999  # a score above so much of those before is an anomaly
WARM = 300  # readings of which nothing is told


def half_space_trees(times: Sequence[float], values: Sequence[float]) -> list[int]:
    """River: half-space trees on values scaled to 0..1, an anomaly where the score is beyond its 99.9th hundredth."""
    from river import anomaly, compose, preprocessing

    trees = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=42))
    return _filtered(trees, values)


def _filtered(model: Any, values: Sequence[float]) -> list[int]:
    from river import anomaly

    watched = anomaly.QuantileFilter(model, q=HIDDEN)
    found = []
    for row, value in enumerate(values):
        score = watched.score_one({"value": value})
        if row >= WARM and watched.classify(score):
            found.append(row)
        watched.learn_one({"value": value})
    return found


def predicted(times: Sequence[float], values: Sequence[float]) -> list[int]:
    """River: departures from what Holt and Winters' seasonal model predicts, by three standard deviations."""
    from river import anomaly, time_series

    day = round(86_400 * (len(times) - 1) / (times[-1] - times[0])) if len(times) > 1 else 0
    season = day if 1 < day < len(values) // 3 else 0
    model = time_series.HoltWinters(alpha=0.3, beta=0.1, gamma=0.6 if season else None, seasonality=season)
    detector = anomaly.PredictiveAnomalyDetection(model, horizon=1, n_std=3.0, warmup_period=max(season, 30))
    found = []
    for row, value in enumerate(values):
        if row >= max(season, WARM) and detector.score_one(None, value) >= 1.0:
            found.append(row)
        detector.learn_one(None, value)
    return found


def adwin(times: Sequence[float], values: Sequence[float]) -> list[int]:
    """River: where the adaptive window ADWIN says that the mean has changed."""
    from river import drift

    detector, found = drift.ADWIN(), []
    for row, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(row)
    return found


def pelt(times: Sequence[float], values: Sequence[float]) -> list[int]:
    """Ruptures: PELT with the radial kernel's cost and the penalty 3 log n, on the whole series."""
    return _pelt(values, "rbf")


def pelt_mean(times: Sequence[float], values: Sequence[float]) -> list[int]:
    """Ruptures: PELT by means, with values in units of their noise, and the penalty 3 log n."""
    return _pelt(values, "l2")


def _pelt(values: Sequence[float], cost: str) -> list[int]:
    import numpy
    import ruptures

    array = numpy.asarray(values, dtype=float)
    noise = numpy.median(numpy.abs(numpy.diff(array))) / 0.954  # of differences of normal noise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = ruptures.Pelt(model=cost, min_size=5, jump=1).fit(array / (noise or 1.0))
        return [int(row) for row in fitted.predict(pen=3 * math.log(len(array)))[:-1]]
