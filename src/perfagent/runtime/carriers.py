"""Which span a running frame works for, read from outside: by the sampling thread, without a cost to the program.

A context variable of another thread cannot be read. But whoever works for a span does so below a frame of ours that
has the span in a local variable: the call of the application, of a task, of a job. Instruments say which of their
functions these are; who looks at a stack walks it towards its root until it meets one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

carriers: dict[CodeType, Callable[[Any], Span | RemoteContext | None]] = {}
"""What gives the span, from the values of the local variables of a frame that runs this code."""


def carries(function: Callable[..., Any], name: str = "span") -> None:
    """Says that a function of ours has in a local variable the span that everything below it works for.

    Args:
        function: one whose code nothing replaces later (`passed_over` goes first).
        name: the variable; it may be unset or None for a while.
    """
    carriers[function.__code__] = lambda values: values.get(name)


def span_of(frame: FrameType | None) -> Span | RemoteContext | None:
    """The span that a frame of another thread works for; None where nothing tells.

    Only frames of ours are asked for their variables: those of the program would be kept alive by the answer.
    """
    while frame is not None:
        read = carriers.get(frame.f_code)
        if read is not None:
            found = read(frame.f_locals)
            if found is not None:
                return found
        frame = frame.f_back
    return None
