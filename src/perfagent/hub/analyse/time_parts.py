"""Where the time of a span went: what its agent measured of it, and what the calls below it took.

The agent tells of a request how much was CPU time, a garbage collection, a wait for a lock, a pool, the event loop …
(`perfagent.time.*`, in ns). How long it waited for databases, caches and other services stands in its child spans: the
time in which at least one of them ran. What an agent has measured comes first; calls get at most what is left, for the
CPU time of their drivers is in both. So the parts add up to the span's duration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfagent.hub.analyse.tree import Node

PREFIX = "perfagent.time."
AT = "perfagent.time.waits_at"
"""Where in the program a request waited longest, as "file:line function"."""
MEASURED = ("gc", "cpu", "pool", "loop", "lock", "sleep", "processor", "gil")
"""What agents tell, in the order in which it is believed where it is more than the span took."""
PARTS = ("cpu", "gc", "lock", "pool", "loop", "network", "sleep", "processor", "gil", "other", "own")
"""All parts, in the order in which they are shown; `own` is what nobody has measured."""
CALLS = frozenset(("db", "cache", "http", "rpc", "producer"))
"""Categories of spans that wait for somebody else."""
WITHIN = frozenset(("sqlite", "duckdb"))
"""Databases that run in the process: to ask them is no wait for the network."""

Interval = tuple[int, int]


def told(attributes: Mapping[str, object]) -> dict[str, int]:
    """What an agent says of a span, ns by part; nothing where it has not measured it."""
    found = {}
    for name in (*MEASURED, "network"):
        value = attributes.get(PREFIX + name)
        if isinstance(value, int) and value >= 0:
            found[name] = value
    return found if "cpu" in found else {}


def waits(category: str, system: str) -> bool:
    """Whether a span is a wait for something outside of its process."""
    return category in CALLS and system not in WITHIN


def split(duration: int, measured: Mapping[str, int], calls: int, whole: bool = False) -> dict[str, int]:
    """The parts of a span; their sum is its duration.

    Args:
        duration: ns.
        measured: by part, as `told` gives it.
        calls: ns in which at least one call below it ran.
        whole: whether the span is such a call itself.
    """
    left = max(duration, 0)
    found: dict[str, int] = {}

    def take(part: str, time: int) -> None:
        nonlocal left
        time = min(time, left)
        if time > 0:
            found[part] = time
            left -= time

    for part in MEASURED:
        take(part, measured.get(part, 0))
    take("network", left if whole else calls + measured.get("network", 0))
    take("other" if measured else "own", left)
    return {part: found[part] for part in PARTS if part in found}


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Intervals without their overlaps, in order."""
    found: list[Interval] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def length(intervals: Iterable[Interval], begin: int, end: int) -> int:
    """How much of begin..end is in intervals that do not overlap."""
    return sum(max(min(last, end) - max(first, begin), 0) for first, last in intervals)


def of_tree(
    nodes: Iterable[Node], measured: Mapping[int, Mapping[str, int]], calling: set[int]
) -> dict[int, dict[str, int]]:
    """The parts of every span of a trace, by row.

    Args:
        nodes: parents before their children.
        measured: what was told of a row.
        calling: rows that wait for somebody else; what is below them is theirs.
    """
    found: dict[int, dict[str, int]] = {}
    below: dict[int, list[Interval]] = {}
    for node in reversed(list(nodes)):
        lists = [below.pop(child.row, []) for child in node.children]
        lists = [one for one in lists if one]
        calls = lists[0] if len(lists) == 1 else union(one for each in lists for one in each)
        whole = node.row in calling
        busy = length(calls, node.started, node.ended)
        found[node.row] = split(node.duration, measured.get(node.row, {}), busy, whole)
        below[node.row] = [(node.started, node.ended)] if whole else calls
    return found
