"""Threads that are started for each order and never end: they wait for an event that nobody sets.

Runs for as many seconds as the first argument says (180 when left out); with the argument `fixed` the event is set.
"""

from __future__ import annotations

import sys
import time
from threading import Event, Thread


def watch_order(done: Event) -> None:
    """Waits until an order is delivered."""
    done.wait()


def accept_order() -> None:
    """Begins to watch over a new order."""
    done = Event()
    Thread(target=watch_order, args=(done,), daemon=True).start()  # the fault: nobody ever sets `done`
    if "fixed" in sys.argv:
        done.set()


def main() -> None:
    """Takes ten orders a second."""
    end = time.monotonic() + float(sys.argv[1] if len(sys.argv) > 1 else 180)
    while time.monotonic() < end:
        accept_order()
        time.sleep(0.1)
    print("see which line starts threads that stay: perfagent dashboard --service leaked_threads, or the page")


if __name__ == "__main__":
    main()
