"""What may be asked of any object without running a line of the program's code: its type's name, its length, its size.

A program's class may define `__len__`, `__class__`, `__getattr__` or `__sizeof__`, and a proxy answers them for another
object. So lengths are asked of the built-in types themselves, and attributes are looked up where they are stored.
"""

from __future__ import annotations

import gc
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import SourceFileLoader
from collections import Counter, deque
from functools import lru_cache
from itertools import islice
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from weakref import ReferenceType

from perfagent.runtime import inert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

_lengths: tuple[tuple[type, str, Callable[[Any], int]], ...] = tuple(
    (kind, kind.__name__, kind.__len__) for kind in (dict, list, set, deque, bytearray, tuple, frozenset)
)
_BASES = {name: kind for kind, name, _ in _lengths}
PLAIN = frozenset(map(id, _BASES.values()))
"""Identities of the built-in containers: a metaclass may have made its classes unhashable, or run code for it."""
_contents = type.__dict__["__dict__"].__get__
_bases = type.__dict__["__mro__"].__get__
_flags = type.__dict__["__flags__"].__get__
_HEAP_TYPE = 1 << 9  # of a class's flags: made by a class statement, or by C at run time
ATOMIC = frozenset(map(id, (
    str, bytes, int, float, complex, bool, type(None), BuiltinFunctionType, ModuleType, CodeType, MemberDescriptorType,
    GetSetDescriptorType, WrapperDescriptorType, MethodDescriptorType, ClassMethodDescriptorType, ReferenceType,
    property, frozenset, GenericAlias, ModuleSpec, SourceFileLoader,
)))  # fmt: skip
"""Identities of the types of what holds nothing that could grow."""
CHILDREN = 64  # of a container up to which all are looked at
EDGE = 4  # of a larger one: so many at its beginning and as many at its end
MOST_REFERENTS = 4096
LIMITS = ("maxsize", "max_size", "_maxsize", "maxlen", "capacity", "limit", "max_entries", "_max_entries")
"""Attributes of an object that tell how large what it holds may become."""


def type_name(kind: type) -> str:
    """`module.Class`; without the module for a built-in type."""
    module, name = inert.module_of(kind), inert.name_of(kind)
    return f"{module}.{name}"[:200] if module not in ("", "builtins") else name


def container_kind(kind: type) -> tuple[str, Callable[[Any], int]] | None:
    """For a class of containers: what it is at bottom, such as "dict", and what tells its length."""
    known = _containers.get(id(kind))
    if known is None and len(_bases(kind)) > 2:  # a class of a built-in one has at least that and object below
        known = next(((name, length) for base, name, length in _lengths if issubclass(kind, base)), None)
    return known


_containers: dict[int, tuple[str, Callable[[Any], int]]] = {id(kind): (name, length) for kind, name, length in _lengths}


def children(found: Any, kind: str) -> list[Any]:
    """What a container holds; of a large one what stands at its ends."""
    try:
        if kind == "dict":
            if dict.__len__(found) <= CHILDREN:
                return list(dict.values(found))
            return list(islice(dict.values(found), EDGE)) + newest(found, kind, EDGE)
        if kind == "bytearray":
            return []
        base: Any = _BASES[kind]
        length = base.__len__(found)
        if length <= CHILDREN:
            return list(islice(base.__iter__(found), length))
        return list(islice(base.__iter__(found), EDGE)) + newest(found, kind, EDGE)
    except RuntimeError:  # it changed meanwhile
        return []


def newest(found: Any, kind: str, count: int) -> list[Any]:
    """What was put into a container last; of a set any of it."""
    try:
        if kind == "dict":
            return list(islice(reversed(dict.values(found)), count))
        base: Any = _BASES.get(kind)
        if kind in ("list", "tuple"):
            return list(base.__getitem__(found, slice(-count, None)))
        if kind == "deque":
            return list(islice(base.__reversed__(found), count))
        if kind in ("set", "frozenset"):
            return list(islice(base.__iter__(found), count))
    except RuntimeError:
        pass
    return []


def newest_keys(found: Any, count: int) -> list[Any]:
    """The keys that were put into a dict last."""
    try:
        return list(islice(reversed(dict.keys(found)), count))
    except RuntimeError:
        return []


def inside(found: object) -> list[Any]:
    """Some of what an object refers to, but its class, modules and functions: what was made together with it."""
    container = container_kind(type(found))
    if container is not None:
        return newest(found, container[0], EDGE) + (newest_keys(found, EDGE) if container[0] == "dict" else [])
    kinds = (type, FunctionType, ModuleType)
    return [one for one in _referents(found, type(found))[:CHILDREN] if not issubclass(type(one), kinds)][: 2 * EDGE]


def limit_of(found: object, holders: Iterable[object]) -> int | None:
    """How many entries a container may have, where it or one of the objects that hold it tells."""
    if type(found) is deque:
        return found.maxlen
    for holder in holders:
        if type_name(type(holder)) == "functools._lru_cache_wrapper":
            most = holder.cache_parameters()["maxsize"]  # type: ignore[attr-defined]
            return most if type(most) is int else None
        stored = attributes(holder) | (attributes(found) if id(type(found)) not in PLAIN else {})
        for name in LIMITS:
            value = stored.get(name)
            if type(value) is int and value > 0:
                return value
    return None


def attributes(found: object) -> dict[str, Any]:
    """An object's own attributes and slots, as they are stored."""
    stored: dict[str, Any] = {}
    kind = type(found)
    if not _flags(kind) & _HEAP_TYPE:
        return stored
    for base in _bases(kind):
        for name, member in list(_contents(base).items()):  # an import may add to them in another thread
            if type(member) is MemberDescriptorType:
                try:
                    stored[name] = member.__get__(found)
                except AttributeError:
                    continue
    return stored | inert.attributes_of(found)


def contents(kind: type) -> dict[str, Any]:
    """What a class has."""
    return dict(_contents(kind))


def sizes(found: object) -> int:
    """Bytes of an object with what it holds, about: a few steps deep, and 200 objects at most."""
    whole, known = 0, {id(found)}
    shared = (
        _SHARED | {id(type(found))} if is_made(type(found)) else _SHARED
    )  # the next one of a chain is no part of it
    level: list[Any] = [found]
    for _ in range(DEEP):
        below: list[Any] = []
        for one in level:
            whole += _size(one)
            kind = type(one)
            if id(kind) in ATOMIC:
                continue
            if kind is FunctionType:  # its globals are its module's
                inner: Collection[Any] = one.__closure__ or ()
            else:
                inner = _referents(one, kind) if not _is_large(one, kind) else ()
            for each in inner:
                if id(each) not in known and id(type(each)) not in shared and not issubclass(type(each), type):
                    known.add(id(each))
                    below.append(each)
        level = below[: MOST_SIZED - len(known)] if len(known) > MOST_SIZED / 2 else below
    return whole


DEEP = 5  # steps
MOST_SIZED = 200
_SHARED = frozenset(map(id, (ModuleType, type(None), bool)))
_SIZED = frozenset(map(id, (str, bytes, bytearray, int, float, dict, list, tuple, set)))


def _size(found: object) -> int:
    if id(type(found)) in _SIZED or not _flags(type(found)) & _HEAP_TYPE:
        try:
            return sys.getsizeof(found)
        except Exception:  # of an extension's type
            return 0
    return object.__sizeof__(found) + 16


def sampled(found: object, kind: str, count: int = 16) -> tuple[str, float]:
    """The type of what was put into a container last, and the bytes of an entry, about."""
    last = newest(found, kind, count)
    if not last:
        return "", 1.0 if kind == "bytearray" else 0.0
    kinds = {id(type(one)): type(one) for one in last}
    name = type_name(kinds[Counter(id(type(one)) for one in last).most_common(1)[0][0]])
    whole = sum(map(sizes, last)) / len(last)
    if kind == "dict":
        keys = newest_keys(found, count)
        whole += sum(map(_size, keys)) / max(len(keys), 1) + 40
    return name, whole + 8


def followed(found: object, kind: type, whole: bool) -> Collection[Any]:
    """What an object that is no container refers to, as far as it may hold something that grows.

    Args:
        kind: its type.
        whole: of a function, also its attributes, which is 1 us more.
    """
    if kind is FunctionType and not whole:
        function: Any = found
        return (function.__closure__, function.__defaults__, function.__kwdefaults__)
    if issubclass(kind, type):
        return _contents(found).values()  # type: ignore[no-any-return]
    return _referents(found, kind)[:MOST_REFERENTS]


def _is_large(found: object, kind: type) -> bool:
    container = container_kind(kind)
    return container is not None and container[1](found) > CHILDREN


def _referents(found: Any, kind: type) -> list[Any]:
    """What an object refers to; nothing of a large `lru_cache` with a limit, which would tell all that it holds."""
    if kind is _LRU_CACHE:
        info = _cache_info(found)
        if info.maxsize is not None and info.currsize > MOST_REFERENTS:
            return []
    return gc.get_referents(found)


_LRU_CACHE: Any = type(lru_cache(_is_large))
_cache_info = _LRU_CACHE.cache_info


def is_made(kind: type) -> bool:
    """Whether a class was made by a class statement, or by C at run time; not one of Python's built-in ones."""
    return bool(_flags(kind) & _HEAP_TYPE) and inert.module_of(kind) != "builtins"
