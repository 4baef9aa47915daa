"""A function each of whose calls runs within a block of its own, coroutine functions awaited in it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])


def within(block: Callable[[], AbstractContextManager[Any]], function: Function) -> Function:
    """Decorates a function.

    Args:
        block: makes the block of a call.
        function: the function or coroutine function.
    """
    from functools import wraps
    from inspect import iscoroutinefunction

    if iscoroutinefunction(function):

        @wraps(function)
        async def traced_coroutine(*args: Any, **kwargs: Any) -> Any:
            with block():
                return await function(*args, **kwargs)

        return traced_coroutine  # type: ignore[return-value]

    @wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        with block():
            return function(*args, **kwargs)

    return traced  # type: ignore[return-value]
