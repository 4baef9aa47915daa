"""Sees every warning of what is deprecated, and leaves Python's machinery of warnings as it finds it.

`warnings.warn` and `warn_explicit` are replaced by what counts and leaves neither a frame that `stacklevel` counts nor
one in a traceback. What C code warns of is seen by `perfagent.resilience.deprecations.native`.

A repeated call that the program's filters ignore costs less than without us: the filters are compared with those under
which it was ignored before, which is cheaper than to look through them.
"""

from __future__ import annotations

import _warnings
import sys
import warnings
from sys import _getframe

from perfagent.resilience.deprecations import places
from perfagent.resilience.deprecations.ledger import book
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from perfagent.resilience.deprecations.site import Site

PLACE = "deprecation ledger"

_warn: Any = _warnings.warn
_warn_explicit: Any = _warnings.warn_explicit
_names: dict[str, Any] = vars(warnings)
_sites, _kinds = book.sites, book.kinds
SKIPS = sys.version_info >= (3, 12)
STEP = 1 if sys.version_info >= (3, 11) else 1 << 48
"""Apart by so much lie the keys of two instructions of one code object, whose identity is its address. From 3.11 on its
instructions are in it, so that a sum is no other's."""
_PLAIN = type(Warning.__init__), type(Warning.__new__)


class Watch:
    """What stands in for functions of `warnings`: bound methods, which bind to no class, as functions in C do not."""

    __slots__ = ()

    def __reduce__(self) -> tuple[object, ...]:
        return __import__, ("warnings",)  # so that a pickled `warnings.warn` is the one of wherever it arrives

    def warn(  # noqa: C901 - a call more costs 50 ns
        self,
        message: Any,
        category: Any = None,
        stacklevel: Any = 1,
        source: Any = None,
        *,
        skip_file_prefixes: Any = (),
    ) -> None:
        """As Python's; counts what is deprecated."""
        try:
            level = stacklevel + 1 if stacklevel > 0 else 2
            kind = category if message.__class__ is str else _kind(message, category)
            counted = _kinds[kind]
        except KeyError:
            counted = book.counts(kind)
        except TypeError:  # no number, no class: Python says so
            level, counted = stacklevel, False
        if not counted and skip_file_prefixes == ():
            try:
                _warn(message, category, level, source)
            except BaseException as error:
                _leave_out(_getframe(), error)
                raise
            return
        site: Any = None  # a Site
        registry = None
        try:
            frame = _getframe(1)
            if skip_file_prefixes != ():
                level = _level(frame, stacklevel, skip_file_prefixes)
            if counted:
                blamed: Any = frame if stacklevel < 2 else frame.f_back if stacklevel == 2 else _up(frame, stacklevel)
                code = (blamed or frame).f_code
                key = id(code) + (blamed or frame).f_lasti * STEP
                site = _sites.get(key)
                if site is None or site.message is not message or site.kind is not kind:
                    exact = places.up(frame, stacklevel, skip_file_prefixes)
                    site = book.warned(key, message, kind, frame, exact)
                    site.direct = site.direct and exact is blamed
                if site.foreign:
                    next(book.owner(site, blamed).calls)
                else:
                    next(site.calls)
                if site.direct and site.message is message:
                    if site.quiet and site.judged == _names["filters"]:
                        return
                    names = blamed.f_globals
                    registry = names.get("__warningregistry__")
        except Exception:
            guard.failed(PLACE)
        try:
            if registry is not None:  # what `warn` does once it has the frame, at half the cost
                _warn_explicit(
                    message, kind, code.co_filename, site.at, names.get("__name__", "<string>"), registry, None, source
                )
            elif skip_file_prefixes == ():
                _warn(message, category, level, source)
            elif SKIPS:
                _warn(message, category, level, source, skip_file_prefixes=skip_file_prefixes)
            else:
                _warn(message, skip_file_prefixes=skip_file_prefixes)  # says that there is no such argument
        except BaseException as error:
            _leave_out(_getframe(), error)
            raise
        if site is not None and site.direct and site.judged != _names["filters"]:
            try:
                _judge(site, message, blamed)
            except Exception:
                guard.failed(PLACE)

    def warn_explicit(self, *arguments: Any, **named: Any) -> None:
        """As Python's; counts what is deprecated."""
        try:
            _note(arguments, named, _getframe(1))
        except Exception:
            guard.failed(PLACE)
        try:
            _warn_explicit(*arguments, **named)
        except BaseException as error:
            _leave_out(_getframe(), error)
            raise


watch = Watch()
CODES = (Watch.warn.__code__, Watch.warn_explicit.__code__)
"""Of what stands in for `warn` and `warn_explicit`: what they do is counted by themselves."""


def _kind(message: object, category: Any) -> Any:
    """The class of a warning whose message is no plain text."""
    return message.__class__ if isinstance(message, Warning) else category


def _up(frame: FrameType, level: int) -> FrameType | None:
    """The frame so far up, the import system's ones counted: for a key that is enough."""
    found: FrameType | None = frame
    while level > 1 and found is not None:
        found = found.f_back
        level -= 1
    return found


def _level(frame: FrameType, level: int, prefixes: Any) -> int:
    """The stacklevel that blames the same frame from one frame further in, where some files are skipped."""
    level = max(level, 2)
    skipped = isinstance(prefixes, tuple) and frame.f_code.co_filename.startswith(prefixes)
    return level if skipped or places.is_internal(frame.f_code) else level + 1


def _leave_out(ours: FrameType, error: BaseException) -> None:
    """Takes our frame out of a traceback; a bare `raise` adds none. In 3.10 it stays: there the traceback is a copy."""
    trace = error.__traceback__
    if trace is not None and trace.tb_frame is ours:
        error.__traceback__ = trace.tb_next


def _judge(site: Site, message: object, blamed: Any) -> None:
    """Looks up, as Python does, whether the filters ignore a warning; only of one that has no effects besides."""
    filters = list(_names["filters"])
    site.quiet = False
    site.judged = filters
    kind: Any = site.kind
    if site.message is not message or (type(kind.__init__), type(kind.__new__)) != _PLAIN:
        return
    module = blamed.f_globals.get("__name__", "<string>")
    for action, text, category, of_module, line in filters:
        if (
            (text is None or _matches(text, message))
            and issubclass(kind, category)
            and (of_module is None or _matches(of_module, module))
            and line in (0, site.at)
        ):
            site.quiet = action == "ignore"
            return


def _matches(pattern: Any, text: object) -> bool:
    return pattern == text if isinstance(pattern, str) else bool(pattern.match(text))


def _note(arguments: tuple[Any, ...], named: dict[str, Any], frame: FrameType) -> None:
    """Counts what `warn_explicit` was told."""
    told = dict(zip(("message", "category", "filename", "lineno"), arguments, strict=False), **named)
    message = told.get("message")
    kind = _kind(message, told.get("category"))
    if not isinstance(kind, type) or not book.counts(kind):
        return
    file, line = str(told.get("filename")), int(told.get("lineno") or 0)
    site = book.told((file, line, kind), str(message), kind, frame, file, line)
    next(site.calls)


def install() -> None:
    """Puts ours in the place of Python's, once."""
    for name, original in (("warn", _warn), ("warn_explicit", _warn_explicit)):
        if _names.get(name) is original:
            _names[name] = getattr(watch, name)


def uninstall() -> None:
    """Puts Python's back, unless somebody else replaced ours since."""
    for name, original in (("warn", _warn), ("warn_explicit", _warn_explicit)):
        if getattr(_names.get(name), "__self__", None) is watch:
            _names[name] = original


for _name, _original in (("warn", _warn), ("warn_explicit", _warn_explicit)):
    _method = vars(Watch)[_name]
    _method.__module__, _method.__qualname__, _method.__doc__ = "_warnings", _name, _original.__doc__
