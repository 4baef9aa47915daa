"""Sees what C code warns of: `datetime.utcnow` of Python 3.12, NumPy, and whoever took `warnings.warn` before us.

C reads the attribute `filters` of the module `warnings` for each warning that its registry does not have as shown. The
module gets a class with a property of that name, which gives C one filter more, in front: it sees the warning, never
matches, and so decides nothing. Python code that reads `warnings.filters` gets the list itself. A warning that is shown
once goes into a registry, which C asks from then on; there our entry, equal to the True that C puts in, counts when it
is asked.
"""

from __future__ import annotations

import sys
import warnings
from _thread import _local
from sys import _getframe

from perfagent.resilience.deprecations.ledger import book
from perfagent.resilience.deprecations.watch import CODES, PLACE, STEP
from perfagent.runtime import guard, warned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType, ModuleType
    from typing import Any

    from perfagent.resilience.deprecations.site import Site
else:
    ModuleType = type(sys)

WORKS = sys.implementation.name == "cpython" and sys.version_info < (3, 14)
"""From 3.14 on, filters belong to a context, and C reads them in another way."""
MOST_READERS = 2000
KEPT = 8  # warnings within warnings

_names: dict[str, Any] = vars(warnings)
_readers: dict[tuple[int, int], tuple[CodeType, bool]] = {}


def _filters(module: Any, names: dict[str, Any] = _names, warn: CodeType = CODES[0], told: CodeType = CODES[1]) -> Any:
    """The program's filters; for C, with one more in front."""
    try:
        frame = _getframe(1)
    except ValueError:  # a thread's end and the interpreter's run no frame, and may warn all the same
        return _named(module, "filters")
    code = frame.f_code
    if (code is warn or code is told) and "filters" in names:
        return names["filters"]
    filters = _named(module, "filters")
    if module is not warnings or type(filters) is not list:
        return filters
    try:
        if -id(code) - frame.f_lasti * STEP not in book.sites and _is_read(frame):
            return filters
        return _thread.spied(filters)
    except Exception:
        guard.failed(PLACE)
        return filters


def _set_filters(module: Any, value: Any) -> None:
    if isinstance(value, list) and value and type(value[0]) is tuple and Spy in map(type, value[0]):
        value = value[1:]  # it was read by `getattr`, which looks like C
    module.__dict__["filters"] = value


def _shows(module: Any) -> Any:
    """What shows a warning. C reads it just before, and just after it has put the warning into a registry."""
    _plant()
    return _named(module, "_showwarnmsg")


def _once(module: Any) -> Any:
    """The registry of what is shown once; C reads it just after it has put the warning into the module's own."""
    _plant()
    return _named(module, "onceregistry")


def _plant() -> None:
    """Makes the registry's entries for the warning that this thread saw last count when they are asked for."""
    try:
        shown = _thread.shown
        if shown is None:
            return
        _thread.shown = None
        site, names, text, category = shown
        registry = names.get("__warningregistry__")
        if type(registry) is not dict:
            return
        for key, value in list(registry.items()):
            if value is True and type(key) is tuple and key[:2] == (text, category):
                registry[key] = Again(site) if len(key) > 2 and key[2] else Elsewhere(1)
    except Exception:
        guard.failed(PLACE)


def _set_shows(module: Any, value: Any) -> None:
    module.__dict__["_showwarnmsg"] = value


def _set_once(module: Any, value: Any) -> None:
    module.__dict__["onceregistry"] = value


def _named(module: Any, name: str) -> Any:
    try:
        return module.__dict__[name]
    except KeyError:
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from None


def _delete(name: str) -> Any:
    def delete(module: Any) -> None:
        _named(module, name)
        del module.__dict__[name]

    return delete


class Warnings(ModuleType):
    """The class of the module `warnings`, with the attributes that C reads."""

    filters = property(_filters, _set_filters, _delete("filters"))
    _showwarnmsg = property(_shows, _set_shows, _delete("_showwarnmsg"))
    onceregistry = property(_once, _set_once, _delete("onceregistry"))


class Spy:
    """Message, module and category of a filter that never matches. It keeps no frame."""

    __slots__ = ("match", "told")

    def __init__(self) -> None:
        self.told: list[str] = []
        self.match = self.told.append
        """Is asked for the message, then for the module; C asks for the category all the same."""

    def __subclasscheck__(self, category: type) -> bool:
        told = self.told
        try:
            if _thread.shown is not None:
                _thread.shown = None
            if len(told) == 2 and (book.kinds.get(category) or book.counts(category)):
                _see(told[0], told[1], category, _getframe(1))
            elif len(told) == 2 and category in warned.others:
                warned.others[category](told[0], _getframe(1))
        except Exception:
            guard.failed(PLACE)
        told.clear()
        return False


class _Thread(_local):
    """What a thread has of its own: a spy in a filter, and what that saw last, until it is shown."""

    def __init__(self) -> None:
        spy: Any = Spy()
        self._entry = ("ignore", spy, spy, spy, 0)
        self._filters: list[Any] | None = None
        self._spied: list[Any] = []
        self._kept: list[list[Any]] = []
        self.shown: tuple[Site, dict[str, Any], str, type] | None = None

    def spied(self, filters: list[Any]) -> list[Any]:
        """The filters with one more in front: the same list as long as they stay the same.

        C goes through it without owning it, and forgets it when another thread warns: it must live on. The last few
        are kept, for a warning while a filter is asked makes another one.
        """
        if self._filters != filters:
            self._filters = list(filters)
            # Without a spy that came in by `warnings.filters[:] = getattr(warnings, "filters")`.
            own = [one for one in filters if type(one) is not tuple or Spy not in map(type, one)]
            self._spied = [self._entry, *own]
            self._kept.append(self._spied)
            del self._kept[:-KEPT]
        return self._spied


_thread = _Thread()


class Entry(int):
    """An entry of a registry that stands for the True that C puts in."""

    __slots__ = ()
    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return int.__eq__(self, other) is True

    def __repr__(self) -> str:
        return "True"

    def __reduce__(self) -> tuple[object, ...]:
        return bool, (1,)


class Elsewhere(Entry):
    """The entry of a whole module, asked for when another line of it warns: that line's own entry is there by now."""

    __slots__ = ()

    def __bool__(self) -> bool:
        _plant()
        return True


class Again(Entry):
    """The entry of a line: the warning was shown, and asking for it means that it comes again."""

    site: Site

    def __new__(cls, site: Site) -> Again:
        """The entry of a site."""
        made = super().__new__(cls, 1)
        made.site = site
        return made

    def __bool__(self) -> bool:
        code = _getframe(1).f_code
        if code is not CODES[0] and code is not CODES[1]:  # `in` compares, and near the recursion's limit that fails
            next(self.site.calls)
        return True


def _see(text: str, module: str, category: type, frame: FrameType) -> None:
    """Counts a warning that C works on, and remembers it until it is shown, if it is."""
    blamed: FrameType | None = frame
    while blamed is not None and blamed.f_globals.get("__name__", "<string>") != module:
        blamed = blamed.f_back
    if blamed is None:  # PyErr_WarnExplicit, such as by the compiler: its module is the file's name without its end
        site = book.told((text, module), text, category, frame, f"{module}.py" if "/" in module else module, 0)
        next(site.calls)
        return
    key = -id(frame.f_code) - frame.f_lasti * STEP
    site = book.sites.get(key)  # type: ignore[assignment]
    if site is None or site.message != text or site.kind is not category:
        site = book.raised(key, text, category, frame, blamed)
    _thread.shown = site, blamed.f_globals, text, category
    if site.foreign:
        site = book.owner(site, blamed)
    next(site.calls)


def _is_read(frame: FrameType) -> bool:
    """Whether the instruction that a frame is at reads the attribute `filters`; else it runs C that reads it."""
    code = frame.f_code
    key = (id(code), frame.f_lasti)
    found = _readers.get(key)
    if found is None:
        if len(_readers) >= MOST_READERS:
            _readers.clear()
        found = _readers[key] = code, "filters" in code.co_names and _name_read(code, frame.f_lasti) == "filters"
    return found[1]


def _name_read(code: CodeType, at: int) -> str:
    """The name in an instruction that reads an attribute or imports a name; "" for any other."""
    import opcode

    raw = code.co_code
    name = opcode.opname[raw[at]]
    if name not in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"):
        return ""
    argument, shift = raw[at + 1], 8
    while at >= 2 and raw[at - 2] == opcode.EXTENDED_ARG:
        at -= 2
        argument |= raw[at + 1] << shift
        shift += 8
    if name == "LOAD_ATTR" and sys.version_info >= (3, 12):
        argument >>= 1
    return code.co_names[argument] if argument < len(code.co_names) else ""


def install() -> None:
    """Gives the module its class, once; not where somebody gave it another."""
    if WORKS and type(warnings) is ModuleType:
        warnings.__class__ = Warnings


def uninstall() -> None:
    """Takes it back."""
    if type(warnings) is Warnings:
        setattr(warnings, "__class__", ModuleType)  # noqa: B010 - mypy takes the class for a variable


Warnings.__name__ = Warnings.__qualname__ = "module"
Warnings.__module__ = "builtins"
