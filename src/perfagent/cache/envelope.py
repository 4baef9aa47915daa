"""What is around a value in a shared store: how to read it, how long it is fresh, and what it depends on.

Two letters, the version of this layout, flags, the serializer's name, the seconds of the end in which it is stale, its
tags, two lots of stamps, and the value, packed by zlib above 1 KB where that makes it smaller.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

MAGIC = b"pc\x01"
COMPRESSED, FAILURE = 1, 2
COMPRESS_AT = 1024  # bytes; below it the header of zlib eats what it saves
STAMP = 16  # bytes of a stamp and of a tag
_HEAD = struct.Struct("<3sBdBBHH")  # magic, flags, stale, length of the name, tags, stamps, origin


class Poisoned(Exception):  # noqa: N818 - an answer, not a fault
    """Bytes in a store that are no entry of ours; the text says why."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One entry, its value not yet read.

    Args:
        body: the value as its serializer wrote it.
        serializer: the name of that.
        stale: for how many seconds at the end of its time it is stale.
        failed: whether it is an exception and no result.
        tags: as `key.tag_id` makes them.
        stamps: what the store had for its space and its tags when its computation began.
        origin: the same of Redis, on a disk below it.
    """

    body: bytes | memoryview
    serializer: str
    stale: float = 0.0
    failed: bool = False
    tags: tuple[bytes, ...] = ()
    stamps: bytes = b""
    origin: bytes = b""

    def packed(self) -> bytes:
        """The entry as bytes."""
        body, flags = self.body, FAILURE if self.failed else 0
        if len(body) > COMPRESS_AT:
            small = zlib.compress(body, 1)
            if len(small) < len(body):
                body, flags = small, flags | COMPRESSED
        name = self.serializer.encode()
        head = _HEAD.pack(MAGIC, flags, self.stale, len(name), len(self.tags), len(self.stamps), len(self.origin))
        return b"".join((head, name, *self.tags, self.stamps, self.origin, body))


def unpacked(data: bytes, most: int) -> Envelope:
    """The entry in some bytes.

    Args:
        data: what the store had.
        most: the largest value, in bytes.

    Raises:
        Poisoned: it is no entry, or a larger one.
    """
    if len(data) < _HEAD.size:
        raise Poisoned("too short")
    magic, flags, stale, name, tags, stamps, origin = _HEAD.unpack_from(data)
    if magic != MAGIC or not stale >= 0:
        raise Poisoned("another layout")
    view, position, found = memoryview(data), _HEAD.size, []
    for size in (name, STAMP * tags, stamps, origin):
        found.append(bytes(view[position : position + size]))
        position += size
    if position > len(data):
        raise Poisoned("too short")
    ids = tuple(found[1][at : at + STAMP] for at in range(0, len(found[1]), STAMP))
    body = _body(view[position:], flags, most)
    return Envelope(body, found[0].decode("utf-8", "replace"), stale, bool(flags & FAILURE), ids, found[2], found[3])


def _body(body: memoryview, flags: int, most: int) -> bytes | memoryview:
    if not flags & COMPRESSED:
        if len(body) > most:
            raise Poisoned("larger than CACHE_MAX_VALUE")
        return body
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(body, most + 1)
    except zlib.error:
        raise Poisoned("broken compression") from None
    if len(plain) > most:
        raise Poisoned("larger than CACHE_MAX_VALUE")
    if not inflate.eof:
        raise Poisoned("broken compression")
    return plain
