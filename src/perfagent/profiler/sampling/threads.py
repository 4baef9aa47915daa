"""A thread of the program: how much CPU time it has used, and what it does, judged by that and by where it stands."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from perfagent.profiler.sampling.places import AWAIT, CALL, DRIVER, LISTEN, LOCK, NETWORK, PLAIN, SLEEP
from perfagent.runtime import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.profiler.sampling.window import Seen, Window

STATES = {SLEEP: "sleep", LOCK: "lock", NETWORK: "network", DRIVER: "network"}


class Interval(NamedTuple):
    """The time between two looks at a thread, all in ns.

    `unix` is its beginning, `ran` the CPU time that the thread has used, `others` what all other threads have.
    """

    unix: int
    elapsed: int
    ran: int
    others: int


class Thread:
    """What is known of a thread of the program.

    Args:
        ident: its number for Python.
        is_new: whether it has begun since the last look: then all that it has used was used since.
    """

    __slots__ = ("cpu", "ident", "label", "native", "pending", "ran", "seen", "window")

    def __init__(self, ident: int, is_new: bool) -> None:
        self.ident = ident
        self._name()
        self.cpu = 0 if is_new or not self.native else machine.thread_time(self.native) or 0
        self.seen: Seen | None = None
        self.window: Window | None = None
        """That `seen` is of."""
        self.pending = 0
        """CPU time, ns, that is not told of yet: the thread was seen to wait."""
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

    def _name(self) -> None:
        name, self.native = _named(self.ident)
        self.label = (name, self.native or self.ident)

    def judge(self, kind: int, interval: Interval, for_request: bool) -> tuple[str, int]:
        """Its state, and for how many ns it was kept from the interpreter, about.

        Who was seen to run Python twice, and has used less CPU than time has passed, was kept from it in between: by
        the interpreter's lock as far as others have run, and else by who else is on the machine. A wait in a function
        in C that began and ended in between counts as that, too.

        Args:
            kind: what the innermost instruction does.
            interval: since the last look.
            for_request: whether it works for a span.
        """
        elapsed, ran = interval.elapsed, interval.ran
        wanted = kind in (PLAIN, CALL) and bool(self.native) and (self.ran or not ran)
        gil = min(max(elapsed - ran, 0), interval.others) if wanted else 0
        state = STATES.get(kind, "")
        if ran > elapsed * (0.5 if kind == DRIVER else 0.9):
            state = "running"
        elif kind == AWAIT:
            state = "lock" if for_request else "waiting"
        elif kind == LISTEN:
            state = "network" if for_request else "waiting"
        elif kind == CALL and not ran and self.native:
            state = "waiting"
        elif not state:
            state = "gil" if gil > elapsed / 2 else "running"
        self.ran = state in ("running", "gil")
        return state, gil


def _named(ident: int) -> tuple[str, int]:
    """Name of a thread, and the kernel's number; 0 where nobody knows it."""
    threading = sys.modules.get("threading")
    thread = None if threading is None else threading._active.get(ident)
    if threading is None or thread is None:
        return ("MainThread", os.getpid()) if ident == machine.main_thread else (f"thread {ident}", 0)
    if thread is threading._main_thread and sys.platform == "linux":
        return str(thread._name), os.getpid()
    return str(thread._name), getattr(thread, "_native_id", None) or 0
