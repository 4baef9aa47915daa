"""The protobuf wire format, as far as OTLP needs it, and OTLP's attribute values.

Rules: https://protobuf.dev/programming-guides/encoding/ and opentelemetry/proto/common/v1/common.proto.
"""

from __future__ import annotations

from struct import Struct, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_double = Struct("<d").pack
_fixed64 = Struct("<Q").pack
_fixed32 = Struct("<I").pack
_ONE_BYTE = [bytes([value]) for value in range(128)]
_UNSIGNED = (1 << 64) - 1
DEEPEST = 16  # nesting of lists and maps in a value; more becomes its text
LONGEST = 1 << 20  # characters of one value, whoever set it


def varint(value: int) -> bytes:
    """A non-negative integer, seven bits a byte, low bits first."""
    if value < 128:
        return _ONE_BYTE[value]
    if value < 16384:
        return bytes((value & 127 | 128, value >> 7))
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(field: int, kind: int) -> bytes:
    """What stands before a field's value."""
    return varint(field << 3 | kind)


def message(field: int, content: bytes) -> bytes:
    """A length-delimited field: a nested message, a string in UTF-8 or bytes."""
    size = len(content)
    if field < 16 and size < 128:
        return b"".join((_ONE_BYTE[field << 3 | BYTES], _ONE_BYTE[size], content))
    return b"".join((tag(field, BYTES), varint(size), content))


def text(field: int, value: str) -> bytes:
    """A string field; lone surrogates become question marks, for UTF-8 has no place for them."""
    return message(field, utf8(value))


def utf8(value: str) -> bytes:
    """`value` in UTF-8, whatever it holds."""
    try:
        return value.encode("utf-8", "replace")
    except AttributeError:  # a program named its span None
        return str(value).encode("utf-8", "replace")


def integer(field: int, value: int) -> bytes:
    """A varint field of an int64, negative ones in two's complement."""
    return tag(field, VARINT) + varint(value & _UNSIGNED)


def fixed64(field: int, value: int) -> bytes:
    """A fixed64 field, or sfixed64 in two's complement."""
    return tag(field, FIXED64) + _fixed64(value & _UNSIGNED)


def fixed32(field: int, value: int) -> bytes:
    """A fixed32 field."""
    return tag(field, FIXED32) + _fixed32(value)


def double(field: int, value: float) -> bytes:
    """A double field; a whole number beyond all doubles becomes infinite."""
    try:
        return tag(field, FIXED64) + _double(value)
    except error:
        return tag(field, FIXED64) + _double(float("inf") if value > 0 else float("-inf"))


def any_value(value: object, depth: int = 0) -> bytes:  # noqa: C901 - one branch a type of the protocol
    """The content of an AnyValue: str, bool, int, float, bytes, sequences and maps of these, None as empty.

    Anything else becomes its `str()`.
    """
    if isinstance(value, str):
        return text(1, value[:LONGEST])
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            return integer(3, value)
        return text(1, _digits(value))
    if isinstance(value, float):
        return double(4, value)
    if isinstance(value, bytes):
        return message(7, value[:LONGEST])
    if value is None:
        return b""
    if depth < DEEPEST:
        if isinstance(value, (list, tuple)):
            return message(5, b"".join(message(1, any_value(part, depth + 1)) for part in value))
        if hasattr(value, "items"):
            return message(6, b"".join(key_value(1, str(key), part, depth + 1) for key, part in value.items()))
    return text(1, str(value)[:LONGEST])


def _digits(value: int) -> str:
    """A number in decimal digits, or in hexadecimal ones where Python refuses to make these of so many."""
    try:
        return str(value)[:LONGEST]
    except ValueError:
        return hex(value)[:LONGEST]


_keys: dict[str, bytes] = {}


def key_value(field: int, key: str, value: object, depth: int = 0) -> bytes:
    """A KeyValue as field number `field` of the message around it."""
    encoded = _keys.get(key)
    if encoded is None:
        encoded = text(1, key)
        if len(_keys) < 4096 and len(key) < 256:
            _keys[key] = encoded
    content = any_value(value, depth)
    size = varint(len(content))
    return b"".join(
        (tag(field, BYTES), varint(len(encoded) + 1 + len(size) + len(content)), encoded, b"\x12", size, content)
    )


def attributes(field: int, pairs: Mapping[str, object] | Iterable[tuple[str, object]]) -> bytes:
    """Attributes as repeated field number `field`."""
    items: Iterable[tuple[str, object]] = pairs.items() if hasattr(pairs, "items") else pairs
    return b"".join([key_value(field, key, value) for key, value in items])
