"""An OTLP/HTTP server on the loopback address, in threads of its own."""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import sys
import threading
import zlib
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2 as profiles
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    Answer = Callable[["Request"], "Reply | HangUp"]

REQUEST_TYPES: dict[str, type[Message]] = {
    "/v1/traces": trace.ExportTraceServiceRequest,
    "/v1/metrics": metrics.ExportMetricsServiceRequest,
    "/v1/logs": logs.ExportLogsServiceRequest,
    "/v1development/profiles": profiles.ExportProfilesServiceRequest,
}

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request: header names in lower case, `body` without its content encoding, `wire_size` with it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    wire_size: int
    client: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/x-protobuf"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HangUp:
    """In place of a reply: sends `raw` as it is, then closes the connection, with a TCP reset if asked."""

    raw: bytes = b""
    reset: bool = False


class RefusedError(Exception):
    """A request that cannot be served; carries the reply that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.reply = Reply(status, reason.encode(), "text/plain")


def decode(request: Request) -> Message:
    """The export message in a request.

    Raises:
        RefusedError: for a path, method or content type that OTLP/HTTP does not have, or a body that is no message.
    """
    kind = REQUEST_TYPES.get(request.path)
    if kind is None:
        raise RefusedError(404, f"no such path: {request.path}; an OTLP receiver has {', '.join(REQUEST_TYPES)}")
    if request.method != "POST":
        raise RefusedError(405, f"{request.path} takes POST")
    if request.headers.get("content-type") != "application/x-protobuf":
        raise RefusedError(
            415, f"content type {request.headers.get('content-type')!r}; accepted: application/x-protobuf"
        )
    try:
        return kind.FromString(request.body)
    except DecodeError as error:
        raise RefusedError(400, f"not a {kind.__name__}: {error}") from error


class Server:
    """Serves HTTP/1.1 with kept connections on 127.0.0.1 and asks `answer` for each reply.

    Args:
        answer: called in a connection's thread; returns the reply or `HangUp`, or raises `RefusedError`.
        port: 0 takes a free one; a stopped server starts again on the port that it had.
        tls: serves https with this context.
    """

    def __init__(self, answer: Answer, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._answer = answer
        self._tls = tls
        self._http: _HTTPServer | None = None

    @property
    def url(self) -> str:
        """The address for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> Server:
        """Listens, and serves in a background thread."""
        self._http = _HTTPServer(self.port, self._answer, self._tls)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True, name="otlp-server").start()
        return self

    def stop(self) -> None:
        """Stops listening and closes every open connection; does nothing if it is not running."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http.close_connections()
            self._http = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _HTTPServer(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, answer: Answer, tls: ssl.SSLContext | None) -> None:
        self.answer = answer
        self._tls = tls
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        if self._tls is not None:
            # The handshake waits for the connection's own thread: here it would hold up every other client.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._open.add(connection)
        return connection, client

    def shutdown_request(self, request: Any) -> None:
        # Closed without the shutdown that socketserver does first: it would turn a reset into an orderly end.
        self._open.discard(request)
        self.close_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that goes away is no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: head and body of a reply leave in one packet
    server: _HTTPServer

    def serve(self) -> None:
        try:
            reply = self.server.answer(self._read())
        except RefusedError as refused:
            reply = refused.reply
        if isinstance(reply, HangUp):
            self._hang_up(reply)
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_DELETE = serve  # noqa: N815 - the names that http.server looks up

    def _read(self) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = wire = self.rfile.read(int(headers.get("content-length", 0)))
        encoding = headers.get("content-encoding", "identity")
        if encoding == "gzip":
            try:
                body = gzip.decompress(wire)
            except (OSError, EOFError, zlib.error) as error:
                raise RefusedError(400, f"the body is not gzip: {error}") from error
        elif encoding != "identity":
            raise RefusedError(415, f"content encoding {encoding!r}; accepted: gzip, identity")
        return Request(self.command, self.path, headers, body, len(wire), self.client_address)

    def _hang_up(self, hang_up: HangUp) -> None:
        self.close_connection = True
        self.wfile.write(hang_up.raw)
        if hang_up.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def log_message(self, *_: object) -> None:
        pass
