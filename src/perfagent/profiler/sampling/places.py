"""A place in the program: the instruction that a frame is at, what is called there, and what that means for a thread.

Only code objects and offsets are kept, no frames. What an instruction does is worked out when a thread is first seen
to stand there.
"""

from __future__ import annotations

import sys
from _opcode import stack_effect  # type: ignore[import-not-found]
from opcode import HAVE_ARGUMENT, opmap

from perfagent.runtime import carriers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

PLAIN, CALL, SLEEP, LOCK, AWAIT, NETWORK, LISTEN, DRIVER = range(8)
"""What a thread does at an instruction: runs Python; is in a function in C; sleeps; waits for a lock; waits for work or
for another thread; waits for the network; waits for any of many sockets; is in a driver, which may wait or work."""

CALLED = {
    **dict.fromkeys(("sleep",), SLEEP),
    **dict.fromkeys(("acquire", "_acquire_restore", "__enter__"), LOCK),
    **dict.fromkeys(("wait", "get", "put", "join", "result", "waitpid", "wait4", "sigwait", "pause"), AWAIT),
    **dict.fromkeys(
        (
            "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "send", "sendall", "sendmsg", "sendto",
            "sendfile", "connect", "connect_ex", "do_handshake", "getaddrinfo", "gethostbyname", "gethostbyaddr",
            "create_connection",
        ),
        NETWORK,
    ),
    **dict.fromkeys(("select", "poll", "epoll_wait", "accept", "_accept", "control"), LISTEN),
    **dict.fromkeys(
        (
            "execute", "executemany", "fetchone", "fetchall", "fetchmany", "commit", "rollback", "query", "ping",
            "callproc", "PQexec", "read", "readinto", "readline", "write",
        ),
        DRIVER,
    ),
}  # fmt: skip
"""By the name of the function in C that is called."""
IN_THREADING = ("wait", "_wait_for_tstate_lock", "join", "_shutdown", "wait_for")
"""Functions of `threading` that take a lock to wait for something else than that lock."""
OURS = __file__[: -len("profiler/sampling/places.py")]
"""Our own files' folder."""
COROUTINE = 0x80 | 0x200
"""Flags of the code of coroutines and asynchronous generators."""

_CALLS = {
    opmap[name] for name in ("CALL", "CALL_KW", "CALL_FUNCTION", "CALL_FUNCTION_KW", "CALL_METHOD") if name in opmap
}
_KEYWORDS = {opmap[name] for name in ("CALL_KW", "CALL_FUNCTION_KW") if name in opmap}
_UNKNOWN = opmap["CALL_FUNCTION_EX"]
_WITHS = {opmap[name] for name in ("BEFORE_WITH", "SETUP_WITH", "LOAD_SPECIAL") if opmap.get(name, 256) < 256}
_PASSED = {opmap[name] for name in ("EXTENDED_ARG", "CACHE", "KW_NAMES") if name in opmap}
_NULL = opmap.get("PUSH_NULL", -1)
_PRECALL = opmap.get("PRECALL", -1)  # of 3.11; where it is specialised, it does the call itself
if _PRECALL >= 0:
    _CALLS.add(_PRECALL)
_EXTENDED = opmap["EXTENDED_ARG"]
_ATTRIBUTES = {opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD") if opmap.get(name, 256) < 256}
_GLOBALS = {opmap[name] for name in ("LOAD_GLOBAL", "LOAD_NAME")}
_SHIFTED = ({opmap["LOAD_GLOBAL"]} if sys.version_info >= (3, 11) else set()) | (
    {opmap["LOAD_ATTR"]} if sys.version_info >= (3, 12) else set()
)
"""Instructions whose argument has a flag below the number of the name."""
_FARTHEST = 400  # bytes before a call that are looked at for what it calls


class Place:
    """An instruction of a piece of code.

    Args:
        code: that runs there.
        offset: of the instruction.
    """

    __slots__ = ("_kind", "code", "is_coroutine", "is_ours", "offset", "tells")

    def __init__(self, code: CodeType, offset: int) -> None:
        self.code = code
        self.offset = offset
        self.tells = carriers.tells(code)
        self.is_coroutine = bool(code.co_flags & COROUTINE)
        self.is_ours = code.co_filename.startswith(OURS)
        self._kind = -1

    @property
    def kind(self) -> int:
        """What a thread does whose innermost frame is here."""
        if self._kind < 0:
            self._kind = _kind_of(self.code, self.offset)
        return self._kind

    def line(self) -> int:
        """Its line; 0 where the code does not tell."""
        offset, first = self.offset, self.code.co_firstlineno
        if offset < 0:
            return first
        for start, end, line in self.code.co_lines():
            if start <= offset < end:
                return line or first
        return first

    def name(self) -> str:
        """The function's, qualified from Python 3.11 on."""
        return getattr(self.code, "co_qualname", self.code.co_name)


def _kind_of(code: CodeType, offset: int) -> int:
    text = code.co_code
    while offset > 0 and text[offset] == 0 and sys.version_info >= (3, 11):  # a cache of the instruction before it
        offset -= 2
    if not 0 <= offset < len(text):
        return PLAIN
    operation = text[offset]
    if operation in _WITHS:
        return LOCK
    if operation == _UNKNOWN:
        return CALL
    if operation not in _CALLS:
        return PLAIN
    kind = CALLED.get(called(code, offset), CALL)
    if kind == LOCK and code.co_name in IN_THREADING and code.co_filename.endswith("threading.py"):
        return AWAIT
    return kind


def called(code: CodeType, offset: int) -> str:
    """The name of what is called at an instruction, as the code spells it; "" where that is no name.

    The stack is followed backwards from the call over its arguments. Where these branch, it may be another name.
    """
    text = code.co_code
    left = _argument(text, offset) + (text[offset] in _KEYWORDS)
    while offset >= 2 and text[offset - 2] in (0, _PRECALL) and _PRECALL >= 0:
        offset -= 2
    stop = max(offset - _FARTHEST, -1)
    while (offset := offset - 2) > stop:
        operation = text[offset]
        if operation in _PASSED:
            continue
        argument = _argument(text, offset)
        if left <= 0:
            if operation == _NULL:
                continue
            if operation in _WITHS:
                return "__enter__"
            if operation in _ATTRIBUTES or operation in _GLOBALS:
                index = argument >> 1 if operation in _SHIFTED else argument
                return code.co_names[index] if index < len(code.co_names) else ""
            return ""
        try:
            left -= stack_effect(operation, argument if operation >= HAVE_ARGUMENT else None, jump=False)
        except ValueError:
            return ""
    return ""


def _argument(text: bytes, offset: int) -> int:
    value, shift = text[offset + 1], 8
    while offset >= 2 and text[offset - 2] == _EXTENDED:
        offset -= 2
        value |= text[offset + 1] << shift
        shift += 8
    return value
