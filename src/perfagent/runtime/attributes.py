"""Attributes that come from the program: checked, cut and copied, so that nothing changes under the encoder.

The rules are those of the SDK's BoundedAttributes; where a value cannot be taken, the program hears nothing of it.
"""

from __future__ import annotations

from _collections_abc import Mapping, Sequence  # what `collections.abc` re-exports; loaded by the interpreter's start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Limits:
    """How much a span may hold (OpenTelemetry SDK specification, "Span Limits"); counts, and characters of a text."""

    attributes = 128
    length = 32_768
    events = 128
    links = 128
    event_attributes = 128
    link_attributes = 128


LONGEST_NAME = 32_768
"""Characters of an attribute's key, left out beyond, or an event's name, cut there: no setting limits them."""

_PLAIN = frozenset((bool, int, float, bytes, type(None)))


def merge(into: dict[str, object], attributes: Mapping[Any, object], most: int) -> int:
    """Copies cleaned attributes into a dict of at most `most`, the oldest giving way.

    Args:
        into: what they are copied into.
        attributes: the program's; a key that is no text becomes its text, an empty one is left out.
        most: how many `into` may hold.

    Returns:
        How many were left out or gave way.
    """
    if not isinstance(attributes, Mapping):  # a mistake of the program's that must not become its exception
        return 0
    lost = 0
    for key, value in attributes.items():
        lost += put(into, key, value, most)
    return lost


def put(into: dict[str, object], key: str, value: object, most: int) -> int:
    """Sets one attribute as `merge` does; a value whose own class raises when it is looked at is left out."""
    kind = type(value)
    try:
        if type(key) is not str:
            key = _key(key)
        if not key or most <= 0 or len(key) > LONGEST_NAME:
            return 1
        if kind is str:
            cleaned: object = value if len(value) <= Limits.length else value[: Limits.length]  # type: ignore[arg-type,index]
        else:
            cleaned = value if kind in _PLAIN else clean(value)
    except Exception:  # the program's; one that is in itself, too, for the interpreter's limit of recursion
        return 1
    into.pop(key, None)  # a value set again is a young one
    lost = 0
    if len(into) >= most:
        del into[next(iter(into))]
        lost = 1
    into[key] = cleaned
    return lost


def clean(value: object) -> object:
    """A value that will not change under the encoder: texts cut, sequences and maps copied, the rest as its text."""
    if isinstance(value, str):
        return value[: Limits.length]
    if value is None or isinstance(value, (bool, int, float, bytes)):
        return value
    if isinstance(value, Sequence):
        return tuple(map(clean, value))
    if isinstance(value, Mapping):
        return {name: clean(part) for key, part in value.items() if (name := _key(key))}
    return text_of(value) if _has_text(value) else None


def text_of(value: object) -> str:
    """`str(value)`, cut; where the program's own `__str__` fails, that must not become its exception."""
    try:
        return str(value)[: Limits.length]
    except Exception as error:
        return f"<{type(value).__name__} whose text raised {type(error).__name__}>"


def _key(key: object) -> str:
    if isinstance(key, str):
        return str.__str__(key)  # of a class of its own, which may have a hash of its own
    return text_of(key) if key and _has_text(key) else ""


def _has_text(value: object) -> bool:
    """Whether its class says more than `<x object at 0x...>`."""
    kind = type(value)
    return kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__


def cleaned(attributes: Mapping[Any, object]) -> dict[str, object]:
    """A copy of attributes that no count limits: a metric's, a scope's."""
    kept: dict[str, object] = {}
    for key, value in attributes.items():
        put(kept, key, value, len(attributes))
    return kept


def identity(value: object) -> object:
    """Something hashable that is the same for two values that mean the same; 1, 1.0 and True do not.

    Where the program's own class raises, or a value is in itself, it is the same as that of every such value.
    """
    try:
        return _identity(value)
    except Exception:
        return "unknown", type(value).__name__


def _identity(value: object) -> object:
    if isinstance(value, (str, bytes, bool, int, float)) or value is None:
        return type(value).__name__, value
    if isinstance(value, Mapping):
        return "map", frozenset((_key(key), _identity(part)) for key, part in value.items())
    if isinstance(value, Sequence):
        return "list", tuple(map(_identity, value))
    return "text", text_of(value)
