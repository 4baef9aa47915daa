"""What an object of the program is and holds, read without running any code of its classes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_module_of = type.__dict__["__module__"].__get__
_name_of = type.__dict__["__qualname__"].__get__


def module_of(kind: type) -> str:
    """The module of a class; "" where it has lost it."""
    try:
        module = _module_of(kind)
    except AttributeError:
        return ""
    return module if type(module) is str else ""


def name_of(kind: type) -> str:
    """The qualified name of a class."""
    return str(_name_of(kind))


def attributes_of(found: object) -> dict[str, Any]:
    """The `__dict__` of an object itself; an empty one where it has none."""
    try:
        own = object.__getattribute__(found, "__dict__")
    except AttributeError:
        return {}
    return own if type(own) is dict else {}
