"""Keys: bytes that are equal for equal values of equal types, in every process, and for nothing else."""

from __future__ import annotations

import struct
import sys
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from hashlib import blake2b
from pathlib import PurePath
from typing import TYPE_CHECKING
from uuid import UUID

from perfagent.cache.serializer import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PLAIN = frozenset((int, str, bytes, bool, type(None)))
"""Types whose values are equal only where they are the same; of floats, 0.0 and -0.0 are equal, and NaN is not."""

HEAP = 1 << 9  # flag of types that are made at run time (Py_TPFLAGS_HEAPTYPE)


class Key:
    """What a value is found by.

    Args:
        local: what it is called in memory; hashable.
        parts: the values that make the key, for where processes share it.
        space: whose key it is.
    """

    __slots__ = ("_digest", "local", "parts", "space")

    def __init__(self, local: object, parts: object, space: str) -> None:
        self.local = local
        self.parts = parts
        self.space = space
        self._digest = ""

    @property
    def digest(self) -> str:
        """Its name where others see it: a hash, for arguments may be secrets."""
        if not self._digest:
            self._digest = blake2b(encoded(self.parts), digest_size=20).hexdigest()
        return self._digest


def local(token: object, values: tuple[object, ...]) -> object:
    """A hashable thing that is equal for the same token and the same values of the same types only.

    Raises:
        TypeError: a value cannot be part of a key.
    """
    types = tuple(map(type, values))
    return (token, values, types) if PLAIN.issuperset(types) else (token, encoded(values))


def tag_id(tag: str) -> bytes:
    """A tag as it is kept: 16 bytes, for a tag may be a person's name."""
    return blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def encoded(value: object) -> bytes:
    """A value as bytes.

    Raises:
        TypeError: it is of a type that cannot be part of a key.
    """
    parts: list[bytes] = []
    try:
        _write(value, parts)
    except RecursionError:
        raise TypeError("a value that contains itself cannot be part of a cache's key: give key=") from None
    return b"".join(parts)


def _write(value: object, parts: list[bytes]) -> None:
    kind = type(value)
    write = _WRITERS.get(kind)
    if write is not None:
        sign, body = write(value)
        parts.append(b"%c%d:" % (sign, len(body)))
        parts.append(body)
    elif kind in _CONTAINERS:
        _sequence(_CONTAINERS[kind], value, parts)  # type: ignore[arg-type]
    elif kind is dict:
        pairs = sorted((encoded(name), encoded(one)) for name, one in value.items())  # type: ignore[attr-defined]
        parts.append(b"D%d:" % len(pairs))
        parts.extend(part for pair in pairs for part in pair)
    elif kind in (set, frozenset):
        members = sorted(map(encoded, value))  # type: ignore[call-overload]
        parts.append(b"%c%d:" % (b"S" if kind is set else b"Z", len(members)))
        parts.extend(members)
    else:
        _special(value, kind, parts)


def _sequence(sign: bytes, value: Iterable[object], parts: list[bytes]) -> None:
    members = tuple(value)
    parts.append(b"%c%d:" % (sign, len(members)))
    for member in members:
        _write(member, parts)


def _special(value: object, kind: type, parts: list[bytes]) -> None:
    own = getattr(kind, "__cache_key__", None)
    inside: object
    if own is not None:
        inside = own(value)
    elif isinstance(value, Flag):
        inside = value.value  # a combination of flags may have no name
    elif isinstance(value, Enum):
        inside = value.name
    elif isinstance(value, PurePath):
        inside = str(value)
    elif is_dataclass(kind) and "__dataclass_fields__" in vars(kind):  # a plain class below one may have more in it
        inside = tuple((field.name, getattr(value, field.name)) for field in fields(kind))
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        inside = tuple(value)
    elif issubclass(kind, type) and isinstance(value, type) and _is_found(value):
        kind, inside = type, type_name(value)
    else:
        raise TypeError(
            f"a value of type {type_name(kind)} cannot be part of a cache's key: give key=, a function that makes the "
            "key of the arguments, such as key=lambda user: user.id, or the type a method __cache_key__"
        )
    _write(type_name(kind), parts)
    parts.append(b"O")
    _write(inside, parts)


def _is_found(value: object) -> bool:
    """Whether a class is the one of its module and name; one that is made up at run time shares these with others."""
    if not getattr(value, "__flags__", HEAP) & HEAP:  # one in C, such as that of None
        return True
    found: object = sys.modules.get(getattr(value, "__module__", ""))
    for name in getattr(value, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is value


def _moment(value: object) -> bytes:
    zone = getattr(value, "tzinfo", None)
    told = "" if zone is None else f"{type_name(type(zone))} {zone}"
    return f"{value.isoformat()} {value.fold} {told}".encode()  # type: ignore[attr-defined]


_WRITERS: dict[type, Callable[..., tuple[bytes, bytes]]] = {
    type(None): lambda value: (b"N", b""),
    bool: lambda value: (b"B", b"1" if value else b"0"),
    int: lambda value: (b"I", b"%x" % value),  # `%d` refuses numbers of more than 4300 digits
    float: lambda value: (b"F", struct.pack("<d", value)),
    complex: lambda value: (b"J", struct.pack("<dd", value.real, value.imag)),
    str: lambda value: (b"T", value.encode("utf-8", "surrogatepass")),
    bytes: lambda value: (b"Y", value),
    bytearray: lambda value: (b"A", bytes(value)),
    Decimal: lambda value: (b"E", str(value).encode()),
    UUID: lambda value: (b"U", value.bytes),
    date: lambda value: (b"d", value.isoformat().encode()),
    datetime: lambda value: (b"m", _moment(value)),
    time: lambda value: (b"t", _moment(value)),
    timedelta: lambda value: (b"s", b"%d %d %d" % (value.days, value.seconds, value.microseconds)),
}
_CONTAINERS: dict[type, bytes] = {tuple: b"P", list: b"L"}


def name_of(function: Callable[..., object]) -> str:
    """A function's name that every process has for it: module and qualified name; of a script, its path and the latter.

    Two scripts are both called `__main__`, and a child of multiprocessing calls its parent's `__mp_main__`.
    """
    module = function.__module__ or ""
    if module in ("__main__", "__mp_main__"):
        main = sys.modules.get(module)
        spec = getattr(main, "__spec__", None)
        module = spec.name if spec is not None else getattr(main, "__file__", "") or module
    return f"{module}.{function.__qualname__}"
