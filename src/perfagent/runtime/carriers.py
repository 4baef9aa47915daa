"""Which span a running frame works for, read from outside: by the sampling thread, without a cost to the program.

A context variable of another thread cannot be read. But whoever works for a span does so below a frame of ours that
has the span in a local variable: the call of the application, of a task, of a job. Instruments say which of their
functions these are; who looks at a stack walks it towards its root until it meets one. A callback or a step of a task
of asyncio runs below `Handle._run`, which has its context, and what is current in there.
"""

from __future__ import annotations

import sys

from perfagent.runtime import frames
from perfagent.runtime.clock import now
from perfagent.runtime.context import LATE, Inherited, current, lent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType
    from typing import Any, TypeVar

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

    Function = TypeVar("Function", bound=Callable[..., Any])
    Read = Callable[[Any], Span | RemoteContext | None]

carriers: dict[int, tuple[CodeType, Read]] = {}
"""By the identity of its code (to hash code takes 2 us), what gives the span from the local variables of a frame."""
RAISED = ("error", "exc")
"""What a frame of ours or asyncio's calls an exception that it handles."""

_handles: int | None = 0  # the identity of the code of Handle._run; 0 before asyncio is imported


def carries(function: Function, name: str = "span", attribute: str = "") -> Function:
    """Says that a function of ours has in a local variable the span that everything below it works for.

    Args:
        function: what is returned as it is; `passed_over` and `disguise`, which replace its code, tell of the new one.
        name: the variable; it may be unset or None for a while.
        attribute: of it, where the span is one of its attributes.
    """
    if attribute:

        def read(values: Mapping[str, Any]) -> Span | RemoteContext | None:
            return getattr(values.get(name), attribute, None)
    else:

        def read(values: Mapping[str, Any]) -> Span | RemoteContext | None:
            return values.get(name)

    code = function.__code__
    carriers[id(code)] = code, read
    return function


def moved(old: CodeType, new: CodeType) -> None:
    """Tells that `new` has taken the place of the code of a function; both stay known."""
    known = carriers.get(id(old))
    if known is not None:
        carriers[id(new)] = new, known[1]


def tells(code: CodeType) -> bool:
    """Whether a frame that runs this code may tell a span."""
    return id(code) in carriers or id(code) == (_handles or _find_handles())


def span_of(frame: FrameType | None) -> Span | RemoteContext | None:
    """The innermost span that is known of what a frame of another thread works for; None where nothing tells.

    Only frames of ours, and that of asyncio that runs a callback, are asked for their variables: those of the program
    would be kept alive by the answer.
    """
    handles = _handles or _find_handles()
    found: Span | RemoteContext | None = None
    while frame is not None:
        code = id(frame.f_code)
        if code in carriers and found is None:
            found = _lasting(_read(frame, carriers[code][1]))
        elif code == handles:
            return _nearer(found, _lasting(_read(frame, _in_context)))
        frame = frame.f_back
    return found


def context_of(task: Any) -> Span | RemoteContext | None:
    """The span of a task of asyncio, by its context: from Python 3.12 on, which lets that be asked for."""
    context: Any = getattr(kind_of_task(task), "get_context", None)
    return None if context is None else _lasting(context(task).get(current))


def kind_of_task(task: Any) -> Any:
    """asyncio's own class of a task, whose methods answer whatever a class of the program's has in their place; None
    where it is no task.
    """
    module = sys.modules.get("asyncio.tasks")
    for name in ("_CTask", "_PyTask"):
        kind = getattr(module, name, None)
        if kind is not None and issubclass(type(task), kind):
            return kind
    return None


def _nearer(found: Span | RemoteContext | None, in_context: Span | RemoteContext | None) -> Span | RemoteContext | None:
    """What is current in a context may be a call within the request that a frame tells of, or something else's."""
    if found is None or (in_context is not None and in_context.entry is found.entry is not None):
        return in_context
    return found


def _lasting(span: Span | RemoteContext | None) -> Span | RemoteContext | None:
    """A thread or a task may outlive the span that it was started in by days."""
    if span is None or type(span) is Inherited:
        return lent(span)
    return None if span.lapsed or 1 < span.ended < now() - LATE else span


def _in_context(values: Mapping[str, Any]) -> Span | RemoteContext | None:
    context = getattr(values.get("self"), "_context", None)
    return None if context is None else context.get(current)


def _read(frame: FrameType, read: Read) -> Span | RemoteContext | None:
    """Before Python 3.13 the frame keeps the dictionary that it answers with, until it ends.

    An exception in there refers to the frame, so both would stay until the garbage collector comes. It may be taken out
    where nobody traces the frame: a tracer's end makes variables of what is in there.
    """
    values = frames.read(frame, "f_locals")
    try:
        return read(values)
    finally:
        if type(values) is dict and frame.f_trace is None:
            for name in RAISED:
                values.pop(name, None)


def _find_handles() -> int | None:
    global _handles
    events = sys.modules.get("asyncio.events")
    handle = getattr(events, "Handle", None)
    if handle is not None:
        _handles = id(handle._run.__code__)
    return _handles
