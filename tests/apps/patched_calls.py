"""Calls every function that the instruments replaced, with another one in the place of the library's own behind it.

    perfagent run python -m tests.apps.patched_calls

What the instrument does around it may fail with the objects given here, which are no request and no cursor: the call
must go through all the same, once, and its exception and the line that its warning blames must be the program's.
Prints, as JSON, what went otherwise.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import warnings
from typing import Any
from unittest.mock import MagicMock

from perfagent.instruments import load
from tests.apps.patched_objects import _address, import_all


class Hostile:
    """An object that raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __getitem__ = __getattr__  # type: ignore[assignment]


FLAVOURS = {"mock": MagicMock, "object": object, "none": lambda: None, "text": lambda: "text", "hostile": Hostile}


HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE


class LibraryError(Exception):
    """What the function behind raises."""


class Behind:
    """What stands in the place of the library's function: it warns, then returns or raises."""

    def __init__(self, original: Any, raises: bool) -> None:
        self.calls = 0
        behind = self

        def called() -> None:
            behind.calls += 1
            warnings.warn("of the library", UserWarning, stacklevel=3)
            if raises:
                raise LibraryError

        if inspect.iscoroutinefunction(inspect.unwrap(original)):

            async def function(*args: Any, **options: Any) -> Any:
                called()

        elif inspect.isasyncgenfunction(original):

            async def function(*args: Any, **options: Any) -> Any:
                called()
                yield None

        elif inspect.isgeneratorfunction(original):

            def function(*args: Any, **options: Any) -> Any:
                called()
                yield None

        else:

            def function(*args: Any, **options: Any) -> Any:
                called()

        self.function = function


def arguments(owner: Any, function: Any, make: Any) -> tuple[list[Any], dict[str, Any]]:
    """What a call must give: an object for each parameter that has no default, and of the owner's class an instance
    that was never initialised, so that it lacks all that the instrument may look for.
    """
    positional, named = [], {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self" and isinstance(owner, type):
            positional.append(MagicMock() if make is MagicMock else _instance(owner))
            continue
        if parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = make()
        else:
            positional.append(make())
    return positional, named


def _instance(owner: type) -> Any:
    """One whose end does not matter either; of a class in C a mock, for C trusts that it was initialised."""
    if not all(base is object or base.__flags__ & HEAP for base in owner.__mro__):
        return MagicMock()
    own: Any = type(owner.__name__, (owner,), {"__del__": lambda self: None})
    own.__abstractmethods__ = frozenset()
    return own.__new__(own)


async def outcome(ours: Any, positional: list[Any], named: dict[str, Any]) -> Any:
    """Calls, and awaits or steps through what comes back where that is to be done."""
    found = ours(*positional, **named)
    if inspect.isawaitable(found) and not isinstance(found, MagicMock):
        return await found
    if inspect.isasyncgen(found):
        return [item async for item in found]
    return list(found) if inspect.isgenerator(found) else found


def check(owner: Any, ours: Any, make: Any, raises: bool) -> list[str]:
    """What was not as it should be with one call."""
    original = ours.__wrapped__
    cells = [cell for cell in ours.__closure__ or () if _content(cell) is original]
    if not cells:
        return ["not reached"]
    behind = Behind(original, raises)
    for cell in cells:
        cell.cell_contents = behind.function
    before = dict(contextvars.copy_context())
    try:
        raised, blamed = _call(ours, *arguments(owner, original, make))
    finally:
        for cell in cells:
            cell.cell_contents = original
    wrong = [] if raised is None else _frames(raised)
    if behind.calls != 1:
        wrong.append(f"called {behind.calls} times{'' if raised is None else f': {raised!r}'}")
    elif (type(raised) is not LibraryError) if raises else (raised is not None):
        wrong.append(f"raised {raised!r}")
    if behind.calls and blamed != {__file__}:
        wrong.append(f"blames {blamed}")
    after = contextvars.copy_context().items()
    left = [variable.name for variable, value in after if before.get(variable, variable.get(None)) is not value]
    if left and left != ["perfagent_aiohttp_sent"]:  # how many requests a redirected one has taken so far
        wrong.append(f"leaves {left}")
    return wrong


def _call(ours: Any, positional: list[Any], named: dict[str, Any]) -> tuple[BaseException | None, set[str]]:
    """The exception of a call, and the files that its warning blames."""
    raised: BaseException | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outcome(ours, positional, named).send(None)
        except StopIteration:
            pass
        except BaseException as error:
            raised = error
    return raised, {warning.filename for warning in caught if str(warning.message) == "of the library"}


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _frames(error: BaseException) -> list[str]:
    """Whether the last frame is not the library's, or many are ours."""
    files = []
    trace = error.__traceback__
    while trace is not None:
        files.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    ours = [file for file in files if "/perfagent/" in file and "/tests/" not in file]
    told = [] if files[-1] == __file__ else [f"the last frame is {files[-1]}"]
    return told + ([f"{len(ours)} frames of ours"] if len(ours) > 3 else [])


def main() -> None:
    import_all()
    wrong: dict[str, dict[str, list[str]]] = {}
    checked = 0
    for instrument in load.loaded.values():
        for owner, attribute, _, ours in instrument._replaced:
            if inspect.isfunction(ours) and inspect.isfunction(inspect.unwrap(ours)):
                checked += 1
                for flavour, make in FLAVOURS.items():
                    for raises in (False, True):
                        found = check(owner, ours, make, raises)
                        if found:
                            name = f"{_address(owner)}.{attribute}".replace(":.", ":")
                            wrong.setdefault(name, {})[f"{flavour}{', raises' if raises else ''}"] = found
    print(json.dumps({"checked": checked, "wrong": wrong}))


if __name__ == "__main__":
    asyncio.set_event_loop(asyncio.new_event_loop())
    main()
