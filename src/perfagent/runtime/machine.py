"""How busy the machine is, and what single threads take of it; from the kernel, on Linux. Elsewhere nothing is told."""

from __future__ import annotations

import os
import sys
from _thread import get_ident, get_native_id
from time import clock_gettime_ns

from perfagent.runtime import inert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ZONES = ((0.95, "critical"), (0.85, "red"), (0.75, "orange"), (0.60, "yellow"))
"""From which share of the machine's CPU or memory on a resource zone is entered."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
BACK = 0.05
"""How far below that share it must be until the zone is left, so that what is at a limit does not flap."""


main_thread = get_ident() if get_native_id() == os.getpid() else 0
"""Python's number of the thread that is the process for Linux: the agent starts in it. gevent changes what `threading`
says."""
grown = 0
"""Bytes by which the agent's start made the process grow."""


def threads() -> dict[int, Any]:
    """The threads that `threading` knows, by their number; none while somebody imports that module."""
    threading: Any = sys.modules.get("threading")
    return threading._active if hasattr(threading, "_main_thread") else {}


def native_of(thread: object) -> int:
    """The kernel's number of a thread that `threading` knows; 0 where nobody knows."""
    if sys.platform == "linux" and thread is sys.modules["threading"].main_thread():
        return os.getpid()  # what it says of itself is its parent's in a forked process
    native = inert.attributes_of(thread).get("_native_id")
    return native if type(native) is int else 0


def resident() -> int:
    """Bytes of physical memory of this process; 0 where the system does not tell. 10 us."""
    try:
        file = os.open("/proc/self/statm", os.O_RDONLY)  # half the time that `open` takes
    except OSError:
        return 0
    try:
        return int(os.read(file, 256).split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
    finally:
        os.close(file)


def thread_time(native: int) -> int | None:
    """CPU ns that a thread of this process has used; None where there is none, or the system cannot tell.

    The clock's number is made of the thread's as the kernel defines it (`MAKE_THREAD_CPUCLOCK`, CPUCLOCK_SCHED). It
    checks whether there is such a thread, where `pthread_getcpuclockid` would read the memory of one that has ended.

    Args:
        native: the kernel's number of the thread. 0.3 us.
    """
    try:
        return clock_gettime_ns((~native << 3) | 6)
    except OSError:
        return None


def core_wait(native: int) -> int:
    """ns for which a thread of this process wanted to run and had no core; 0 where the system does not tell. 10 us."""
    try:
        file = os.open(f"/proc/self/task/{native}/schedstat", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(file, 64).split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    finally:
        os.close(file)


class Load:
    """The machine's resource zone, from one look to the next."""

    def __init__(self) -> None:
        self._busy = self._whole = 0
        self._zone = "green"

    def zone(self) -> str:
        """green, yellow, orange, red or critical, by the busier of CPU and memory since the last look; 60 us."""
        try:
            share = max(self._cpu(), _memory())
        except (OSError, ValueError, IndexError, KeyError):
            return "green"
        limits = {name: limit for limit, name in ZONES}
        entered = next((name for limit, name in ZONES if share >= limit), "green")
        if self._zone != "green" and share >= limits[self._zone] - BACK and limits.get(entered, 0) < limits[self._zone]:
            return self._zone
        self._zone = entered
        return entered

    def _cpu(self) -> float:
        with open("/proc/stat", "rb", 0) as file:
            times = [int(word) for word in file.read(256).split(b"\n")[0].split()[1:9]]
        whole = sum(times)
        busy = whole - times[3] - times[4]  # idle, and waiting for a disk
        passed, used = whole - self._whole, busy - self._busy
        first, self._whole, self._busy = not self._whole, whole, busy
        return 0.0 if first or passed <= 0 else used / passed


def _memory() -> float:
    with open("/proc/meminfo", "rb", 0) as file:
        lines = dict(line.split(b":") for line in file.read(1024).splitlines()[:8] if b":" in line)
    return 1 - int(lines[b"MemAvailable"].split()[0]) / int(lines[b"MemTotal"].split()[0])
