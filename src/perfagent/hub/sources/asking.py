"""One HTTP request of a source: no proxy of the environment's secrets, no redirect to another machine, bounded."""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from perfagent.hub.sources.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 1 << 20  # bytes of an answer that are read


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Args:
        status: of HTTP.
        body: at most 1 MiB of it.
        seconds: until all of that was there.
        first_seconds: until the status was.
    """

    status: int
    body: bytes
    seconds: float
    first_seconds: float


def ask(url: str, method: str, headers: Mapping[str, str], timeout: float) -> Reply:
    """Sends a request on a connection of its own and reads the answer.

    Args:
        url: http or https; a user and password in it become basic authentication.
        method: such as GET.
        headers: further ones.
        timeout: seconds for each step, and until all of the body is there.

    Raises:
        OSError, http.client.HTTPException: there is no answer.
        SourceError: that is no address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SourceError("url cannot be read: its port is no number") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SourceError("url is no address of HTTP; write one such as https://shop.example.com/health")
    sent = {"User-Agent": "perfagent-hub", "Accept": "*/*", "Connection": "close", **headers}
    if parts.username and "authorization" not in {name.lower() for name in headers}:
        from base64 import b64encode

        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        sent["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(parts.hostname, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, port, timeout=timeout)
    began = time.perf_counter()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, headers=sent)
        answer = connection.getresponse()
        first = time.perf_counter() - began
        body = _read(answer, began + timeout)
        return Reply(answer.status, body, time.perf_counter() - began, first)
    finally:
        connection.close()


def _read(answer: http.client.HTTPResponse, until: float) -> bytes:
    """The body, of which each part may come in time and the whole never ends."""
    body = bytearray()
    while len(body) < LARGEST and (part := answer.read1(LARGEST - len(body))):
        body += part
        if time.perf_counter() > until:
            raise TimeoutError("timed out while the body came")
    return bytes(body)
