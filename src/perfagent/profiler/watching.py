"""The loop of `perfagent profile`: reads a process at a steady interval until it ends or enough is seen."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

from perfagent.profiler.recording import Recording
from perfagent.profiler.tree import Reading, Tree

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 0.05  # seconds until the second reading of a program that has just begun; then twice as long, and so on


def watch(
    tree: Tree,
    interval: float,
    duration: float,
    wait: Callable[[float], bool],
    tell: Callable[[Recording, Reading], None],
) -> Recording:
    """Records a tree of processes.

    Args:
        tree: what is read.
        interval: seconds between two readings.
        duration: seconds after which it stops; 0 for never.
        wait: waits for the process' end, for so many seconds at most, and returns whether it has come.
        tell: told of each reading.

    Returns:
        What was recorded; of a KeyboardInterrupt, what was so far.
    """
    recording = Recording(interval)
    began = time.monotonic()
    due, step = began, min(FIRST, interval)
    try:
        while True:
            reading = tree.read()
            if reading is not None:
                recording.add(reading)
                tell(recording, reading)
            now = time.monotonic()
            due = max(due + step, now)  # what was missed, as while the machine slept, is not made up for
            step = min(step * 2, recording.interval)
            if duration:
                due = min(due, began + duration)
            if wait(max(due - now, 0.0)):
                break
            if duration and time.monotonic() >= began + duration:
                reading = tree.read()
                if reading is not None:
                    recording.add(reading)
                break
            if reading is None:
                break
    except KeyboardInterrupt:
        pass
    recording.duration = time.monotonic() - began
    return recording


def own_cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
