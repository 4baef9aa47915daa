"""Buckets of exponential histograms at the one scale that the store has."""

from __future__ import annotations

SCALE = 3
"""2^(1/8) between bounds: 9 % wide."""
SCALES = (-11, 1024)
"""Scales that are read; SDKs use -10 to 20. At -11 one bucket holds every number."""
LOWEST, HIGHEST = -8_592, 8_191
"""Indices at scale 3 of the least and the largest number that a double can be."""
WIDEST = 6
"""Up to 2^6 buckets share one of a lower scale's evenly; of a wider one all is in the middle."""


def rescaled(scale: int, offset: int, counts: list[int], most: int) -> tuple[int, list[int] | None]:
    """The first bucket's index and the counts at scale 3.

    From a higher scale this is exact: each bucket lies within one of the result (OpenTelemetry data model, "Exponential
    buckets"). From a lower one, a bucket's count is spread evenly over those that it covers, as if its values were
    spread evenly on the logarithmic axis.

    Args:
        scale: within `SCALES`.
        offset: index of the first count.
        counts: of the buckets from there on.
        most: buckets that there is room for.

    Returns:
        Index and counts, without zeros at the ends; None in place of the counts where there are more than `most`.
    """
    used = [index for index, count in enumerate(counts) if count]
    if not used:
        return 0, []
    offset += used[0]
    counts = counts[used[0] : used[-1] + 1]
    shift = SCALE - scale
    if shift > 0:
        return _finer(shift, offset, counts, most)
    first, last = _clipped(offset >> -shift), _clipped(offset + len(counts) - 1 >> -shift)
    if last - first + 1 > most:
        return 0, None
    if not shift and first == offset:
        return first, counts
    result = [0] * (last - first + 1)
    for index, count in enumerate(counts, offset):
        result[_clipped(index >> -shift) - first] += count
    return first, result


def _finer(shift: int, offset: int, counts: list[int], most: int) -> tuple[int, list[int] | None]:
    first, last = _clipped(offset << shift), _clipped((offset + len(counts) << shift) - 1)
    if last - first + 1 > most:
        return 0, None
    result = [0] * (last - first + 1)
    width = 1 << shift
    for index, count in enumerate(counts, offset):
        if not count:
            continue
        begin = index << shift
        if shift > WIDEST:
            result[_clipped(begin + width // 2) - first] += count
            continue
        ends = [count * (place + 1) // width for place in range(width)]
        for place, end in enumerate(ends):
            result[_clipped(begin + place) - first] += end - (ends[place - 1] if place else 0)
    return first, result


def _clipped(index: int) -> int:
    return min(max(index, LOWEST), HIGHEST)
