"""A call whose work another thread or another process does, and the clock of that."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Elsewhere(NamedTuple):
    """What `calls` yields in place of a function, where the thread that calls is not the one to be measured."""

    call: Callable[[], object]
    clock: Callable[[], float]
    """Seconds of CPU that the measured side has used."""


def other_threads() -> float:
    """The CPU of the program's threads that are alive, but for this one and the agent's."""
    here = threading.get_ident()
    return sum(
        time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.ident not in (None, here) and not thread.name.startswith("perfagent")
    )
