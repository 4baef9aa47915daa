"""What senders are told by a hub that reads from Prometheus and Jaeger, and keeps nothing of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.routing import Route

from perfagent.hub.receive import wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Send = Callable[[dict[str, Any]], Awaitable[None]]

STATUS = 501
"""Not implemented: one of those after which OTLP's senders do not try again, and say what they lost."""
UNIMPLEMENTED = 12  # of google.rpc.Code
PATHS = ("/v1/traces", "/v1/metrics", "/v1/logs", "/v1development/profiles", "/v1/client")
REASON = (
    "this hub reads from Prometheus and Jaeger (PERFAGENT_PROMETHEUS_URL, PERFAGENT_JAEGER_URL) and takes no "
    "telemetry: send to the Collector in front of them, OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
)


def routes() -> list[Route]:
    """Routes that refuse telemetry, and say where it belongs."""
    return [Route(path, _refuse, methods=["POST"]) for path in PATHS]


class Refusal:
    """Answers one request."""

    async def __call__(self, scope: dict[str, Any], receive: object, send: Send) -> None:
        """Refuses, in the format in which it was asked."""
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        if kind.startswith(b"application/x-protobuf"):
            body = bytes(wire.Failure(code=UNIMPLEMENTED, message=REASON.encode()).SerializeToString())
        else:
            kind = b"application/json"
            body = orjson.dumps({"code": UNIMPLEMENTED, "message": REASON})
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": STATUS, "headers": headers})
        await send({"type": "http.response.body", "body": body})


_refuse = Refusal()
