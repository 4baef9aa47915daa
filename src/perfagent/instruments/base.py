"""What every instrument is: a library's name and versions, a patch, and the way back."""

from __future__ import annotations

import sys

from perfagent.runtime.carriers import moved
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Any)

MISSING = object()
OURS = __file__[: -len("instruments/base.py")]
"""Our own files' folder."""
PASSED_OVER = " (passed over as importlib._bootstrap)"
"""What follows our file's name where a frame of ours is not to be counted; the start tells whose it is."""
_passed_over: dict[int, tuple[CodeType, CodeType]] = {}  # a wrapper made for each call has the same code each time


class Instrument:
    """How one library is measured.

    A subclass names the library and writes `patch`, which replaces functions by `self.replace`. It is patched once for
    each module that it waits for; all of it can be undone.
    """

    name = ""
    """As in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS."""
    distribution = ""
    """The package whose version counts; "" for the standard library."""
    versions: tuple[str, str] = ("0", "9999")
    """The first version that works, and the first that does not any more."""
    records = ""
    """What it tells of the library, in a line of the page of libraries (docs/reference/libraries.md)."""

    def __init__(self) -> None:
        from perfagent import __version__

        self.scope = Scope(f"perfagent.{self.name}", __version__)
        self.reason = ""
        """Why it is off, for `perfagent doctor`; "" where it is on."""
        self.measured_by = ""
        """The instrument of ours that measures the library under another name, where this one is off for that."""
        self.patched: set[str] = set()
        self._misfits = False
        self._replaced: list[tuple[object, str, object, object]] = []

    def patch(self, module: ModuleType) -> None:
        """Replaces what must be replaced in `module`, one of those that the registry names."""
        raise NotImplementedError

    def apply(self, module: ModuleType) -> None:
        """Patches `module` unless that is done or the library's version is out of range.

        A library that one of its patches does not fit is not what it was when the others were written: they are taken
        out, and none follows. Where there are several libraries, for one distribution is none, the others stay.
        """
        if module.__name__ in self.patched or self._misfits:
            return
        self.reason = self.unsupported(module)
        if self.reason:
            return
        before = len(self._replaced)
        self.patched.add(module.__name__)
        try:
            self.patch(module)
        except Exception as error:
            if self.distribution:
                self._misfits = True
                self.reason = f"its version does not fit: {type(error).__name__}: {error}"
                self.unpatch()
            else:
                self._put_back(before)
            raise

    def unpatch(self) -> None:
        """Puts everything back, last first; what somebody else replaced since is left alone."""
        self._put_back(0)
        self.patched.clear()

    def _put_back(self, remaining: int) -> None:
        while len(self._replaced) > remaining:
            owner, attribute, original, ours = self._replaced.pop()
            if vars(owner).get(attribute) is not ours:
                continue
            if original is MISSING:
                delattr(owner, attribute)
            else:
                setattr(owner, attribute, original)

    def replace(self, owner: Any, attribute: str, make: Callable[[Any], Any]) -> None:
        """Puts `make(original)` in the place of `owner.attribute`.

        Args:
            owner: a class or a module.
            attribute: the name; where `owner` has none, nothing happens.
            make: gets the original and returns what replaces it; for a function its name, signature, documentation
                and attributes are carried over.
        """
        original = getattr(owner, attribute, MISSING)
        if original is MISSING:
            return
        own = vars(owner).get(attribute, MISSING)
        ours = disguise(make(original), original)
        if _is_coroutine_function(original) and not _is_coroutine_function(ours):
            raise TypeError(f"{self.name}: what replaces the coroutine function {attribute} must be one too")
        if isinstance(own, staticmethod):
            ours = staticmethod(ours)
        setattr(owner, attribute, ours)
        self._replaced.append((owner, attribute, own, ours))

    def unsupported(self, module: ModuleType) -> str:
        """Why this version of the library is not patched, or ''."""
        if not self.distribution:
            return ""
        return self.out_of_range(version_of(self.distribution, module))

    def out_of_range(self, version: str) -> str:
        """Why a version is not patched, or ''; an unknown one is tried."""
        low, high = self.versions
        if version and not _numbers(low) <= _numbers(version) < _numbers(high):
            return f"{self.distribution} {version} is not supported: from {low} to below {high}"
        return ""


def disguise(wrapper: Any, original: Any) -> Any:
    """Makes a wrapper look like what it wraps: to `inspect.signature`, `pickle`, `help` and type hints."""
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        value = getattr(original, attribute, MISSING)
        if value is not MISSING:
            setattr(wrapper, attribute, value)
    if isinstance(wrapper, type):
        return wrapper
    if getattr(wrapper, "__code__", None) is not None:
        passed_over(wrapper)
        if not hasattr(original, "__module__"):  # a method of a class in C
            wrapper.__module__ = getattr(original, "__objclass__", type(original)).__module__
    if sys.version_info >= (3, 14):  # evaluated when somebody asks, as functools.update_wrapper leaves them
        wrapper.__annotate__ = getattr(original, "__annotate__", None)
    else:
        wrapper.__annotations__ = getattr(original, "__annotations__", {})
    if hasattr(original, "__type_params__"):
        wrapper.__type_params__ = original.__type_params__
    wrapper.__dict__.update(getattr(original, "__dict__", {}))
    wrapper.__wrapped__ = original
    return wrapper


def passed_over(function: Function) -> Function:
    """Makes the frame of a function one that `stacklevel` does not count: in `warnings`, and from 3.11 on in `logging`.

    So what a library blames its caller for is told of the program's line, which filters judge by, and not of ours. Both
    pass over the import system's frames, which they know by two words in the file's name.

    Args:
        function: one that calls what the program called; it is changed and returned.
    """
    code = function.__code__
    if code.co_filename.startswith(OURS) and not code.co_filename.endswith(PASSED_OVER):
        known = _passed_over.get(id(code))
        if known is None:
            known = _passed_over[id(code)] = code, code.replace(co_filename=code.co_filename + PASSED_OVER)
            moved(*known)
        function.__code__ = known[1]
    return function


def with_parameters_of(original: Any, wrapper: Any) -> Any:
    """A function that calls `wrapper` and has the parameters of `original` in its code, too.

    For a library that reads them there by itself, as SQLAlchemy does to learn which options an engine takes: `disguise`
    shows the original's to `inspect.signature`, not to who looks at `__code__`. It costs a call more.

    Args:
        original: a function; where it is none, or has `*` or `/` among its parameters, `wrapper` comes back as it is.
        wrapper: takes any arguments.
    """
    code = getattr(original, "__code__", None)
    if code is None or code.co_flags & 0x0C or code.co_kwonlyargcount or code.co_posonlyargcount:  # *args, **options
        return wrapper
    names = ", ".join(code.co_varnames[: code.co_argcount])
    function = eval(compile(f"lambda {names}: __wrapper__({names})", __file__, "eval"), {"__wrapper__": wrapper})  # noqa: S307
    function.__defaults__ = original.__defaults__
    return function


def _is_coroutine_function(function: Any) -> bool:
    """As `inspect.iscoroutinefunction`, which frameworks choose by, without importing `inspect`."""
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)


def version_of(distribution: str, module: ModuleType) -> str:
    """The version of a distribution, or '' where nobody knows.

    A module's own `__version__` costs nothing; `importlib.metadata` costs 20 ms where the program has not imported it.
    """
    package = sys.modules.get(module.__name__.partition(".")[0], module)
    version = vars(package).get("__version__")
    if isinstance(version, str):
        return version
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed(distribution)
    except PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; `8.1.0rc2` counts as 8.1.0."""
    numbers = []
    for part in version.split("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
