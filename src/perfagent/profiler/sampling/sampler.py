"""The look of the watching thread at what all others run.

A thread that has used no CPU since the last look is where it was: its stack is not walked again. While nothing runs at
all, a look asks for the CPU time of the process alone.

Who looks from a thread of Python sees others where they let go of the interpreter, and that is mostly where they begin
to wait: what runs for less than the switch interval of 5 ms would never be seen to run. So, where threads do not
compete for the interpreter, the interval is 0.1 ms while the profiler is on: nobody but our threads asks for it then.
Where they compete, a first look only makes it short, a second one some 0.1 to 1 ms later sees and makes it long again.
A program that has chosen an interval of its own keeps it.
"""

from __future__ import annotations

import sys
from time import monotonic, monotonic_ns, process_time_ns, thread_time_ns, time_ns

from perfagent.profiler.sampling.places import AWAIT, LISTEN, LOCK, PLAIN, SLEEP
from perfagent.profiler.sampling.stacks import Stacks
from perfagent.profiler.sampling.threads import Interval, Thread
from perfagent.profiler.sampling.window import Window
from perfagent.runtime import companions, frames, ids, machine
from perfagent.runtime.companions import allocate_lock, get_ident
from perfagent.runtime.watch import Look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SLOWEST = 0.25  # seconds between two looks while nothing runs
SHARE = 0.004  # of a core, that looks may take: as much again goes into what they make others wait
SHORT, PYTHONS = 1e-4, 5e-3  # seconds between two switches: ours, and Python's own
COMPETING = 0.2  # share of the time that others than the busiest thread are busy
QUIET, CALM = 100_000, 0.003
"""What is no work since the last full look: so many ns of CPU, and such a share of the time. Timers, wake-ups: uvicorn
takes 0.0014 of a core while it waits."""
PAUSES = (SLEEP, LOCK, AWAIT, LISTEN)
"""What a thread does where it uses no CPU."""
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
        self._short = False  # whether our switch interval is in force
        self.reset()

    def reset(self) -> None:
        """As new: at the start, and in a forked child."""
        self._switching = allocate_lock()
        self.relax()
        self.threads.clear()
        self._last = self._full = monotonic_ns()
        self._process, self._own = process_time_ns(), _ours()
        self._looking = allocate_lock()
        self._knows_all = False  # whether a thread that is not known is a new one
        self._quiet = 0
        self._at_rest = False  # whether the last full look saw every thread where it now waits
        self._idle = SLOWEST / 8
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
                    self._still(self.window, thread, began, quiet)
                self._settle(thread)
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
        with self._switching:
            if self._short and round(sys.getswitchinterval() * 1e6) == round(SHORT * 1e6):
                sys.setswitchinterval(PYTHONS)
            self._short = False

    def _hurry(self) -> None:
        if round(sys.getswitchinterval() * 1e6) == round(PYTHONS * 1e6):
            with self._switching:
                if not self.ended:
                    self._short = True
                    sys.setswitchinterval(SHORT)

    def _act(self) -> None:
        began = thread_time_ns()
        if self._competing and not self._second and not self._is_quiet():
            self._second = True
            self._hurry()
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
            self._hurry()
        spent = (thread_time_ns() - began) / 1e9
        if looked:
            self.cost += (spent - self.cost) / 16
            pause = max(self.period, self.cost / SHARE) * self.scale
            self._idle = SLOWEST / 8
        else:
            self._idle = pause = min(self._idle * 1.5, SLOWEST)
        if self.asked:
            pause = 1 / self.asked
        self._again(max(pause, 0.001) * (0.75 + _random() / 2))

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
        if not _is_alone():
            self._quiet = 0
            return False
        window, quiet, self._quiet = self.window, self._quiet, 0
        self._full, self._process, self._own = now, process_time_ns(), _ours()
        window.looks += 1
        unix = time_ns() - elapsed
        moved, still, gone = self._sorted(frames.of_threads())
        for thread in gone:
            self._still(window, thread, unix - quiet, quiet + (0 if thread.ran else elapsed // 2))
            self._settle(thread)
        for thread in still:
            self._still(window, thread, unix - quiet, elapsed + quiet)
        total = sum(ran for _, _, ran in moved)
        self._at_rest = total < QUIET + CALM * elapsed
        self._competing = total - max((ran for _, _, ran in moved), default=0) > COMPETING * elapsed
        while moved:
            thread, frame, ran = moved.pop()
            if quiet and thread.seen is not None:
                self._still(window, thread, unix - quiet, quiet)
            self._walk(window, thread, frame, Interval(unix, elapsed, ran, total - ran))
            del frame
        if self.besides is not None:
            self.besides(window, now)
        return True

    def _sorted(
        self, innermost: dict[int, FrameType]
    ) -> tuple[list[tuple[Thread, FrameType, int]], list[Thread], list[Thread]]:
        """Threads that have run since the last look, with their frames and CPU times, those that have not, and those
        that have ended.
        """
        for ident in companions.idents():
            innermost.pop(ident, None)
        innermost.pop(get_ident(), None)
        gone = [self.threads.pop(ident) for ident in list(self.threads) if ident not in innermost]
        moved: list[tuple[Thread, FrameType, int]] = []
        still: list[Thread] = []
        for ident in list(innermost):
            frame = innermost.pop(ident)
            thread = self.threads.get(ident)
            ran = None if thread is None else thread.run()
            if thread is None or ran is None:  # a new one, with the number of one that has ended, perhaps
                if thread is not None:
                    gone.append(thread)
                thread = self.threads[ident] = Thread(ident, self._knows_all)
                ran = thread.run() or 0
            if thread.seen is not None and thread.native and not ran and not thread.ran:
                still.append(thread)
            elif len(moved) < MOST_THREADS:
                moved.append((thread, frame, ran))
            else:
                self.window.lost += 1
        self._knows_all = True
        return moved, still, gone

    def _still(self, window: Window, thread: Thread, unix: int, elapsed: int) -> None:
        """A thread is where it was seen."""
        seen = thread.seen
        if seen is None or elapsed <= 0:
            return
        if thread.window is window:
            seen.values[-1] += elapsed
            return
        thread.window = window
        observed = window.observe(seen.stack, seen.thread, seen.state, seen.link, seen.endpoint, unix, elapsed)
        thread.seen = observed

    def _walk(self, window: Window, thread: Thread, frame: FrameType, interval: Interval) -> None:
        stack, span = self.stacks.walk(frame)
        del frame
        kind = stack.places[0].kind if stack.places else PLAIN
        if thread.seen is not None:
            interval = self._shared(window, thread, kind, interval)
        state, gil = thread.judge(kind, interval, span is not None)
        link = endpoint = None
        if span is not None:
            if span.flags & 1:
                link = (span.trace_id, span.span_id)
            endpoint = window.endpoint(span)
        thread.window = window
        seen = thread.seen = window.observe(
            stack, thread.label, state, link, endpoint, interval.unix, interval.elapsed
        )  # fmt: skip
        if seen is None or not thread.ran:
            return
        if thread.pending:
            window.add(window.cpu, seen, thread.pending)
            thread.pending = 0
        if gil:
            window.add(window.gil, seen, gil)

    def _shared(self, window: Window, thread: Thread, kind: int, since: Interval) -> Interval:
        """What remains for the place where a thread is now, after where it was before has its share of the time."""
        unix, elapsed, ran, others = since
        before = 0
        if thread.ran and kind in PAUSES:  # it ran on, and then began to wait
            before = min(ran, elapsed)
            self._still(window, thread, unix, before)
            self._settle(thread)
            return Interval(unix + before, elapsed - before, ran - before, others)
        if not thread.ran and ran and kind not in PAUSES and others < elapsed // 2:  # it waited on, and then ran
            before = max(elapsed - ran, 0)
        elif not thread.ran and elapsed > 1.5e9 * self.period:  # it was looked at seldom: it went on in between
            before = elapsed - min(max(ran, elapsed // 2), elapsed)
        self._still(window, thread, unix, before)
        return Interval(unix + before, elapsed - before, ran, others)

    def _settle(self, thread: Thread) -> None:
        """CPU time of a thread that was never seen to run is told of where it was seen last."""
        if thread.pending and thread.seen is not None:
            self.window.add(self.window.cpu, thread.seen, thread.pending)
            thread.pending = 0


def _is_alone() -> bool:
    """Whether every thread obeys this interpreter's lock: frames of one with a lock of its own change while we look."""
    interpreters = sys.modules.get("_interpreters") or sys.modules.get("_xxsubinterpreters")
    if interpreters is None or sys.version_info < (3, 12):
        return True
    return len(interpreters.list_all()) == 1


def _ours() -> int:
    """CPU time, ns, of our own threads; away from Linux of the one that looks."""
    times = [machine.thread_time(native) for native in companions.native_ids()]
    return sum(time or 0 for time in times) or thread_time_ns()


def _random() -> float:
    return int.from_bytes(ids.span_id()[:2], "little") / 65536
