"""What a thread waits for, seen from outside: by the system call that it is in, and by the code that made it.

A thread that waits is in a system call, which Linux shows to the process itself: a futex is a lock or another thread, a
socket is the network. Elsewhere the module of its innermost frame tells. Only code objects are looked at, and none is
kept.
"""

from __future__ import annotations

import os

from perfagent.runtime import callers, frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from perfagent.runtime.callers import Caller

LOCK, NETWORK, SLEEP, POOL, GIL, PROCESSOR = "lock", "network", "sleep", "pool", "gil", "processor"

_X86 = {
    202: LOCK, 35: SLEEP, 230: SLEEP, 7: NETWORK, 271: NETWORK, 23: NETWORK, 270: NETWORK, 232: NETWORK, 281: NETWORK,
    45: NETWORK, 47: NETWORK, 42: NETWORK, 44: NETWORK, 46: NETWORK, 288: NETWORK, 0: "file", 1: "file",
}  # fmt: skip
_ARM = {
    98: LOCK, 101: SLEEP, 115: SLEEP, 73: NETWORK, 72: NETWORK, 22: NETWORK, 207: NETWORK, 212: NETWORK, 203: NETWORK,
    206: NETWORK, 211: NETWORK, 63: "file", 64: "file",
}  # fmt: skip
_SELECT = {23, 270, 72}  # with no file descriptors it is a sleep: so Python before 3.11 does it
CALLS = {"x86_64": _X86, "aarch64": _ARM}.get(os.uname().machine) if hasattr(os, "uname") else None
"""What a system call waits for, by its number: futex, nanosleep, poll, select, epoll_wait, recvfrom, connect …"""

SYNCHRONISING = ("/threading.py", "/queue.py", "/concurrent/futures/_base.py", "/multiprocessing/synchronize.py")
TALKING = ("/socket.py", "/ssl.py", "/selectors.py", "/socketserver.py")
AWAITED_LOCKS = ("/asyncio/locks.py",)
RUNNING = -1
POLLS = {232, 281, 22}  # epoll_wait, epoll_pwait
DEEPEST = 40  # frames that are looked through for a pool's

pools: list[str] = []
"""How the names of the files of connection pools end: who waits for a lock in there waits for a connection."""


def of_thread(native: int, frame: FrameType | None) -> str | None:
    """What a thread that does not run waits for; None where it is nothing of these. 20 us.

    Args:
        native: the kernel's number of the thread.
        frame: its innermost one.
    """
    kind = _by_call(native, frame)
    if kind == LOCK and _in_pool(frame):
        return POOL
    return kind


def is_idle(native: int, at_rest: bool) -> bool:
    """Whether a thread that runs an event loop waits for sockets and timers.

    Args:
        native: the kernel's number of the thread.
        at_rest: whether its innermost frame runs the loop; which it is in a callback that is written in C, too.
    """
    if not at_rest:
        return False
    call = None if CALLS is None else _call(native)
    return call is None or call[0] in POLLS


def _by_call(native: int, frame: FrameType | None) -> str | None:
    name = "" if frame is None else frame.f_code.co_filename
    call = None if CALLS is None else _call(native)
    if call is None or CALLS is None:
        return LOCK if name.endswith(SYNCHRONISING) else NETWORK if name.endswith(TALKING) else None
    number, arguments = call
    if number == RUNNING:
        return PROCESSOR
    kind = CALLS.get(number)
    if kind == LOCK and arguments[3:4] not in ([b"0x0"], []) and not name.endswith(SYNCHRONISING):
        return LOCK if _acquires(frame) else GIL  # with a timeout: how the interpreter itself waits for its turn
    if kind == "file":
        return NETWORK if _is_socket(arguments[0]) else None
    if number in _SELECT and arguments[0] == b"0x0":
        return SLEEP
    return kind


def _call(native: int) -> tuple[int, list[bytes]] | None:
    """Number and arguments of the system call that a thread is in; None where that is not told.

    RUNNING where it is in none: it would run if it had a processor.
    """
    try:
        with open(f"/proc/self/task/{native}/syscall", "rb", 0) as file:
            words = file.read(256).split()
        return (RUNNING if words[0] == b"running" else int(words[0])), words[1:]
    except (OSError, ValueError, IndexError):
        return None


def _is_socket(descriptor: bytes) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{int(descriptor, 16)}").startswith("socket:")
    except (OSError, ValueError):
        return False


def _acquires(frame: FrameType | None) -> bool:
    """Whether a frame is at `with lock:` or a call of `acquire`; a few words of its code tell, without its values."""
    if frame is None:
        return False
    code, at = frame.f_code, frame.f_lasti
    key = (id(code), at)
    if key not in _known:
        if len(_known) > 500:
            _known.clear()
        _known[key] = _reads_acquire(code, at)
    return _known[key]


_known: dict[tuple[int, int], bool] = {}


def _reads_acquire(code: Any, at: int) -> bool:
    import dis

    before = [one for one in dis.get_instructions(code) if at - 40 <= one.offset <= at]
    if before and before[-1].opname in ("BEFORE_WITH", "SETUP_WITH"):
        return True
    return (
        bool(before)
        and before[-1].opname.startswith("CALL")
        and any(one.argval in ("acquire", "__enter__", "join", "result", "get") for one in before)
    )


def _in_pool(frame: FrameType | None) -> bool:
    ends = tuple(pools)
    for _ in range(DEEPEST):
        if frame is None or not ends:
            return False
        if frame.f_code.co_filename.endswith(ends):
            return True
        frame = frame.f_back
    return False


def of_task(steps: Any) -> tuple[str | None, Caller | None]:
    """What a request on a loop waits for between two of its steps, and where in the program: a lock of asyncio's, a
    pool, a sleep.
    """
    place: Caller | None = None
    ends = tuple(pools)
    name, function, pool = "", "", False
    for _ in range(DEEPEST):
        code = getattr(steps, "cr_code", None) or getattr(steps, "gi_code", None)
        if code is not None:
            name, function = code.co_filename, code.co_name
            pool = pool or (bool(ends) and name.endswith(ends))
            frame = frames.read(steps, "cr_frame")
            if frame is not None and callers.whose(name) == callers.OWN:
                place = code, frame.f_lasti
        following = getattr(steps, "cr_await", None) or getattr(steps, "gi_yieldfrom", None)
        if following is None:
            break
        steps = following
    if name.endswith("/asyncio/tasks.py") and function == "sleep":
        return SLEEP, place
    if not name.endswith(AWAITED_LOCKS) and not (pool and name.endswith("/asyncio/queues.py")):
        return None, None
    return POOL if pool else LOCK, place
