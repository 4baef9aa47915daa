"""How late event loops run what is ready, and for how long one has been stuck.

A timer of ours is in every loop. How late the timer fires is how long any callback that was ready at that
moment waited. Nothing is added to the loop's own path: a loop pays 4 timers a second at most, however busy it is, and
an idle one 0.05 % of a processor to wake up for them. asyncio and uvloop are measured alike, by `call_later`; a loop
whose `time` is somebody else's (a test's clock) is left alone.
"""

from __future__ import annotations

import os
from _thread import get_ident, get_native_id

from perfagent.runtime import guard
from perfagent.runtime.clock import monotonic, monotonic_ns
from perfagent.runtime.metric import GAUGE, HISTOGRAM, registry
from perfagent.vitals import scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator
    from types import CodeType
    from typing import Any

    from perfagent.vitals import WhenImported

INTERVAL = 0.25  # seconds between two beats, at least
JITTER = 0.06  # seconds more at most, so that what happens once a second is not missed every time
LATE = 0.005  # seconds; a loop's timers are 1 ms late by themselves, for epoll counts in milliseconds
BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

ATTRIBUTE = "_perfagent_pulse"  # of a loop

beating: dict[int, Pulse] = {}
"""The pulses of the loops that run, by identity."""
begun: Callable[[], None] | None = None
"""Is told whenever a loop begins to run, in its thread."""
IDLE, ONE, LOOP = 0, 1, 2
bounds: dict[CodeType, int] = {}
"""The code of the frames that a loop's callbacks run below: IDLE where it runs none straight below, ONE where each has
a frame of its own, LOOP where they come from C, as uvloop's do."""


def install(namespace: str, when_imported: WhenImported) -> None:
    """Registers `<ns>.eventloop.lag` and `<ns>.eventloop.stalled`, and waits for asyncio and uvloop."""
    lag = registry.make(
        scope, HISTOGRAM, f"{namespace}.eventloop.lag", "s", "How long ready callbacks of an event loop waited.", BOUNDS
    )
    registry.make(
        scope,
        GAUGE,
        f"{namespace}.eventloop.stalled",
        "s",
        "For how long the event loop that is stuck longest has run nothing; 0 where all run.",
        callback=_stalled,
    )

    def record(seconds: float) -> None:
        lag.of().record(seconds)

    os.register_at_fork(after_in_child=beating.clear)  # a child does not run its parent's loops
    when_imported("asyncio.base_events", lambda module: _watch_asyncio(module, record))
    when_imported("uvloop", lambda module: _watch(module.Loop, record))


def _stalled() -> Iterator[tuple[float, dict[str, object]]]:
    now = monotonic()
    overdue = [pulse.late(now) for pulse in list(beating.values())]
    if overdue:
        worst = max(overdue)
        yield worst if worst > LATE else 0.0, {}


def _watch_asyncio(module: Any, record: Callable[[float], None]) -> None:
    bounds[module.BaseEventLoop._run_once.__code__] = bounds[module.BaseEventLoop.run_forever.__code__] = IDLE
    bounds[module.events.Handle._run.__code__] = ONE
    _watch(module.BaseEventLoop, record)


def _watch(loop_type: Any, record: Callable[[float], None]) -> None:
    """Puts a pulse into every loop of that class."""
    run_forever = loop_type.run_forever
    clock = loop_type.time

    def watched(self: Any) -> Any:
        if id(self) in beating:  # it runs already, and will say so
            return run_forever(self)
        try:
            pulse = self.__dict__.get(ATTRIBUTE) or _begin(self, clock, record)
            if pulse is not None:
                pulse.began = monotonic()
                pulse.thread, pulse.native = get_ident(), get_native_id()
                beating[id(self)] = pulse
                if begun is not None:
                    begun()
        except Exception:
            guard.failed("eventloop")
        try:
            return run_forever(self)
        finally:
            beating.pop(id(self), None)

    from functools import update_wrapper  # asyncio has imported it

    bounds[watched.__code__] = LOOP
    loop_type.run_forever = update_wrapper(watched, run_forever)


def _begin(loop: Any, clock: object, record: Callable[[float], None]) -> Pulse | None:
    if type(loop).time is not clock or "time" in loop.__dict__ or loop.is_closed():
        return None
    pulse = loop.__dict__[ATTRIBUTE] = Pulse(loop, record)
    pulse.schedule()
    return pulse


class Pulse:
    """The timer in one loop. It belongs to no task; while the loop does not run, it waits, and goes when that closes.

    It stays between two runs, for a program may run a loop for each of its requests: 2 us a run instead of 7.

    Args:
        loop: the loop, in its thread.
        record: takes seconds of lag.
    """

    __slots__ = ("_context", "_due", "_loop", "_record", "began", "native", "thread")

    def __init__(self, loop: AbstractEventLoop, record: Callable[[float], None]) -> None:
        from contextvars import Context
        from weakref import ref  # asyncio has imported it

        self._loop = ref(loop)  # which has this pulse: no circle that only a garbage collection would end
        self._record = record
        self._context = Context()  # an empty one: ours must keep nothing of the program's alive
        self._due = self.began = 0.0
        self.thread = self.native = 0
        """Where the loop runs: the thread's identities for Python and for the system."""

    def schedule(self) -> None:
        """Arms the timer."""
        interval = INTERVAL + JITTER * (monotonic_ns() >> 10 & 63) / 63
        self._due = monotonic() + interval
        loop = self._loop()
        if loop is not None:
            loop.call_later(interval, self._beat, context=self._context)

    def ask(self, answer: Callable[[], None]) -> None:
        """Has the loop call `answer` as soon as it comes to it; called in another thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        loop = self._loop()
        if loop is not None:
            loop.call_soon_threadsafe(answer, context=self._context)

    def late(self, now: float) -> float:
        """Seconds since the timer should have fired, less than 0 before; the time between two runs does not count."""
        return now - max(self._due, self.began)

    def _beat(self) -> None:
        try:
            now = monotonic()
            if now < self._due - INTERVAL / 2:  # the loop's clock is not the world's any more
                beating.pop(id(self._loop()), None)
                return
            self._record(max(self.late(now), 0.0))
            self.schedule()
        except Exception:
            guard.failed("eventloop")
