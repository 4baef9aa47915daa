"""A WSGI program that dies in each way that there is: killed while it works, by a native crash, by its own hand."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

LONG = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n where i = 'canary'"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/report":
        sqlite3.connect(":memory:").execute(LONG).fetchone()
    elif path == "/crash":
        ctypes.string_at(0)
    elif path == "/abort":
        os.abort()
    elif path == "/exit":
        os._exit(3)
    elif path == "/hoard":
        hoard = []
        while True:
            hoard.append(b"x" * 2_000_000)
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


if __name__ == "__main__":
    import sys
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIServer, make_server

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    make_server("127.0.0.1", int(sys.argv[1]), app, server_class=Server).serve_forever()
