"""Tells an address of what a rule has found; the action of those whose remedy is their own."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfagent import __version__

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from perfagent.hub.optimise.journal import Taken

TIMEOUT = 5.0  # s
TOLD = ("id", "time", "rule", "service", "text", "value", "limit", "unit")


def post(url: str, taken: Taken) -> str:
    """Posts what is wrong as JSON; returns why that failed, "" where it did not. Redirects are not followed."""
    parts = urlsplit(url)
    content = {key: value for key, value in asdict(taken).items() if key in TOLD}
    headers = {"Content-Type": "application/json", "User-Agent": f"perfagent/{__version__}"}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = _connection(parts)
        try:
            connection.request("POST", path, json.dumps(content).encode(), headers)
            response = connection.getresponse()
            response.read(1 << 16)
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{parts.hostname} could not be told: {error or type(error).__name__}"
    return "" if response.status < 300 else f"{parts.hostname} answered {response.status}"


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
