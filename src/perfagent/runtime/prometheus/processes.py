"""Whether a process is the one that it was: a number is used again once its process is gone."""

from __future__ import annotations

import os


def is_alive(pid: int, start: int) -> bool:
    """Whether the process that was started then still runs; one that nobody has waited for yet does not.

    Args:
        pid: its number.
        start: as `started` told; 0 where that is not known.
    """
    now = started(pid)
    if now is None:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return not os.path.exists("/proc/self/stat")
    return now == start


def started(pid: int) -> int | None:
    """When a running process was started, in the system's own count; None where nobody knows, as for a dead one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
