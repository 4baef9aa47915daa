"""The best values that were found, kept in the user's state folder from one run of a program to the next."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent import settings
from perfagent.hub import lock
from perfagent.runtime import guard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.optimizer.space import Range


@dataclass(frozen=True, slots=True)
class Kept:
    """What a search has found: the best values, each measurement of it, and whether it is over."""

    best: tuple[float, ...]
    measured: list[tuple[tuple[float, ...], float]]
    done: bool


def path(name: str, folder: str = "") -> str:
    """The file of an optimizer's state.

    Args:
        name: of the optimizer.
        folder: where it is; `optimizer` in perfagent's state folder when left out.
    """
    folder = folder or os.path.join(lock.directory(settings.current()), "optimizer")
    return os.path.join(folder, re.sub(r"[^\w.-]", "_", name) + ".json")


def load(file: str, ranges: Sequence[Range]) -> Kept | None:
    """What is kept in a file; None where it does not fit these parameters and their bounds, or there is nothing."""
    try:
        with open(file, encoding="utf-8") as opened:
            kept: Any = json.load(opened)
        if kept["parameters"] != _described(ranges):
            return None
        best = tuple(kept["best"][one.name] for one in ranges)
        measured = [(tuple(values), math.inf if cost is None else float(cost)) for values, cost in kept["measured"]]
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or somebody has written something else
        return None
    every = [best, *(values for values, _cost in measured)]
    fits = all(len(values) == len(ranges) and all(map(_fits, ranges, values)) for values in every)
    return Kept(best, measured, bool(kept.get("done"))) if fits else None


def _fits(one: Range, value: object) -> bool:
    number = isinstance(value, (int, float)) and one.low <= value <= one.high
    return number and (not one.integer or isinstance(value, int))


def save(file: str, ranges: Sequence[Range], kept: Kept) -> None:
    """Keeps values and measurements; a folder that cannot be written is counted, and the program goes on."""
    document = {
        "parameters": _described(ranges),
        "best": {one.name: value for one, value in zip(ranges, kept.best, strict=True)},
        "done": kept.done,
        "measured": [(values, None if cost == math.inf else cost) for values, cost in kept.measured],
    }
    part = f"{file}.{os.getpid()}.part"
    try:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        with open(part, "w", encoding="utf-8") as opened:
            json.dump(document, opened)
        os.replace(part, file)  # several workers may write: the last one counts
    except OSError:
        guard.failed("optimizer's state")


def _described(ranges: Sequence[Range]) -> list[list[Any]]:
    return [[one.name, one.low, one.high, one.scale, one.integer] for one in ranges]
