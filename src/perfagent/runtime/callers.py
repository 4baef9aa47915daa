"""Which line of the program ran a query: the nearest frame that is the program's own, looked for now and then.

To look costs 1 us, to decide against it 0.1 us. So it is done for the first calls of a statement, for one in 32 of
the others, and for every slow one: at the end of a call the stack is still the caller's.
"""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from sys import _getframe

from perfagent.runtime.encoded import MOST
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

    from perfagent.runtime.db import QuerySpan

    Caller = tuple[CodeType, int]  # code, and the offset of the instruction in it

LONGEST_KEPT = 16_384  # characters; a longer statement is not remembered
FIRST = 4  # calls of a statement whose callers are looked for in any case
SLOW = 10_000_000  # ns
ONE_IN_32 = b"\x08"  # what one span identifier in 32 is below
A_SECOND = 256  # looks a second for statements that are new: a program may never use the same text twice
OWN, NOT_OWN, IF_MAIN = 1, 0, 2

wanted = True
"""PERFAGENT_QUERY_CALLERS."""
known: dict[object, int] = {}
"""The statements whose first calls are over."""
handed: ContextVar[Caller | None] = ContextVar("perfagent_caller", default=None)
"""The caller of what another thread does for it; set by the instrument of a driver that hands its calls over."""

_DEPTHS = (None,) * 256  # frames looked at, at most; a tuple is stepped through faster than a range
_calls: dict[object, int] = {}
_left = A_SECOND
_until = 0
_files: dict[str, int] = {}
_encoded: dict[tuple[str, int, int], bytes] = {}


def look(span: QuerySpan) -> Caller | None:
    """The caller of a call that is slow, one in 32, or of a statement that is new; None where there is none.

    Args:
        span: of the call, just ended.
    """
    duration = span.ended - span.started
    if duration < SLOW and span.span_id >= ONE_IN_32 and not _is_welcome(span.query, span.ended):
        return None
    return nearest(_getframe(2))


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
        if own and (own is OWN or frame.f_globals.get("__name__") == "__main__"):
            return code, frame.f_lasti  # f_lineno would count lines here: 0.2 us and more
        frame = frame.f_back
    return handed.get()


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
    code, offset = caller
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
    code, offset = caller
    line = next((line for start, end, line in code.co_lines() if start <= offset < end and line), code.co_firstlineno)
    return {
        "code.file.path": code.co_filename,
        "code.line.number": line,
        "code.function.name": getattr(code, "co_qualname", code.co_name),  # from Python 3.11 on with its class
    }
