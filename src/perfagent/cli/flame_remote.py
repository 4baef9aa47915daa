"""Looks at the stacks of the process that runs it, and writes them down: what `sys.remote_exec` has a process run.

It stands alone: the standard library of any Python, and nothing of the process' own.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from types import FrameType


def start(path: str, seconds: float, rate: float) -> None:
    """Looks from a thread of its own, so that the process goes on.

    Args:
        path: the file of collapsed stacks, written when it is over.
        seconds: for so long.
        rate: looks a second.
    """
    threading.Thread(target=_look, args=(path, seconds, rate), name="perfagent-flame", daemon=True).start()


def _look(path: str, seconds: float, rate: float) -> None:
    found: Counter[str] = Counter()
    own, end = threading.get_ident(), time.monotonic() + seconds
    while time.monotonic() < end:
        for thread, innermost in sys._current_frames().items():
            if thread == own:
                continue
            calls: list[str] = []
            frame: FrameType | None = innermost
            while frame is not None and len(calls) < 512:
                code = frame.f_code
                name = code.co_qualname if hasattr(code, "co_qualname") else code.co_name
                calls.append(f"{name} ({code.co_filename}:{frame.f_lineno})".replace(";", ":"))
                frame = frame.f_back
            found[";".join(reversed(calls))] += 1
        time.sleep(1 / rate)
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.writelines(f"{stack} {times}\n" for stack, times in found.items())
    os.replace(f"{path}.part", path)
