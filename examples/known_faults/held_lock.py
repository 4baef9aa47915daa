"""Slow because of a lock: GET /price waits for `refresh`, which holds the lock of all prices while it asks somebody.

    perfagent run python examples/known_faults/held_lock.py

The profiler says what `GET /price` waits for: the line `with LOCK` in `price`, in this file; it uses no CPU.
"""

from __future__ import annotations

import sys
import threading
import time
from urllib.request import urlopen

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

app = Flask(__name__)
LOCK = threading.Lock()
PRICES = {"apple": 3}


def refresh() -> None:
    """Asks for the prices, ten times a second."""
    while True:
        with LOCK:  # THE FAULT: held while nothing is changed yet
            time.sleep(0.08)
            PRICES["apple"] += 1
        time.sleep(0.02)


@app.get("/price")
def price() -> str:
    """A price."""
    with LOCK:
        return str(PRICES["apple"])


class Quiet(WSGIRequestHandler):
    """Without a line for each request."""

    def log(self, *_: object) -> None:
        """Says nothing."""


def main(seconds: float) -> None:
    """Serves, and asks again and again."""
    threading.Thread(target=refresh, name="refresh", daemon=True).start()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        urlopen(f"http://127.0.0.1:{server.server_port}/price").read()
    print("GET /price waits for the lock in price, line 35; see it by")
    print('perfagent flame --service held_lock --endpoint "GET /price" --type lock --lines')


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
