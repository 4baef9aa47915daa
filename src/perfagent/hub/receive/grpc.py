"""OTLP over gRPC, for senders that speak nothing else; grpcio is the extra `perfagent[grpc]`.

Rules: OpenTelemetry protocol 1.x, "OTLP/gRPC". The same decoders, limits and answers as over HTTP: messages arrive as
bytes, and what HTTP says by a status and Retry-After is a code and a google.rpc.RetryInfo here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from perfagent.hub.receive import wire
from perfagent.hub.receive.http import success
from perfagent.hub.receive.limits import Malformed
from perfagent.hub.receive.receiver import SIGNALS, Receiver
from perfagent.hub.store.errors import StoreFailed
from perfagent.hub.store.intake import Overloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perfagent.hub.hub import Hub
    from perfagent.hub.receive.receiver import Signal

log = logging.getLogger("perfagent.hub")
GRACE = 1.0  # seconds that calls under way get at the end
LOOPBACK = ("localhost", "127.0.0.1", "::1")
TYPE = b"type.googleapis.com/google.rpc.RetryInfo"


class Missing(OSError):  # noqa: N818 - what it says
    """grpcio is not installed; the text says how to get it."""


async def serve(hub: Hub, port: int) -> Callable[[], Awaitable[None]]:
    """Listens for OTLP/gRPC beside the HTTP port.

    Args:
        hub: where it goes.
        port: such as 4317.

    Returns:
        What stops it: calls under way get a second.

    Raises:
        Missing: grpcio is not installed.
        OSError: the port is taken or not allowed.
    """
    try:
        import grpc
        import grpc.aio
    except ImportError:
        raise Missing(
            f"PERFAGENT_HUB_GRPC_PORT={port} needs grpcio, which is not installed beside the hub: "
            f'pip install "perfagent[grpc]"; or send OTLP over HTTP to {hub.address}'
        ) from None
    host = hub.settings.hub_host
    receiver = Receiver(hub)
    # Of the largest body and no more, packed or unpacked. A port that another process has is an error, not shared.
    options = [("grpc.max_receive_message_length", receiver.room.body), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    for signal in SIGNALS:
        export = Export(receiver, signal, grpc.StatusCode, guarded=host not in LOOPBACK)
        methods = {"Export": grpc.unary_unary_rpc_method_handler(export.answer)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(signal.service, methods),))
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError:  # its text tells of variables to set for more
        bound = 0
    if not bound:
        await server.stop(None)
        raise OSError(f"{address} is taken by another program, or not to be had for this user")
    await server.start()
    log.info("takes OTLP/gRPC on %s", address)

    async def stop() -> None:
        await server.stop(GRACE)

    return stop


class Export:
    """The one method of one signal's service.

    Args:
        receiver: where requests go.
        signal: what they hold.
        codes: grpc.StatusCode.
        guarded: whether a token is asked for, as it is beyond the loopback address.
    """

    def __init__(self, receiver: Receiver, signal: Signal, codes: Any, guarded: bool) -> None:
        self._receiver, self._signal, self._codes, self._guarded = receiver, signal, codes, guarded

    async def answer(self, body: bytes, context: Any) -> bytes:
        """Answers a request when it is stored; else aborts it with the reason."""
        receiver, codes = self._receiver, self._codes
        if self._guarded and not self._allowed(context):
            text = "a token of this hub is needed as metadata: authorization: Bearer TOKEN"
            await context.abort(codes.UNAUTHENTICATED, text)
        room = receiver.room
        room.taken += len(body)
        try:
            if room.taken > room.limit:
                await self._later(context, codes.RESOURCE_EXHAUSTED, "the hub's memory is full of requests", 1)
            batch = await receiver.take(self._signal, body)
        except Malformed as error:
            await context.abort(codes.INVALID_ARGUMENT, str(error))
        except Overloaded as error:
            text = "more requests wait than the hub holds (PERFAGENT_HUB_QUEUE)"
            await self._later(context, codes.RESOURCE_EXHAUSTED, text, error.retry_after)
        except StoreFailed as error:
            await self._later(context, codes.UNAVAILABLE, f"the request could not be stored: {error}", 5)
        finally:
            room.taken -= len(body)
        if waiting := receiver.waiting(batch):
            context.set_trailing_metadata((("perfagent-control", str(waiting)),))
        return success(batch, self._signal, False)

    def _allowed(self, context: Any) -> bool:
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        scheme, _, token = str(given).partition(" ")
        return scheme.lower() == "bearer" and bool(self._receiver.hub.access.role(token.strip()))

    async def _later(self, context: Any, code: Any, text: str, seconds: float) -> None:
        """Aborts with RetryInfo: without one a sender takes RESOURCE_EXHAUSTED for final."""
        delay = {"seconds": int(seconds), "nanos": int(seconds % 1 * 1e9)}
        retry = wire.Detail(type_url=TYPE, value=wire.RetryInfo(retry_delay=delay).SerializeToString())
        status = wire.Failure(code=code.value[0], message=text.encode("utf-8", "replace"), details=[retry])
        await context.abort(code, text, (("grpc-status-details-bin", status.SerializeToString()),))
