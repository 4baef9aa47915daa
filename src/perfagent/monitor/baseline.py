"""What the metrics usually are, and what has become worse than that."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import asdict, dataclass
from time import time
from typing import TYPE_CHECKING, Literal

from perfagent import settings
from perfagent.runtime import resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfagent.monitor.window import Track

KEPT = 7 * 86_400  # s; after a week a program is another one
TOLERANCE = 0.15
VERSION = 1


@dataclass(frozen=True, slots=True)
class Usual:
    """What one metric was.

    Args:
        average, minimum, maximum: of its values.
        deviation: standard deviation of its minutes' averages.
        count: its values.
        minutes: those that have any.
        unit: of the values.
    """

    average: float
    minimum: float
    maximum: float
    deviation: float
    count: int
    minutes: int
    unit: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the metrics were over some minutes.

    Args:
        created: the end of these minutes, in seconds since the epoch.
        duration_minutes: how many.
        metrics: each one by its name.
    """

    created: float
    duration_minutes: int
    metrics: dict[str, Usual]


@dataclass(frozen=True, slots=True)
class Change:
    """How a metric is now, against its baseline.

    Args:
        metric: its name.
        baseline, current: averages.
        change: how much more it is, as a share: 0.5 is half as much again; infinite where the baseline is 0.
        verdict: "worse" or "better" where it changed by more than the tolerance, else "same".
        unit: of the averages.
    """

    metric: str
    baseline: float
    current: float
    change: float
    verdict: Literal["worse", "better", "same"]
    unit: str


def establish(tracks: Iterable[Track], duration_minutes: int, most: int = 1440) -> Baseline:
    """The baseline of the last minutes; raises ValueError where there are not so many, see PerformanceMonitor."""
    if isinstance(duration_minutes, bool) or not isinstance(duration_minutes, int) or duration_minutes < 1:
        raise ValueError(
            f"duration_minutes={duration_minutes!r} is not accepted: give a whole number from 1, such as 60"
        )
    if duration_minutes > most:
        raise ValueError(
            f"duration_minutes={duration_minutes} is not accepted: {most} minutes are kept; ask for fewer, or set "
            "PERFAGENT_MONITOR_HOURS"
        )
    every = list(tracks)
    now = time()
    began = min((found for track in every if (found := track.began()) is not None), default=None)
    have = 0 if began is None else int((now - began) // 60)
    if began is None or have < duration_minutes:
        told = f"there are {have} of them" if began is not None else "nothing has been recorded yet"
        raise ValueError(
            f"a baseline of {duration_minutes} minutes is asked for, and {told}: come back in "
            f"{duration_minutes - have} min" + (f", or take duration_minutes={have}" if have else "")
        )
    metrics = {}
    for track in every:
        points, all_of_it = track.points(duration_minutes), track.aggregate(duration_minutes)
        if all_of_it is not None:
            metrics[track.name] = Usual(
                all_of_it.average,
                all_of_it.minimum,
                all_of_it.maximum,
                _deviation([point.average for point in points]),
                all_of_it.count,
                len(points),
                track.unit,
            )
    return Baseline(now, duration_minutes, metrics)


def _deviation(values: list[float]) -> float:
    """The standard deviation of all of them; `statistics` would cost an import of 4 ms."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def compare(
    baseline: Baseline, current: Mapping[str, tuple[float, str]], tolerance: float, falling: frozenset[str]
) -> list[Change]:
    """How each metric of the baseline is now, the worst first.

    Args:
        baseline: what was.
        current: average and unit by metric.
        tolerance: the share by which an average may differ.
        falling: metrics that are worse where they are less.
    """
    found = []
    for name, (average, unit) in current.items():
        usual = baseline.metrics.get(name)
        if usual is None:
            continue
        difference = average - usual.average
        change = difference / abs(usual.average) if usual.average else (float("inf") * difference if difference else 0)
        rising = change if name not in falling else -change
        verdict: Literal["worse", "better", "same"] = "same"
        if abs(change) > tolerance:
            verdict = "worse" if rising > 0 else "better"
        found.append((-rising, Change(name, usual.average, average, change, verdict, unit)))
    return [change for _, change in sorted(found, key=lambda one: (one[0], one[1].metric))]


def path(directory: str) -> str:
    """The file of this program's baseline."""
    name = settings.current().service_name or resource.program_name()
    service = re.sub(r"[^A-Za-z0-9_.-]+", "_", name) or "program"
    return os.path.join(directory, f"baseline-{service}.json")


def save(baseline: Baseline, directory: str) -> None:
    """Writes the file, as a whole or not at all; raises OSError."""
    import tempfile

    os.makedirs(directory, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=directory, prefix=".baseline-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({"version": VERSION, **asdict(baseline)}, file)
        os.replace(draft, path(directory))
    except BaseException:
        os.unlink(draft)
        raise


def load(directory: str) -> Baseline | None:
    """The baseline in the folder; None where there is none of the last seven days.

    Raises:
        ValueError: the file is none that was written here; names it.
    """
    file = path(directory)
    try:
        with open(file, encoding="utf-8") as opened:
            document = json.load(opened)
        if document["created"] < time() - KEPT:
            return None
        metrics = {str(name): Usual(**one) for name, one in document["metrics"].items()}
        if not all(isinstance(one.average, (int, float)) for one in metrics.values()):
            raise ValueError("an average is no number")
        return Baseline(float(document["created"]), int(document["duration_minutes"]), metrics)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} is no baseline ({type(error).__name__}: {error}); remove it and establish another"
        ) from None
