"""Makes so many spans at once, tells it, and stays for a while: `counted.py SPANS SECONDS`."""

import sqlite3
import sys
import time

cursor = sqlite3.connect(":memory:").cursor()
for _ in range(int(sys.argv[1])):
    cursor.execute("select 1")
print("made", sys.argv[1], flush=True)
time.sleep(float(sys.argv[2]))
