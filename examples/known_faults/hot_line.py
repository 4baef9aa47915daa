"""Slow because of one line: GET /report sorts all it knows again for each row, while GET /health is as quick as ever.

    perfagent run python examples/known_faults/hot_line.py

The profiler says where the CPU of `GET /report` goes: the line with `sorted` in `rank`, in this file.
"""

from __future__ import annotations

import sys
import threading
import time
from urllib.request import urlopen

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

app = Flask(__name__)
ROWS = [(number * 7919) % 10_007 for number in range(2_000)]


def rank(row: int) -> int:
    """The place of a row among all."""
    return sorted(ROWS, key=lambda other: other * 31 % 1_009).index(row)  # THE FAULT: the same for every row


@app.get("/report")
def report() -> str:
    """The places of the first rows."""
    return " ".join(str(rank(row)) for row in ROWS[:20])


class Quiet(WSGIRequestHandler):
    """Without a line for each request."""

    def log(self, *_: object) -> None:
        """Says nothing."""


@app.get("/health")
def health() -> str:
    """Quick."""
    return "well"


def main(seconds: float) -> None:
    """Serves, and asks for both endpoints in turn."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path in ("/report", "/health"):
            urlopen(f"http://127.0.0.1:{server.server_port}{path}").read()
    print("most of the CPU of GET /report is in rank, line 24; see it by")
    print('perfagent flame --service hot_line --endpoint "GET /report" --type cpu --lines')


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
