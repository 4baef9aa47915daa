"""Chains of sessions that wait for each other: the one at the end of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def roots(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """For each session that blocks or waits, the one at the end of its chain, which waits for nobody.

    In a circle, which a database breaks soon, it is the smallest of it.

    Args:
        pairs: who waits, and for whom; of several that one waits for the first counts.
    """
    waits: dict[int, int] = {}
    known: set[int] = set()
    for blocked, blocker in pairs:
        waits.setdefault(blocked, blocker)
        known |= {blocked, blocker}
    found: dict[int, int] = {}
    for one in known:
        path = [one]
        while path[-1] in waits and waits[path[-1]] not in path:
            path.append(waits[path[-1]])
        last = path[-1]
        found[one] = min(path[path.index(waits[last]) :]) if last in waits else last
    return found
