"""The few bytes of protobuf that profiles are written with; the format's own library is not always there.

Rules: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def varint(value: int) -> bytes:
    """A number; a negative one as 64 bits."""
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def number(field: int, value: int) -> bytes:
    """A field of a whole number; nothing for 0, which is what is left out."""
    return varint(field << 3) + varint(value) if value else b""


def fixed64(field: int, value: int) -> bytes:
    """A field of eight bytes; nothing for 0."""
    return varint(field << 3 | 1) + value.to_bytes(8, "little") if value else b""


def content(field: int, value: bytes) -> bytes:
    """A field of bytes, a text or a message; an empty one is written, too, as an entry of a list must be."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def packed(field: int, values: Iterable[int]) -> bytes:
    """A list of whole numbers; nothing for an empty one."""
    inner = b"".join(map(varint, values))
    return content(field, inner) if inner else b""


class Texts:
    """A table of strings, of which the first is empty."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {"": 0}

    def __call__(self, value: str) -> int:
        """Where a string stands."""
        return self._known.setdefault(value, len(self._known))

    def encode(self, field: int) -> bytes:
        """The table as a repeated field."""
        return b"".join(content(field, text.encode("utf-8", "replace")) for text in self._known)
