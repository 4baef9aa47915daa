"""One thread that looks at the program from outside: stacks, blocked loops, threads, what the agent itself costs.

Each feature adds a look with its interval; the thread sleeps until the next one is due, and does not exist while there
is none. What its looks cost is counted, for `perfagent.runtime.governor` keeps that below a ceiling.
"""

from __future__ import annotations

from perfagent.runtime import companions, guard
from perfagent.runtime.clock import monotonic, thread_time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

LONGEST = 60.0  # seconds that it sleeps at most
EARLY, EARLIEST = 0.2, 0.01
"""What part of its interval, and how many seconds at most, a look may come before its time where the thread is awake
already: to sleep and to wake up costs as much as most looks."""
GRIDS = ((0.5, 0.5), (0.1, 0.05))
"""From which interval on looks fall on multiples of so many seconds, for the same reason: a process that rests is woken
up twice a second for all of them."""


class Look:
    """Something that is done every so often.

    Args:
        name: of the feature, for what is told of costs and failures.
        interval: seconds between the beginnings of two; may be changed at any time.
        action: what to do, with the watching thread's stack on top; must not block.
    """

    __slots__ = ("action", "cost", "due", "interval", "name")

    def __init__(self, name: str, interval: float, action: Callable[[], object]) -> None:
        self.name = name
        self.interval = interval
        self.action = action
        self.due = monotonic() + interval
        self.cost = 0
        """CPU time that it has taken, ns."""


class Watch(companions.Worker):
    """The thread; `watch` is the one of this process."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        super().__init__()

    def add(self, look: Look) -> None:
        """Does a look from now on."""
        self.looks = [*self.looks, look]
        if self not in companions.all_of_them:
            companions.all_of_them.append(self)
        self.start()
        self._nudge()

    def remove(self, look: Look) -> None:
        """Does it no more; the thread ends with the last one."""
        self.looks = [one for one in self.looks if one is not look]
        self._nudge()

    @property
    def runs(self) -> bool:
        """Whether there is a thread."""
        return self._running

    def _is_wanted(self) -> bool:
        return bool(self.looks)

    def _work(self, wake: LockType) -> None:
        while True:
            due = min((look.due for look in self.looks), default=0.0)
            wake.acquire(timeout=min(max(due - monotonic(), 0.0), LONGEST))
            if self._is_over():
                return
            for look in self.looks:
                if monotonic() + min(look.interval * EARLY, EARLIEST) >= look.due:
                    self._do(look)
                    if self._halted:
                        break

    def _do(self, look: Look) -> None:
        began = thread_time_ns()
        try:
            look.action()
        except Exception:
            guard.failed(look.name)
        look.cost += thread_time_ns() - began
        due = max(look.due + look.interval, monotonic())
        grid = next((grid for least, grid in GRIDS if look.interval >= least), 0.0)
        look.due = due - due % grid if grid else due


watch = Watch()
"""The one of this process."""
