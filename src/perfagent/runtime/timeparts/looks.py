"""Looks at slow requests from outside: what they wait for, and whether a loop that cannot tell is idle.

A quick request is over before it is looked at. Of a slow one, the time that went by since the last look without CPU
time counts for what it waits for now. What stands in the spans below it, and what pools tell by themselves, is left
out.
"""

from __future__ import annotations

from itertools import islice

from perfagent.runtime import callers, flight, frames, governor, http, machine, pauses
from perfagent.runtime.clock import monotonic, now
from perfagent.runtime.span import CLIENT
from perfagent.runtime.timeparts import waits
from perfagent.runtime.timeparts.loops import active
from perfagent.runtime.timeparts.parts import Parts, in_threads
from perfagent.runtime.watch import Look, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from perfagent.runtime.callers import Caller
    from perfagent.runtime.timeparts.loops import LoopTime

SLOW = 10_000_000  # ns; what has taken so long is looked at
OFTEN, SOON, SELDOM, REST = 0.01, 0.02, 0.05, 0.5
"""Seconds between two looks: at slow requests; while there have been some lately; while there are any requests; else.
50 looks a second took 5 us of CPU of each of 2,700 requests that were all quick, 20 take 2."""
CALM = 5.0  # seconds without a request until it rests, and without a slow one until it looks seldom
MOST = 16  # requests that are looked at in one look
WORTH = 1_000_000  # ns of waiting between two looks that are worth a look at what for

FACTORS = (1, 3, 10, 10)
"""By how much rarer the looks are, by the governor's step; with the last one no request is timed at all."""
_factor = 1


def start() -> None:
    """Begins to look."""
    look = Look("time parts", REST, lambda: None)
    looks = Looks(look)
    look.action = looks.look
    watch.add(look)
    governor.levers.append(governor.Lever("looks at slow requests", governor.DETAIL, len(FACTORS) - 1, _lower))


def _lower(step: int) -> str:
    global _factor
    _factor = FACTORS[step]
    timed = step < len(FACTORS) - 1
    if timed is not http.timing:
        http.time(timed)
    if not timed:
        return "requests are not timed by parts"
    return f"slow requests are looked at every {OFTEN * _factor * 1000:.0f} ms"


class Looks:
    """What is done at each look.

    Args:
        look: whose interval follows what there is to see.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._busy = self._slow = 0.0
        self._frames: dict[int, FrameType] | None = None

    def look(self) -> None:
        """Looks at all that is slow; 10 us where nothing is, 30 us a slow request."""
        pauses.keep()
        if not in_threads and not active:
            self._look.interval = self._between() if monotonic() - self._busy < CALM else REST
            return
        self._busy = monotonic()
        moment, seen = now(), 0
        try:
            for thread, parts in islice(in_threads.copy().items(), 256):
                if moment - parts.began >= SLOW and seen < MOST and not parts.shared:
                    seen += 1
                    self._thread(parts, thread, moment, parts.began, parts.since)
            for loop in list(active.values()):
                seen += self._loop(loop, moment)
        finally:
            self._frames = None  # the program's frames must end when they end
        if seen:
            self._slow = self._busy
        self._look.interval = (OFTEN if seen else self._between()) * _factor

    def _between(self) -> float:
        return SOON if monotonic() - self._slow < CALM else SELDOM

    def _frame(self, thread: int) -> FrameType | None:
        if self._frames is None:
            self._frames = frames.of_threads()
        frame = self._frames.get(thread)
        return frame and frames.stack(frame)[0]  # all above it is safe to read now

    def _thread(self, parts: Parts, thread: int, moment: int, began: int, cpu_before: int) -> None:
        """Looks at what works for a request in a thread since `began`, when its CPU clock said `cpu_before`."""
        native = _native(thread)
        cpu = machine.thread_time(native) if native else None
        if cpu is None:
            return
        if parts.seen < began:
            parts.seen, parts.seen_cpu = began, cpu_before
        off = moment - parts.seen - (cpu - parts.seen_cpu)
        parts.seen, parts.seen_cpu = moment, cpu
        if off >= WORTH and not _is_told(parts):
            frame = self._frame(thread)
            _add(parts, waits.of_thread(native, frame), off, callers.nearest(frame))

    def _loop(self, loop: LoopTime, moment: int) -> int:
        """Looks at a loop, and at what waits on it; returns how many were slow."""
        running, seen = loop.current, 0
        if running is not None:
            at = running.at
            if moment - at >= SLOW and loop.current is running:
                seen += 1
                self._thread(running, loop.thread, moment, at, loop.mark_cpu + max(at - loop.mark, 0))
        elif not loop.hooked:
            self._idle(loop, moment)
        for parts in list(loop.open.values())[:256]:
            if parts is running or moment - parts.began < SLOW or seen >= MOST:
                continue
            seen += 1
            since = max(parts.seen, parts.last)
            parts.seen = moment
            if not parts.asking and not _is_told(parts):
                kind, place = waits.of_task(parts.awaited)
                _add(parts, kind, moment - since, place)
        return seen

    def _idle(self, loop: LoopTime, moment: int) -> None:
        """Whether a loop that does not tell it is busy with something that is no request's step."""
        native = _native(loop.thread)
        frame = self._frame(loop.thread)
        if not native or frame is None or waits.is_idle(native, id(frame.f_code) == loop.base):
            loop.busy = 0
        elif not loop.busy:
            loop.busy = max(loop.last + 1, moment - int(OFTEN * _factor * 1e9))


def _is_told(parts: Parts) -> bool:
    """Whether what it does now has a span of its own, which tells of the wait."""
    span = flight.running[parts.slot] if parts.slot >= 0 else None
    return span is not None and span.kind == CLIENT and not span.ended


def _add(parts: Parts, kind: str | None, time: int, place: Caller | None) -> None:
    if kind is None or time <= 0:
        return
    if place is not None and kind != waits.PROCESSOR:
        if parts.places is None:
            parts.places = {}
        key = id(place[0]), place[1]
        if key in parts.places:
            parts.places[key][2] += time
        elif len(parts.places) < MOST:
            parts.places[key] = [*place[:2], time]
    if parts.waits is None:
        parts.waits = {}
    parts.waits[kind] = parts.waits.get(kind, 0) + time


def _native(thread: int) -> int:
    """The kernel's number of a thread; 0 where nobody knows."""
    known = machine.threads().get(thread)
    return 0 if known is None else machine.native_of(known)
