"""A receiver that costs next to nothing: takes OTLP and Datadog payloads, answers at once, counts spans when asked.

Started as a process of its own by `sink.py`. GET /received answers the counts and begins anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter

from .spans import Payload, count

# What stays in memory until it is counted. Beyond it payloads are taken and forgotten, and the answer says so.
KEPT_BYTES = 1_000_000_000

_ANSWERS = {
    "ok": (200, "", b""),
    "429": (429, "Retry-After: 1\r\n", b""),
    "503": (503, "", b""),
    "garbage": (200, "", b"\xff\xfe this is not protobuf \x00"),
}


class Received:
    """The payloads since the last question."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.payloads: list[Payload] = []
        self.requests = 0
        self.bytes = 0
        self.kept = 0

    def add(self, payload: Payload) -> None:
        """Take one payload."""
        self.requests += 1
        self.bytes += len(payload.body)
        if self.kept + len(payload.body) <= KEPT_BYTES:
            self.kept += len(payload.body)
            self.payloads.append(payload)

    def answer(self) -> bytes:
        """The counts as JSON; forgets what it counted."""
        counts: Counter[str] = Counter()
        for payload in self.payloads:
            counts += count(payload)
        report = {"requests": self.requests, "bytes": self.bytes, "forgotten": self.bytes - self.kept, **counts}
        self.forget()
        return json.dumps(report).encode()


class Connection(asyncio.Protocol):
    """One kept connection of an exporter."""

    def __init__(self, received: Received, mode: str) -> None:
        self.received = received
        self.mode = mode
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if "chunked" in headers.get("transfer-encoding", ""):
                raise NotImplementedError("a chunked body: no agent sent one so far")
            size = int(headers.get("content-length", 0))
            if len(self.buffer) < end + 4 + size:
                return
            body = bytes(self.buffer[end + 4 : end + 4 + size])
            del self.buffer[: end + 4 + size]
            self.answer(first.split()[1], headers, body)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Take one request and answer it in this receiver's mode."""
        if path == "/received":
            self.write(200, "", self.received.answer())
            return
        self.received.add(Payload(path, headers.get("content-encoding", ""), body))
        if self.mode == "hanging":
            return
        if path == "/info":
            self.write(200, "", b'{"version": "7.60.0", "endpoints": ["/v0.4/traces", "/v0.5/traces"]}')
        elif path.startswith("/v0."):
            self.write(200, "", b"{}")
        else:
            self.write(*_ANSWERS[self.mode])

    def write(self, status: int, header: str, body: bytes) -> None:
        """Send one response."""
        kind = "application/json" if body[:1] == b"{" else "application/x-protobuf"
        head = f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\n{header}Content-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)  # type: ignore[attr-defined]


async def serve(mode: str) -> None:
    """Listen on a free port, print it, and serve until killed."""
    received = Received()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(received, mode), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=[*_ANSWERS, "hanging"])
    asyncio.run(serve(parser.parse_args().mode))
