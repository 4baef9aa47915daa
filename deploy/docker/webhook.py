"""Stands where a team's pager would: takes Alertmanager's notifications and prints a line an alert.

`docker compose logs --follow webhook` shows them. What is to wake somebody is written in alertmanager.yml.
"""

from __future__ import annotations

import http.server
import json
import signal
import sys

LARGEST = 10_000_000  # bytes of a notification


class Webhook(http.server.BaseHTTPRequestHandler):
    """Answers 200 for what it has printed, 400 for what it cannot read."""

    timeout = 10

    def do_POST(self) -> None:
        """One notification, of one or more alerts."""
        try:
            size = int(self.headers.get("Content-Length") or 0)
            for alert in json.loads(self.rfile.read(min(size, LARGEST)))["alerts"]:
                labels = alert["labels"]
                summary = alert.get("annotations", {}).get("summary", "")
                told = (alert["status"], labels.get("severity", ""), labels.get("alertname", ""), summary)
                print(" ".join(json.dumps(word) if " " in word or not word else word for word in told), flush=True)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._answer(400)
        else:
            self._answer(200)

    def do_GET(self) -> None:
        """Whether it is there."""
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing of requests."""


def main() -> None:
    """Serves on the port of the first argument, and on the address of the second or on all, until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host = sys.argv[2] if len(sys.argv) > 2 else ""
    with http.server.ThreadingHTTPServer((host, int(sys.argv[1])), Webhook) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
