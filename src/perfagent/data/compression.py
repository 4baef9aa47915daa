"""Values as compressed bytes that tell what they are, and back, without trust in what they say.

The header is 20 bytes: `PFA1`, the codec, the kind of value, two zero bytes, the unpacked size (8 bytes, big-endian)
and the CRC-32 of kind and value (4 bytes).
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

from perfagent.data.extras import wrong
from perfagent.settings.data import DataSettings

MAGIC = b"PFA1"
STORED, ZLIB, ZSTD = b"0", b"z", b"Z"
BYTES, TEXT, JSON = b"b", b"t", b"j"
FORMATS = ("auto", "zlib", "zstd", "stored")
_HEADER = struct.Struct(">4sccxxQI")
_LEVELS = {"zlib": (0, 9, 6), "zstd": (1, 22, 3)}


def compress_data(data: object, *, format: str = "auto", level: int | None = None) -> bytes:  # noqa: A002
    """Packs bytes, a text, or anything that JSON can hold.

    Args:
        data: bytes, bytearray, memoryview, str, or a value of dicts with text keys, lists, texts, numbers, booleans and
            None.
        format: `zstd`, `zlib`, `stored` (no compression), or `auto`: zstd where zstandard is installed and else zlib.
            What would not get smaller is stored.
        level: 0 to 9 for zlib, 1 to 22 for zstd; the library's usual one when left out.

    Returns:
        The packed bytes, for `decompress_data`.

    Raises:
        TypeError: for a value that JSON would not give back as it is, such as a tuple or a key that is no text.
        ValueError: for a format or level that there is not.
        ImportError: for `zstd` where zstandard is not installed.
    """
    if format not in FORMATS:
        raise wrong("format", format, f"one of {', '.join(FORMATS)}", 'format="zlib"')
    kind, plain = _plain(data)
    codec, packed = _pack(plain, format, level)
    if len(packed) >= len(plain):
        codec, packed = STORED, plain
    return _HEADER.pack(MAGIC, codec, kind, len(plain), zlib.crc32(plain, zlib.crc32(kind))) + packed


def decompress_data(data: bytes | bytearray | memoryview, *, max_size: int | None = None) -> Any:
    """Unpacks what `compress_data` made.

    Args:
        data: the packed bytes.
        max_size: the most bytes that may come out; PERFAGENT_DATA_MAX_UNPACKED_MB when left out.

    Returns:
        The value: bytes, str, or what JSON held; equal to what was packed.

    Raises:
        ValueError: for anything else than whole, undamaged bytes of compress_data, or where more than `max_size` bytes
            would come out; at most that many are ever made.
        TypeError: `data` is no bytes.
        ImportError: for bytes packed by zstd where zstandard is not installed.
    """
    if max_size is None:
        max_size = int(DataSettings.current().max_unpacked_mb * 1e6)
    if not isinstance(max_size, int) or isinstance(max_size, bool) or max_size < 0:
        raise wrong("max_size", max_size, "a number of bytes from 0", "max_size=10_000_000")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"data is of type {type(data).__name__}: the bytes that compress_data gave are accepted; "
            "for example decompress_data(compress_data([1, 2]))"
        )
    data = bytes(data)
    if len(data) < _HEADER.size or not data.startswith(MAGIC[:3]):
        raise ValueError("data is not accepted: it does not begin with the header of compress_data")
    magic, codec, kind, size, checksum = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"data is of version {magic[3:]!r}, and this perfagent reads {MAGIC[3:]!r}: use a newer one")
    if size > max_size:
        raise ValueError(
            f"data would unpack to {size} bytes, more than max_size={max_size}: where you trust it, give a larger "
            "max_size or set PERFAGENT_DATA_MAX_UNPACKED_MB"
        )
    plain = _unpack(codec, data[_HEADER.size :], size)
    if len(plain) != size or zlib.crc32(plain, zlib.crc32(kind)) != checksum:
        raise ValueError("data is damaged: its size or checksum is not what its header says")
    return _value(kind, plain)


def _plain(data: object) -> tuple[bytes, bytes]:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return BYTES, bytes(data)
    if isinstance(data, str):
        return TEXT, data.encode("utf-8", "surrogatepass")
    _check_json(data, "data")
    return JSON, json.dumps(data, separators=(",", ":")).encode("ascii")


def _check_json(value: object, place: str) -> None:
    """Raises TypeError for what JSON would take and give back as something else."""
    kind = type(value)
    if kind is dict:
        for key, inner in value.items():  # type: ignore[attr-defined]
            if type(key) is not str:
                raise TypeError(f"{place} has the key {key!r}, which is no text: JSON would make one of it")
            _check_json(inner, f"{place}[{key!r}]")
    elif kind is list:
        for index, inner in enumerate(value):  # type: ignore[arg-type]
            _check_json(inner, f"{place}[{index}]")
    elif value is not None and kind not in (str, int, float, bool):
        raise TypeError(
            f"{place} is of type {kind.__name__}, which JSON does not give back as it is: accepted are bytes, and "
            'dicts, lists, texts, numbers, booleans and None; for example {"rows": [1, 2]}'
        )


def _pack(plain: bytes, format: str, level: int | None) -> tuple[bytes, bytes]:  # noqa: A002
    if format == "stored":
        return STORED, plain
    zstd = _zstandard(required=format == "zstd") if format in ("auto", "zstd") else None
    name = "zstd" if zstd else "zlib"
    low, high, usual = _LEVELS[name]
    if level is not None and (isinstance(level, bool) or not isinstance(level, int) or not low <= level <= high):
        raise wrong("level", level, f"{name} takes a whole number from {low} to {high}", f"level={usual}")
    level = usual if level is None else level
    if zstd:
        return ZSTD, zstd.ZstdCompressor(level=level).compress(plain)
    return ZLIB, zlib.compress(plain, level)


def _unpack(codec: bytes, packed: bytes, size: int) -> bytes:
    """At most `size + 1` bytes: one more than expected is enough to know that they are wrong."""
    if codec == STORED:
        return packed
    if codec == ZLIB:
        reader = zlib.decompressobj()
        try:
            plain = reader.decompress(packed, size + 1)
        except zlib.error as error:
            raise ValueError(f"data is damaged: {error}") from None
        if not reader.eof or reader.unused_data:
            raise ValueError("data is damaged: it ends too early or too late")
        return plain
    if codec == ZSTD:
        zstd = _zstandard(required=True)
        try:
            # Not `decompress`: it makes room for as much as the frame claims.
            with zstd.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed) as stream:
                return _bounded(stream, size + 1)
        except zstd.ZstdError as error:
            raise ValueError(f"data is damaged: {error}") from None
    raise ValueError(f"data is packed by the unknown codec {codec!r}: use a newer perfagent")


def _bounded(stream: Any, most: int) -> bytes:
    parts, left = [], most
    while left > 0 and (part := stream.read(min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _value(kind: bytes, plain: bytes) -> Any:
    if kind == BYTES:
        return plain
    try:
        if kind == TEXT:
            return plain.decode("utf-8", "surrogatepass")
        if kind == JSON:
            return json.loads(plain)
    except ValueError as error:
        raise ValueError(f"data is damaged: {error}") from None
    raise ValueError(f"data is of the unknown kind {kind!r}: use a newer perfagent")


def _zstandard(required: bool) -> Any:
    try:
        import zstandard
    except ImportError:
        if required:
            raise ImportError(
                'format "zstd" needs zstandard: pip install "perfagent[data]"', name="zstandard"
            ) from None
        return None
    return zstandard
