"""Tasks of asyncio that wait: no thread has their stacks, which are followed from what each awaits to what that does.

A look takes 3 us a task. Of more than MOST tasks some are looked at, each for as many as it stands for.
"""

from __future__ import annotations

import sys
from itertools import islice

from perfagent.runtime import carriers, frames, ids
from perfagent.runtime.clock import monotonic_ns, thread_time_ns, time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

    from perfagent.profiler.sampling.places import Place
    from perfagent.profiler.sampling.sampler import Sampler
    from perfagent.profiler.sampling.window import Window
    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

MOST = 100  # tasks of one look
SHARE = 0.002  # of a core, that looks may take
NOBODY = ("", 0)


class Tasks:
    """Looks at the tasks of every loop.

    Args:
        sampler: whose stacks they share.
        rate: looks a second, at most.
    """

    def __init__(self, sampler: Sampler, rate: float) -> None:
        self.period = int(1e9 / rate)
        self._sampler = sampler
        self._due = self._last = monotonic_ns()
        self._cost = 0.0

    def look(self, window: Window, now: int) -> None:
        """Looks, where it is time to."""
        if now < self._due:
            return
        began = thread_time_ns()
        elapsed, self._last = now - self._last, now
        unix = time_ns() - elapsed
        tasks, stands_for = _some()
        while tasks:
            task = tasks.pop()()
            if task is not None:
                self._observe(window, task, unix, int(elapsed * stands_for))
            del task
        self._cost += (thread_time_ns() - began - self._cost) / 4
        pause = max(self.period * self._sampler.scale, self._cost / SHARE)
        self._due = now + int(pause * (0.75 + ids.span_id()[0] / 512))

    def _observe(self, window: Window, task: Any, unix: int, value: int) -> None:
        kind = carriers.kind_of_task(task)
        if kind is None or kind.done(task):
            return
        stacks = self._sampler.stacks
        places: list[Place] = []
        coroutine: Any = kind.get_coro(task)
        if getattr(coroutine, "cr_running", False):  # its thread has its stack
            return
        first: CodeType | None = None
        span: Span | RemoteContext | None = carriers.context_of(task)
        for _ in range(stacks.depth):
            frame, awaited = _step(coroutine)
            if frame is None:
                break
            code = frame.f_code
            first = first or code
            place = stacks.place(code, frame.f_lasti)
            places.append(place)
            if span is None and place.tells:
                span = carriers.span_of(frame)
            coroutine = awaited
            del frame
        if first is None:
            return
        places.reverse()
        stack = stacks.of(places, False, getattr(first, "co_qualname", first.co_name))
        link = endpoint = None
        if span is not None:
            if span.flags & 1:
                link = (span.trace_id, span.span_id)
            endpoint = window.endpoint(span)
        window.observe(stack, NOBODY, "waiting", link, endpoint, unix, value)


def _step(coroutine: Any) -> tuple[FrameType | None, Any]:
    """The frame of a coroutine or generator that waits, and what it waits for."""
    for frame, awaited in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
        found = frames.read(coroutine, frame)
        if found is not None:
            return found, getattr(coroutine, awaited, None)
    return None, None


def _some() -> tuple[list[Any], float]:
    """References to some of all tasks, and how many of all each one stands for.

    `asyncio.all_tasks` would go through all of them, and holds the interpreter for 5 ms where there are 10,000.
    """
    tasks: Any = sys.modules.get("asyncio.tasks")
    if tasks is None:
        return [], 1.0
    held = getattr(tasks, "_scheduled_tasks", None) or getattr(tasks, "_all_tasks", None)
    data = getattr(held, "data", None)
    if not data:
        return [], 1.0
    total = len(data)
    start = int.from_bytes(ids.span_id()[:4], "little") % (total - MOST + 1) if total > MOST else 0
    found = list(islice(data, start, start + MOST))
    return found, total / max(len(found), 1)
