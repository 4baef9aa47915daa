"""`@deprecated`, as PEP 702 and `warnings.deprecated` of Python 3.13 have it; each call is counted too."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from types import MethodType
from typing import TYPE_CHECKING, TypeVar

from perfagent.resilience.deprecations.ledger import book, declare
from perfagent.resilience.deprecations.watch import watch

if TYPE_CHECKING:
    from typing import Any

Marked = TypeVar("Marked")


class deprecated:  # noqa: N801 - the name that PEP 702 gives it
    """Marks a function, class or overload as deprecated: type checkers tell who uses it, calls warn and are counted.

    The counter is `deprecated_function_calls_total{function}`; `perfagent deprecations` shows the lines that call. A
    class warns when an instance of it is made, not of a subclass, and when a subclass is defined. The message is the
    attribute `__deprecated__` of what is marked. In Python before 3.12 a coroutine function stays one, and warns when
    its coroutine is first awaited.

    Args:
        message: what to use in its place, such as "use gross_price()".
        category: the class of the warning; with None nothing is wrapped, and calls neither warn nor count.
        stacklevel: 1 for the direct caller, more for those further up.

    Raises:
        TypeError: the message is no text, or what is marked is neither a class nor callable.
    """

    def __init__(
        self, message: str, /, *, category: type[Warning] | None = DeprecationWarning, stacklevel: int = 1
    ) -> None:
        if not isinstance(message, str):
            raise TypeError(
                f"Expected an object of type str for 'message', not {type(message).__name__!r}; "
                'write @deprecated("use x")'
            )
        self.message = message
        self.category = category
        self.stacklevel = stacklevel

    def __call__(self, arg: Marked, /) -> Marked:
        """Marks `arg`; returns it where it is a class or no warning is wanted, else a wrapper."""
        target: Any = arg
        if self.category is None:
            target.__deprecated__ = self.message
            return arg
        if isinstance(target, type):
            _mark_class(target, self.message, self.category, self.stacklevel + 1)
            return arg
        if callable(target):
            return _wrapped(target, self.message, self.category, self.stacklevel + 1)  # type: ignore[no-any-return]
        raise TypeError(
            f"@deprecated decorator with non-None category must be applied to a class or callable, not {arg!r}"
        )


def _current() -> Any:
    """What warns: Python's or whoever stands in for it where the ledger is on; else ours, which counts."""
    found = warnings.warn
    return found if getattr(found, "__self__", None) is watch or book.watched else watch.warn


def _mark_class(arg: Any, msg: str, category: type[Warning], stacklevel: int) -> None:
    original_new = arg.__new__

    @functools.wraps(original_new)
    def __new__(cls: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        if cls is arg:
            _current()(msg, category=category, stacklevel=stacklevel)
        if original_new is not object.__new__:
            return original_new(cls, *args, **kwargs)
        if cls.__init__ is object.__init__ and (args or kwargs):  # as in object.__new__
            raise TypeError(f"{cls.__name__}() takes no arguments")
        return original_new(cls)

    arg.__new__ = staticmethod(__new__)
    original_init_subclass: Any = arg.__init_subclass__
    in_python = isinstance(original_init_subclass, MethodType)
    if in_python:
        original_init_subclass = original_init_subclass.__func__

    @functools.wraps(original_init_subclass)
    def __init_subclass__(*args: Any, **kwargs: Any) -> Any:  # noqa: N807
        _current()(msg, category=category, stacklevel=stacklevel)
        return original_init_subclass(*args, **kwargs)

    arg.__init_subclass__ = classmethod(__init_subclass__) if in_python else __init_subclass__
    arg.__deprecated__ = __new__.__deprecated__ = __init_subclass__.__deprecated__ = msg  # type: ignore[attr-defined]


def _wrapped(arg: Any, msg: str, category: type[Warning], stacklevel: int) -> Any:
    wrapper: Any
    if sys.version_info < (3, 12) and inspect.iscoroutinefunction(arg):

        @functools.wraps(arg)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            _current()(msg, category=category, stacklevel=stacklevel)
            return await arg(*args, **kwargs)

    else:

        @functools.wraps(arg)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            _current()(msg, category=category, stacklevel=stacklevel)
            return arg(*args, **kwargs)

        if sys.version_info >= (3, 12) and inspect.iscoroutinefunction(arg):
            wrapper = inspect.markcoroutinefunction(wrapper)
    arg.__deprecated__ = wrapper.__deprecated__ = msg
    return wrapper


declare()
