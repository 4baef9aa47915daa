"""Frames of other threads, and of coroutines that wait, got so that what they belong to cannot end meanwhile.

CPython 3.11 makes the object for a frame when somebody asks for it. Making one may start the garbage collector, whose
callbacks and finalizers let other threads go on: the frame ends while it is being made an object of, and the process
dies. So there they are made by one call of a function in C, with the collector off. Later versions collect between two
instructions of Python only, and earlier ones have an object for every frame. Threads that do not wait for our
interpreter's lock, in a build without one or in another interpreter, go on while they are looked at: there no frames
are told of.
"""

from __future__ import annotations

import _operator
import gc
import sys
from _functools import partial  # type: ignore[import-not-found]
from itertools import accumulate, chain, islice, repeat, takewhile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, TypeVar

    Made = TypeVar("Made")

FARTHEST = 2_000
"""Calls of a stack that are asked for, at most."""
_IN_C = type(type(sys._getframe()).f_locals)
_current = sys._current_frames  # what a program puts there later is not asked
_MAKES_OBJECTS = sys.version_info[:2] == (3, 11)


def has_lock() -> bool:
    """Whether threads take turns: an import may turn that on later."""
    asked = getattr(sys, "_is_gil_enabled", None)
    return asked is None or bool(asked())


def can_be_read() -> bool:
    """Whether all threads of Python stand still while we look."""
    if sys.version_info < (3, 12):
        return True
    if not has_lock():
        return False
    interpreters = sys.modules.get("_interpreters") or sys.modules.get("_xxsubinterpreters")
    return interpreters is None or len(interpreters.list_all()) == 1


def of_threads() -> dict[int, FrameType]:
    """The innermost frame of each thread, by its number, or none; whoever goes on from there asks for its `stack`."""
    return _undisturbed(_current) if can_be_read() else {}


def stack(frame: FrameType, most: int = FARTHEST) -> list[FrameType]:
    """A frame, what called it, and so on, as they are at this moment; after it `f_back` of all these is safe, too."""
    return _undisturbed(partial(list, islice(_outward(frame), most)))


def read(owner: object, name: str) -> Any:
    """An attribute that makes a frame's object, or reads its variables; None where there is none."""
    described = getattr(type(owner), name, None)
    if type(described) is not _IN_C:
        return getattr(owner, name, None)
    return _undisturbed(partial(described.__get__, owner))


def _outward(frame: FrameType) -> takewhile[FrameType]:
    return takewhile(bool, accumulate(chain((frame,), repeat("f_back")), getattr))  # type: ignore[arg-type]


def _undisturbed(make: Callable[[], Made]) -> Made:
    return make()


if _MAKES_OBJECTS:
    _call: Any = _operator.call
    _AROUND = gc.isenabled, gc.disable, gc.enable

    def _undisturbed(make: Callable[[], Made]) -> Made:
        """Calls a function in C with the collector off; no other thread runs in between, nor sees that it was off."""
        asks, off, on = _AROUND
        then = on if asks() else off
        try:
            is_on, _, made, _ = map(_call, (asks, off, make, then))
        except BaseException:
            then()
            raise
        if is_on is not (then is on):  # the program has changed it just before
            (on if is_on else off)()
        return made  # type: ignore[no-any-return]
