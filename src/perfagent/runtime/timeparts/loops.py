"""Requests on an event loop: how long their steps held it, and how long they waited for their turn.

What waits on a loop is woken between two of the loop's looks at its sockets and timers. So a request that goes on had
to wait for others from when the loop was last idle, or from its own last step where that is later: what the loop has
done in between came first. It may have become ready only a while after that, so this is its queueing at most.

asyncio's loops tell when they are idle, by their selector, 0.3 us a turn. uvloop does not: there it was idle where no
request ran a step for a while, unless it was seen busy from outside (`looks`).
"""

from __future__ import annotations

import sys
from types import CoroutineType, coroutine

from perfagent.runtime import guard, poolwaits
from perfagent.runtime.clock import now, thread_time_ns
from perfagent.runtime.context import current
from perfagent.runtime.timeparts.parts import Parts, get_ident, in_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType
    from typing import Any

    from perfagent.runtime.poolwaits import Pool

ATTRIBUTE = "_perfagent_time"  # of a loop
QUICK = 500_000  # ns; a step that is over sooner was on the CPU: its clock takes a system call
MARK = 2_000_000  # ns; how old a reading of that clock may be
GAP = 300_000  # ns; a loop of uvloop's that runs no request for so long is idle
IDLE = 20_000  # ns; looking at sockets takes some by itself
SUSPENDS = 0x20 | 0x80 | 0x100 | 0x200  # flags of the code of generators and coroutines
SLOW_POOL = 1_000_000  # ns; a worker thread that begins later was waited for

active: dict[int, LoopTime] = {}
"""The loops that have requests under way, by identity."""


class LoopTime:
    """What one event loop has done with its time, by `clock.now`.

    Args:
        hooked: whether it tells when it is idle.
    """

    __slots__ = (
        "base", "busy", "current", "free", "hooked", "idle", "last", "mark", "mark_cpu", "mark_idle", "open", "thread",
    )  # fmt: skip

    def __init__(self, hooked: bool) -> None:
        self.hooked = hooked
        self.thread = get_ident()
        self.open: dict[int, Parts] = {}
        self.current: Parts | None = None
        """Whose step runs."""
        self.free = self.last = self.mark = now()
        """When it was idle last; when a measured step ended; when its CPU clock was read."""
        self.idle = self.mark_idle = 0
        self.mark_cpu = thread_time_ns()
        self.busy = 0
        """Since when it was seen busy from outside, with none of the requests' steps; 0 where it was not."""
        self.base = 0
        """Identity of the code that runs the loop: a thread whose innermost frame is of it runs no callback."""

    def look_back(self, at: int) -> None:
        """Before a step that follows on a gap, or on a reading of the CPU clock that has become old."""
        gap = at - self.last
        if not self.hooked and gap > GAP:
            if self.busy > self.last:
                self.free = self.busy
            else:
                self.free = at
                self.idle += gap
            self.busy = 0
        if at - self.mark > MARK:
            self.mark, self.mark_cpu, self.mark_idle = at, thread_time_ns(), self.idle

    def long(self, parts: Parts, ended: int) -> None:
        """After a step that was no quick one: how much of it was CPU time."""
        at, cpu = parts.at, thread_time_ns()
        before = at - self.mark - (self.idle - self.mark_idle)  # of others, since the clock was read
        parts.off += min(max(ended - at - (cpu - self.mark_cpu - max(before, 0)), 0), ended - at)
        self.mark, self.mark_cpu, self.mark_idle = ended, cpu, self.idle

    def close(self, parts: Parts) -> None:
        """Ends a request, mostly within one of its steps."""
        if parts.closed:
            return
        parts.closed = True
        if self.current is parts:
            ended = now()
            parts.held += ended - parts.at
            if ended - parts.at > QUICK:
                self.long(parts, ended)
        self.open.pop(id(parts), None)
        if not self.open:
            active.pop(id(self), None)


def _begin(parts: Parts) -> LoopTime | None:
    """Finds the loop of a request that begins its first step; None where it cannot be timed."""
    try:
        return _found(parts)
    except Exception:
        guard.failed("time parts")
        return None


def _found(parts: Parts) -> LoopTime | None:
    events = sys.modules.get("asyncio.events")
    running = None if events is None else events._get_running_loop()
    if running is None:
        return None  # somebody else's, such as Trio's
    loop: LoopTime | None = running.__dict__.get(ATTRIBUTE)
    if loop is None:
        loop = running.__dict__[ATTRIBUTE] = _watched(running)
    parts.last = now()
    if not loop.open:
        active[id(loop)] = loop
    loop.open[id(parts)] = parts
    parts.loop = loop
    return loop


def _watched(running: Any) -> LoopTime:
    selector = getattr(running, "_selector", None)
    plain: Callable[[float | None], Any] | None = getattr(selector, "select", None)
    loop = LoopTime(plain is not None)
    loop.base = _base()
    if plain is not None:

        def select(timeout: float | None = None) -> Any:
            if timeout == 0:
                return plain(timeout)
            began = now()
            found = plain(timeout)
            ended = now()
            if ended - began > IDLE:
                loop.free = ended
                loop.idle += ended - began
            return found

        try:
            selector.select = select  # type: ignore[union-attr]
        except AttributeError:  # one without attributes of its own
            loop.hooked = False
    return loop


def _base() -> int:
    """Identity of the code of the frame below all coroutines of the current task."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not frame.f_code.co_flags & SUSPENDS:
        frame = frame.f_back
    while frame is not None and frame.f_code.co_flags & SUSPENDS:
        frame = frame.f_back
    return 0 if frame is None else id(frame.f_code)


@coroutine
def driven(parts: Parts, awaitable: Any) -> Generator[Any, Any, Any]:  # noqa: C901 - a call a step would cost 0.2 us
    """Awaits what does a request's work, and measures each of its steps; 2 us for one, and 0.8 for each further one.

    Args:
        parts: of the request.
        awaitable: a coroutine, mostly.
    """
    loop = parts.loop
    if loop is None:
        loop = _begin(parts)
    steps: Any = awaitable if type(awaitable) is CoroutineType else _steps(awaitable)
    if loop is None or parts.closed or loop.current is parts or not hasattr(steps, "send"):
        return (yield from steps)  # a step within a step is so always
    outer, parts.awaited = parts.awaited, steps
    send, value = steps.send, None
    errors: list[BaseException] = []
    try:
        while True:
            at = now()
            if at - loop.last > GAP or at - loop.mark > MARK:
                loop.look_back(at)
            ready = parts.last if parts.last > loop.free else loop.free
            if at > ready:
                parts.queued += at - ready
            parts.at = at
            loop.current = parts
            try:
                waiting = steps.throw(errors.pop()) if errors else send(value)
            except StopIteration as end:
                return end.value
            finally:
                loop.current = None
                loop.last = ended = now()
                if not parts.closed:
                    parts.last = ended
                    parts.held += ended - at
                    if ended - at > QUICK:
                        loop.long(parts, ended)
            try:
                value = yield waiting
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                errors.append(error)  # thrown outside of this block, which would be the context of what is raised then
            waiting = None
    finally:
        parts.awaited = outer


def _steps(awaitable: Any) -> Any:
    return awaitable if hasattr(awaitable, "send") else awaitable.__await__()


def elsewhere(parts: Parts, function: Callable[..., Any], pool: Pool) -> Callable[..., Any]:
    """`function`, which a worker thread of a pool does for the current request: its time and the wait for a worker are
    the request's.
    """
    span = current.get()
    asked = now()
    parts.asking += 1

    def timed(*args: Any, **options: Any) -> Any:
        began = now()
        parts.asking -= 1
        if parts.closed:
            return function(*args, **options)
        if began - asked > SLOW_POOL:
            if parts.pools is None:
                parts.pools = []
            parts.pools.append((asked, began))
            poolwaits.note(pool, asked, began, None, span)
        try:
            return in_thread(parts, began, function, *args, **options)
        finally:
            duration = now() - began
            if duration > SLOW_POOL:
                poolwaits.held(pool, function, duration)

    return timed


def in_thread(parts: Parts, began: int, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Calls what this thread does for a request, from `began` on; 1 us."""
    piece = Parts()
    piece.began, piece.slot = began, parts.slot
    thread = piece.thread = get_ident()
    piece.since = thread_time_ns()
    in_threads[thread] = piece
    try:
        return function(*args, **options)
    finally:
        piece.cpu = thread_time_ns() - piece.since
        in_threads.pop(thread, None)
        if parts.pieces is None:
            parts.pieces = []
        parts.pieces.append(piece)


def of_current(entry: Any) -> Parts | None:
    """What is measured of a request on a loop that is under way."""
    parts = getattr(entry, "parts", None)
    return parts if parts is not None and parts.loop is not None and not parts.closed else None
