"""The clocks, and the one that spans are timed by: the monotonic one, which one offset turns into wall-clock time.

Reading a single clock on each side of a span halves the cost of timing, and a wall clock that jumps cannot make a
duration wrong. Linux slews both clocks alike, so the offset changes only when somebody sets the time.

A program may put other functions into `time`, and freezegun puts its own into every module that has imported the real
ones: with these, what is due in a minute would come in fifty years. So the agent has its functions from here, which
are of a copy of the module that nobody else knows; they are as fast, and making it takes 0.06 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from time import monotonic as monotonic
    from time import monotonic_ns as monotonic_ns
    from time import perf_counter as perf_counter
    from time import perf_counter_ns as perf_counter_ns
    from time import process_time_ns as process_time_ns
    from time import sleep as sleep
    from time import thread_time as thread_time
    from time import thread_time_ns as thread_time_ns
    from time import time as time
    from time import time_ns as time_ns
    from types import ModuleType


def _copy() -> ModuleType:
    """The module `time`, made once more; the one that all have where it is no part of the interpreter itself."""
    import time

    try:
        import _imp

        made = _imp.create_builtin(time.__spec__) if _imp.is_builtin("time") == 1 else None
        if made is None:
            return time
        _imp.exec_builtin(made)
    except Exception:  # of another interpreter
        return time
    return made


if not TYPE_CHECKING:
    _own = _copy()
    monotonic, monotonic_ns, perf_counter, perf_counter_ns = (
        _own.monotonic, _own.monotonic_ns, _own.perf_counter, _own.perf_counter_ns,
    )  # fmt: skip
    process_time_ns, thread_time, thread_time_ns = _own.process_time_ns, _own.thread_time, _own.thread_time_ns
    sleep, time, time_ns = _own.sleep, _own.time, _own.time_ns

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
