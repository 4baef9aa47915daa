"""Attributes of items, from bytes to JSON: each distinct one is read once and remembered."""

from __future__ import annotations

import base64
import math
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from perfagent.hub.receive import wire
from perfagent.hub.receive.operations import DECIDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.receive.limits import Limits, Receipt

MEMORY = 8_388_608
"""Bytes of attributes that are remembered, twice: those in use, and those before them."""
SHORT = 256
"""Longest attribute, in bytes, that is remembered if nothing depends on it: longer ones hardly repeat."""


class Attribute(NamedTuple):
    """One attribute as the decoders use it; a tuple, for indexing it takes half the time of a slot."""

    token: int  # what stands for it in a key of `operations`; 0 where an operation does not depend on it
    key: str
    json: str  # "key":value
    value: Any


class Attributes(dict[bytes, Attribute]):
    """The attributes that were seen of late, by their bytes.

    A hit costs 50 ns, a miss 4 us; of a span's 10 attributes 8 or 9 are hits. When the memory is full, what was used
    since the last time is kept.

    Args:
        limits: of names and values.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self._before: dict[bytes, Attribute] = {}
        self._bytes = 0
        self._tokens = count(1)
        self._cut = 0

    def __missing__(self, raw: bytes) -> Attribute:
        before = self._cut
        found = self._before.get(raw) or self._read(raw)
        if (len(raw) <= SHORT or (found[0] and len(raw) <= self._limits.value)) and before == self._cut:
            self._bytes += 300 + 4 * len(raw)
            if self._bytes > MEMORY:
                self._before = dict(self)
                self.clear()
                self._bytes = 0
            self[raw] = found
        return found

    def _read(self, raw: bytes) -> Attribute:
        if len(raw) > 4 * (self._limits.key + self._limits.value):  # more than what is kept, in any language
            return self._long(raw)
        message = wire.KeyValue.FromString(raw)
        key, cuts = text(message.key, self._limits.key)
        value, more = limited(plain(message.value), self._limits.value)
        shown = f"{dumps(key)}:{dumps(value)}"
        self._cut += cuts + more
        return Attribute(next(self._tokens) if key in DECIDING else 0, key, shown, value)

    def _long(self, raw: bytes) -> Attribute:
        """One that is cut whatever it holds: a list of 20 million items would be built for 13 s and 1.5 GB before."""
        message = wire.LongKeyValue.FromString(raw)
        key, _ = text(message.key, self._limits.key)
        value = long(b"".join(message.value), self._limits.value)
        self._cut += 1
        return Attribute(next(self._tokens) if key in DECIDING else 0, key, f"{dumps(key)}:{dumps(value)}", value)

    def cut(self) -> int:
        """How many names and values were cut since it was asked last; these are not remembered, but read each time."""
        found, self._cut = self._cut, 0
        return found

    def object(self, raws: Sequence[bytes], receipt: Receipt, dropped: int = 0, suffix: str = "") -> str:
        """A JSON object of the attributes in their order; of two with one key the last counts.

        Args:
            raws: `KeyValue` messages.
            receipt: where cuts are counted.
            dropped: attributes that the sender has left out already.
            suffix: what comes last in the object, such as the scope's attributes.
        """
        found, left = self.read(raws, receipt)
        return self.joined(found, dropped + left, suffix)

    def read(self, raws: Sequence[bytes], receipt: Receipt) -> tuple[list[Attribute], int]:
        """The attributes up to the limit, and how many are beyond it: those are not even read."""
        left = max(len(raws) - self._limits.count, 0)
        receipt.cut += left
        return [self[raw] for raw in (raws[: self._limits.count] if left else raws)], left

    def joined(self, found: list[Attribute], dropped: int = 0, suffix: str = "") -> str:
        """`object`, of attributes that are read already."""
        parts = list({attribute[1]: attribute[2] for attribute in found}.values())
        if dropped:
            parts.append(f'"otel.dropped_attributes_count":{dropped}')
        if suffix:
            parts.append(suffix)
        return "{" + ",".join(parts) + "}"

    def dict(self, raws: Sequence[bytes], receipt: Receipt) -> dict[str, Any]:
        """The attributes as values, by their keys."""
        return {attribute.key: attribute.value for attribute in self.read(raws, receipt)[0]}


def text(raw: bytes, limit: int) -> tuple[str, int]:
    """The text of at most `limit` characters, and 1 if more was cut off; what is no UTF-8 becomes U+FFFD."""
    decoded = raw.decode("utf-8", "replace")
    if len(decoded) <= limit:
        return decoded, 0
    return decoded[:limit], 1


def long(raw: bytes, limit: int) -> str:
    """What is shown of the bytes of an `AnyValue` that is longer than what is kept: of a text its beginning."""
    value = wire.LongText.FromString(raw)
    if value.HasField("string_value"):
        return text(value.string_value[: 4 * limit], limit)[0]
    return f"({len(raw)} bytes)"


def plain(value: Any) -> Any:
    """An `AnyValue` as JSON can hold it: bytes in base64, what is no number as NaN, Infinity or -Infinity."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    content = getattr(value, kind)
    if kind == "string_value":
        return content.decode("utf-8", "replace")
    if kind == "double_value":
        return number(content)
    if kind == "array_value":
        return [plain(item) for item in content.values]
    if kind == "kvlist_value":
        return {item.key.decode("utf-8", "replace"): plain(item.value) for item in content.values}
    if kind == "bytes_value":
        return base64.b64encode(content).decode()
    return content


def number(value: float) -> float | str:
    """The number, or its name in protobuf's JSON where JSON has none for it."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def limited(value: Any, limit: int) -> tuple[Any, int]:
    """The value within the limit of its characters, and 1 if it was cut; too long a list or map becomes text."""
    if isinstance(value, str):
        return (value, 0) if len(value) <= limit else (value[:limit], 1)
    if isinstance(value, (list, dict)):
        shown = dumps(value)
        if len(shown) > limit:
            return shown[:limit], 1
    return value, 0


def dumps(value: Any) -> str:
    """JSON without blanks."""
    return orjson.dumps(value).decode()
