"""Values as bytes, and back as what they were: value and type, or an error; reading never runs code of the data's.

msgspec packs what MessagePack has; everything else is an extension of it. A type that is not listed is refused when it
is written, never changed into one that is.
"""

from __future__ import annotations

import pickle
import re
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from perfagent.cache.needed import needed

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = TypeVar("Kind", bound=type)

(
    TUPLE, SET, FROZENSET, MAP, INT, TEXT, BYTEARRAY, COMPLEX, DECIMAL, UUID_, DATETIME, DATE, TIME, TIMEDELTA,
    TIMEZONE, ZONE, OWN,
) = range(1, 18)  # fmt: skip

_registered: dict[str, type] = {}
_PLAIN = frozenset((type(None), bool, int, float, str, bytes))
_NAMES = frozenset((type(None), bool, int, float, str, bytes))
_DECIMAL = re.compile(rb"[-+]?(\d+(\.\d*)?|\.\d+)(E[-+]?\d+)?|-?s?NaN\d*|-?Infinity", re.ASCII)


class Serializer(Protocol):
    """What makes bytes of values. `name` is in every entry, and an entry of another's name is a miss."""

    name: str

    def dumps(self, value: object) -> bytes:
        """The bytes; raises TypeError where it has none for the value."""

    def loads(self, data: bytes | memoryview) -> object:
        """The value; raises any exception where the bytes are none of its own."""


def cacheable(kind: Kind) -> Kind:
    """Lets values of a dataclass, a NamedTuple or an Enum be written, and read where the same class is registered.

    Reading sets the fields and calls no method of the class. Where its fields have changed, old entries are misses.

    Args:
        kind: the class; it is found again by its module and name, so these are to stay.

    Raises:
        TypeError: it is none of these.
    """
    named = isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")
    if not (isinstance(kind, type) and ("__dataclass_fields__" in vars(kind) or named or issubclass(kind, Enum))):
        raise TypeError(f"cacheable={kind!r} is not accepted: a dataclass, a NamedTuple or an Enum")
    _registered[type_name(kind)] = kind
    return kind


class Safe:
    """The default.

    It keeps None, bool, int of any size, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict with
    any of these that is hashable as key, datetime, date, time (naive, `timezone` and `ZoneInfo`), timedelta, Decimal,
    UUID, and what `cacheable` was told of. A value that is in there twice comes back as two.
    """

    name = "safe"

    @cached_property
    def _msgpack(self) -> Any:
        return needed("msgspec.msgpack", "the safe serializer of caches", "msgspec")

    @cached_property
    def _extension(self) -> Any:
        return self._msgpack.Ext

    @cached_property
    def _pack(self) -> Callable[[Any], bytes]:
        return self._msgpack.Encoder().encode  # type: ignore[no-any-return]

    @cached_property
    def _unpack(self) -> Callable[[Any], Any]:
        return self._msgpack.Decoder(ext_hook=self._read).decode  # type: ignore[no-any-return]

    def dumps(self, value: object) -> bytes:
        """Raises TypeError, with the type's name, where a value is of a type that is not kept."""
        try:
            try:
                return self._pack(self._packable(value, False))
            except (OverflowError, UnicodeEncodeError):  # an int of more than 64 bits, a text with half a surrogate
                return self._pack(self._packable(value, True))
        except RecursionError:
            raise TypeError("a value that contains itself, or is nested too deep, cannot be kept") from None

    def loads(self, data: bytes | memoryview) -> object:
        """Raises an exception where the bytes are none of `dumps`."""
        return self._unpack(data)

    def _ext(self, code: int, inside: object, careful: bool) -> Any:
        return self._extension(code, self._pack(self._packable(inside, careful)))

    def _packable(self, value: Any, careful: bool) -> Any:
        """The value itself where msgspec keeps it as it is, else with extensions in it."""
        kind = type(value)
        if kind in _PLAIN:
            return self._careful(value, kind) if careful else value
        if kind is list:
            if not careful and _PLAIN.issuperset(map(type, value)):  # 3 times faster than looking at each
                return value
            return [self._packable(one, careful) for one in value]
        if kind is dict:
            if careful or not _NAMES.issuperset(map(type, value)):
                return self._ext(MAP, [part for pair in value.items() for part in pair], careful)
            if _PLAIN.issuperset(map(type, value.values())):
                return value
            return {name: self._packable(one, careful) for name, one in value.items()}
        if kind in _SEQUENCES:
            return self._ext(_SEQUENCES[kind], list(value), careful)
        found = _PARTS.get(kind)
        if found is not None:
            code, parts = found
            return self._ext(code, parts(value), careful)
        return self._ext(OWN, _own(value, kind), careful)

    def _careful(self, value: Any, kind: type) -> Any:
        if kind is int and not -(1 << 63) <= value < 1 << 63:
            return self._extension(INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
        if kind is str:
            return self._extension(TEXT, value.encode("utf-8", "surrogatepass"))
        return value

    def _read(self, code: int, data: memoryview) -> Any:
        if code == INT:
            return int.from_bytes(data, "little", signed=True)
        if code == TEXT:
            return bytes(data).decode("utf-8", "surrogatepass")
        inside = self._unpack(data)
        if code == MAP:
            return dict(zip(inside[::2], inside[1::2], strict=True))
        return _MAKERS[code](inside)


class Pickled:
    """pickle: keeps any value that can be pickled, and runs whatever code the bytes ask for."""

    name = "pickle"

    def dumps(self, value: object) -> bytes:
        """Raises TypeError where the value cannot be pickled."""
        try:
            return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError, RecursionError) as error:
            raise TypeError(f"a value of type {type_name(type(value))} cannot be pickled: {error}") from error

    def loads(self, data: bytes | memoryview) -> object:
        """Runs what the bytes say."""
        return pickle.loads(data)  # noqa: S301 - the program's author has asked for it by name


def chosen(serializer: str | Serializer) -> Serializer:
    """The serializer of a name, or the one that was given.

    Raises:
        ValueError: there is none of that name, or it lacks a method.
    """
    if serializer == "safe":
        return Safe()
    if serializer == "pickle":
        return Pickled()
    if isinstance(serializer, str) or not all(hasattr(serializer, name) for name in ("name", "dumps", "loads")):
        raise ValueError(
            f"serializer={serializer!r} is not accepted: 'safe', 'pickle', or an object with name, dumps and loads"
        )
    return serializer


def type_name(kind: type) -> str:
    """Module and qualified name of a type."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _own(value: Any, kind: Any) -> list[object]:
    name = type_name(kind)
    registered: Any = _registered.get(name)
    if registered is not kind:
        known = is_dataclass(kind) or issubclass(kind, Enum) or hasattr(kind, "_fields")
        hint = f"register it: perfagent.cache.cacheable({kind.__name__})" if known else "see perfagent.cache.Safe"
        raise TypeError(f"a value of type {name} cannot be kept by the safe serializer: {hint}, or serializer='pickle'")
    if issubclass(kind, Enum):
        if value.name not in kind.__members__:
            raise TypeError(f"{value!r} cannot be kept by the safe serializer: a combination of flags has no name")
        return [name, value.name]
    if issubclass(kind, tuple):
        return [name, list(value)]
    return [name, {field.name: getattr(value, field.name) for field in fields(kind)}]


def _make_own(inside: list[Any]) -> object:
    name, content = inside
    kind: Any = _registered[name]
    if issubclass(kind, Enum):
        return kind[content]
    if issubclass(kind, tuple):
        if len(content) != len(kind._fields):
            raise ValueError(f"the fields of {name} have changed")
        return tuple.__new__(kind, content)
    if set(content) != {field.name for field in fields(kind)}:
        raise ValueError(f"the fields of {name} have changed")
    made = object.__new__(kind)
    for field, one in content.items():
        object.__setattr__(made, field, one)
    return made


def _zone(zone: tzinfo | None) -> tzinfo | None:
    if zone is None or type(zone) is timezone or (type(zone) is ZoneInfo and zone.key is not None):
        return zone
    raise TypeError(f"a time of the zone {zone!r} cannot be kept: use datetime.timezone or zoneinfo.ZoneInfo")


def _decimal(inside: bytes) -> Decimal:
    if not _DECIMAL.fullmatch(inside):
        raise ValueError("not a decimal number")
    return Decimal(inside.decode())


_SEQUENCES: dict[Any, int] = {tuple: TUPLE, set: SET, frozenset: FROZENSET}
_PARTS: dict[type, tuple[int, Callable[[Any], object]]] = {
    bytearray: (BYTEARRAY, bytes),
    complex: (COMPLEX, lambda value: [value.real, value.imag]),
    Decimal: (DECIMAL, lambda value: str(value).encode()),
    UUID: (UUID_, lambda value: value.bytes),
    datetime: (DATETIME, lambda value: [
        value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.fold,
        _zone(value.tzinfo),
    ]),
    date: (DATE, lambda value: [value.year, value.month, value.day]),
    time: (TIME, lambda value: [
        value.hour, value.minute, value.second, value.microsecond, value.fold, _zone(value.tzinfo)
    ]),
    timedelta: (TIMEDELTA, lambda value: [value.days, value.seconds, value.microseconds]),
    timezone: (TIMEZONE, lambda value: list(value.__getinitargs__())),
    ZoneInfo: (ZONE, lambda value: _zone(value).key),  # type: ignore[union-attr]
}  # fmt: skip
_MAKERS: dict[int, Callable[[Any], object]] = {
    TUPLE: tuple,
    SET: set,
    FROZENSET: frozenset,
    BYTEARRAY: bytearray,
    COMPLEX: lambda inside: complex(*inside),
    DECIMAL: _decimal,
    UUID_: lambda inside: UUID(bytes=inside),
    DATETIME: lambda inside: datetime(*inside[:7]).replace(fold=inside[7], tzinfo=inside[8]),
    DATE: lambda inside: date(*inside),
    TIME: lambda inside: time(*inside[:4]).replace(fold=inside[4], tzinfo=inside[5]),
    TIMEDELTA: lambda inside: timedelta(*inside),
    TIMEZONE: lambda inside: timezone.utc if inside == [timedelta()] else timezone(*inside),
    ZONE: ZoneInfo,
    OWN: _make_own,
}
