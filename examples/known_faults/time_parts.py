"""Slow because of its pool: GET /orders keeps the only connection while it asks somebody else for the price.

    perfagent run python examples/known_faults/time_parts.py

The request's own code takes hardly any CPU time and its query less than a millisecond. Its bar in a trace's waterfall,
"What its requests did" of the endpoint, and the finding that it is slow say what it does instead: it waits for a free
connection of the pool.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from flask import Flask
from sqlalchemy import Engine, create_engine, text
from werkzeug.serving import WSGIRequestHandler, make_server

app = Flask(__name__)
engine: Engine
CLIENTS = 5


@app.get("/orders")
def orders() -> str:
    """An order and its price."""
    with engine.connect() as connection:
        number = connection.execute(text("SELECT 5")).scalar_one()
        time.sleep(0.1)  # THE FAULT: somebody else is asked while the connection is kept from all others
    return str(number)


class Quiet(WSGIRequestHandler):
    """Without a line for each request."""

    def log(self, *_: object) -> None:
        """Says nothing."""


def main(seconds: float) -> None:
    """Serves, and asks five times at once, again and again."""
    global engine
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'orders.db'}", pool_size=1, max_overflow=0)
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        until = time.monotonic() + seconds

        def ask() -> None:
            while time.monotonic() < until:
                urlopen(f"http://127.0.0.1:{server.server_port}/orders").read()

        clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    print("GET /orders waits for the pool, of which each request keeps the only connection for 100 ms")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
