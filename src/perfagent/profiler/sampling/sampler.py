"""The look of the watching thread at what all others run.

A thread that has used no CPU since the last look is where it was: its stack is not walked again. While nothing runs at
all, a look asks for the CPU time of the process alone.

Who looks from a thread of Python sees others where they let go of the interpreter, and that is mostly where they begin
to wait: what runs for less than the switch interval of 5 ms would never be seen to run. So, where threads do not
compete for the interpreter, the interval is 0.1 ms while the profiler is on: nobody but our threads asks for it then.
Where they compete, a first look only makes it short, a second one some 0.1 to 1 ms later sees and makes it long again.
While our background thread encodes it is 1 ms: to take turns with it every 0.1 ms costs a program that answers 2,700
requests a second 20 us of CPU each. A program that has chosen an interval of its own keeps it.
"""

from __future__ import annotations

import sys

from perfagent.profiler.sampling import shares
from perfagent.profiler.sampling.places import PLAIN
from perfagent.profiler.sampling.stacks import Stacks
from perfagent.profiler.sampling.threads import Interval, Thread
from perfagent.profiler.sampling.unseen import Unseen
from perfagent.profiler.sampling.window import Window
from perfagent.runtime import companions, frames, ids, machine
from perfagent.runtime.clock import monotonic, monotonic_ns, process_time_ns, thread_time_ns, time_ns
from perfagent.runtime.companions import allocate_lock, get_ident
from perfagent.runtime.watch import Look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SLOWEST = 0.5  # seconds between two looks while nothing runs
SHARE = 0.004  # of a core, that looks may take: as much again goes into what they make others wait
SHORT, SHARED, PYTHONS = 1e-4, 1e-3, 5e-3
"""Seconds between two switches: ours, that while our own background thread works, and Python's own."""
COMPETING = 0.2  # share of the time that others than the busiest thread are busy
QUIET, CALM = 100_000, 0.004
"""What is no work since the last full look: so many ns of CPU, and such a share of the time. Timers, wake-ups: uvicorn
takes 0.0014 to 0.0028 of a core while it waits."""
MOST_THREADS = 64  # of those that ran, that are walked at one look


class Sampler:
    """Looks, and counts in windows.

    Args:
        rate: looks a second, at most.
        depth: calls of a stack.
    """

    def __init__(self, rate: float, depth: int) -> None:
        self.period = 1 / rate
        self.stacks = Stacks(depth)
        self.look = Look("profiler", self.period, self._act)
        self.threads: dict[int, Thread] = {}
        self.cost = 0.0
        """CPU seconds that a look takes, its mean."""
        self.asked = 0.0
        """Looks a second that a person has asked for, for a while."""
        self.scale = 1.0
        """By how much the governor slows it down."""
        self.besides: Callable[[Window, int], None] | None = None
        """What is looked at besides: tasks that wait."""
        self.ended = False
        self._short = self._shares = False  # whether our switch interval is wanted; whether the background thread works
        self._interval = PYTHONS  # what was put in force last
        self.reset()

    def reset(self) -> None:
        """As new: at the start, and in a forked child."""
        self._switching = allocate_lock()
        self._shares = False
        self.relax()
        self.threads.clear()
        self._last = self._full = monotonic_ns()
        self._process, self._own = process_time_ns(), _ours()
        self._looking = allocate_lock()
        self.unseen = Unseen()
        self._knows_all = False  # whether a thread that is not known is a new one
        self._quiet = 0
        self._at_rest = False  # whether the last full look saw every thread where it now waits
        self._idle = self.period
        self._second = self._competing = False
        self.window = Window(self._last)

    def take(self, timeout: float = 0.2) -> Window | None:
        """What was seen up to now; a new window begins. None where a look takes longer than `timeout` seconds."""
        if not self._looking.acquire(timeout=timeout):
            return None
        try:
            quiet, self._quiet = self._quiet, 0
            began = time_ns() - (monotonic_ns() - self._last) - quiet
            for thread in self.threads.values():
                if quiet:
                    shares.still(self.window, thread, began, quiet)
                shares.settle(self.window, thread)
            self.unseen.close(self.window)
            taken, self.window = self.window, Window(monotonic_ns())
            taken.lost += self.stacks.lost
            self.stacks.close_window()
            return taken
        finally:
            self._looking.release()

    def hurry(self, rate: float) -> None:
        """Looks so many times a second, whatever that costs; 0: as often as it was told at first."""
        self.asked = rate

    def end(self) -> None:
        """For good: the program has its switch interval back."""
        self.ended = True
        self.relax()

    def relax(self) -> None:
        """Gives the program its switch interval back, unless it has set another one since."""
        self._switch(False)

    def share(self, works: bool) -> None:
        """Is told when the background thread begins and ends what it computes."""
        self._shares = works
        if self._short:
            self._switch(True)

    def _switch(self, short: bool) -> None:
        with self._switching:
            self._short = short and not self.ended
            wanted = PYTHONS if not self._short else SHARED if self._shares else SHORT
            chosen = round(sys.getswitchinterval() * 1e6)
            if wanted != self._interval and chosen in (round(self._interval * 1e6), round(PYTHONS * 1e6)):
                sys.setswitchinterval(wanted)
                self._interval = wanted

    def _act(self) -> None:
        began = thread_time_ns()
        if self._competing and not self._second and not self._is_quiet():
            self._second = True
            self._switch(True)
            self._again(0.0001 + 0.001 * _random())
            return
        self._second = False
        if not self._looking.acquire(False):
            return
        try:
            looked = self._sample()
        finally:
            self._looking.release()
        if self._competing:
            self.relax()
        else:
            self._switch(True)
        spent = (thread_time_ns() - began) / 1e9
        if looked:
            self.cost += (spent - self.cost) / 16
            pause = max(self.period, self.cost / SHARE) * self.scale
            self._idle = self.period
        else:
            self._idle = pause = min(self._idle * 1.5, SLOWEST)
        if self.asked:
            pause = 1 / self.asked
        # At rest it comes with other looks: nothing runs that a steady beat could miss.
        self._again(pause if pause == SLOWEST else max(pause, 0.001) * (0.75 + _random() / 2))

    def _again(self, seconds: float) -> None:
        self.look.due = monotonic()
        self.look.interval = seconds

    def _is_quiet(self) -> bool:
        """Whether hardly anything but us has run since the last full look."""
        used = process_time_ns() - self._process - (_ours() - self._own)
        return used < QUIET + CALM * (monotonic_ns() - self._full)

    def _sample(self) -> bool:
        """Looks at every thread; says whether anything ran."""
        now = monotonic_ns()
        elapsed, self._last = now - self._last, now
        self.window.settle()
        if self._at_rest and self._is_quiet():
            self._quiet += elapsed
            if self.besides is not None:
                self.besides(self.window, now)
            return False
        if not frames.can_be_read():
            self._quiet = 0
            return False
        window, quiet, self._quiet = self.window, self._quiet, 0
        self._full, self._process, self._own = now, process_time_ns(), _ours()
        window.looks += 1
        unix = time_ns() - elapsed
        knew_all = self._knows_all
        moved, still, gone, total = self._sorted(frames.of_threads())
        if knew_all:
            self.unseen.passed(window, total, elapsed + quiet)
        else:
            self.unseen.begin()
        for thread in gone:
            self.unseen.claim(thread)
            shares.still(window, thread, unix - quiet, quiet + elapsed // 2)
            shares.settle(window, thread)
        for thread in still:
            shares.still(window, thread, unix - quiet, elapsed + quiet)
        self._at_rest = total < QUIET + CALM * elapsed
        self._competing = total - max((ran for _, _, ran in moved), default=0) > COMPETING * elapsed
        while moved:
            thread, frame, ran = moved.pop()
            if quiet and thread.seen is not None:
                shares.still(window, thread, unix - quiet, quiet)
            self._walk(window, thread, frame, Interval(unix, elapsed, thread.busy(ran, elapsed), total - ran))
            del frame
        if self.besides is not None:
            self.besides(window, now)
        return True

    def _sorted(
        self, innermost: dict[int, FrameType]
    ) -> tuple[list[tuple[Thread, FrameType, int]], list[Thread], list[Thread], int]:
        """Threads that have run since the last look, with their frames and CPU times, those that have not, those that
        have ended, and the CPU time of all, ns.
        """
        for ident in companions.idents():
            innermost.pop(ident, None)
        innermost.pop(get_ident(), None)
        gone = [self.threads.pop(ident) for ident in list(self.threads) if ident not in innermost]
        moved: list[tuple[Thread, FrameType, int]] = []
        still: list[Thread] = []
        total = 0
        for ident in list(innermost):
            frame = innermost.pop(ident)
            thread = self.threads.get(ident)
            ran = None if thread is None else thread.run()
            if thread is None or ran is None:  # a new one, with the number of one that has ended, perhaps
                if thread is not None:
                    gone.append(thread)
                thread = self.threads[ident] = Thread(ident, self._knows_all)
                ran = thread.run() or 0
            total += ran
            if thread.seen is not None and thread.native and not ran and not thread.ran:
                still.append(thread)
            elif len(moved) < MOST_THREADS:
                moved.append((thread, frame, ran))
            else:
                self.window.lost += 1
        self._knows_all = True
        return moved, still, gone, total

    def _walk(self, window: Window, thread: Thread, frame: FrameType, interval: Interval) -> None:
        stack, span = self.stacks.walk(frame)
        del frame
        kind = stack.places[0].kind if stack.places else PLAIN
        link = endpoint = None
        if span is not None:
            if span.flags & 1:
                link = (span.trace_id, span.span_id)
            endpoint = window.endpoint(span)
        state, gil = thread.judge(stack, kind, interval, span is not None)
        runs = state in ("running", "gil")
        seldom = interval.elapsed > 1.5e9 * self.period
        began, elapsed = shares.here(window, thread, interval, runs, gil, link, seldom)
        seen = window.observe(stack, thread.label, state, link, endpoint, began, elapsed)
        thread.is_at(seen, window, runs)
        if seen is None or not runs:
            return
        if thread.pending:
            window.add(window.cpu, seen, thread.pending)
            thread.pending = 0
        if thread.unplaced:
            window.add(window.late, seen, thread.unplaced, state)
            thread.unplaced = 0
        if gil:
            window.add(window.gil, seen, gil)


def _ours() -> int:
    """CPU time, ns, of our own threads; away from Linux of the one that looks."""
    times = [machine.thread_time(native) for native in companions.native_ids()]
    return sum(time or 0 for time in times) or thread_time_ns()


def _random() -> float:
    return int.from_bytes(ids.span_id()[:2], "little") / 65536
