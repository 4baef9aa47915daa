"""A query's failure as it may be shown: where it came from, and its message without the values that databases quote."""

from __future__ import annotations

from perfagent.runtime.attributes import text_of
from perfagent.runtime.span import type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern
    from types import FrameType
    from typing import Any

CALLERS = 32  # frames above the call
OURS = __file__[: -len("runtime/failure.py")]  # without asking the disk: the first failure may be an event loop's

# Names of objects may be shown, anything else in quotes may be a value: to the last quote, for it may hold some itself.
# An apostrophe within a word is none. SQL Server puts a duplicate key's value in brackets.
_KINDS = "relation|column|table|constraint|index|schema|database|role|function|sequence|view|extension|cursor"
_PATTERN = (
    rf"""\b((?:{_KINDS})\ "[^"]*")|(?<!\w)(["'`]).*\2(?!\w)|(?<=value\ is\ )\(.*\)|(?<!\w)["'].*|(?<=/)\S*\?\S+"""
)
_pattern: Pattern[str] | None = None


class Failure(dict[str, object]):
    """The attributes of an `exception` event, worked out when the background thread asks for them.

    Making one costs about 5 us: no source lines are read, and no frame is kept, so no object of the program lives on.

    Args:
        error: the exception, as caught by the function that measures.
    """

    __slots__ = ("message", "stack", "type")

    def __init__(self, error: BaseException) -> None:
        self.type = type_name(error)
        arguments = error.args
        pair = len(arguments) == 2 and isinstance(arguments[0], int) and isinstance(arguments[1], str)
        self.message = arguments[1] if pair else text_of(error)
        self.stack = _stack(error)

    def items(self) -> Any:
        """The pairs of name and value."""
        message = shown(self.message)
        frames = "".join(f'  File "{file}", line {line}, in {name}\n' for file, line, name in self.stack)
        return (
            ("exception.type", self.type),
            ("exception.message", message),
            ("exception.stacktrace", f"Traceback (most recent call last):\n{frames}{self.type}: {message}\n"),
            ("exception.escaped", "False"),
        )


def shown(message: str) -> str:
    """The first line of a database's message with `?` for what it quotes; further lines repeat statement and row."""
    global _pattern
    if _pattern is None:
        import re

        _pattern = re.compile(_PATTERN, re.VERBOSE)
    return _pattern.sub(lambda match: match[1] or "?", message.strip().partition("\n")[0])


def _stack(error: BaseException) -> list[tuple[str, int, str]]:
    """File, line and function of every frame, the innermost last; the agent's own are left out."""
    step = error.__traceback__
    if step is None:
        return []
    frame: FrameType | None = step.tb_frame.f_back
    found: list[tuple[str, int, str]] = []
    while frame is not None and len(found) < CALLERS:
        found.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    found.reverse()
    while step is not None:
        code = step.tb_frame.f_code
        found.append((code.co_filename, step.tb_lineno, code.co_name))
        step = step.tb_next
    return [place for place in found if not place[0].startswith(OURS)]
