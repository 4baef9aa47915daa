"""A small HTTP server in a process of its own, for clients to ask."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks import children

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import socketserver

ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\n\\r\\nhello"

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        received = b""
        while data := self.request.recv(65536):
            received += data
            while b"\\r\\n\\r\\n" in received:
                received = received.partition(b"\\r\\n\\r\\n")[2]
                self.request.sendall(ANSWER)

class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

with Server(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of the server: every GET is answered by "hello"."""
    with children.started([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
