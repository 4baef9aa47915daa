"""Figures as people read them: two or three significant digits, and the unit that keeps them short."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NONE = "-"
BLOCKS = "▁▂▃▄▅▆▇█"


def milliseconds(value: float | None) -> str:
    """A time for people, with two or three significant figures."""
    if value is None or not math.isfinite(value):
        return NONE
    if value >= 60_000:
        return f"{value / 60_000:.1f}".removesuffix(".0") + " min"
    if value >= 1000:
        return f"{value / 1000:.{1 if value >= 10_000 else 2}f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def count(value: float | None) -> str:
    """A whole number with separators."""
    return NONE if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """So many a second."""
    if value is None:
        return NONE
    if 0 < value < 0.01:
        return "<0.01/s"
    return f"{value:,.0f}/s" if value >= 100 else f"{value:.1f}/s" if value >= 0.1 or not value else f"{value:.2f}/s"


def percent(value: float | None) -> str:
    """A ratio as per cent."""
    if value is None:
        return NONE
    return f"{value:.0%}" if value >= 0.1 or not value else f"{value:.1%}" if value >= 0.001 else "<0.1%"


def size(value: float | None) -> str:
    """Bytes."""
    if value is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def ago(moment: float | None) -> str:
    """How long ago, from seconds since the epoch."""
    if moment is None:
        return NONE
    return f"{lasting(max(time.time() - moment, 0))} ago"


def lasting(seconds: float) -> str:
    """A span of time, in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def clock(moment: float) -> str:
    """The local time of day of seconds since the epoch; with its date where that is not today's."""
    then = time.localtime(moment)
    today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", then)


def sparkline(values: Sequence[float | None], width: int = 40) -> str:
    """The values as small bars from 0 to the largest, averaged down to `width`; a gap where nothing is known."""
    step = max(len(values) / width, 1)
    found = []
    for place in range(min(len(values), width)):
        begin = int(place * step)
        part = [one for one in values[begin : max(int((place + 1) * step), begin + 1)] if one is not None]
        found.append(sum(part) / len(part) if part else None)
    top = max((one for one in found if one is not None), default=0)
    return "".join(" " if one is None else BLOCKS[round(one / top * 7) if top > 0 else 0] for one in found)
