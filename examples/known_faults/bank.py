"""The other side of these programs: a bank that answers over HTTP, in a thread of the same process."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

LENGTH = 100_000


class Bank(BaseHTTPRequestHandler):
    """Answers everything with rates; keeps connections open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A long list."""
        self.send_response(200)
        self.send_header("Content-Length", str(LENGTH))
        self.end_headers()
        self.wfile.write(b"1" * LENGTH)

    def handle_one_request(self) -> None:
        """As the library; a client that hangs up is none of our business."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Says nothing."""


def open_bank() -> str:
    """Its address; it is open for as long as the program runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bank)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
