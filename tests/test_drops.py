"""What is lost is counted exactly, whichever threads lose it."""

from __future__ import annotations

import sys
import threading

from perfagent.runtime import outbox


def test_threads_that_drop_at_once_lose_no_count() -> None:
    before, interval = outbox.drops.get(("span", "tested"), 0), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda: [outbox.drop("span", "tested", 1) for _ in range(20_000)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert outbox.drops.pop(("span", "tested")) - before == 80_000
