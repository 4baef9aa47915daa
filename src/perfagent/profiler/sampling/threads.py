"""A thread of the program: how much CPU time it has used, and what it does, judged by that and by where it stands."""

from __future__ import annotations

import os
from typing import NamedTuple

from perfagent.profiler.sampling.places import AWAIT, CALL, DRIVER, LISTEN, LOCK, NETWORK, PLAIN, SLEEP
from perfagent.runtime import inert, machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.profiler.sampling.stacks import Stack
    from perfagent.profiler.sampling.window import Seen, Window

LONGEST_NAME = 200  # characters
STATES = {SLEEP: "sleep", LOCK: "lock", NETWORK: "network", DRIVER: "network"}


class Interval(NamedTuple):
    """The time between two looks at a thread, all in ns.

    `unix` is its beginning, `busy` the CPU time that the thread has used and the time for which it waited for a core,
    `others` the CPU time that all other threads have used.
    """

    unix: int
    elapsed: int
    busy: int
    others: int


class Thread:
    """What is known of a thread of the program.

    Args:
        ident: its number for Python.
        is_new: whether it has begun since the last look: then all that it has used was used since.
    """

    __slots__ = (
        "cpu", "delay", "doubt", "ident", "is_new", "label", "native", "pending", "ran", "rate", "running",
        "running_in", "seen", "unplaced", "waiting", "window",
    )  # fmt: skip

    def __init__(self, ident: int, is_new: bool) -> None:
        self.ident = ident
        self.is_new = is_new
        self._name()
        known = self.native and not is_new
        self.cpu = machine.thread_time(self.native) or 0 if known else 0
        self.delay = machine.core_wait(self.native) if known else 0
        self.seen: Seen | None = None
        self.window: Window | None = None
        """That `seen` is of."""
        self.running: Seen | None = None
        """Where it was seen to run last, in the window `running_in`."""
        self.running_in: Window | None = None
        self.waiting: Seen | None = None
        """Where it was seen to wait last."""
        self.doubt = 0.0
        """How many looks should have seen it there since."""
        self.pending = 0
        """CPU time, ns, that is not told of yet: the thread was seen to wait."""
        self.unplaced = 0
        """The same of wall time."""
        self.rate = 1.0
        """What share of the time for which it wanted a core it had one."""
        self.ran = False
        """Whether it was seen to run Python, or to want to."""

    def run(self) -> int | None:
        """CPU ns since this was asked last; 0 where nobody knows, None where it is not the same thread any more."""
        if not self.native:
            self._name()  # it may have been about to begin
            if not self.native:
                return 0
        cpu = machine.thread_time(self.native)
        if cpu is None or cpu < self.cpu:
            return None
        ran, self.cpu = cpu - self.cpu, cpu
        self.pending += ran
        return ran

    def busy(self, ran: int, elapsed: int) -> int:
        """ns that it ran, or wanted to and had no core: of these `ran` is known, out of `elapsed`."""
        if not self.native or ran > 0.95 * elapsed:
            self.rate = 1.0
            return ran
        delay = machine.core_wait(self.native)
        waited, self.delay = max(delay - self.delay, 0), delay
        self.rate = ran / (ran + waited) if ran else 0.0
        return ran + waited

    def is_at(self, seen: Seen | None, window: Window, runs: bool) -> None:
        """Notes where it was seen."""
        self.seen, self.window, self.ran = seen, window, runs and seen is not None
        if runs:
            self.running, self.running_in = seen, window
        else:
            self.waiting, self.doubt = seen, 0.0

    def _name(self) -> None:
        name, self.native = _named(self.ident)
        self.label = (name, self.native or self.ident)

    def judge(self, stack: Stack, kind: int, interval: Interval, for_request: bool) -> tuple[str, int]:
        """Its state, and for how many ns it was kept from the interpreter, about.

        Who was seen to run Python twice, and was busy for less time than has passed, was kept from it in between: by
        the interpreter's lock as far as others have run. A wait that began and ended in between counts as that, too.

        Args:
            stack: where it is.
            kind: what the innermost instruction does.
            interval: since the last look.
            for_request: whether it works for a span.
        """
        elapsed, busy = interval.elapsed, interval.busy
        wanted = kind in (PLAIN, CALL) and bool(self.native) and (self.ran or not busy)
        gil = min(max(elapsed - busy, 0), interval.others) if wanted else 0
        state = STATES.get(kind, "")
        if busy > elapsed * (0.5 if kind == DRIVER else 0.9):
            state = "running"
        elif kind == AWAIT:
            state = "lock" if for_request else "waiting"
        elif kind == LISTEN:
            state = "network" if for_request else "waiting"
        elif kind == CALL and self.native and self._stays(stack, busy, elapsed, gil):
            state = "waiting"
        elif not state:
            state = "gil" if gil > elapsed / 2 else "running"
        return state, gil if state in ("running", "gil") else 0

    def _stays(self, stack: Stack, busy: int, elapsed: int, gil: int) -> bool:
        """Whether it waits in a function in C whose name does not tell: it uses nothing, or is there again and again
        and uses hardly anything.
        """
        return not busy or (
            self.seen is not None and self.seen.stack is stack and busy < elapsed / 10 and gil < elapsed / 2
        )


def _named(ident: int) -> tuple[str, int]:
    """Name of a thread, and the kernel's number; 0 where nobody knows it."""
    thread = machine.threads().get(ident)
    if thread is None:
        return ("MainThread", os.getpid()) if ident == machine.main_thread else (f"thread {ident}", 0)
    name = inert.attributes_of(thread).get("_name")
    name = name[:LONGEST_NAME] if type(name) is str else f"thread {ident}"
    return name, machine.native_of(thread)
