"""A web program whose workers all make the same report anew when it expires in Redis.

Each of twelve visitors asks for today's report again and again. While one request makes it, the others find nothing in
the cache either, and make it, too: a stampede. perfagent counts what was made for nothing and names the line that sets
it. Needs a Redis: its address is the first argument, or redis://localhost:6379/0.
"""

from __future__ import annotations

import sys
import threading
import time
import urllib.request
from typing import TYPE_CHECKING

import redis
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

KEPT_MS = 300
VISITORS, VISITS = 12, 25


class Quiet(WSGIRequestHandler):
    """Says nothing of requests."""

    def log_request(self, *args: object) -> None:
        """Does not."""


class Reports:
    """The web program.

    Args:
        client: of Redis.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Answers a request."""
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [self.report("today")]

    def report(self, day: str) -> bytes:
        """The report of a day, from the cache if it has it."""
        key = f"report:{day}"
        found = self.client.get(key)
        if found is None:
            found = self.make(day)
            self.client.set(key, found, px=KEPT_MS)  # the fault: nothing keeps the others from coming here, too
        return found

    @staticmethod
    def make(day: str) -> bytes:
        """Adds everything up."""
        time.sleep(0.1)
        return f"all is well {day}\n".encode()


def visit(address: str) -> None:
    """What a visitor does."""
    for _ in range(VISITS):
        with urllib.request.urlopen(address) as answer:
            answer.read()
        time.sleep(0.05)


def main() -> None:
    """Serves its visitors until they have gone."""
    client = redis.Redis.from_url(sys.argv[1] if len(sys.argv) > 1 else "redis://localhost:6379/0")
    server = make_server("127.0.0.1", 0, Reports(client), threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    visitors = [
        threading.Thread(target=visit, args=(f"http://127.0.0.1:{server.server_port}/",)) for _ in range(VISITORS)
    ]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join()
    server.shutdown()
    print("Look at the page's view of caches: up to twelve at a time make report:today anew.")


if __name__ == "__main__":
    main()
