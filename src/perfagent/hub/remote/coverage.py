"""Which stretches of time the window has, and how finely; what a range lacks, and in which pieces to ask for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.remote.prometheus import Stretch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MINUTE = 60


class Coverage:
    """Stretches of whole minutes that do not overlap, in the order of time.

    Args:
        known: those of before.
    """

    def __init__(self, known: Iterable[Iterable[int]] = ()) -> None:
        self.stretches: list[Stretch] = [Stretch(*one) for one in known]

    def add(self, new: Stretch) -> None:
        """Notes a stretch; it takes the place of what was known of that time."""
        self.drop(new.begin, new.end)
        merged: list[Stretch] = []
        for one in sorted((*self.stretches, new)):
            if merged and merged[-1].end == one.begin and merged[-1].step == one.step:
                one = merged.pop()._replace(end=one.end)
            merged.append(one)
        self.stretches = merged

    def drop(self, begin: int, end: int) -> None:
        """Forgets a stretch of time; all of a longer step that it has a part of."""
        begin, end = self._whole(begin, end)
        kept: list[Stretch] = []
        for one in self.stretches:
            if one.begin < begin:
                kept.append(one._replace(end=min(one.end, begin)))
            if one.end > end:
                kept.append(one._replace(begin=max(one.begin, end)))
        self.stretches = [one for one in kept if one.begin < one.end]

    def missing(self, begin: int, end: int, step: int) -> list[tuple[int, int]]:
        """The parts of a range that are not there, or coarser than `step`; the newest first.

        No part cuts a longer step that is there: its one row stands for all of it, so all of it is read anew. So is a
        step that the range itself begins or ends within.
        """
        found: list[tuple[int, int]] = []
        at = begin
        for one in self._inside(begin, end):
            if one.end <= at or one.step > step:
                continue
            if one.begin >= end:
                break
            if one.begin > at:
                found.append((at, one.begin))
            at = max(at, one.end)
        if at < end:
            found.append((at, end))
        return [self._whole(low, high) for low, high in reversed(found)]

    def _inside(self, begin: int, end: int) -> Iterator[Stretch]:
        """What is there, without steps that a range begins or ends within."""
        for one in self.stretches:
            low, high = one.begin, one.end
            if one.begin < begin < one.end:
                low = -(-begin // one.step) * one.step
            if one.begin < end < one.end:
                high = end // one.step * one.step
            if low < high:
                yield one._replace(begin=low, end=high)

    def _whole(self, begin: int, end: int) -> tuple[int, int]:
        """A stretch of time that begins and ends where the steps do that are there."""
        low, high = begin, end
        for one in self.stretches:
            if one.begin < begin < one.end:
                low = begin // one.step * one.step
            if one.begin < end < one.end:
                high = -(-end // one.step) * one.step
        return low, high

    def share(self, begin: int, end: int, step: int) -> float:
        """How much of a range is there, 0..1."""
        lacks = sum(high - low for low, high in self.missing(begin, end, step))
        return 1.0 - lacks / (end - begin) if end > begin else 1.0


def pieces(begin: int, end: int, step: int, most: int, settled: int) -> Iterator[Stretch]:
    """A stretch of whole minutes in pieces to ask for, the newest first.

    Steps are aligned, so that each row of the window lies in one step of a chart; what is left over at both ends is
    asked for by the minute.

    Args:
        most: steps of a piece.
        settled: until when minutes do not change any more; what comes later is asked for by the minute.
    """
    low, high = -(-begin // step) * step, min(end, settled) // step * step
    if low >= high:
        low = high = end
    yield from _steps(high, end, MINUTE, most)
    yield from _steps(low, high, step, most)
    yield from _steps(begin, low, MINUTE, most)


def _steps(begin: int, end: int, step: int, most: int) -> Iterator[Stretch]:
    while end > begin:
        first = max(begin, end - most * step)
        yield Stretch(first, end, step)
        end = first
