"""The arguments of a call as one tuple: the same for `f(1)`, `f(a=1)` and a default of 1."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """What a function takes.

    Args:
        function: the function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        parameters = list(self._signature.parameters.values())
        plain = all(one.kind in _PLAIN for one in parameters)
        self.count = len(parameters) if plain else -1
        """How many positional arguments are the whole tuple; -1 where the function takes others, too."""
        defaults = [one.default for one in parameters]
        self._tails = [
            None if not plain or inspect.Parameter.empty in defaults[at:] else tuple(defaults[at:])
            for at in range(len(parameters) + 1)
        ]

    def values(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """The tuple.

        Raises:
            TypeError: the function takes no such arguments.
        """
        if not kwargs and len(args) < len(self._tails):
            tail = self._tails[len(args)]
            if tail is not None:
                return args + tail
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple(bound.arguments.values())
