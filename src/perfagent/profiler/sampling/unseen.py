"""CPU time of threads that nobody saw: what the process has used, less what every known thread has.

A server that starts a thread for each request has most of its CPU time in threads that live for less than the time
between two looks; it is told of where those of them were that were seen to run and had ended at the next look: the more
a place takes, the more often one of them is seen there. What nobody was seen for has a name of its own, and so have
threads that `threading` did not start: libraries' own, which go on and are found in /proc. 10 us a look, and 20 more
where much of the time is not accounted for. Only Linux tells what single threads use.
"""

from __future__ import annotations

import os

from perfagent.profiler.sampling.stacks import Stack
from perfagent.profiler.sampling.window import Seen
from perfagent.runtime import companions, machine
from perfagent.runtime.clock import process_time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.profiler.sampling.threads import Thread
    from perfagent.profiler.sampling.window import Window

ENDED = "(threads that have ended)"
FOREIGN = "(threads of libraries)"
LEAST, SHARE = 2_000_000, 0.02
"""What is worth asking for: so many ns, and such a share of the time. The kernel adds up what a process has used by the
timer's tick, 4 ms or less."""
MOST = 10_000  # threads of a window that are noted
TASKS = "/proc/self/task"


class Unseen:
    """What has been used and is nobody's yet, in ns; below 0 for a moment where the kernel's sum lags behind."""

    def __init__(self) -> None:
        self.owed = 0
        self._process = 0
        self._ours: dict[int, int] = {}
        self._foreign: dict[int, int] = {}
        self._claims: list[tuple[Seen, float]] = []
        self._tells = machine.thread_time(os.getpid()) is not None

    def begin(self) -> None:
        """What has been used up to now is of no interest."""
        self._process, self.owed = process_time_ns(), 0
        self._own()
        if self._tells:
            self._foreign = {native: machine.thread_time(native) or 0 for native in _strangers()}

    def passed(self, window: Window, ran: int, elapsed: int) -> None:
        """Notes what the process has used since this was called last.

        Args:
            window: where what belongs to nobody is told.
            ran: what all known threads have, ns.
            elapsed: ns since then.
        """
        if not self._tells:
            return
        process = process_time_ns()
        more = process - self._process - ran - self._own()
        self._process = process
        self.owed += more
        if more > LEAST + SHARE * elapsed:
            self._ask(window)

    def claim(self, thread: Thread) -> None:
        """Notes where a thread that has ended was seen to run: it counts by how much of the time it had a core."""
        seen = thread.running
        if thread.ran and seen is not None and len(self._claims) < MOST:
            self._claims.append((seen, thread.rate))

    def close(self, window: Window) -> None:
        """Tells whose it is, where it is more than the kernel may be wrong by."""
        claims, self._claims = self._claims, []
        if self.owed <= LEAST:
            return
        whole = sum(weight for _, weight in claims)
        for seen, weight in claims:
            if whole:
                window.add(window.cpu, seen, int(self.owed * weight / whole))
        if not whole:
            _tell(window, ENDED, self.owed)
        self.owed = 0

    def _own(self) -> int:
        """What our own threads have used since this was asked last; around a fork they are others."""
        before = self._ours
        self._ours = {native: machine.thread_time(native) or 0 for native in companions.native_ids()}
        return sum(max(cpu - before.get(native, 0), 0) for native, cpu in self._ours.items())

    def _ask(self, window: Window) -> None:
        """Finds threads that `threading` does not know: who was there once only was about to begin, or to end."""
        found: dict[int, int] = {}
        for native in _strangers():
            cpu = machine.thread_time(native)
            if cpu is None:
                continue
            before = self._foreign.get(native)
            if before is None or cpu < before:
                found[native] = 0
                continue
            found[native] = cpu
            if cpu > before:
                self.owed -= cpu - before
                _tell(window, FOREIGN, cpu - before)
        self._foreign = found


def _tell(window: Window, name: str, value: int) -> None:
    window.add(window.cpu, Seen(_STACKS[name], ("", 0), "", None, None), value)


def _strangers() -> list[int]:
    """The kernel's numbers of threads that are neither ours nor known to `threading`."""
    known = {os.getpid(), *companions.native_ids()}
    known.update(map(machine.native_of, list(machine.threads().values())))
    try:
        return [native for native in map(int, os.listdir(TASKS)) if native not in known]
    except OSError:
        return []


_STACKS = {name: Stack((), task=name) for name in (ENDED, FOREIGN)}
