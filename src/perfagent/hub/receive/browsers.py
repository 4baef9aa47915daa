"""POST /v1/client: what a page of the measured program sends from its browser.

The sender has another origin than the hub, so those on the loopback address, where the program that is being developed
runs, and the hosts of PERFAGENT_HUB_ALLOWED_HOSTS are answered with CORS. Any other page gets 403, even for a beacon
whose answer it could not read. No token is asked for, for a page has none to show; all that it can write is a number
of a known kind.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from starlette.routing import Route

from perfagent.hub.receive.body import Disconnected, Refused, Room, read
from perfagent.hub.receive.client import BODY, Clients, Invalid
from perfagent.hub.store.errors import StoreFailed
from perfagent.hub.store.intake import Overloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from perfagent.hub.hub import Hub
    from perfagent.hub.receive.body import Receive

    Send = Callable[[dict[str, Any]], Awaitable[None]]

READABLE = {"cross-origin-resource-policy": "cross-origin"}
"""Without it the page's console shows an error for each beacon, although its measurement is stored."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def routes(hub: Hub) -> list[Route]:
    """The route of /v1/client."""
    return [Route("/v1/client", Endpoint(Clients(hub)), methods=["POST", "OPTIONS"])]


class Endpoint:
    """The route: CORS, limits, and the envelope of the REST interface.

    Args:
        clients: where measurements go.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._room = Room(64 * BODY, BODY)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answers 202 when the measurements are stored, 204 to a browser that asks whether it may send."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get(b"origin", "")
        if not allowed(origin, self._clients.hub.settings.hub_hosts):
            text = f"pages of {origin} may not send here; name their host in PERFAGENT_HUB_ALLOWED_HOSTS"
            await _send(send, 403, _error("forbidden_origin", text), {})
            return
        cors = {"access-control-allow-origin": origin, "vary": "Origin", **READABLE} if origin else {}
        if scope["method"] == "OPTIONS":
            cors |= {"access-control-allow-methods": "POST", "access-control-allow-headers": "content-type"}
            cors |= {"access-control-max-age": "600"}
            if b"access-control-request-private-network" in headers:
                cors["access-control-allow-private-network"] = "true"
            await _send(send, 204, b"", cors)
            return
        try:
            status, content, extra = await self._answer(scope, headers, receive)
        except Disconnected:
            return
        await _send(send, status, content, {**cors, **extra})

    async def _answer(
        self, scope: dict[str, Any], headers: dict[bytes, str], receive: Receive
    ) -> tuple[int, bytes, dict[str, str]]:
        kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/json", "text/plain"):
            text = f"Content-Type {kind or 'none'!r}: send application/json, or text/plain with JSON in it"
            return 415, _error("unsupported_media_type", text), {}
        sender = (scope.get("client") or ("",))[0]
        try:
            encoding, length = headers.get(b"content-encoding", ""), headers.get(b"content-length", "")
            body = await read(receive, encoding, length, self._room)
            try:
                count = await self._clients.take(body, sender)
            finally:
                self._room.taken -= len(body)
        except Invalid as error:
            return 400, _error("invalid", str(error), error.field), {}
        except Refused as refused:
            return refused.status, _error(_CODES[refused.status], str(refused)), refused.headers
        except Overloaded as error:
            wait = str(max(1, math.ceil(error.retry_after)))
            return 429, _error("overloaded", "the hub has too much to store at the moment"), {"retry-after": wait}
        except StoreFailed as error:
            return 503, _error("store_failed", f"the measurements could not be stored: {error}"), {"retry-after": "5"}
        return 202, orjson.dumps({"status": "success", "data": {"accepted": count}}), {}


def allowed(origin: str, hosts: Iterable[str]) -> bool:
    """Whether pages of this origin may send measurements: those on the loopback address and of the allowed hosts.

    Args:
        origin: the header Origin; "" where there is none, for then no page of another site sent it.
        hosts: PERFAGENT_HUB_ALLOWED_HOSTS, with or without a port.
    """
    if not origin:
        return True
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False  # "null": a file, or a frame in a sandbox
    return host in LOOPBACK or any(name.lower() in (host, f"{host}:{port}") for name in hosts)


_CODES = {400: "invalid", 413: "too_large", 415: "unsupported_encoding", 429: "rate_limited"}


def _error(code: str, message: str, field: str = "") -> bytes:
    return orjson.dumps({"status": "error", "error": {"code": code, "message": message, "field": field or None}})


async def _send(send: Send, status: int, content: bytes, extra: dict[str, str]) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in extra.items()]
    if content:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
