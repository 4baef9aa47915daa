"""Which line blocks an event loop: the loop's thread is looked at while it blocks, from the watching thread.

Where a look finds a loop at work, it hands it a callback, and looks every CLOSE seconds until the loop has come to it.
So whoever is ready waits for as long as the callback did, and the line that most looks saw is the one to change. A loop
that waits for its sockets is asked nothing, and pays nothing.

A block is measured from half a look before the first look that saw it: one of `threshold + INTERVAL / 2` and longer is
told for certain, one below `threshold - INTERVAL / 2` never, and what lies between with a probability that rises
evenly. Time in which the kernel let the thread wait for a processor is not counted.

A look of a thread that has slept costs 20 to 40 us of CPU time, 100 with a hundred threads, and there are 20 a second:
0.1 % of a processor. Where no look has found a loop at work for AFTER seconds there are two a second, and the first
block is told for certain from `threshold + RESTING` on. A loop that is at work when a look comes pays 6 us for the
callback.
"""

from __future__ import annotations

from perfagent.runtime import callers, carriers, clock, flight, frames, governor, machine
from perfagent.runtime.clock import monotonic, thread_time_ns
from perfagent.runtime.span import CLIENT, Span
from perfagent.runtime.watch import Look, watch
from perfagent.vitals import blockers, eventloop, garbage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.settings import Settings
    from perfagent.vitals.eventloop import Pulse

    Line = tuple[CodeType, int]

INTERVAL = 0.05  # seconds between two looks
CLOSE = 0.02  # while a loop has not come to what it was handed
RESTING, AFTER = 0.5, 5.0
"""Seconds between two looks where for so long none has found a loop at work, and nobody has asked it for anything."""
GONE = 5.0  # seconds without a loop, after which nobody looks any more
PLACES = 64  # lines that one block is told apart by
DEPTH = 100  # frames of a stack
EVENT = "perfagent.loop.blocked"
CO_COROUTINE = 0x80


def install(settings: Settings) -> None:
    """Looks at the event loops from the first one that runs."""
    Loops(settings.blocked_loop / 1000).begin()


class Loops:
    """All loops of the process.

    Args:
        threshold: seconds for which a loop may be busy with one thing.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._interval = INTERVAL
        self._look = Look("blocked loops", INTERVAL, self.look)
        self._seen = self._alive = self._worked = 0.0
        self._looking = False
        self._asked: dict[int, Busy] = {}
        self._used: dict[int, int | None] = {}

    def begin(self) -> None:
        """Is told of each loop that begins."""
        governor.levers.append(governor.Lever("looks at event loops", governor.RATE, 2, self.slow_down))
        eventloop.begun = self.wake
        if eventloop.beating:
            self.wake()

    def slow_down(self, step: int) -> str:
        """Looks half as often with each step; a block is then told for certain from somewhat longer on."""
        self._interval = INTERVAL * 2**step
        return f"each {self._interval * 1000:.0f} ms"

    def wake(self) -> None:
        """There is a loop: looks, unless it does."""
        if not self._looking:
            self._looking = True
            self._seen = self._alive = self._worked = monotonic()
            self._look.due = self._seen + INTERVAL
            watch.add(self._look)

    def look(self) -> None:
        """Looks at each loop's thread once."""
        now = monotonic()
        gap, self._seen = now - self._seen, now
        pulses = list(eventloop.beating.values())
        if pulses:
            self._alive = now
        elif now - self._alive > GONE:
            self._looking = False
            self._asked.clear()
            self._used.clear()
            watch.remove(self._look)
            return
        known = {id(pulse) for pulse in pulses}
        for key in [key for key in self._asked if key not in known]:
            ended = self._asked.pop(key)
            if ended.answered:  # the loop has ended, and the last that it did was this
                ended.settle(self.threshold)
        innermost = frames.of_threads()
        try:
            for pulse in pulses:
                self._look_at(pulse, innermost.get(pulse.thread), now, gap)
        finally:
            innermost.clear()  # it holds this frame, too, and would live on in a circle
        if self._asked:
            self._worked = now
        resting = now - self._worked > AFTER
        self._look.interval = CLOSE if self._asked else max(self._interval, RESTING) if resting else self._interval

    def _look_at(self, pulse: Pulse, frame: FrameType | None, now: float, gap: float) -> None:
        busy = self._asked.get(id(pulse))
        if busy is not None and busy.answered:
            del self._asked[id(pulse)]
            busy.settle(self.threshold)
            busy = None
        if frame is None:
            return
        frames.stack(frame)  # all above it is safe to read now
        used = machine.thread_time(pulse.native)
        before, self._used[id(pulse)] = self._used.get(id(pulse)), used
        step = _step(frame)
        if busy is not None:
            busy.sample(frame, step, now)
            if busy.event:
                busy.event[f"{EVENT}.seconds"] = round(now - busy.since, 3)
            elif busy.event is None and now - busy.since >= self.threshold:
                busy.tell_span(frame)
        elif step:
            interval = self._interval
            # Who holds the interpreter lock in C lets no look pass: what is seen after a late one, in the same call
            # still, for the lock is given back at its end, went on all the time.
            expected = max(interval, self._look.interval)
            late = gap > expected + self.threshold / 2 and used is not None and before is not None
            held = late and used - before > 0.5e9 * gap and bool(blockers.called(frame))  # type: ignore[operator]
            busy = Busy(pulse.native, now - gap + expected / 2 if held else now - min(gap, interval) / 2)
            try:
                pulse.ask(busy.answer)
            except RuntimeError:  # it has just closed
                return
            self._asked[id(pulse)] = busy
            if held:
                busy.sample(frame, step, now)
                busy.used, busy.measured = before, busy.since
                busy.tell_span(frame)


class Busy:
    """A loop at work, from the look that saw it until it comes to what it was handed.

    Args:
        thread: the loop's, by the system's identity.
        since: when it began, by the monotonic clock, in seconds.
    """

    def __init__(self, thread: int, since: float) -> None:
        self.thread = thread
        self.since = self.measured = since
        self.answered = 0.0
        self.event: dict[str, object] | None = None
        self.used: int | None = None  # CPU time of the thread at `measured`, ns
        self.delayed = 0  # and for how long it had waited for a processor then, ns
        self.computed = 0  # CPU time of the thread at the end, ns
        self.places: dict[Line | None, Place] = {}
        self.steps: set[int] = set()
        self.samples = 0
        self._looked = since

    def answer(self) -> None:
        """Called by the loop."""
        self.answered = monotonic()
        self.computed = thread_time_ns()

    def sample(self, frame: FrameType, step: int, now: float) -> None:
        """Counts a look: the time since the last one is spent where the thread is now."""
        if not self.samples:
            self.used, self.delayed, self.measured = machine.thread_time(self.thread), _delay(self.thread), now
        spent, self._looked = now - self._looked, now
        self.samples += 1
        self.steps.add(step)
        own = nearest(frame)
        place = self.places.get(own)
        if place is None:
            if len(self.places) >= PLACES:
                return
            place = self.places[own] = Place(own, frame)
        place.spent += spent
        place.instructions.add((frame.f_code, frame.f_lasti))

    def tell_span(self, frame: FrameType) -> None:
        """Adds an event to the span that the thread works for, while that is open; it is completed at the end."""
        self.event = {}
        span = carriers.span_of(frame)
        span = getattr(span, "lender", span)
        if isinstance(span, Span) and span.kind == CLIENT:  # a synchronous call: it is the request that is to blame
            span = span.entry
        place = self.place
        if place is None or not isinstance(span, Span) or not span.is_recording():
            return
        lasted = monotonic() - self.since
        told = {**place.attributes(), "code.stacktrace": place.text(), **self._judged(place, lasted, None)}
        began = max(clock.now() - round(lasted * 1e9), span.started)
        span.add_event(EVENT, told, began + clock.offset)
        for event in span.details.events if span.details is not None else ():
            if event[0] == EVENT:
                self.event = event[2]

    @property
    def place(self) -> Place | None:
        """Where most of the time was spent."""
        return max(self.places.values(), key=lambda one: one.spent, default=None)

    def settle(self, threshold: float) -> None:
        """The loop goes on: tells of it, where it was blocked for long enough and by something of the program's."""
        lasted = self.answered - self.since
        place = self.place
        if lasted < threshold or place is None:
            return
        judged = self._judged(place, lasted, threshold)
        if self.event:
            self.event.update(judged)
        if judged[f"{EVENT}.kind"] != blockers.STARVED:
            blockers.tell(place, judged[f"{EVENT}.kind"], lasted, judged[f"{EVENT}.cpu_seconds"], threshold)

    def _judged(self, place: Place, lasted: float, threshold: float | None) -> dict[str, Any]:
        """What a block is like; without a threshold it goes on."""
        working = waited = 0.0
        used = self.computed or machine.thread_time(self.thread)
        if self.used is not None and used is not None:
            # What was before the first sample is like the rest.
            whole = lasted / max(lasted - (self.measured - self.since), 0.001) / 1e9
            working = min((used - self.used) * whole, lasted)
            waited = min(max(_delay(self.thread) - self.delayed, 0) * whole, lasted - working)
        if threshold is not None and lasted - waited < threshold:
            kind = blockers.STARVED
        else:
            many = len(self.steps) * 2 > self.samples > 2
            kind = place.kind(working / max(lasted - waited, 0.001), many, self.since)
        return {
            f"{EVENT}.seconds": round(lasted, 3),
            f"{EVENT}.cpu_seconds": round(working, 3),
            f"{EVENT}.kind": kind,
        }


class Place:
    """A line of the program at which a loop is blocked, or what a library does by itself there.

    Args:
        own: the program's own code and line; None where there is none on the stack.
        frame: the thread's, of which only code and lines are kept.
    """

    __slots__ = ("instructions", "names", "own", "span", "spent", "stack", "under_way")

    def __init__(self, own: Line | None, frame: FrameType) -> None:
        self.spent = 0.0
        self.instructions: set[tuple[CodeType, int]] = set()
        self.own = own
        self.span: Span | RemoteContext | None = carriers.span_of(frame)
        self.stack, self.names = _stack(frame)
        self.under_way = _under_way()

    def attributes(self) -> dict[str, object]:
        """File, line and function (OpenTelemetry semantic conventions, "Source code")."""
        code, line = self.own or self.stack[0]
        return {
            "code.file.path": code.co_filename,
            "code.line.number": line,
            "code.function.name": getattr(code, "co_qualname", code.co_name),
        }

    def text(self) -> str:
        """The stack as Python prints it, the innermost last, without lines of source."""
        return "\n".join(
            f'  File "{code.co_filename}", line {line}, in {code.co_name}' for code, line in reversed(self.stack)
        )

    def kind(self, share: float, many: bool, since: float) -> str:
        """What blocks; see `blockers`."""
        if garbage.longest_since(since) * 2 > monotonic() - since:
            return blockers.COLLECTING
        return blockers.kind_of(self.names, share, many, len(self.instructions) == 1)


def nearest(frame: FrameType) -> Line | None:
    """Code and line of the program's own frame at or above this one, of those that the loop runs; None without one."""
    found: FrameType | None = frame
    while found is not None:
        code = found.f_code
        if code in eventloop.bounds:
            return None
        own = callers.whose(code.co_filename)
        if own and (own is callers.OWN or callers.name_of(found) == "__main__"):
            return code, found.f_lineno or code.co_firstlineno
        found = found.f_back
    return None


def _step(frame: FrameType) -> int:
    """What tells one callback of a loop from the next; 0 where the loop runs none.

    asyncio runs each in a frame of `Handle._run`; uvloop runs them from C, straight below our `run_forever`.
    """
    found: FrameType | None = frame
    below = 0
    while found is not None:
        bound = eventloop.bounds.get(found.f_code)
        if bound is not None:
            if bound == eventloop.ONE:  # frames follow each other at one address; handles that wait together do not
                return id(frames.read(found, "f_locals").get("self"))
            return 0 if bound == eventloop.IDLE else below
        below = id(found)
        found = found.f_back
    return 0


def _stack(frame: FrameType) -> tuple[list[Line], list[str]]:
    """The lines from the innermost to what the loop called, and the modules of those that the program's own called."""
    lines: list[Line] = []
    names = [blockers.called(frame)]
    inner = True
    found: FrameType | None = frame
    while found is not None and len(lines) < DEPTH:
        code = found.f_code
        if code in eventloop.bounds and lines:
            break  # what the loop itself calls, a function in C, has no frame: then the loop's own line is all there is
        name = callers.name_of(found)
        if not name.startswith("perfagent.") or not lines:
            lines.append((code, found.f_lineno or code.co_firstlineno))
        own = callers.whose(code.co_filename)
        inner = inner and not (own and (own is callers.OWN or name == "__main__"))
        if inner:
            awaits = blockers.AWAITS if code.co_flags & CO_COROUTINE else ""
            names.append(f"{awaits}{name}:{code.co_name}")
        found = found.f_back
    if len(lines) > 1 and callers.name_of(frame).startswith("perfagent."):
        del lines[0]  # the collector's callback, or a wrapper: the line that it interrupts is the program's
    return lines, names


def _under_way() -> int:
    """How many requests the process has begun and not answered."""
    recorder = flight.recorder
    return 0 if recorder is None else sum(1 for span in recorder.spans if span is not None and not span.ended)


def _delay(thread: int) -> int:
    """For how long a thread, by the system's identity, was ready and had no processor, ns; 0 where nobody tells."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb", buffering=0) as file:
            return int(file.read(100).split()[1])
    except (OSError, ValueError, IndexError):
        return 0
