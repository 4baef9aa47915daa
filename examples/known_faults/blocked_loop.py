"""A synchronous sleep in an async function: while one request waits for the rate limit, no other is answered.

Serves itself and asks itself for some seconds (the first argument, 8 when left out), four requests at a time.
"""

from __future__ import annotations

import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import uvicorn
from fastapi import FastAPI

app = FastAPI()


class RateLimit:
    """Lets one call through every so often."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wait(self) -> None:
        """Returns when the next call may be made."""
        time.sleep(self.seconds)  # the fault: it is called by a coroutine


limit = RateLimit(0.3)


@app.get("/rates/{currency}")
async def rate(currency: str) -> dict[str, object]:
    """Asks the bank, which allows three questions a second."""
    limit.wait()
    return {"currency": currency, "rate": 1.08}


@app.get("/health")
async def health() -> str:
    """Is slow for no reason of its own."""
    return "fine"


def main() -> None:
    """Serves, and asks."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = Thread(target=server.run)
    serving.start()
    while not server.started:
        time.sleep(0.01)
    base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    end = time.monotonic() + seconds

    def ask(path: str) -> int:
        answered = 0
        while time.monotonic() < end:
            with urllib.request.urlopen(base + path, timeout=30) as answer:
                answered += answer.status == 200
        return answered

    with ThreadPoolExecutor(4) as clients:
        answered = sum(clients.map(ask, ["/rates/EUR", "/rates/SEK", "/health", "/health"]))
    print(f"{answered} answers; see which line blocks: perfagent dashboard --service blocked_loop, or the page")
    server.should_exit = True
    serving.join()


if __name__ == "__main__":
    main()
