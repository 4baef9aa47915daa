"""Two profiles side by side: what got worse by more than a tolerance, where more is worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is compared: where it is in the document, what to call it, and the smallest difference that counts in its unit;
# the system counts CPU time in steps of 10 ms, and a heap's size differs by a few hundred kB from run to run.
FIGURES = (
    (("duration_seconds",), "duration", "s", 0.05),
    (("totals", "cpu_seconds"), "CPU time", "s", 0.05),
    (("summary", "cpu_percent", "mean"), "CPU, mean", "%", 1.0),
    (("peak_rss_bytes",), "memory, peak", "B", 1e6),
    (("summary", "rss_bytes", "mean"), "memory, mean", "B", 1e6),
    (("summary", "pss_bytes", "mean"), "memory (PSS), mean", "B", 1e6),
    (("summary", "threads", "max"), "threads, most", "", 1.0),
    (("summary", "descriptors", "max"), "descriptors, most", "", 3.0),
    (("summary", "processes", "max"), "processes, most", "", 1.0),
    (("totals", "disk_read_bytes"), "read from disk", "B", 1e6),
    (("totals", "disk_written_bytes"), "written to disk", "B", 1e6),
)
ENDING = ("duration", "CPU time", "read from disk", "written to disk")
"""What tells something only of commands that both ran to their end."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure before and after; `change` is a ratio, None where it was nothing before."""

    name: str
    unit: str
    before: float
    after: float
    change: float | None
    worse: bool


def differences(before: dict[str, Any], after: dict[str, Any], tolerance: float) -> list[Difference]:
    """The figures that both profiles have.

    Args:
        before: a profile's document.
        after: another one's.
        tolerance: by which ratio a figure may grow; 0.1 for 10 %.
    """
    return list(_differences(before, after, tolerance))


def _differences(before: dict[str, Any], after: dict[str, Any], tolerance: float) -> Iterator[Difference]:
    ended = before.get("exit_status") is not None and after.get("exit_status") is not None
    for path, name, unit, least in FIGURES:
        first, second = _at(before, path), _at(after, path)
        if first is None or second is None or (name in ENDING and not ended):
            continue
        change = (second - first) / first if first else None
        worse = second - first > max(first * tolerance, least)
        yield Difference(name, unit, first, second, change, worse)


def _at(document: dict[str, Any], path: tuple[str, ...]) -> float | None:
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return float(found) if isinstance(found, (int, float)) else None
