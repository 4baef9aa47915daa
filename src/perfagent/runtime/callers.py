"""Which line of the program ran a query: the nearest frame that is the program's own, looked for now and then.

To look costs 1 us, to decide against it 0.1 us. So it is done for the first calls of a statement, for one in 32 of
the others, and for every slow one: at the end of a call the stack is still the caller's.
"""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from sys import _getframe

from perfagent.runtime.carriers import carriers
from perfagent.runtime.encoded import MOST
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

    from perfagent.runtime.db import QuerySpan

    Stack = tuple[tuple[CodeType, int, int], ...]  # the program's own frames, innermost first: code, offset, identity
    Caller = tuple[Any, ...]
    """Code, and the offset of the instruction in it; of a call that was looked at closely also its stack and the digest
    of its parameters."""

LONGEST_KEPT = 16_384  # characters; a longer statement is not remembered
LONGEST_HELD = 65_536  # characters that wait for the background thread
FIRST = 4  # calls of a statement whose callers are looked for in any case
SLOW = 10_000_000  # ns
ONE_IN_32 = b"\x08"  # what one span identifier in 32 is below
A_SECOND = 256  # looks a second for statements that are new: a program may never use the same text twice
WATCHED = 8  # statements that are looked at closely at a time
HELD = 100_000_000  # ns without a call of the request that is looked at, after which it may be another one
PARAMETERS = 200  # values that are compared; a statement with more is not
OWN, NOT_OWN, IF_MAIN = 1, 0, 2

wanted = True
"""PERFAGENT_QUERY_CALLERS."""
known: dict[object, int] = {}
"""The statements whose first calls are over."""
watched: dict[object, Watch] = {}
"""The statements that requests repeat, while their calls are looked at closely."""
handed: ContextVar[Caller | None] = ContextVar("perfagent_caller", default=None)
"""The caller of what another thread does for it; set by the instrument of a driver that hands its calls over."""

SALT = os.urandom(16)
NOT_TOLD = object()
"""In the place of parameters that nobody tells of."""
_DEPTHS = (None,) * 256  # frames looked at, at most; a tuple is stepped through faster than a range
_calls: dict[object, int] = {}
_left = A_SECOND
_until = 0
_files: dict[str, int] = {}
_encoded: dict[tuple[str, int, int], bytes] = {}


class Watch:
    """The closer look at a statement that requests repeat: all its calls within one request, then within another one.

    Args:
        requests: how many.
        calls: how many calls at most, all together.
    """

    __slots__ = ("calls", "requests", "trace", "until")

    def __init__(self, requests: int = 8, calls: int = 200) -> None:
        self.requests = requests
        self.calls = calls
        self.trace = b""
        self.until = 0

    def takes(self, span: QuerySpan) -> bool:
        """Whether this call is looked at; ends the watch where enough was seen."""
        if span.trace_id != self.trace:
            if span.ended < self.until:
                return False
            self.requests -= 1
            self.trace = span.trace_id
        self.calls -= 1
        if self.requests < 0 or self.calls < 0:
            known[span.query] = 0
            watched.pop(span.query, None)
            return False
        self.until = span.ended + HELD
        return True


def watch(span: QuerySpan) -> None:
    """Has the next calls of a span's statement looked at closely; for the background thread, which saw it repeated."""
    query = span.query
    if len(watched) < WATCHED and query in known:
        watched[query] = Watch()
        known.pop(query, None)


def look(span: QuerySpan, parameters: object = NOT_TOLD, options: object = None) -> Caller | None:
    """The caller of a call that is slow, one in 32, or of a statement that is new or watched; None where there is none.

    Args:
        span: of the call, just ended.
        parameters, options: what the statement was run with.
    """
    shorten(span)
    query = span.query
    if query not in known:
        watching = watched.get(query)
        if watching.takes(span) if watching is not None else _is_welcome(query, span.ended):
            return closely(_getframe(2), parameters, options)
    if span.ended - span.started < SLOW and span.span_id >= ONE_IN_32:
        return None
    return nearest(_getframe(2))


def shorten(span: QuerySpan) -> None:
    """Lets go of most of a text that is very long: it tells nothing more, and thousands may wait to be sent."""
    query = span.query
    if type(query) is str and len(query) > LONGEST_HELD:
        span.query = query[:LONGEST_HELD]


def closely(frame: FrameType | None, parameters: object, options: object) -> Caller | None:
    """As `nearest`, with all frames of the program above it and a digest of what the statement was run with: 5 us and
    50 ns a frame.
    """
    stack = []
    for _ in _DEPTHS:
        if frame is None:
            break
        code = frame.f_code
        own = whose(code.co_filename)
        if own and (own is OWN or name_of(frame) == "__main__"):
            stack.append((code, frame.f_lasti, id(frame)))
        elif stack and id(code) in carriers:  # where the request begins: what is above it is the server's business
            break
        frame = frame.f_back
    told = handed.get()
    if told is not None and (not stack or len(told) > 2):  # on another thread for it
        return (*told[:3], digest(parameters, options)) if len(told) > 2 else told
    return (*stack[0][:2], tuple(stack), digest(parameters, options)) if stack else None


def _is_welcome(query: object, now: int) -> bool:
    """Whether a statement is among its first calls, as long as there are not too many such statements."""
    global _left, _until
    if isinstance(query, str) and len(query) > LONGEST_KEPT:
        return False
    if now > _until:
        _until, _left = now + 1_000_000_000, A_SECOND
    if not _left:
        return False
    _left -= 1
    calls = _calls.get(query, 0) + 1
    if calls < FIRST:
        if len(_calls) >= MOST:
            _calls.clear()
        _calls[query] = calls
    else:
        _calls.pop(query, None)
        if len(known) >= MOST:
            known.clear()
        known[query] = calls
    return True


def nearest(frame: FrameType | None) -> Caller | None:
    """The program's own frame at or above `frame`, else what was handed over.

    The frame itself is not kept: with it would live everything that its function has.
    """
    for _ in _DEPTHS:
        if frame is None:
            break
        code = frame.f_code
        try:
            own = _files[code.co_filename]
        except KeyError:
            own = _judge(code.co_filename)
        if own and (own is OWN or name_of(frame) == "__main__"):
            return code, frame.f_lasti  # f_lineno would count lines here: 0.2 us and more
        frame = frame.f_back
    return handed.get()


def name_of(frame: FrameType) -> str:
    """The module that a frame runs in, "" where it has no name: `exec` may be given any globals."""
    name = dict.get(frame.f_globals, "__name__")
    return name if type(name) is str else ""


def digest(parameters: object, options: object = None) -> int | None:
    """What tells equal parameters from others within this process; None where that takes the program's own code.

    It is salted, and it is never sent.
    """
    try:
        return hash((SALT, _plain(parameters, left := [PARAMETERS]), _plain(options, left)))
    except Exception:  # a class may raise when it is asked for its module
        return None


def _plain(value: object, left: list[int]) -> object:
    """A value as what hashes without running code of the program's; -1 and -2, which hash alike, as texts."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError
    kind = type(value)
    if kind in (str, bytes) or value is None:
        return kind, value
    if kind in (int, float, bool):
        return kind, str(value)
    if kind in (tuple, list):
        return tuple([_plain(one, left) for one in value])  # type: ignore[attr-defined]
    if kind is dict:
        return tuple([(_plain(key, left), _plain(one, left)) for key, one in value.items()])  # type: ignore[attr-defined]
    if kind.__module__ in ("datetime", "decimal", "uuid") and getattr(value, "tzinfo", None) is None:
        return kind, str(value)
    raise TypeError


def whose(name: str) -> int:
    """OWN where a file is the program's, NOT_OWN, or IF_MAIN where that depends on the module that its code runs in."""
    found = _files.get(name)
    return _judge(name) if found is None else found


def _judge(name: str) -> int:
    """Whether the code of a file is the program's: not the standard library's, an installed package's or ours."""
    if name.startswith("<"):  # <string> is the program of `python -c`, and what libraries make up by `exec`
        own = NOT_OWN if name.startswith("<frozen ") else IF_MAIN
    elif name.startswith(LIBRARIES) or "/site-packages/" in name or "/dist-packages/" in name:
        own = NOT_OWN
    else:
        own = OWN
    if len(_files) >= MOST:
        _files.clear()
    _files[name] = own
    return own


def _folders() -> tuple[str, ...]:
    ours = os.path.dirname(os.path.dirname(__file__))
    standard = os.path.dirname(os.__file__)
    scripts = {os.path.join(prefix, "bin") for prefix in (sys.prefix, sys.base_prefix)}
    found = {ours, standard, os.path.realpath(standard), *scripts}
    return tuple(sorted(folder + os.sep for folder in found))


LIBRARIES = _folders()
"""Found out at once, for asking the disk in a program's event loop would block that."""


# The background thread's side.


def encode(caller: Caller) -> bytes:
    """The attributes `code.*` of a span (OpenTelemetry semantic conventions, "Source code")."""
    code, offset = caller[:2]
    key = (code.co_filename, code.co_firstlineno, offset)
    found = _encoded.get(key)
    if found is None:
        found = wire.attributes(9, attributes(caller))
        if len(_encoded) >= MOST:
            _encoded.clear()
        _encoded[key] = found
    return found


def attributes(caller: Caller) -> dict[str, object]:
    """File, line and function of a caller."""
    code, offset = caller[:2]
    line = next((line for start, end, line in code.co_lines() if start <= offset < end and line), code.co_firstlineno)
    return {
        "code.file.path": code.co_filename,
        "code.line.number": line,
        "code.function.name": getattr(code, "co_qualname", code.co_name),  # from Python 3.11 on with its class
    }
