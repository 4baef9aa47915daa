"""More requests than worker threads: FastAPI runs `def` endpoints in 40 threads, and one endpoint keeps them all.

    perfagent run python examples/known_faults/exhausted_pool.py

GET /price is quick, and waits all the same: until GET /report has left a thread. perfagent says what is waited for,
which function keeps the threads, and how long requests wait.
"""

from __future__ import annotations

import sys
import threading
import time
from http.client import HTTPConnection

import uvicorn
from fastapi import FastAPI

app = FastAPI()
CLIENTS = 80


@app.get("/report")
def report() -> str:  # fault: keeps a worker thread while it waits
    """Asks another service, which takes its time."""
    time.sleep(0.2)
    return "a report"


@app.get("/price")
def price() -> str:
    """Knows the answer."""
    return "5"


def main(seconds: float) -> None:
    """Serves, and asks with 80 clients at once, again and again."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = threading.Thread(target=server.run)
    serving.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    until = time.monotonic() + seconds

    def ask() -> None:
        connection = HTTPConnection("127.0.0.1", port)
        while time.monotonic() < until:
            for path in ("/report", "/price"):
                connection.request("GET", path)
                connection.getresponse().read()
        connection.close()

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    server.should_exit = True
    serving.join()
    print("requests wait for one of 40 worker threads, which GET /report keeps for 200 ms each")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
