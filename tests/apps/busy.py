"""Makes spans at a steady pace until it is told to stop, and says how many and how slow the slowest was."""

import signal
import sqlite3
import sys
import time

seconds, pace = float(sys.argv[1]), float(sys.argv[2])
stopped = False


def stop(number: int, frame: object) -> None:
    global stopped
    stopped = True


signal.signal(signal.SIGTERM, stop)
cursor = sqlite3.connect(":memory:").cursor()
made, slowest = 0, 0.0
end = time.monotonic() + seconds
print("ready", flush=True)
while not stopped and time.monotonic() < end:
    began = time.perf_counter()
    cursor.execute("select 1")
    slowest = max(slowest, time.perf_counter() - began)
    made += 1
    if pace:
        time.sleep(pace)
print("made", made, flush=True)
