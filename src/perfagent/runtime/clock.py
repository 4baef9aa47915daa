"""The one clock: spans are timed by the monotonic clock, and one offset turns that into wall-clock time.

Reading a single clock on each side of a span halves the cost of timing, and a wall clock that jumps cannot make a
duration wrong. Linux slews both clocks alike, so the offset changes only when somebody sets the time.
"""

from __future__ import annotations

from time import perf_counter_ns, time_ns

now = perf_counter_ns
"""Nanoseconds of the monotonic clock: what spans store."""

JUMP = 1_000_000  # ns; under this a difference is the reading itself, above it the wall clock was set

offset = 0
"""Nanoseconds to add to `now()` to get Unix time."""


def synchronise() -> None:
    """Measures the offset anew and takes it where the wall clock was set since; called between two exports."""
    global offset
    before = perf_counter_ns()
    wall = time_ns()
    measured = wall - (before + perf_counter_ns()) // 2
    if abs(measured - offset) > JUMP:
        offset = measured


synchronise()
