"""Tells an address of what a rule has found; the action of those whose remedy is their own."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfagent import __version__

if TYPE_CHECKING:
    from perfagent.hub.optimise.journal import Taken

TIMEOUT, DEADLINE = 5.0, 10.0  # s without a sign of life; in all
TOLD = ("id", "time", "rule", "service", "text", "value", "limit", "unit")


def shown(url: str) -> str:
    """Where an address leads, without what may be a secret: user, password, path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Call:
    """One post of what is wrong, as JSON, in a thread of its own. Redirects are not followed.

    Args:
        url: whom it is for.
        taken: what is told.
    """

    def __init__(self, url: str, taken: Taken) -> None:
        self._parts = urlsplit(url)
        self._content = json.dumps({key: value for key, value in asdict(taken).items() if key in TOLD}).encode()
        self._connection: http.client.HTTPConnection | None = None
        self._problem: str | None = None
        self._late = monotonic() + DEADLINE
        threading.Thread(target=self._run, name="optimisation webhook", daemon=True).start()

    @property
    def problem(self) -> str | None:
        """Why it failed, "" where it did not; None while it is under way."""
        if self._problem is None and monotonic() > self._late:
            self._problem = f"{self._parts.hostname} could not be told: no answer within {DEADLINE:g} s"
            connection = self._connection
            if connection is not None and connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)  # so that the thread ends, however slow the answer is
        return self._problem

    def _run(self) -> None:
        problem = self._post()
        if self._problem is None:
            self._problem = problem

    def _post(self) -> str:
        parts = self._parts
        headers = {"Content-Type": "application/json", "User-Agent": f"perfagent/{__version__}"}
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            self._connection = connection = self._made()
            try:
                connection.request("POST", path, self._content, headers)
                response = connection.getresponse()
            finally:
                connection.close()
        except http.client.InvalidURL:  # whose text has the path, which may be a secret
            return f"{parts.hostname} could not be told: its address has spaces or signs that none may have"
        except (OSError, ValueError, http.client.HTTPException) as error:
            return f"{parts.hostname} could not be told: {error or type(error).__name__}"
        return "" if response.status < 300 else f"{parts.hostname} answered {response.status}"

    def _made(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)
