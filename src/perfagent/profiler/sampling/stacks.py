"""Stacks: each is kept once, as a tuple of places, however often it is seen.

A walk costs 0.3 us a call. What is kept is bounded: places and stacks are forgotten at the end of a window in which
there were too many of them, and a stack beyond the bound of one window is told as a single one.
"""

from __future__ import annotations

import sys

from perfagent.profiler.sampling.places import Place
from perfagent.runtime import carriers, frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

MOST_PLACES = 30_000
MOST_STACKS = 4_000
CUT = "…"
"""The name of what stands for calls that are left out, at the root."""
OTHERS = "(other stacks)"
"""The name of what stands for stacks beyond the bound."""


class Stack:
    """A stack.

    Args:
        places: the innermost first.
        cut: whether there are more calls than are told.
        task: the coroutine that it is a task's, or "".
    """

    __slots__ = ("cut", "places", "task")

    def __init__(self, places: tuple[Place, ...], cut: bool = False, task: str = "") -> None:
        self.places = places
        self.cut = cut
        self.task = task


class Stacks:
    """The stacks of a process.

    Args:
        depth: calls of one, at most.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.lost = 0
        """How often a stack was seen that had no place any more."""
        self.forget()

    def forget(self) -> None:
        """Begins anew."""
        self._places: dict[int, Place] = {}
        self._stacks: dict[tuple[Place, ...], Stack] = {}
        self.others = Stack((), task=OTHERS)

    def close_window(self) -> None:
        """Forgets all where there is too much of it."""
        self.lost = 0
        if len(self._places) > MOST_PLACES // 2 or len(self._stacks) > MOST_STACKS // 2:
            self.forget()

    def walk(self, innermost: FrameType) -> tuple[Stack, Span | RemoteContext | None]:
        """The stack of a frame, and the span that it works for.

        No frame is kept: the caller must not keep this one either.
        """
        known = self._places
        found: list[Place] = []
        calls = frames.stack(innermost)
        span: Span | RemoteContext | None = None
        outermost: FrameType | None = None  # coroutine
        seeking = True
        for frame in calls:
            code, offset = frame.f_code, frame.f_lasti
            key = id(code) | offset << 48
            place = known.get(key)
            if place is None:
                place = self._place(key, code, offset)
            found.append(place)
            if place.is_coroutine:
                outermost = frame
            if seeking and place.tells:
                seeking = False
                span = carriers.span_of(frame)
        if span is None and outermost is not None and seeking:
            span = _of_task(outermost)
        task = "" if outermost is None else _name(outermost.f_code)
        return self.of(found[: self.depth], len(found) > self.depth, task), span

    def place(self, code: CodeType, offset: int) -> Place:
        """The place of an instruction."""
        key = id(code) | offset << 48
        return self._places.get(key) or self._place(key, code, offset)

    def of(self, places: list[Place], cut: bool, task: str) -> Stack:
        """The stack of these places."""
        key = tuple(places)
        found = self._stacks.get(key)
        if found is None:
            if len(self._stacks) >= MOST_STACKS:
                self.lost += 1
                return self.others
            found = self._stacks[key] = Stack(key, cut, task)
        return found

    def _place(self, key: int, code: CodeType, offset: int) -> Place:
        place = Place(code, offset)
        if len(self._places) < MOST_PLACES:
            self._places[key] = place
        return place


def _name(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)


def _of_task(outermost: FrameType) -> Span | RemoteContext | None:
    """The span of the task that runs, on a loop whose callbacks have no frame, as uvloop's: there is one a loop."""
    tasks: Any = sys.modules.get("asyncio.tasks")
    running: Any = getattr(tasks, "_current_tasks", None)
    if running:
        for task in list(running.values()):
            kind = carriers.kind_of_task(task)
            if kind is not None and frames.read(kind.get_coro(task), "cr_frame") is outermost:
                return carriers.context_of(task)
    return None
