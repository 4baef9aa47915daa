"""ETag and 304: an answer that a client already has is not sent again.

A tag is a hash of the answer (1 MB takes 1 ms), weak because gzip may change its bytes. The page's repeated questions
for what has not changed are answered by 150 bytes.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from perfagent.hub.api.security import App, Receive, Scope, Send


def tag(body: bytes) -> str:
    """The weak entity tag of a body."""
    return f'W/"{blake2b(body, digest_size=12).hexdigest()}"'


def known(tag: str, if_none_match: str) -> bool:
    """Whether a client's If-None-Match has the tag; they are compared weakly (RFC 9110, 13.1.2)."""
    wanted = tag.removeprefix("W/")
    return any(each.strip().removeprefix("W/") in (wanted, "*") for each in if_none_match.split(","))


class Conditional:
    """The layer that tags whole JSON answers to GET requests of the interface; streams pass as they are."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        asked = next((value for name, value in scope["headers"] if name == b"if-none-match"), b"").decode("latin-1")
        start: MutableMapping[str, Any] | None = None

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _tagged(message):
                start = message
                return
            if start is not None and not message.get("more_body"):
                start, message = _answer(start, message, asked)
            if start is not None:
                await send(start)
                start = None
            await send(message)

        await self._app(scope, receive, sending)


def _tagged(start: MutableMapping[str, Any]) -> bool:
    return start["status"] == 200 and (b"content-type", b"application/json") in start["headers"]


def _answer(
    start: MutableMapping[str, Any], body: MutableMapping[str, Any], asked: str
) -> tuple[MutableMapping[str, Any], MutableMapping[str, Any]]:
    found = tag(body.get("body", b""))
    own = [(b"etag", found.encode()), (b"cache-control", b"private, no-cache")]
    if not asked or not known(found, asked):
        return {**start, "headers": [*start["headers"], *own]}, body
    return {**start, "status": 304, "headers": own}, {"type": "http.response.body", "body": b""}
