"""OTLP over HTTP: POST /v1/traces, /v1/metrics, /v1/logs, /v1development/profiles; and what browsers measure.

Rules: OpenTelemetry protocol 1.x, "OTLP/HTTP". The routes are bare ASGI applications: Starlette's Request and Response
would cost 20 us more a request.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson
from starlette.routing import Route

from perfagent.hub.receive import browsers, elsewhere, wire
from perfagent.hub.receive.body import Disconnected, Refused, read
from perfagent.hub.receive.limits import Malformed
from perfagent.hub.receive.receiver import SIGNALS, Receiver, Signal
from perfagent.hub.store.errors import StoreFailed
from perfagent.hub.store.intake import Overloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perfagent.hub.hub import Hub
    from perfagent.hub.receive.body import Receive
    from perfagent.hub.store.rows import Batch

    Send = Callable[[dict[str, Any]], Awaitable[None]]

PROTOBUF, JSON = b"application/x-protobuf", b"application/json"
FORMATS = {PROTOBUF: False, b"application/protobuf": False, JSON: True}
ENCODED = (b"content-encoding", b"content-length")
LARGEST_JSON = 16_777_216
"""Bytes of a request in JSON, which is read in one go; protobuf has PERFAGENT_HUB_MAX_BODY alone."""
# google.rpc.Code for the HTTP statuses that are answered here
CODES = {400: 3, 413: 8, 415: 3, 429: 8, 503: 14}


def routes(hub: Hub) -> list[Route]:
    """The routes that take telemetry in; in a hub that reads from elsewhere, those that refuse it."""
    if hub.remote is not None:
        return elsewhere.routes()
    receiver = Receiver(hub)
    otlp = [Route(signal.path, Endpoint(receiver, signal), methods=["POST"]) for signal in SIGNALS]
    return [*otlp, *browsers.routes(hub)]


class Endpoint:
    """One signal's route.

    Args:
        receiver: where requests go.
        signal: what they hold.
    """

    def __init__(self, receiver: Receiver, signal: Signal) -> None:
        self._receiver = receiver
        self._signal = signal

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answers a request when it is stored, or says why it is not."""
        headers = {name: value for name, value in scope["headers"] if name.startswith(b"content-")}
        try:
            as_json = _format(headers)
        except Refused as refused:
            await _send(send, refused.status, JSON, _failure(refused.status, str(refused), True), refused.headers)
            return
        try:
            status, content, extra = await self._answer(headers, receive, as_json)
        except Disconnected:
            return
        await _send(send, status, JSON if as_json else PROTOBUF, content, extra)

    async def _answer(
        self, headers: dict[bytes, bytes], receive: Receive, as_json: bool
    ) -> tuple[int, bytes, dict[str, str]]:
        receiver = self._receiver
        try:
            encoding, length = (headers.get(name, b"").decode("latin-1") for name in ENCODED)
            body = await read(receive, encoding, length, receiver.room, LARGEST_JSON if as_json else None)
            try:
                batch = await receiver.take(self._signal, body, as_json)
            finally:
                receiver.room.taken -= len(body)
        except Refused as refused:
            return refused.status, _failure(refused.status, str(refused), as_json), refused.headers
        except Malformed as error:
            return 400, _failure(400, str(error), as_json), {}
        except Overloaded as error:
            wait = str(max(1, math.ceil(error.retry_after)))
            text = f"more requests wait than the hub holds (PERFAGENT_HUB_QUEUE); send this one again in {wait} s"
            return 429, _failure(429, text, as_json), {"retry-after": wait}
        except StoreFailed as error:
            return 503, _failure(503, f"the request could not be stored: {error}", as_json), {"retry-after": "5"}
        waiting = receiver.waiting(batch)
        return 200, success(batch, self._signal, as_json), {"perfagent-control": str(waiting)} if waiting else {}


def _format(headers: dict[bytes, bytes]) -> bool:
    """Whether the body is JSON; raises Refused where it is neither."""
    sent = headers.get(b"content-type", b"")
    found = FORMATS.get(sent)
    if found is None:
        found = FORMATS.get(sent.partition(b";")[0].strip().lower())
    if found is None:
        told = sent.decode("latin-1") or "none"
        raise Refused(415, f"Content-Type {told!r}: send application/x-protobuf or application/json")
    return found


def success(batch: Batch, signal: Signal, as_json: bool) -> bytes:
    """The answer's message: empty, or a partial success with what was refused or cut, and why."""
    if not batch.reason:
        return b"{}" if as_json else b""
    if as_json:
        partial: dict[str, Any] = {"errorMessage": batch.reason}
        if batch.rejected:
            partial[signal.rejected] = str(batch.rejected)
        return orjson.dumps({"partialSuccess": partial})
    told = wire.Partial(rejected=batch.rejected, error_message=batch.reason.encode())
    return bytes(wire.Response(partial_success=told).SerializeToString())


def _failure(status: int, text: str, as_json: bool) -> bytes:
    """A google.rpc.Status."""
    if as_json:
        return orjson.dumps({"code": CODES[status], "message": text})
    return bytes(wire.Failure(code=CODES[status], message=text.encode("utf-8", "replace")).SerializeToString())


async def _send(send: Send, status: int, kind: bytes, content: bytes, extra: dict[str, str]) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in extra.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
