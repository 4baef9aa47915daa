"""How many of its rows a program has read: the position of a cursor when it is closed.

Only cursors with many rows are looked at, and the first of them has its class tell when one is closed: so a program
whose statements get few rows pays nothing.
"""

from __future__ import annotations

import os
from weakref import ref

from perfagent.instruments.base import disguise
from perfagent.runtime import guard, overfetch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.runtime.db import QuerySpan

MOST = 500  # cursors at a time
followed: dict[int, tuple[ref[Any], QuerySpan]] = {}
"""Those with many rows, by identity; none is kept alive."""
_watched: set[type] = set()


def follow(cursor: Any, span: QuerySpan) -> None:
    """Looks, when a cursor with many rows is closed, at how many of them were read; 2 us."""
    try:
        kind = type(cursor)
        if kind not in _watched:
            _watch(kind)
        key = id(cursor)
        if len(followed) < MOST:
            followed[key] = ref(cursor, lambda _: followed.pop(key, None)), span
    except Exception:
        guard.failed("over-fetch")


def _watch(kind: type) -> None:
    """Has a class of cursors tell when one is closed; `_close` is what psycopg's cursors of both kinds call."""
    _watched.add(kind)
    name = "_close" if hasattr(kind, "_close") else "close"
    original = getattr(kind, name)
    if getattr(original, "_perfagent_closing", False):
        return
    defines = next(index for index, one in enumerate(kind.__mro__) if name in vars(one))
    for owner in reversed(kind.__mro__[: defines + 1]):  # psycopg2's own class is written in C, ours below it is not
        try:
            setattr(owner, name, _closing(original))
        except TypeError:
            continue
        return


def _closing(close: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(cursor: Any, *args: Any, **options: Any) -> Any:
        if followed:
            one = followed.pop(id(cursor), None)
            if one is not None and (same := one[0]()) is cursor:
                try:
                    read = same.rownumber
                    if read is not None:
                        overfetch.read(one[1], read)
                except Exception:
                    guard.failed("over-fetch")
        return close(cursor, *args, **options)

    told: Any = disguise(wrapper, close)
    told._perfagent_closing = True
    return told  # type: ignore[no-any-return]


os.register_at_fork(after_in_child=followed.clear)
