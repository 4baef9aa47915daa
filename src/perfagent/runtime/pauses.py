"""Pauses of the garbage collector, told to all that listen by one callback of `gc`, put back when it gets lost."""

from __future__ import annotations

import gc

from perfagent.runtime import guard
from perfagent.runtime.clock import now, thread_time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Listener = Callable[[int, int, int, int], None]

FULL = 2  # the generation of a full collection
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Tells of every pause from now on.

    Args:
        listener: called in the thread that the collector interrupted, with the generation, the time at which the pause
            ended, how long it took, and how much of that was spent on the CPU, in ns. Of young generations' short
            pauses, that is all of it. It may keep nothing that the collector tracks.
    """
    _listeners.append(listener)
    keep()


def keep() -> None:
    """At times: a program that empties `gc.callbacks`, to be rid of its own, goes on to be measured."""
    if not any(one is _timed for one in gc.callbacks.copy()):
        gc.callbacks.append(_timed)


def _timer() -> Callable[[str, dict[str, int]], None]:
    """What the collector calls before and after each collection: 1 us for both, 3 of a full one.

    How much of a long one was spent on the CPU is asked of its clock: a busy machine makes both differ.
    """
    started = cpu = 0

    def timed(phase: str, info: dict[str, int]) -> None:
        nonlocal started, cpu
        try:
            generation = info["generation"]
            if phase == "start":
                started, cpu = now(), thread_time_ns() if generation == FULL else 0
            elif started:
                spent = thread_time_ns() - cpu if generation == FULL else 0
                ended = now()
                pause, started = ended - started, 0
                for listener in _listeners:
                    listener(generation, ended, pause, spent or pause)
        except Exception:
            guard.failed("gc")

    return timed


_timed = _timer()
