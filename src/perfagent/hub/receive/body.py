"""The body of a request, unpacked while it arrives, so that what is too large never gets to be in memory."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Receive = Callable[[], Awaitable[dict[str, Any]]]

ENCODINGS = "gzip, deflate"
PIECE = 1_048_576
"""Bytes that are unpacked at once, 1 to 3 ms: whatever a bomb holds, no more than this is made before it is counted."""


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered without being read to its end.

    Args:
        status: of HTTP.
        message: for the sender's developer.
        headers: further ones of the answer, `retry_after` for "retry-after".
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Disconnected(Exception):  # noqa: N818
    """The sender went away before its request was complete."""


class Room:
    """Bytes of bodies that may be in memory at once, over all requests.

    Args:
        limit: of all of them together.
        body: of one, unpacked.
    """

    def __init__(self, limit: int, body: int) -> None:
        self.limit = max(limit, body)
        self.body = body
        self.taken = 0

    def check(self, size: int, most: int) -> None:
        """Raises Refused where a body of this size, or all together, are too large."""
        if size > most:
            text = f"the body is larger than {most} bytes unpacked (PERFAGENT_HUB_MAX_BODY; of JSON, 16 MiB at most)"
            raise Refused(413, f"{text}; send smaller batches")
        if self.taken > self.limit:
            raise Refused(429, "the hub's memory is full of requests; send this one again", retry_after="1")


async def read(receive: Receive, encoding: str, length: str, room: Room, most: int | None = None) -> bytes:
    """The unpacked body; `room.taken` grows by its size, which the caller gives back.

    Args:
        receive: of ASGI.
        encoding: the header Content-Encoding.
        length: the header Content-Length.
        room: what there is.
        most: bytes of this body, where it is less than `room.body`.

    Raises:
        Refused: an unknown encoding, a body that is too large or broken, or no room for it at the moment.
        Disconnected: the sender went away.
    """
    most = room.body if most is None else min(most, room.body)
    if length.isdigit():
        room.check(int(length[:18]), most)
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in _pieces(receive, _unpacker(encoding)):
            size += len(piece)
            room.taken += len(piece)
            room.check(size, most)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except BaseException:
        room.taken -= size
        raise


async def _pieces(receive: Receive, unpack: Unpacker | None) -> AsyncIterator[bytes]:
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Disconnected
        packed, more = event.get("body", b""), event.get("more_body", False)
        if unpack is None:
            yield packed
            continue
        for piece in unpack.feed(packed):
            yield piece
            if len(piece) == PIECE:
                await asyncio.sleep(0)
    if unpack is not None:
        unpack.end()


def _unpacker(encoding: str) -> Unpacker | None:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip", "deflate", "zlib"):
        return Unpacker(name)
    raise Refused(415, f"Content-Encoding {encoding!r} is none of: {ENCODINGS}, identity", accept_encoding=ENCODINGS)


class Unpacker:
    """Inflates gzip (with several members, too), zlib and raw deflate, a piece at a time.

    Args:
        name: the content encoding.
    """

    def __init__(self, name: str) -> None:
        self._gzip = "gzip" in name
        self._name = name
        self._stream: Any = None
        self._complete = False

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """What the next packed bytes hold, in pieces of at most 1 MiB; raises Refused."""
        while True:
            if self._stream is None:
                if self._complete:
                    packed = packed.lstrip(b"\0") if self._gzip else b""  # padding; gzip may have another member
                if not packed:
                    return
                self._stream, self._complete = self._begin(packed), False
            try:
                piece = self._stream.decompress(packed, PIECE)
            except zlib.error as error:
                raise Refused(400, f"the body is no {self._name} data: {error}") from None
            if piece:
                yield piece
            if self._stream.eof:
                packed, self._stream, self._complete = self._stream.unused_data, None, True
                continue
            packed = self._stream.unconsumed_tail
            if not packed and len(piece) < PIECE:
                return

    def end(self) -> None:
        """Raises Refused where the data ended before its end."""
        if not self._complete:
            raise Refused(400, f"the body ends in the middle of its {self._name} data")

    def _begin(self, packed: bytes) -> Any:
        if self._gzip:
            return zlib.decompressobj(31)
        # "deflate" is zlib's format (RFC 9110, 8.4.1.2); some send it raw, which never begins like zlib's header.
        headed = packed[0] & 0x0F == 8 and (len(packed) < 2 or int.from_bytes(packed[:2], "big") % 31 == 0)
        return zlib.decompressobj(15 if headed else -15)
